"""The blocks of a passage → what each of its sentences is, stands under, and is quoted with."""

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rag.index.base import State
from rag.text.blocks import BULLET, ordered
from rag.types import Block, Chunk

MAX_LIST_CHARS = 600
"""A longer list isn't quoted whole: what leads to it is quoted with the items that fit, the others alone."""

MAX_STEP_CHARS = 150
MAX_CAPTION_CHARS = 150

_TITLES = ("heading", "question")


@dataclass(frozen=True, slots=True)
class Role:
    """What a sentence is in its document.

    `quotable` is whether it says something by itself, unlike a heading or a question; `metadata` is said of
    the document, not by it. `headings` are those above it, `led` is what leads to it, such as its table's
    header. `section` are the headings with what the document's own name, title and date say. `whole` is what
    it is quoted with, None for itself alone.
    """

    quotable: bool
    metadata: bool
    headings: str
    led: str
    section: str
    whole: Chunk | None
    block: Block


class Structure:
    """What a part of a document is made of."""

    def __init__(self, state: State, document: int, start: int, end: int, *, named: str) -> None:
        """Read the blocks of the document from `start` to `end`, and lists that go on beyond these.

        `named` is what the document's name, title and date say.
        """
        self._named = named
        self._state = state
        self._document = document
        self._passage = start, end
        self._first = max(start - MAX_LIST_CHARS, 0)
        self._text = state.text(document, self._first, end + MAX_LIST_CHARS)
        # A store may have no blocks of a part that has too many.
        plain = (Block("paragraph", self._first, self._first + len(self._text)),)
        self._blocks = state.blocks(document, self._first, end + MAX_LIST_CHARS) or plain
        self._starts = [block.start for block in self._blocks]
        rows = [block for block in self._blocks if block.kind == "row"]
        self._headers = {span for row in rows for span in row.header if span[0] < span[1]}
        self._paths = _paths(self._blocks)
        self._lists = _lists(self._blocks, self.text)

    def role(self, start: int, end: int) -> Role:
        """What the sentence is that has these offsets."""
        number = max(bisect.bisect_right(self._starts, start) - 1, 0)
        block = self._blocks[number]
        titles = [self._line(heading.start, heading.end) for heading in self._paths[number]]
        led = " | ".join(self._line(*span) for span in block.header if span[0] < span[1] <= block.start)
        if (caption := self._caption(number)) is not None:
            named = self._line(caption.start, caption.end).removesuffix(":")
            led = ": ".join(filter(None, [named, led]))
        headings = " › ".join(titles)
        whole = self._quoted_with(number, start, end)
        return Role(
            quotable=block.kind not in (*_TITLES, "furniture") and not self._is_header(block),
            metadata=block.kind == "metadata",
            headings=headings,
            led=led,
            section=f"{self._named} {headings}",
            whole=None if whole is None else Chunk(*whole, self.text(*whole)),
            block=block,
        )

    def text(self, start: int, end: int) -> str:
        """The characters of the document from `start` to `end`."""
        if self._first <= start and end <= self._first + len(self._text):
            return self._text[start - self._first : end - self._first]
        return self._state.text(self._document, start, end)

    def _line(self, start: int, end: int) -> str:
        return " ".join(BULLET.sub("", self.text(start, end), count=1).split())

    def _caption(self, number: int) -> Block | None:
        """What stands right above the table of the row of this number, if it is short."""
        if self._blocks[number].kind != "row":
            return None
        while number and self._blocks[number].kind in ("row", "furniture"):
            number -= 1
        above = self._blocks[number]
        short = above.kind in ("paragraph", "caption") and above.end - above.start <= MAX_CAPTION_CHARS
        return above if short else None

    def _quoted_with(self, number: int, start: int, end: int) -> tuple[int, int] | None:
        """The list that a sentence of the block of this number is in, as far as it is inside the passage.

        Of what leads to a list the last sentence alone does.
        """
        block = self._blocks[number]
        leads = block.kind not in ("item", "code")
        if number not in self._lists or (leads and self.text(end, block.end).strip("*_ ")):
            return None
        first, last = self._lists[number]
        begin, stop = self._passage
        # A passage may begin after the mark of its first item.
        inside = [
            one
            for one in self._blocks[bisect.bisect_left(self._starts, first) :]
            if one.end <= min(last, stop)
            and (begin <= one.start or BULLET.fullmatch(self.text(one.start, begin)))
        ]
        if block not in inside:
            return None
        first, last = start if leads else max(inside[0].start, begin), inside[-1].end
        return (first, last) if first < block.start or block.end < last else None

    def _is_header(self, block: Block) -> bool:
        """Whether the block is the row above a table's columns."""
        return block.kind == "row" and any(block.start <= start < block.end for start, _ in self._headers)


def _paths(blocks: Sequence[Block]) -> list[tuple[Block, ...]]:
    """The headings that each block stands under."""
    path: tuple[Block, ...] = ()
    paths = []
    for block in blocks:
        titled = block.kind in _TITLES and block.level > 0
        if titled:
            path = tuple(heading for heading in path if heading.level < block.level)
        paths.append(path)
        if titled:
            path = (*path, block)
    return paths


def _is_step(block: Block, text: Callable[[int, int], str]) -> bool:
    """Whether the block is a numbered item, and no chapter."""
    short = block.end - block.start <= MAX_STEP_CHARS
    return short and block.kind == "item" and ordered(text(block.start, block.end))


def _lists(blocks: Sequence[Block], text: Callable[[int, int], str]) -> dict[int, tuple[int, int]]:
    """The span of what each block is quoted with, by its number: its list with what leads to it."""
    found: dict[int, tuple[int, int]] = {}
    number = 0
    while number < len(blocks):
        first, stop = number, number + 1
        block = blocks[number]
        following = blocks[stop] if stop < len(blocks) else None
        leads = following is not None and (block.start, block.end) in following.header
        if leads and following is not None and following.kind in ("item", "code"):
            stop += 1
        elif not _is_step(block, text):
            number = stop
            continue
        while stop < len(blocks) and blocks[stop].kind == "item" and blocks[stop - 1].kind == "item":
            stop += 1
        while stop > first + 1 and blocks[stop - 1].end - block.start > MAX_LIST_CHARS:
            stop -= 1
        if stop > first + 1:
            span = block.start, blocks[stop - 1].end
            found |= dict.fromkeys(range(first, stop), span)
        number = stop
    return found
