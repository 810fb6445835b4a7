"""Text → the spans of its sentences, split where a sentence is too long to be quoted."""

import itertools
import re
from collections.abc import Iterator

MAX_CHARS = 400
"""A longer sentence is split: no quote is longer."""

SENTENCES = f"sentences-{MAX_CHARS}-v1"
"""The version of these rules, part of an index's identity: change it when sentences change."""

_LINE = re.compile(r"[^\r\n]+")
_LIST_ITEM = re.compile(r"\s*(?:[-*+•#>|]|\d+[.)])\s")
_TERMINAL = tuple(".!?…:;\"'”’)]。！？|")
_REFERRING = re.compile(r"(?:He|She|It|They|His|Hers?|Its|Their|This|These|That|Those|Such)\b")
_BREAK = re.compile(r"(?<=[;:,])\s+|(?<=[；：，、])|\s+")


def sentences(text: str, *, max_chars: int = MAX_CHARS) -> tuple[tuple[int, int], ...]:
    """The (start, end) of each sentence, in order, without white space around it.

    Together they cover every character that isn't white space. A line ends a sentence unless the next line
    clearly continues it. A sentence of more than `max_chars` characters is split after a clause, else after
    a word, else anywhere.
    """
    return tuple(
        part
        for start, end in _segments(text)
        for sentence in _sentences_of_segment(text, start, end)
        for part in _split(text, *sentence, max_chars)
    )


def refers_back(sentence: str) -> bool:
    """Whether the sentence begins with a word that refers to an earlier sentence (English)."""
    return _REFERRING.match(sentence) is not None


def _segments(text: str) -> Iterator[tuple[int, int]]:
    """Runs of lines that belong together: single lines, except in hard-wrapped text."""
    lines = [match.span() for match in _LINE.finditer(text) if match.group().strip()]
    ends = [i for i in range(1, len(lines)) if not _continues(text, lines[i - 1], lines[i])]
    for start, end in itertools.pairwise([0, *ends, len(lines)] if lines else []):
        yield lines[start][0], lines[end - 1][1]


def _continues(text: str, before: tuple[int, int], line: tuple[int, int]) -> bool:
    """Whether a line continues the sentence of the line before it, which was long and has no end."""
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
        # "1." or "(a)" alone belongs to the sentence that follows.
        if sum(character.isalnum() for character in text[begin:cursor]) > 2 or cursor == end:
            yield begin, cursor
            begin = cursor
    if begin < end:
        yield begin, end


def _split(text: str, start: int, end: int, max_chars: int) -> Iterator[tuple[int, int]]:
    """The sentence in parts of at most `max_chars` characters, without white space around them."""
    while True:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        end = start + len(text[start:end].rstrip())
        if end - start <= max_chars:
            break
        breaks = [match.start() for match in _BREAK.finditer(text, start + 1, start + max_chars)]
        clauses = [i for i in breaks if text[i - 1] in ";:,；：，、" and i > start + max_chars // 2]
        offset = (clauses or breaks or [start + max_chars])[-1]
        yield start, start + len(text[start:offset].rstrip())
        start = offset
    if start < end:
        yield start, end
