"""Plain text → its blocks, inferred from blank lines, wraps, bullets, numbers, underlines and labels."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rag.types import Block, BlockKind

MARK = re.compile(r"(?:[-*+•◦▪‣·–—]|\(?(?:\d{1,3}|[a-z])[.)])(?=[ \t]+\S)")
"""What stands before an item of a list."""

BULLET = re.compile(r"(?:[-*+•◦▪‣·–—#>|]+[ \t]+)+")
"""Marks at the beginning of a block that aren't part of what it says, unlike the number of a step."""

_LINE = re.compile(r"[^\n\r\u2028\u2029]+")
_UNDERLINE = re.compile(r"([=\-~^*_])\1{2,}")
_NUMBERED = re.compile(r"(?:\d+\.)*\d+\.?[ \t]+(?=[^\W\d_])|[IVXLC]+\.[ \t]+(?=[^\W\d_])")
_FIELD = re.compile(r"([^\W\d_][^:\n.!?;]{0,38}[^\W_])[ \t]*:[ \t]+(?=\S)")
_ASKED = re.compile(r"(?:Q|(?i:question))[ \t]?\d*[:.)][ \t]*(?=\S)")
_ANSWERED = re.compile(r"(?:A|(?i:answer))[ \t]?\d*:[ \t]*(?=\S)")
_REPLIED = re.compile(r"A[ \t]?\d*[.)][ \t]*(?=\S)")
"""An answer in the paragraph of its question; elsewhere an initial, or the first item of a list."""

_SENTENCE_AFTER_NUMBER = re.compile(r"(?!1\.)\d{1,3}\.[ \t]+[^\W\d_a-z]")
"""After a wrapped line a sentence that ended with a number, and the next one; no item."""

_ENDS = tuple(".!?…:;。！？")
_CLOSING = "\"'”’»)]"

_OF_LINES: Mapping[str, BlockKind] = {
    "quotation": "quotation",
    "question": "question",
    "answer": "answer",
    "furniture": "furniture",
}
"""Kinds of lines that are blocks of that kind; the others need more than their lines, or are paragraphs."""

_LONGEST_WRAP = 132
"""Longer lines aren't wrapped by hand or by a program: each is a paragraph of its own."""

_SHORTEST_WRAP = 40
_HEADING_CHARS = 80
_QUESTION_CHARS = 200
_STACKED = 2
"""How many headings may stand above each other: a title and that of its first section."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the text without the white space around it, and how deep it is indented."""

    start: int
    end: int
    indent: int
    words: str
    number: int


def blocks_of_text(text: str) -> tuple[Block, ...]:
    """The blocks of the text, in order: they have every character of it that isn't white space."""
    paragraphs = [*_paragraphs(text)]
    width = max((line.indent + len(line.words) for one in paragraphs for line in one), default=0)
    levels = _heading_levels(paragraphs)
    found: list[Block] = []
    for paragraph, level in zip(paragraphs, levels, strict=True):
        if level:
            found.append(Block("heading", paragraph[0].start, paragraph[0].end, level))
        else:
            found.extend(_blocks(paragraph, width if width <= _LONGEST_WRAP else 0))
    return led(text, found)


def ordered(item: str) -> bool:
    """Whether the item of a list is a step: it begins with a number."""
    return (mark := MARK.match(item)) is not None and any(character.isdigit() for character in mark[0])


def led(text: str, blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks, each with what leads to it where a parser named none.

    An item is led by the item that it is nested in, or by what stands before the list and ends with a colon;
    a code by what stands right before it, if that does. What consists of a question is one, and what follows
    it its answer: up to the next heading where the question is a heading itself, else one block.
    """
    found: list[Block] = []
    before: Block | None = None  # that isn't an item
    items: list[Block] = []
    asked: Block | None = None
    for block in blocks:
        block = _asking(text, block)
        items = [item for item in items if block.kind == "item" and item.level < block.level]
        if block.kind in ("heading", "question"):
            asked = block if block.kind == "question" else None
        elif not block.header:
            parent = None
            if block.kind == "item":
                parent = items[-1] if items else before if before and _leads(text, before) else None
            elif block.kind == "code":
                parent = found[-1] if found and _leads(text, found[-1]) else None
            elif asked is not None and block.kind in ("paragraph", "answer"):
                parent = asked
                block = replace(block, kind="answer")
                asked = asked if asked.level else None
            if parent is not None:
                block = replace(block, header=((parent.start, parent.end),))
        if block.kind == "item":
            items.append(block)
        else:
            before = block
        found.append(block)
    return tuple(found)


def _asking(text: str, block: Block) -> Block:
    """The block as a question or an answer where its words say that it is one."""
    words = text[block.start : block.end].strip("*_#>=- \t\n")
    if block.kind == "paragraph" and _ANSWERED.match(words):
        return replace(block, kind="answer")
    if block.kind in ("heading", "paragraph") and (
        len(words) <= _QUESTION_CHARS
        and words.rstrip(_CLOSING).endswith("?")
        and not re.search(r"[.!?][\"'”’»)]*\s+[^\W_]", words.removeprefix("Q."))
    ):
        return replace(block, kind="question")
    return block


def _leads(text: str, block: Block) -> bool:
    """Whether the block leads to a list or a code after it."""
    return text[block.start : block.end].rstrip("*_ ").endswith(":")


def _paragraphs(text: str) -> Iterator[list[_Line]]:
    """Runs of lines without a blank line between them."""
    run: list[_Line] = []
    number, position = 0, 0
    for match in _LINE.finditer(text):
        between = text[position : match.start()].replace("\r\n", "\n")
        number, position = number + len(between), match.end()
        words = match.group().strip()
        if not words:
            continue
        start = match.start() + len(match.group()) - len(match.group().lstrip())
        indent = len(match.group()[: start - match.start()].expandtabs(4))
        line = _Line(start, start + len(words), indent, words, number)
        if run and line.number - run[-1].number > 1:
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _heading_levels(paragraphs: Sequence[Sequence[_Line]]) -> list[int]:
    """The level of each paragraph that is a heading, 0 for the others.

    A heading has something under it; more than two of them in a row are lines of a list.
    """
    levels = [_heading(lines[0]) if len(lines) == 1 else 0 for lines in paragraphs]
    position = 0
    for is_heading, run in itertools.groupby(levels, bool):
        length = len([*run])
        if is_heading and (length > _STACKED or position + length == len(levels)):
            levels[position : position + length] = [0] * length
        position += length
    return levels


def _blocks(lines: Sequence[_Line], width: int) -> Iterator[Block]:
    """The blocks of the lines of a paragraph."""
    fields = sum(_FIELD.match(line.words) is not None for line in lines)
    labelled = fields >= 2 and fields >= 0.6 * len(lines)
    asked = any(_ASKED.match(line.words) for line in lines)
    runs: list[list[_Line]] = []
    kinds: list[str] = []
    for line, following in itertools.zip_longest(lines, lines[1:]):
        if _UNDERLINE.fullmatch(line.words) and runs and kinds[-1] == "paragraph" and len(runs[-1]) == 1:
            kinds[-1] = f"heading{1 if line.words[0] == '=' else 2}"
            runs.append([line])
            kinds.append("furniture")
            continue
        kind = _kind(line, following, labelled=labelled, asked=asked)
        if runs and _goes_on(runs[-1], kinds[-1], line, kind, width):
            runs[-1].append(line)
        else:
            runs.append([line])
            kinds.append(kind)
    for kind, run in zip(kinds, runs, strict=True):
        yield _block(kind, run)


def _kind(line: _Line, following: _Line | None, *, labelled: bool, asked: bool) -> str:
    if line.words.startswith(">"):
        return "quotation"
    if _ASKED.match(line.words):
        return "question"
    if _ANSWERED.match(line.words) or (asked and _REPLIED.match(line.words)):
        return "answer"
    if MARK.match(line.words):
        return "item"
    if labelled and _FIELD.match(line.words):
        return "field"
    if not any(character.isalnum() for character in line.words):
        return "furniture"
    if following is not None and (MARK.match(following.words)) and line.words.endswith(":"):
        return "lead-in"
    return "paragraph"


def _goes_on(run: Sequence[_Line], kind: str, line: _Line, own: str, width: int) -> bool:
    """Whether the line continues the block that the run of lines before it is."""
    last = run[-1]
    if own == "quotation" or kind == "quotation":
        return own == kind
    if kind == "paragraph" and own == "item" and _SENTENCE_AFTER_NUMBER.match(line.words):
        return not last.words.rstrip(_CLOSING).endswith(_ENDS) and _wraps(last, line, width)
    if kind.startswith(("heading", "furniture")) or own not in ("paragraph", "lead-in"):
        return False
    if kind in ("item", "field", "question", "answer") and line.indent > run[0].indent:
        return True
    return _wraps(last, line, width)


def _wraps(last: _Line, line: _Line, width: int) -> bool:
    """Whether the line break between the lines is a wrap: the next word had no room before it."""
    length = last.indent + len(last.words)
    if length < _SHORTEST_WRAP or (width and length < width // 2):
        return False
    lower = line.words[:1].islower() and not last.words.rstrip(_CLOSING).endswith(_ENDS)
    if not width:
        return lower
    word = line.words.split(maxsplit=1)[0]
    return lower or length + 1 + len(word) > width


def _block(kind: str, run: Sequence[_Line]) -> Block:
    first, last = run[0], run[-1]
    start, end = first.start, last.end
    if kind.startswith("heading"):
        return Block("heading", start, end, int(kind.removeprefix("heading")))
    if kind == "item":
        return Block("item", start, end, 1 + first.indent // 2)
    if kind == "field":
        label = _FIELD.match(first.words)
        assert label is not None, "it is one"
        return Block("field", start, end, 0, ((start, start + len(label[1])),))
    return Block(_OF_LINES.get(kind, "paragraph"), start, end)


def _heading(line: _Line) -> int:
    """The level of a line that stands alone as a heading; 0 for one that is none."""
    words = line.words
    if len(words) > _HEADING_CHARS or not any(character.isalpha() for character in words):
        return 0
    if words.rstrip(_CLOSING).endswith((*_ENDS, ",")):
        return 0
    if numbered := _NUMBERED.match(words):
        return 1 + numbered[0].count(".", 0, len(numbered[0].rstrip(". \t")))
    if MARK.match(words) or _FIELD.match(words) or words.startswith(">"):
        return 0
    if words.isupper():
        return 1
    return 2 if words[0].isupper() or words[0].isdigit() else 0
