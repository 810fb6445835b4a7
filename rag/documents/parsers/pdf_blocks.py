"""The lines of all pages → the text of the document and its blocks.

What needs more than one page is done here: what repeats at the top or bottom of pages is furniture, a
paragraph goes on over pages, and a word that is broken at the end of a line is looked up in the document.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rag.documents.parsers.pdf_furniture import Page, parted
from rag.documents.parsers.pdf_layout import (
    ENDED,
    Flow,
    Line,
    Table,
    flows,
    is_full,
    is_item,
    is_leader,
    paragraphs,
)
from rag.documents.parsers.pdf_words import Words
from rag.types import Block, BlockKind

_HEADING_SIZE = 1.1  # times that of the body
_SMALL_SIZE = 0.94
_SAME_SIZE = 0.12
_MAX_HEADING_CHARS = 200
_MAX_HEADING_LINES = 3
_MAX_BOLD_CHARS = 120
_MAX_BOLD_SHARE = 0.3
_MAX_LEVEL = 6
_MAX_BETWEEN = 12
"""How many captions, notes and the like may stand between the halves of a paragraph."""
_MAX_LABEL_CHARS = 80

_CAPTION = re.compile(
    r"(?:fig(?:ure|\.)?|table|tab\.|listing|abb(?:ildung|\.)|tabelle|tableau|tabla|figura|tabella)\s*"
    r"(?:\d+|[IVX]+)(?:[.-]\d+)*\s*[.:–—-]",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[a-z]\. ")  # may be an item, or the end of a sentence that ends with a variable
_FOOTNOTE = re.compile(r"(?:\d{1,3}|[*∗†‡§¶#]+)\s*[^\W\d]")
_ASKS = re.compile(r"[?？؟]\s*$")
_ASKED = re.compile(r"(?:Q|Question|F|Frage)\s*\d*\s*[:.)]\s*\S", re.IGNORECASE)
_ON_LINES = {"item", "row", "field", "furniture"}
_LEADS_IN = {"paragraph", "answer", "question", "item", "footnote"}


@dataclass(slots=True)
class _Part:
    """What becomes a block, or rows of a table; `right` is how far its lines may reach."""

    kind: BlockKind
    lines: list[Line]
    rows: list[list[list[Line]]] = field(default_factory=list)
    right: float = 0.0
    aside: bool = False
    texts: tuple[str, str] = ("", "")

    @property
    def page(self) -> int:
        return self.lines[0].page


def arrange(pages: Sequence[Page]) -> tuple[str, tuple[Block, ...], tuple[int, ...]]:
    """The text, its blocks, and the offset at which each page begins."""
    parted_pages = parted(pages)
    body = [line for _, lines, _ in parted_pages for line in lines]
    style = _Style(body)
    found: list[list[_Part]] = []
    for page, (top, lines, bottom) in zip(pages, parted_pages, strict=True):
        found.append([_Part("furniture", level) for level in top])
        found += [style.parts(flow, page) for flow in flows([line for line in lines if not line.aside])]
        found.append([_Part("paragraph", [line], aside=True) for line in lines if line.aside])
        found.append(_added(page))
        found.append([_Part("furniture", level) for level in bottom])
    writer = _Writer(Words(line.text for line in body), style.levels)
    for part in _joined(found):
        writer.part(part)
    return writer.text(), tuple(writer.blocks), writer.starts(len(pages))


def _added(page: Page) -> list[_Part]:
    """The form fields and notes of the page."""
    place = [Line("", *page.box, 0.0, 0.0, 0.0, page=page.number)]
    fields = [_Part("field", place, texts=texts, aside=True) for texts in page.fields]
    return fields + [_Part("footnote", place, texts=("", note), aside=True) for note in page.notes]


class _Style:
    """What the fonts of a document say about its parts."""

    def __init__(self, lines: Sequence[Line]) -> None:
        sizes: Counter[float] = Counter()
        for line in lines:
            sizes[round(line.size, 1)] += len(line.text)
        chars = sum(sizes.values())
        self._size = max(sizes, key=lambda size: (sizes[size], size), default=0.0)
        self._bold_tells = sum(len(line.text) for line in lines if line.bold) < _MAX_BOLD_SHARE * chars
        self._fixed_tells = sum(len(line.text) for line in lines if line.fixed) < 0.7 * chars
        self._styles: set[tuple[float, bool]] = set()

    @property
    def levels(self) -> dict[tuple[float, bool], int]:
        """The level of the headings of each style that was found, the largest first."""
        return {
            style: min(level, _MAX_LEVEL) for level, style in enumerate(sorted(self._styles, reverse=True), 1)
        }

    def parts(self, flow: Flow | Table, page: Page) -> list[_Part]:
        """The parts of a column or table."""
        if isinstance(flow, Table):
            lines = [line for row in flow.rows for cell in row for line in cell]
            return [_Part("row", lines, rows=flow.rows)]
        right = max(line.right for line in flow.lines)
        parts: list[_Part] = []
        for lines in paragraphs(flow):
            part = _Part(self._kind(lines), lines, right=right)
            if part.kind == "code" and parts and parts[-1].kind == "code":
                parts[-1].lines += lines
            else:
                parts.append(part)
        self._mark_footnotes(parts, page)
        return parts

    def _kind(self, lines: Sequence[Line]) -> BlockKind:
        text = " ".join(line.text for line in lines[: _MAX_HEADING_LINES + 1])
        if self._fixed_tells and all(line.fixed for line in lines):
            return "code"
        if is_leader(lines[-1].text):
            return "furniture"
        if _CAPTION.match(text):
            return "caption"
        if not is_item(text, bullet=True) and self._is_heading(lines, text):
            self._styles.add(_style(lines))
            return "heading"
        return "item" if is_item(text) else "paragraph"

    def _is_heading(self, lines: Sequence[Line], text: str) -> bool:
        if len(lines) > _MAX_HEADING_LINES or not any(map(str.isalpha, text)) or text[0].islower():
            return False
        if len(text) > _MAX_LABEL_CHARS and text.endswith("."):
            return False
        size = max(line.size for line in lines)
        if size >= _HEADING_SIZE * self._size:
            return len(text) <= _MAX_HEADING_CHARS
        bold = self._bold_tells and all(line.bold for line in lines) and size > _SMALL_SIZE * self._size
        return bold and len(text) <= _MAX_BOLD_CHARS and not text.endswith((".", ",", ";", ":"))

    def _mark_footnotes(self, parts: Sequence[_Part], page: Page) -> None:
        """Small text at the foot of a column that begins with a mark is footnotes."""
        middle = (page.box[1] + page.box[3]) / 2
        first = len(parts)
        while first and parts[first - 1].kind in {"paragraph", "item"}:
            lines = parts[first - 1].lines
            if lines[0].size > _SMALL_SIZE * self._size or lines[0].top > middle:
                break
            first -= 1
        marked = (at for at in range(first, len(parts)) if _FOOTNOTE.match(parts[at].lines[0].text))
        for part in parts[next(marked, len(parts)) :]:
            part.kind = "footnote"


def _style(lines: Sequence[Line]) -> tuple[float, bool]:
    return round(2 * max(line.size for line in lines)) / 2, all(line.bold for line in lines)


def _joined(found: Iterable[Sequence[_Part]]) -> list[_Part]:
    """The parts, those in one with the part at the end of an earlier column or page that goes on in them.

    What stands between goes after the whole; of an earlier page it goes before, so that its page is right.
    """
    parts: list[_Part] = []
    going: int | None = None
    for column in found:
        last: int | None = None
        is_text = False
        for part in column:
            if going is not None and _goes_on(parts[going], part, parts[going + 1 :]):
                whole, between = parts[going], parts[going + 1 :]
                early = [other for other in between if other.page < part.page and other.kind != "furniture"]
                late = [other for other in between if other.page >= part.page or other.kind == "furniture"]
                whole.lines += part.lines
                whole.right = part.right
                parts[going:] = [*early, whole, *late]
                last, going, is_text = going + len(early), None, True
                continue
            parts.append(part)
            if part.kind in {"heading", "item", "code"}:
                going = None
            if part.kind in {"heading", "item", "code", "paragraph"} and not part.aside:
                last, is_text = len(parts) - 1, True
        if is_text and (going is None or _is_unfinished(parts[last or 0])):
            going = last if last is not None and _is_unfinished(parts[last]) else None
        if going is not None and len(parts) - going > _MAX_BETWEEN:
            going = None
    return parts


def _is_unfinished(part: _Part) -> bool:
    return part.kind in {"paragraph", "item"} and not ENDED.search(part.lines[-1].text)


def _goes_on(part: _Part, other: _Part, between: Iterable[_Part]) -> bool:
    """Whether the other part, of another column or page, goes on with an unfinished one."""
    last, first = part.lines[-1], other.lines[0]
    same = abs(last.size - first.size) <= _SAME_SIZE * last.size
    if other.kind != "paragraph" and not (part.kind == "paragraph" and _LETTER.match(first.text)):
        return False
    if other.aside or not same:
        return False
    if first.text[0].islower() or last.text.endswith("-"):
        return True
    is_next = all(part.kind in {"furniture", "footnote"} for part in between)
    return is_next and len(part.lines) + len(other.lines) > 2 and is_full(last, first, part.right)


class _Writer:
    """The text and its blocks, as they are written part by part."""

    def __init__(self, words: Words, levels: dict[tuple[float, bool], int]) -> None:
        self._words, self._levels = words, levels
        self._texts: list[str] = []
        self._end = 0
        self._starts: dict[int, int] = {}
        self._question: tuple[int, int] | None = None
        self._lists: list[tuple[float, Block]] = []
        self._table_before = False
        self.blocks: list[Block] = []

    def text(self) -> str:
        """What was written."""
        return "".join(self._texts)

    def starts(self, pages: int) -> tuple[int, ...]:
        """Where each page begins; one without text begins with the next."""
        starts, start = [], self._end
        for page in reversed(range(pages)):
            start = min(start, self._starts.get(page, start))
            starts.append(start)
        return tuple(reversed(starts))

    def part(self, part: _Part) -> None:
        """Write a part."""
        if part.rows:
            self._table(part.rows)
        elif part.texts[1]:
            self._stated(part)
        elif part.kind == "code":
            self._add("code", _code(part.lines), header=self._lead_in(with_colon=True))
        elif part.kind == "furniture":
            self._add("furniture", [(" ".join(line.text for line in part.lines), part.page)])
        elif part.kind == "item":
            self._item(part)
        else:
            self._prose(part)

    def _prose(self, part: _Part) -> None:
        text = self._words.joined(part.lines)
        if part.kind == "heading":
            level = self._levels.get(_style(part.lines), 1)
            self._question = None
            asks = _ASKS.search(text[-1][0]) is not None
            block = self._add("question" if asks else "heading", text, level)
            self._question = (block.start, block.end) if asks else None
        elif part.kind == "paragraph" and _ASKED.match(text[0][0]) and _ASKS.search(text[-1][0]):
            block = self._add("question", text)
            self._question = (block.start, block.end)
        elif part.kind == "paragraph" and self._question and not part.aside:
            self._add("answer", text, header=(self._question,))
        else:
            self._add(part.kind, text)

    def _item(self, part: _Part) -> None:
        """An item of the list before it, or of one in that, by its indent."""
        left = part.lines[0].left
        if self.blocks and self.blocks[-1].kind not in {"item", "furniture"}:
            self._lists = []
        while self._lists and self._lists[-1][0] > left + 3:
            self._lists.pop()
        beside = self._lists.pop()[1] if self._lists and self._lists[-1][0] > left - 3 else None
        if beside:
            header = beside.header
        elif self._lists:
            header = ((self._lists[-1][1].start, self._lists[-1][1].end),)
        else:
            header = self._lead_in(with_colon=False)
        block = self._add("item", self._words.joined(part.lines), len(self._lists) + 1, header)
        self._lists.append((left, block))

    def _lead_in(self, *, with_colon: bool) -> tuple[tuple[int, int], ...]:
        last = next((block for block in reversed(self.blocks[-4:]) if block.kind != "furniture"), None)
        if last is None or last.kind not in _LEADS_IN:
            return ()
        if with_colon and not self._texts[-1].endswith((":", "：")):
            return ()
        return ((last.start, last.end),)

    def _stated(self, part: _Part) -> None:
        """A form field or a note."""
        label, value = part.texts
        if not label:
            self._add(part.kind, [(value, part.page)])
            return
        block = self._add(part.kind, [(f"{label}: {value}", part.page)])
        self.blocks[-1] = Block(
            "field", block.start, block.end, header=((block.start, block.start + len(label)),)
        )

    def _table(self, rows: Sequence[Sequence[Sequence[Line]]]) -> None:
        texts = [["".join(text for text, _ in self._words.joined(cell)) for cell in row] for row in rows]
        has_header = _has_header(rows, texts)
        names: list[tuple[int, int]] = []
        self._table_before = True
        for number, (row, cells) in enumerate(zip(rows, texts, strict=True)):
            page = next(line.page for cell in row for line in cell)
            block = self._add("row", [(" | ".join(cells).strip(), page)])
            self._table_before = False
            start = block.start - (not cells[0])  # the blank before the first bar is left out
            spans = []
            for cell in cells:
                spans.append((start, start + len(cell)) if cell else (0, 0))
                start += len(cell) + len(" | ")
            if has_header and not number:
                names = spans
            elif has_header:
                self.blocks[-1] = Block("row", block.start, block.end, header=tuple(names))
            elif cells[0]:
                header = ((0, 0), *[spans[0]] * (len(cells) - 1))
                self.blocks[-1] = Block("row", block.start, block.end, header=header)
        self._table_before = True

    def _add(
        self,
        kind: BlockKind,
        pieces: Iterable[tuple[str, int]],
        level: int = 0,
        header: tuple[tuple[int, int], ...] = (),
    ) -> Block:
        """A block of these pieces, each with the page it is of."""
        if self.blocks:
            close = (
                kind == self.blocks[-1].kind
                and kind in _ON_LINES
                and not (kind == "row" and self._table_before)
            )
            self._put("\n" if close else "\n\n")
        start = self._end
        for text, page in pieces:
            self._starts.setdefault(page, self._end)
            self._put(text)
        self.blocks.append(Block(kind, start, self._end, level, header))
        return self.blocks[-1]

    def _put(self, text: str) -> None:
        self._texts.append(text)
        self._end += len(text)


def _code(lines: Sequence[Line]) -> Iterator[tuple[str, int]]:
    """The lines of code, indented as they stand."""
    width = sum(line.right - line.left for line in lines) / sum(len(line.text) for line in lines)
    left = min(line.left for line in lines)
    for number, line in enumerate(lines):
        indent = min(round((line.left - left) / width), 80) if width > 0 and number else 0
        yield f"\n{' ' * indent}{line.text}" if number else line.text, line.page


def _has_header(rows: Sequence[Sequence[Sequence[Line]]], texts: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: set in bold, words over numbers, or three and more names."""
    names = texts[0]
    if len({name for name in names if name}) < max(2, len(names) - 1):
        return False
    if all(line.bold for cell in rows[0] for line in cell):
        return not all(line.bold for cell in rows[1] for line in cell)
    if any(_has_digit(name) and not re.fullmatch(r"(?:19|20)\d\d", name) for name in names):
        return False
    numbers = any(
        not _has_digit(names[column]) and sum(_has_digit(row[column]) for row in texts[1:]) > len(texts) / 2
        for column in range(1, len(names))
    )
    return numbers or (len(names) > 2 and all(len(name) <= 40 for name in names))


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))
