"""Text → the spans of its sentences, cut short where a sentence is too long to be quoted."""

import itertools
import re
from collections.abc import Iterator

MAX_CHARS = 400
"""A longer sentence is cut: no quote is longer."""

SENTENCES = f"sentences-{MAX_CHARS}-v1"
"""Names these rules: an index holds the vectors of sentences, so change it with the rules."""

_LINE = re.compile(r"[^\r\n]+")
_LIST_ITEM = re.compile(r"\s*(?:[-*+•#>|]|\d+[.)])\s")
_TERMINAL = tuple(".!?…:;\"'”’)]。！？|")
_REFERRING = re.compile(r"(?:He|She|It|They|His|Hers?|Its|Their|This|These|That|Those|Such)\b")
_CLAUSE_END = re.compile(r"(?<=[;:,])\s+|(?<=[；：，、])|\s+")


def sentences(text: str, *, max_chars: int = MAX_CHARS) -> tuple[tuple[int, int], ...]:
    """The (start, end) of each sentence, in order, without white space around it.

    Together they cover every character that isn't white space. A line ends a sentence unless the
    next one plainly goes on with it. One of more than `max_chars` characters is cut after a clause,
    else after a word, else anywhere.
    """
    return tuple(
        cut
        for start, end in _segments(text)
        for span in _sentences_of_segment(text, start, end)
        for cut in _cut(text, *span, max_chars)
    )


def refers_back(sentence: str) -> bool:
    """Whether the sentence begins with a word that stands for something said before it (English)."""
    return _REFERRING.match(sentence) is not None


def _segments(text: str) -> Iterator[tuple[int, int]]:
    """Runs of lines that belong together: one line each, but for hard-wrapped text."""
    lines = [match.span() for match in _LINE.finditer(text) if match.group().strip()]
    ends = [i for i in range(1, len(lines)) if not _goes_on(text, lines[i - 1], lines[i])]
    for start, end in itertools.pairwise([0, *ends, len(lines)] if lines else []):
        yield lines[start][0], lines[end - 1][1]


def _goes_on(text: str, before: tuple[int, int], line: tuple[int, int]) -> bool:
    """Whether a line is the rest of the one before it: that one was long and cut off in a sentence."""
    upper, lower = text[slice(*before)].rstrip(), text[slice(*line)].lstrip()
    between = text[before[1] : line[0]]
    return (
        between.replace("\r\n", "\n").count("\n") == 1
        and len(upper) >= 40
        and not upper.endswith(_TERMINAL)
        and lower[:1].islower()
        and not _LIST_ITEM.match(lower)
    )


def _sentences_of_segment(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    import sentencex

    begin = cursor = start
    for piece in sentencex.segment("en", text[start:end]):
        cursor += len(piece)
        # "1." or "(a)" alone is the head of the sentence that follows.
        if sum(character.isalnum() for character in text[begin:cursor]) > 2 or cursor == end:
            yield begin, cursor
            begin = cursor
    if begin < end:
        yield begin, end


def _cut(text: str, start: int, end: int, max_chars: int) -> Iterator[tuple[int, int]]:
    while True:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        end = start + len(text[start:end].rstrip())
        if end - start <= max_chars:
            break
        breaks = [match.start() for match in _CLAUSE_END.finditer(text, start + 1, start + max_chars)]
        clauses = [
            place for place in breaks if text[place - 1] in ";:,；：，、" and place > start + max_chars // 2
        ]
        place = (clauses or breaks or [start + max_chars])[-1]
        yield start, start + len(text[start:place].rstrip())
        start = place
    if start < end:
        yield start, end
