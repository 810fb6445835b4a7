"""Text → the spans of its sentences, split where a sentence is too long to be quoted."""

import re
from collections.abc import Iterator

from rag.text.blocks import BULLET, blocks_of_text
from rag.types import Block

MAX_CHARS = 400
"""A longer sentence is split: no quote is longer."""

SENTENCES = f"sentences-{MAX_CHARS}-v2"
"""The version of these rules, part of an index's identity: change it when sentences change."""

_LINE = re.compile(r"[^\r\n]+")
_WHOLE = ("heading", "question", "row", "field", "metadata")
"""The blocks that are one sentence each."""

_REFERRING = re.compile(r"(?:He|She|It|They|His|Hers?|Its|Their|This|These|That|Those|Such)\b")
_EMPHASIS = re.compile(r"(?<=\S)[*_]{1,3}(?=\s|$)")
_BREAK = re.compile(r"(?<=[;:,])\s+|(?<=[；：，、])|\s+")


def sentences(text: str, *, max_chars: int = MAX_CHARS) -> tuple[tuple[int, int], ...]:
    """The (start, end) of each sentence of a plain text, in order, as from `sentences_of`."""
    return tuple(
        span for block in blocks_of_text(text) for span in sentences_of(text, block, max_chars=max_chars)
    )


def sentences_of(text: str, block: Block, *, max_chars: int = MAX_CHARS) -> tuple[tuple[int, int], ...]:
    """The (start, end) of each sentence of a block of the text, in order, without white space around it.

    Together they have every character of the block that is neither white space nor a mark such as a bullet;
    furniture has none. Headings, rows, fields and the lines of code are sentences. A sentence of more than
    `max_chars` characters is split after a clause, else after a word, else anywhere.
    """
    if block.kind == "furniture":
        return ()
    start, end = block.start, block.end
    if block.kind == "row":
        end = start + len(text[start:end].rstrip("| \t"))
    if block.kind != "code" and (mark := BULLET.match(text, start, end)) is not None:
        start = mark.end()
    whole = [(start, end)]
    if block.kind == "code":
        whole = _lines(text, start, end, max_chars)
    elif block.kind not in _WHOLE:
        whole = [*_sentences_of_segment(text, start, end)]
    return tuple(part for sentence in whole for part in _split(text, *sentence, max_chars))


def refers_back(sentence: str) -> bool:
    """Whether the sentence begins with a word that refers to an earlier sentence (English)."""
    return _REFERRING.match(sentence) is not None


def _lines(text: str, start: int, end: int, max_chars: int) -> list[tuple[int, int]]:
    """The lines, as many together as `max_chars` allow."""
    found: list[tuple[int, int]] = []
    for match in _LINE.finditer(text, start, end):
        if found and match.end() - found[-1][0] <= max_chars:
            found[-1] = found[-1][0], match.end()
        else:
            found.append(match.span())
    return found


def _sentences_of_segment(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    import sentencex

    begin = cursor = start
    for piece in sentencex.segment("en", text[start:end]):
        cursor += len(piece)
        # The marks that end an emphasis belong to the sentence before them.
        closing = _EMPHASIS.match(text, cursor, end)
        stop = cursor if closing is None else closing.end()
        # "1." or "(a)" alone belongs to the sentence that follows.
        if sum(character.isalnum() for character in text[begin:stop]) > 2 or stop == end:
            yield begin, stop
            begin = stop
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
