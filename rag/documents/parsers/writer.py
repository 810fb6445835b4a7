"""Blocks in the order of a document → its text with their spans, for the formats whose text is arranged here.

What the web page, the Word document and the e-mail share: the parser says what comes, and the writer sets it
and keeps the offsets.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from rag.documents.parsers import Extract
from rag.documents.parsers.plain import clean
from rag.types import Block, BlockKind

Span: TypeAlias = tuple[int, int]

NOWHERE: Span = (0, 0)

_LINES_OF_ONE = {"item", "row", "field", "metadata", "furniture"}
"""Kinds whose blocks stand on successive lines; all others have a blank line between them."""

_NO_CONTENT = {"heading", "furniture", "metadata"}
_LEADS_IN = {"paragraph", "answer", "field", "item", "quotation", "question"}
_ASKED = re.compile(r"(?:Q|Question|F|Frage)\s*\d*\s*[:.)]\s*\S", re.IGNORECASE)
_BULLET = re.compile(r"[•‣∙●◦▪■□➢►✓✔]\s*\S")
_MARK = re.compile(rf"\s*(?:{_BULLET.pattern}|(?:[-*–—]|\d{{1,3}}[.)])\s+\S)")
_MAX_QUESTION_CHARS = 300
_MAX_LABEL_CHARS = 80
_MAX_NAME_CHARS = 40
_YEAR = re.compile(r"(?:19|20)\d\d")
_DIGITS = re.compile(r"\d[\d.,\s]*")

_MAX_HEADER_ROWS = 4
_MAX_COLUMNS = 1000
_MAX_REPEATED_CHARS = 1_000_000
"""How much merged cells may add to a document: a small file can state millions of them."""


class Cell(NamedTuple):
    """A cell of a table row: its text, how many columns it spans, and whether it is set as a label.

    `above` is a cell that goes on from the row before, whose text it repeats.
    """

    text: str
    columns: int = 1
    label: bool = False
    above: bool = False


class Writer:
    """The text and blocks of a document, written from its beginning to its end.

    Each method takes the next block and gives its span; `NOWHERE` for one without text, which is left out.
    """

    def __init__(self) -> None:
        """Begin with no text."""
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._end = 0
        self._last = ""
        self._apart = self._cut = False
        self._may_repeat = _MAX_REPEATED_CHARS
        self.question: Span | None = None
        """Where the question stands under which paragraphs are answers."""

    @property
    def last(self) -> Block | None:
        """The last block, None before the first."""
        return self._blocks[-1] if self._blocks else None

    @property
    def has_content(self) -> bool:
        """Whether there is more than headings, furniture and metadata."""
        return any(block.kind not in _NO_CONTENT for block in self._blocks)

    def extract(self, title: str | None = None, date: str | None = None) -> Extract:
        """What was written, with the title and date that the document states."""
        return Extract("".join(self._parts), title, date, blocks=tuple(self._blocks))

    def add(self, kind: BlockKind, text: str, *, level: int = 0, header: Sequence[Span] = ()) -> Span:
        """A block of this kind; white space around it is dropped, but for the indent of code."""
        text = clean(text)
        text = text.strip("\n").rstrip() if kind == "code" else text.strip()
        if not text.strip():
            return NOWHERE
        start = self._start(kind)
        self._put(text)
        self._blocks.append(Block(kind, start, self._end, level, tuple(header)))
        self._last = text
        return start, self._end

    def append(self, text: str, blocks: Sequence[Block]) -> None:
        """A text that has its blocks, with spans relative to it."""
        if not text.strip():
            return
        self._apart = True
        start = self._start("paragraph")
        self._put(text)
        for block in blocks:
            header = tuple((first + start, last + start) if last else NOWHERE for first, last in block.header)
            self._blocks.append(
                Block(block.kind, block.start + start, block.end + start, block.level, header)
            )
        self._apart = True
        self._last = text[blocks[-1].start : blocks[-1].end] if blocks else ""

    def heading(self, text: str, level: int) -> Span:
        """A heading; one that asks is the question that the paragraphs under it answer."""
        self.question = None
        return self.ask(text, level) if _asks(text) else self.add("heading", text, level=level)

    def ask(self, text: str, level: int = 0) -> Span:
        """A question; the paragraphs after it are its answer until the next heading or question."""
        span = self.add("question", text, level=level)
        self.question = span if span != NOWHERE else None
        return span

    def paragraph(self, text: str, *, bold: bool = False) -> Span:
        """A paragraph, or the question, answer or item that it is; `bold` says that all of it is.

        Where several lines begin with a mark each is an item, and the span of the last line is given.
        """
        lines = text.strip().split("\n")
        if sum(_MARK.match(line) is not None for line in lines) > 1:
            return [self._item(line) if _MARK.match(line) else self.paragraph(line) for line in lines][-1]
        if _BULLET.match(lines[0]):
            return self._item(text)
        if _asks(text) and (bold or _ASKED.match(text.strip())):
            return self.ask(text)
        if self.question:
            return self.add("answer", text, header=[self.question])
        return self.add("paragraph", text)

    def _item(self, text: str) -> Span:
        last = self.last
        header = last.header if last is not None and last.kind == "item" else self.lead_in()
        return self.add("item", text, level=1, header=header)

    def lead_in(self) -> tuple[Span, ...]:
        """The span of what stands right before and leads to the list that follows, if any does."""
        last = None if self._cut else self.last
        if last is None or last.kind not in _LEADS_IN or (last.kind == "item" and not self.leads):
            return ()
        return ((last.start, last.end),)

    @property
    def leads(self) -> bool:
        """Whether the last block ends with a colon."""
        return not self._cut and self._last.endswith((":", "："))

    def cut(self) -> None:
        """Something is left out here, so that the last block doesn't lead to the next."""
        self._cut = True

    def code(self, text: str) -> Span:
        """Code, which has what ends with a colon before it as its header."""
        return self.add("code", text, header=self.lead_in() if self.leads else ())

    def field(self, label: str, value: str) -> Span:
        """A label with its value on one line; a label that asks is a question with its answer."""
        label, value = _on_one_line(label), _on_one_line(value)
        if not label or not value:
            return self.add("field", label or value)
        if _asks(label):
            self.ask(label)
            return self.paragraph(value)
        start = self._start("field")
        shown = label.removesuffix(":").rstrip() or label
        self._put(f"{shown}: {value}")
        self._blocks.append(Block("field", start, self._end, header=((start, start + len(shown)),)))
        self._last = value
        return start, self._end

    def table(self, rows: Sequence[Sequence[Cell]], *, headers: int = 0) -> None:
        """A table, a line a row; its first `headers` rows are headers, and a first row that looks like one.

        Without a header, one of labels and values has fields, and one with a cell a row has paragraphs.
        """
        rows = self._resolve(rows)
        if not headers and all(sum(bool(cell.text) for cell in row) == 1 for row in rows):
            for row in rows:
                self.paragraph("".join(cell.text for cell in row))
            return
        headers = min(headers, _MAX_HEADER_ROWS) if headers < len(rows) else min(headers, 1)
        headers = headers or int(_has_header(rows))
        fields = not headers and len(rows) > 0 and all(_is_field(row) for row in rows)
        names: dict[int, Span] = {}
        groups: dict[int, str] = {}
        self._apart, question = True, self.question
        for number, row in enumerate(rows):
            if fields:
                self.field(row[0].text, row[1].text)
            elif number < headers:
                self._header_row(row, names, groups)
            else:
                header = [names.get(column, NOWHERE) for column in _columns(row)]
                self._row([cell.text for cell in row], header)
        self._apart, self.question = True, question

    def _header_row(self, row: Sequence[Cell], names: dict[int, Span], groups: dict[int, str]) -> None:
        """A header row, with the name of the group that a cell stands under before its own."""
        columns = _columns(row)
        texts = [
            f"{groups[column]} {cell.text}"
            if cell.text and groups.get(column, cell.text) != cell.text
            else cell.text
            for cell, column in zip(row, columns, strict=True)
        ]
        spans = self._row(texts, [])
        for cell, column, text, span in zip(row, columns, texts, spans, strict=True):
            for covered in range(column, min(column + cell.columns, _MAX_COLUMNS)):
                if text:
                    names[covered] = span
                    if cell.columns > 1 and len(row) > 1:
                        groups[covered] = text

    def _row(self, texts: Sequence[str], header: Sequence[Span]) -> list[Span]:
        """A row of these cells; the span of each, `NOWHERE` for an empty one."""
        line = " | ".join(texts)
        if not any(texts):
            return [NOWHERE] * len(texts)
        start = self._start("row")
        self._put(line)
        first, last = start + len(line) - len(line.lstrip()), start + len(line.rstrip())
        self._blocks.append(Block("row", first, last, header=tuple(header)))
        self._last = line
        spans = []
        for text in texts:
            spans.append((start, start + len(text)) if text else NOWHERE)
            start += len(text) + len(" | ")
        return spans

    def _resolve(self, rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
        """The rows that have text, each cell with the text that it repeats."""
        above: dict[int, Cell] = {}
        resolved = []
        for row in rows:
            cells = []
            for cell, column in zip(row, _columns(row), strict=True):
                if cell.above and column in above and self._may_repeat > 0:
                    cell = above[column]._replace(columns=cell.columns)
                    self._may_repeat -= len(cell.text) + 1
                else:
                    cell = cell._replace(text=_on_one_line(cell.text))
                if column < _MAX_COLUMNS:
                    above[column] = cell
                cells.append(cell)
            if any(cell.text for cell in cells):
                resolved.append(cells)
        return resolved

    def _start(self, kind: BlockKind) -> int:
        """Where the next block starts, after what parts it from the last one."""
        if self._blocks:
            last = self._blocks[-1].kind
            self._put("\n" if kind == last and kind in _LINES_OF_ONE and not self._apart else "\n\n")
        self._apart = self._cut = False
        return self._end

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._end += len(text)


def _on_one_line(text: str) -> str:
    return " ".join(clean(text).split())


def _asks(text: str) -> bool:
    text = text.strip()
    return len(text) <= _MAX_QUESTION_CHARS and text.endswith(("?", "？", "؟"))


def _columns(row: Sequence[Cell]) -> list[int]:
    """The column in which each cell begins, from 0."""
    columns, column = [], 0
    for cell in row:
        columns.append(column)
        column += cell.columns
    return columns


def _is_field(row: Sequence[Cell]) -> bool:
    return len(row) == 2 and 0 < len(row[0].text) <= _MAX_LABEL_CHARS and bool(row[1].text)


def _has_header(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether the first row looks like a header: all of it set as labels, or words that name columns."""
    if len(rows) < 2 or len(rows[0]) < 2 or any(not cell.text for cell in rows[0][1:]):
        return False
    if all(cell.label for cell in rows[0] if cell.text) and not all(cell.label for cell in rows[1]):
        return True
    if rows[0][0].label and rows[1][0].label:
        return False
    return _names_columns(rows)


def _names_columns(rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether a first row that isn't set off names its columns: three and more are hardly without names.

    Two columns may be labels with their values, so what stands under it has to be alike, such as prices.
    """
    names = [cell.text for cell in rows[0]]
    if len(set(names)) < len(names) or not all(map(_is_name, names)):
        return False
    shapes = {_DIGITS.sub("0", row[1].text) for row in rows[1:] if len(row) == 2}
    return len(names) > 2 or (len(rows) > 2 and len(shapes) == 1 and "0" in shapes.pop())


def _is_name(text: str) -> bool:
    return len(text) <= _MAX_NAME_CHARS and (
        not any(map(str.isdigit, text)) or _YEAR.fullmatch(text) is not None
    )
