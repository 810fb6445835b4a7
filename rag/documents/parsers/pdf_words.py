"""Lines of a paragraph → its text: how a word that is broken at a line's end goes, the document says."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from rag.documents.parsers.pdf_layout import Line

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_BROKEN = re.compile(r"([^\W_]+(?:-[^\W_]+)*)-$")
_START = re.compile(r"[^\W\d_]+")
_DASHES = str.maketrans({"\u2010": "-", "\u2011": "-"})
# Chinese, Japanese and the like have no blanks between words.
_NO_BLANKS = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60]")
_MAX_WORD_CHARS = 60
_MIN_PART_CHARS = 3


class Words:
    """The words of a document, by how often they occur in the middle of a line."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Count the words of these lines, which stand in their order, but for the halves at line ends."""
        self._counts: Counter[str] = Counter()
        broken = False
        for line in lines:
            words = _WORD.findall(line.translate(_DASHES).lower())
            first = 1 if broken else 0
            broken = line.endswith(("-", "\u2010", "\u00ad"))
            self._counts.update(words[first : len(words) - 1 if broken else None])

    def joined(self, lines: Sequence[Line]) -> list[tuple[str, int]]:
        """The text of the lines in pieces, one a line, and the page of each."""
        pieces: list[tuple[str, int]] = []
        for line in lines:
            text = line.text
            if pieces:
                before, page = pieces[-1]
                end, blank = self._end(before, text)
                pieces[-1] = (end, page)
                text = f"{blank}{text}"
            pieces.append((text, line.page))
        return pieces

    def _end(self, before: str, after: str) -> tuple[str, str]:
        """The end of a line as it reads before the next, and the blank between the two, if there is one."""
        if before.endswith("\u00ad"):
            return before[:-1], ""
        broken = _BROKEN.search(before[-_MAX_WORD_CHARS:].translate(_DASHES))
        if broken and after[0].isalnum():
            return (before if self._keeps(broken[1], after) else before[:-1]), ""
        if after[0].isalnum() and len(before) > 1 and before[-1] == "—" and before[-2].isalnum():
            return before, ""
        if _NO_BLANKS.match(before[-1]) and _NO_BLANKS.match(after):
            return before, ""
        return before, " "

    def _keeps(self, half: str, after: str) -> bool:
        """Whether the hyphen is part of the word that begins with this half."""
        start = _START.match(after)
        if start is None or not after[0].islower() or "-" in half or not half.isalpha():
            return True
        first, second = half.lower(), start[0].lower()
        hyphenated, joined = self._counts[f"{first}-{second}"], self._counts[f"{first}{second}"]
        if hyphenated or joined:
            return hyphenated > joined
        parts = min(self._counts[first], self._counts[second])
        return parts > 0 and min(len(first), len(second)) >= _MIN_PART_CHARS
