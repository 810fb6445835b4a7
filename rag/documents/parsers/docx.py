"""Word document (.docx) → its text and blocks: the only module that imports docx."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rag.documents.parsers import Extract
from rag.documents.parsers.docx_numbering import MAX_LEVELS, WORD, Number, Numbering, integer, value_of
from rag.documents.parsers.plain import title
from rag.documents.parsers.writer import Cell, Span, Writer
from rag.errors import UnreadableError

_MAX_UNPACKED_BYTES = 200_000_000
_MAX_PACKED_FILES = 10_000
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0"
_TEMPLATE_DATE = "2013-12-23"
"""The date that python-docx gives to every document without one."""

_STRICT = re.compile(rb"""(?<=["'])http://purl\.oclc\.org/ooxml/(\w+)/""")
_TRANSITIONAL = rb"http://schemas.openxmlformats.org/\1/2006/"

_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_PARAGRAPH, _TABLE, _TEXT_BOX = f"{WORD}p", f"{WORD}tbl", f"{WORD}txbxContent"
_TEXTS = {f"{WORD}t", f"{_MATH}t"}
_CHARACTERS = {f"{WORD}tab": "\t", f"{WORD}br": "\n", f"{WORD}cr": "\n", f"{WORD}noBreakHyphen": "-"}
_NOTES = {f"{WORD}{kind}Reference": kind for kind in ("footnote", "endnote", "comment")}
_SIGNS = {f"{_MATH}{name}": sign for name, sign in (("f", "/"), ("sSup", "^"), ("sSub", "_"))}
"""What stands between the two parts of a formula that aren't set on one line."""
# Properties, tracked deletions, and the second copy of a text box.
_SKIPPED = {
    *(f"{WORD}{name}" for name in ("pPr", "rPr", "sdtPr", "del", "moveFrom")),
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}
_BOLD = f"{WORD}rPr/{WORD}b"
_EMPTY_LINE = re.compile(r"\n\s*\n")
_BLANKS = re.compile(r" {2,}")
_HEADING = re.compile(r"heading ([1-9])")
_CODE = re.compile(r"\bcode\b|preformatted|\bsource\b|\blisting\b")
_OFF = {"0", "false", "off", "none"}
_MAX_COLUMNS = 1000


def read_word(content: bytes) -> Extract:
    """Its paragraphs, tables and text boxes in order, each followed by its notes and comments.

    What stands above and below its pages comes last, as furniture. `UnreadableError` for a file that is
    encrypted or too large unpacked; other errors for a damaged one.
    """
    import docx

    if content.startswith(_COMPOUND_FILE):
        raise UnreadableError("is encrypted, or a .doc; save it as .docx without a password")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = [file.file_size for file in archive.infolist()]
    if len(sizes) > _MAX_PACKED_FILES or sum(sizes) > _MAX_UNPACKED_BYTES:
        raise UnreadableError(
            f"unpacks to {sum(sizes):,} bytes in {len(sizes):,} files, more than the "
            f"{_MAX_UNPACKED_BYTES:,} in {_MAX_PACKED_FILES:,} that are read"
        )
    document = docx.Document(io.BytesIO(_transitional(content)))
    properties = document.core_properties
    created = properties.created.date().isoformat() if properties.created else None
    writer = _Reading(document.part).read()
    return writer.extract(title(properties.title), None if created == _TEMPLATE_DATE else created)


def _transitional(content: bytes) -> bytes:
    """The file in the namespaces that python-docx knows: a strict one has others for the same elements."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        if "_rels/.rels" not in names or not _STRICT.search(archive.read("_rels/.rels")):
            return content
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as changed:
            for name in dict.fromkeys(names):
                file = archive.read(name)
                is_xml = name.endswith((".xml", ".rels"))
                changed.writestr(name, _STRICT.sub(_TRANSITIONAL, file) if is_xml else file)
    return made.getvalue()


@dataclass(frozen=True, slots=True)
class _Style:
    """What a paragraph's style says of it, with what it has from the styles that it is based on.

    `kind` is "" for a plain paragraph; `numbering` are the list and the level, None where it has none.
    """

    kind: str = ""
    level: int = 0
    numbering: tuple[str | None, str | None] = (None, None)
    bold: bool = False


@dataclass(slots=True)
class _Text:
    """A paragraph's text as it is gathered: whether all of it is bold, and what hangs on it."""

    pieces: list[str] = field(default_factory=list)
    bold: bool = True
    notes: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[Any] = field(default_factory=list)

    def text(self) -> str:
        """The text, with its tabs and line breaks, and single blanks."""
        return _BLANKS.sub(" ", "".join(self.pieces)).strip()


class _Reading:
    """A document that is being read, part after part."""

    def __init__(self, part: Any) -> None:
        """Read what its main part refers to: styles, numbering, notes."""
        self._body = part.element.body
        parts = _related(part)
        self._styles = _styles(parts.get("styles", ()))
        self._header_styles = _header_styles(parts.get("styles", ()))
        self._numbering = Numbering(
            parts.get("numbering", ()), {name: style.numbering[0] for name, style in self._styles.items()}
        )
        self._notes = {
            (kind, note.get(f"{WORD}id")): note
            for kind in ("footnote", "endnote", "comment")
            for root in parts.get(f"{kind}s", ())
            for note in root.iterchildren(f"{WORD}{kind}")
        }
        self._furniture = [*parts.get("header", ()), *parts.get("footer", ())]
        self._writer = Writer()
        self._code: list[str] = []
        self._items: list[tuple[int, Span]] = []
        self._lead_in: tuple[Span, ...] = ()

    def read(self) -> Writer:
        """The writer with all of the document."""
        self._read_blocks(self._body)
        self._end_code()
        lines = (_line(child) for root in self._furniture for child in root)
        for line in dict.fromkeys(lines):
            self._writer.add("furniture", line)
        return self._writer

    def _read_blocks(self, element: Any) -> None:
        """The paragraphs and tables in order.

        python-docx's own iterator skips content controls and tracked insertions, and repeats merged cells.
        """
        for child in element:
            if child.tag == _PARAGRAPH:
                self._read_paragraph(child)
            elif child.tag == _TABLE:
                self._end_code()
                self._read_table(child)
            elif child.tag not in _SKIPPED:
                self._read_blocks(child)

    def _read_paragraph(self, paragraph: Any) -> None:
        style = self._style(paragraph)
        gathered = _gathered(paragraph)
        text = gathered.text()
        number = self._numbering.next(*style.numbering)
        if style.kind == "code" and number is None:
            self._code.append("".join(gathered.pieces))
        elif text:
            self._end_code()
            first, *others = _EMPTY_LINE.split(text)
            self._write(first, style, number, bold=gathered.bold or style.bold)
            for other in others:
                self._write(other, style, None, bold=False)
        self._read_attached(gathered.boxes, gathered.notes)

    def _write(self, text: str, style: _Style, number: Number | None, *, bold: bool) -> None:
        marked = f"{number.text} {text}" if number is not None and number.text else text
        if style.kind == "heading":
            self._writer.heading(marked, style.level)
        elif number is not None:
            self._write_item(marked, number)
        elif style.kind == "quotation":
            self._writer.add("quotation", text)
        elif style.kind == "caption":
            self._writer.add("caption", text)
        elif style.kind == "furniture":
            self._writer.add("furniture", text)
        else:
            self._writer.paragraph(text, bold=bold)

    def _write_item(self, text: str, number: Number) -> None:
        last = self._writer.last
        if (last is None or last.kind != "item") and number.is_first:
            self._items, self._lead_in = [], self._writer.lead_in()
        while self._items and self._items[-1][0] >= number.level:
            self._items.pop()
        header = (self._items[-1][1],) if self._items else self._lead_in
        self._items.append((number.level, self._writer.add("item", text, level=number.level, header=header)))

    def _end_code(self) -> None:
        """Write the lines of code so far: an editor gives each a paragraph."""
        if self._code:
            code, self._code = "\n".join(self._code), []
            self._writer.code(code)

    def _read_attached(self, boxes: Iterable[Any], notes: Iterable[tuple[str, str]]) -> None:
        """The text boxes, notes and comments that hang on a paragraph or a table."""
        for box in boxes:
            self._read_blocks(box)
        for note in notes:
            if (element := self._notes.pop(note, None)) is not None:
                self._end_code()
                author = element.get(f"{WORD}author", "").strip()
                text = _line(element)
                self._writer.add("footnote", f"{author}: {text}" if author and text else text)

    def _style(self, paragraph: Any) -> _Style:
        """The paragraph's style, with what it states itself."""
        style = self._styles.get(value_of(paragraph, "pPr/pStyle") or "", _Style())
        properties = paragraph.find(f"{WORD}pPr")
        return style if properties is None else _stated(properties, style)

    def _read_table(self, table: Any) -> None:
        rows = table.xpath("./w:tr | ./w:sdt/w:sdtContent/w:tr")
        cells = [row.xpath("./w:tc | ./w:sdt/w:sdtContent/w:tc") for row in rows]
        if all(len(row) <= 1 for row in cells):  # a frame, not a table
            for row in cells:
                for cell in row:
                    self._read_blocks(cell)
            return
        boxes: list[Any] = []
        notes: list[tuple[str, str]] = []
        read = [
            [*_gap(row), *(self._cell(cell, boxes, notes) for cell in of_row)]
            for row, of_row in zip(rows, cells, strict=True)
        ]
        self._writer.table(read, headers=self._headers(table, rows))
        self._read_attached(boxes, notes)

    def _headers(self, table: Any, rows: list[Any]) -> int:
        """How many rows at the top are headers: those that are repeated on each page, or set as one."""
        headers = 0
        for row in rows:
            if not _is_on(row.find(f"{WORD}trPr/{WORD}tblHeader")):
                break
            headers += 1
        look = table.find(f"{WORD}tblPr/{WORD}tblLook")
        is_set = value_of(table, "tblPr/tblStyle") in self._header_styles
        return headers or int(is_set and look is not None and look.get(f"{WORD}firstRow") == "1")

    def _cell(self, cell: Any, boxes: list[Any], notes: list[tuple[str, str]]) -> Cell:
        texts: list[str] = []
        is_bold, last = True, False
        for paragraph in _paragraphs(cell):
            gathered = _gathered(paragraph)
            boxes += gathered.boxes
            notes += gathered.notes
            if text := gathered.text():
                style = self._style(paragraph)
                is_bold = is_bold and (gathered.bold or style.bold)
                is_item = style.numbering[0] not in (None, "0")
                if texts:
                    texts.append("; " if is_item and last and texts[-1][-1] not in ".;,:" else " ")
                texts.append(text)
                last = is_item
        merged = cell.find(f"{WORD}tcPr/{WORD}vMerge")
        goes_on = merged is not None and merged.get(f"{WORD}val", "continue") == "continue"
        columns = integer(value_of(cell, "tcPr/gridSpan"), 1, _MAX_COLUMNS)
        return Cell("".join(texts), max(1, columns), is_bold and bool(texts), above=goes_on)


def _related(part: Any) -> Mapping[str, list[Any]]:
    """The roots of the parts that this one refers to, by the last word of their kind, such as "footnotes"."""
    from docx.oxml.parser import parse_xml

    wanted = {"styles", "numbering", "footnotes", "endnotes", "comments", "header", "footer"}
    parts: dict[str, list[Any]] = {}
    for relation in part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if kind in wanted and not relation.is_external:
            parts.setdefault(kind, []).append(parse_xml(relation.target_part.blob))
    return parts


def _styles(roots: Iterable[Any]) -> Mapping[str, _Style]:
    """The paragraph styles by id, each after the one that it is based on."""
    elements = {
        element.get(f"{WORD}styleId"): element for root in roots for element in root.iter(f"{WORD}style")
    }
    styles: dict[str, _Style] = {}
    for name in elements:
        chain: list[str] = []
        while name in elements and name not in styles and name not in chain:
            chain.append(name)
            name = value_of(elements[name], "basedOn") or ""
        style = styles.get(name, _Style())
        for name in reversed(chain):
            style = styles[name] = _styled(elements[name], name, style)
    return styles


def _styled(element: Any, name: str, base: _Style) -> _Style:
    shown = (value_of(element, "name") or "").lower()
    heading = _HEADING.fullmatch(shown)
    kind, level = base.kind, base.level
    if heading or shown == "title":
        kind, level = "heading", int(heading[1]) if heading else 1
    elif shown in {"quote", "intense quote", "block text", "quotations"}:
        kind = "quotation"
    elif shown == "caption":
        kind = "caption"
    elif shown.startswith("toc "):
        kind, level = "furniture", 0
    elif _CODE.search(shown):
        kind = "code"
    bold = element.find(_BOLD)
    style = _Style(kind, level, base.numbering, base.bold if bold is None else _is_on(bold))
    properties = element.find(f"{WORD}pPr")
    return style if properties is None else _stated(properties, style, name=name)


def _stated(properties: Any, style: _Style, name: str | None = None) -> _Style:
    """The style with what these properties of a paragraph or of the style `name` state."""
    kind, level = style.kind, style.level
    outline = integer(value_of(properties, "outlineLvl"), -1, MAX_LEVELS)
    if outline == MAX_LEVELS and kind == "heading":
        kind, level = "", 0
    elif 0 <= outline < MAX_LEVELS and kind in {"", "heading"}:
        kind, level = "heading", outline + 1
    number, depth = value_of(properties, "numPr/numId"), value_of(properties, "numPr/ilvl")
    if number is None and depth is None:
        return _Style(kind, level, style.numbering, style.bold)
    numbering = number or style.numbering[0], depth or name or style.numbering[1]
    return _Style(kind, level, numbering, style.bold)


def _header_styles(roots: Iterable[Any]) -> set[str | None]:
    """The table styles that set the first row off."""
    return {
        style.getparent().get(f"{WORD}styleId")
        for root in roots
        for style in root.iter(f"{WORD}tblStylePr")
        if style.get(f"{WORD}type") == "firstRow"
    }


def _paragraphs(element: Any) -> Iterator[Any]:
    """The paragraphs of a cell, those of tables in it too, but not those of text boxes."""
    for child in element:
        if child.tag == _PARAGRAPH:
            yield child
        elif child.tag not in _SKIPPED and len(child):
            yield from _paragraphs(child)


def _gathered(paragraph: Any) -> _Text:
    gathered = _Text()
    _gather(paragraph, gathered)
    return gathered


def _gather(element: Any, gathered: _Text) -> None:
    for child in element:
        if child.tag in _TEXTS:
            text = child.text or ""
            gathered.pieces.append(text)
            gathered.bold &= not text.strip() or _is_on(element.find(_BOLD))
        elif child.tag in _CHARACTERS:
            gathered.pieces.append(_CHARACTERS[child.tag])
        elif child.tag in _NOTES:
            gathered.notes.append((_NOTES[child.tag], child.get(f"{WORD}id", "")))
        elif child.tag == _TEXT_BOX:
            gathered.boxes.append(child)
        elif child.tag in _SIGNS:
            _gather_formula(child, gathered)
        elif child.tag not in _SKIPPED:
            _gather(child, gathered)


def _gather_formula(element: Any, gathered: _Text) -> None:
    """The parts of a fraction or a power, with its sign between them."""
    texts = []
    for part in element:
        inner = _gathered(part)
        if text := inner.text():
            texts.append(text if text.isalnum() else f"({text})")
    gathered.pieces.append(_SIGNS[element.tag].join(texts))


def _line(element: Any) -> str:
    """All the text of an element on one line."""
    paragraphs: Iterator[Any] = element.iter(_PARAGRAPH)
    return " ".join(" ".join(_gathered(paragraph).text() for paragraph in paragraphs).split())


def _gap(row: Any) -> list[Cell]:
    """What a row leaves out before its first cell."""
    columns = integer(value_of(row, "trPr/gridBefore"), 0, _MAX_COLUMNS)
    return [Cell("", columns)] if columns else []


def _is_on(element: Any) -> bool:
    return element is not None and element.get(f"{WORD}val") not in _OFF
