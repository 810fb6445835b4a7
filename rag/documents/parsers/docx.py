"""Word document (.docx) → its text and blocks: the only module that imports docx."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rag.documents.parsers import Extract
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

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_PARAGRAPH, _TABLE, _TEXT_BOX = f"{_WORD}p", f"{_WORD}tbl", f"{_WORD}txbxContent"
_TEXTS = {f"{_WORD}t", f"{_MATH}t"}
_CHARACTERS = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}noBreakHyphen": "-"}
_NOTES = {f"{_WORD}{kind}Reference": kind for kind in ("footnote", "endnote", "comment")}
_SIGNS = {f"{_MATH}{name}": sign for name, sign in (("f", "/"), ("sSup", "^"), ("sSub", "_"))}
"""What stands between the two parts of a formula that aren't set on one line."""
# Properties, tracked deletions, and the second copy of a text box.
_SKIPPED = {
    *(f"{_WORD}{name}" for name in ("pPr", "rPr", "sdtPr", "del", "moveFrom")),
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}
_EMPTY_LINE = re.compile(r"\n\s*\n")
_BLANKS = re.compile(r" {2,}")
_HEADING = re.compile(r"heading ([1-9])")
_CODE = re.compile(r"\bcode\b|preformatted|\bsource\b|\blisting\b")
_OFF = {"0", "false", "off", "none"}
_MAX_LEVELS, _MAX_COLUMNS = 9, 1000
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


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
        self._numbering = _Numbering(parts.get("numbering", ()), self._styles)
        self._notes = {
            (kind, note.get(f"{_WORD}id")): note
            for kind in ("footnote", "endnote", "comment")
            for root in parts.get(f"{kind}s", ())
            for note in root.iterchildren(f"{_WORD}{kind}")
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

    def _write(self, text: str, style: _Style, number: "_Number | None", *, bold: bool) -> None:
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

    def _write_item(self, text: str, number: "_Number") -> None:
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
                author = element.get(f"{_WORD}author", "").strip()
                text = _line(element)
                self._writer.add("footnote", f"{author}: {text}" if author and text else text)

    def _style(self, paragraph: Any) -> _Style:
        """The paragraph's style, with what it states itself."""
        style = self._styles.get(_value(paragraph, "pPr/pStyle") or "", _Style())
        properties = paragraph.find(f"{_WORD}pPr")
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
            if not _is_on(row.find(f"{_WORD}trPr/{_WORD}tblHeader")):
                break
            headers += 1
        look = table.find(f"{_WORD}tblPr/{_WORD}tblLook")
        is_set = _value(table, "tblPr/tblStyle") in self._header_styles
        return headers or int(is_set and look is not None and look.get(f"{_WORD}firstRow") == "1")

    def _cell(self, cell: Any, boxes: list[Any], notes: list[tuple[str, str]]) -> Cell:
        texts: list[str] = []
        is_bold, last = True, False
        for paragraph in cell.iter(_PARAGRAPH):
            if next(paragraph.iterancestors(_TEXT_BOX), None) is not None:
                continue
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
        merged = cell.find(f"{_WORD}tcPr/{_WORD}vMerge")
        goes_on = merged is not None and merged.get(f"{_WORD}val", "continue") == "continue"
        columns = _integer(_value(cell, "tcPr/gridSpan"), 1, _MAX_COLUMNS)
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
        element.get(f"{_WORD}styleId"): element for root in roots for element in root.iter(f"{_WORD}style")
    }
    styles: dict[str, _Style] = {}
    for name in elements:
        chain: list[str] = []
        while name in elements and name not in styles and name not in chain:
            chain.append(name)
            name = _value(elements[name], "basedOn") or ""
        style = styles.get(name, _Style())
        for name in reversed(chain):
            style = styles[name] = _styled(elements[name], name, style)
    return styles


def _styled(element: Any, name: str, base: _Style) -> _Style:
    shown = (_value(element, "name") or "").lower()
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
    bold = element.find(f"{_WORD}rPr/{_WORD}b")
    style = _Style(kind, level, base.numbering, base.bold if bold is None else _is_on(bold))
    properties = element.find(f"{_WORD}pPr")
    return style if properties is None else _stated(properties, style, name=name)


def _stated(properties: Any, style: _Style, name: str | None = None) -> _Style:
    """The style with what these properties of a paragraph or of the style `name` state."""
    kind, level = style.kind, style.level
    outline = _integer(_value(properties, "outlineLvl"), -1, _MAX_LEVELS)
    if outline == _MAX_LEVELS and kind == "heading":
        kind, level = "", 0
    elif 0 <= outline < _MAX_LEVELS and kind in {"", "heading"}:
        kind, level = "heading", outline + 1
    number, depth = _value(properties, "numPr/numId"), _value(properties, "numPr/ilvl")
    if number is None and depth is None:
        return _Style(kind, level, style.numbering, style.bold)
    numbering = number or style.numbering[0], depth or name or style.numbering[1]
    return _Style(kind, level, numbering, style.bold)


def _header_styles(roots: Iterable[Any]) -> set[str | None]:
    """The table styles that set the first row off."""
    return {
        style.getparent().get(f"{_WORD}styleId")
        for root in roots
        for style in root.iter(f"{_WORD}tblStylePr")
        if style.get(f"{_WORD}type") == "firstRow"
    }


@dataclass(frozen=True, slots=True)
class _Number:
    """The mark of an item, its level from 1, and whether it is the first of its list."""

    text: str
    level: int
    is_first: bool


class _Numbering:
    """The lists of a document, which counts their items as they come."""

    def __init__(self, roots: Iterable[Any], styles: Mapping[str, _Style]) -> None:
        """Take what the numbering part defines."""
        self._abstract: dict[str | None, dict[int, Any]] = {}
        self._of: dict[str | None, str | None] = {}
        self._starts: dict[tuple[str | None, int], int] = {}
        linked: dict[str | None, str] = {}
        self._counts: dict[str | None, list[int]] = {}
        for root in roots:
            for abstract in root.iterchildren(f"{_WORD}abstractNum"):
                name = abstract.get(f"{_WORD}abstractNumId")
                self._abstract[name] = {
                    _integer(level.get(f"{_WORD}ilvl"), 0, _MAX_LEVELS - 1): level
                    for level in abstract.iterchildren(f"{_WORD}lvl")
                }
                if link := _value(abstract, "numStyleLink"):
                    linked[name] = link
            for number in root.iterchildren(f"{_WORD}num"):
                name = number.get(f"{_WORD}numId")
                self._of[name] = _value(number, "abstractNumId")
                for override in number.iterchildren(f"{_WORD}lvlOverride"):
                    if start := _value(override, "startOverride"):
                        depth = _integer(override.get(f"{_WORD}ilvl"), 0, _MAX_LEVELS - 1)
                        self._starts[name, depth] = _integer(start, 1, 10**6)
        for name, link in linked.items():
            source = self._of.get(styles.get(link, _Style()).numbering[0])
            self._abstract[name] = self._abstract[name] or self._abstract.get(source, {})

    def next(self, number: str | None, depth: str | None) -> _Number | None:
        """The mark of the next item of this list; None if it isn't a list.

        `depth` is a level from "0", or the style to which a level of the list belongs.
        """
        abstract = self._of.get(number)
        if number is None or abstract not in self._abstract:
            return None
        levels = self._abstract[abstract]
        level = self._level(levels, depth)
        counts = self._counts.setdefault(abstract, [])
        if (number, level) in self._starts:
            del counts[level:]
            counts += [self._start(levels, above) for above in range(len(counts), level)]
            counts.append(self._starts.pop((number, level)))
            is_first = True
        else:
            is_first = len(counts) <= level
            counts += [self._start(levels, above) for above in range(len(counts), level)]
            if is_first:
                counts.append(self._start(levels, level))
            else:
                counts[level] += 1
                del counts[level + 1 :]
        kind, text = self._format(levels, level)
        is_bullet = kind in {"bullet", "none"}
        mark = "-" if kind == "bullet" else self._filled(text, levels, counts) if not is_bullet else text
        return _Number(mark, level + 1, is_bullet or is_first)

    @staticmethod
    def _level(levels: Mapping[int, Any], depth: str | None) -> int:
        if depth is None or depth.isdecimal():
            return _integer(depth, 0, _MAX_LEVELS - 1)
        return next((level for level, element in levels.items() if _value(element, "pStyle") == depth), 0)

    @staticmethod
    def _start(levels: Mapping[int, Any], level: int) -> int:
        return _integer(_value(levels[level], "start"), 1, 10**6) if level in levels else 1

    @staticmethod
    def _format(levels: Mapping[int, Any], level: int) -> tuple[str, str]:
        if level not in levels:
            return "bullet", ""
        return _value(levels[level], "numFmt") or "decimal", _value(levels[level], "lvlText") or ""

    def _filled(self, text: str, levels: Mapping[int, Any], counts: list[int]) -> str:
        """The text of a mark, such as "%1.%2", with the counts in it."""
        for level, count in enumerate(counts):
            text = text.replace(f"%{level + 1}", _counted(count, self._format(levels, level)[0]))
        return text.strip()


def _counted(count: int, kind: str) -> str:
    if kind in {"lowerLetter", "upperLetter"} and 0 < count <= 26 * 9:
        text = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
    elif kind in {"lowerRoman", "upperRoman"} and 0 < count < 4000:
        text = ""
        for value, letters in _ROMAN:
            text += letters * (count // value)
            count %= value
    else:
        return f"{count:02}" if kind == "decimalZero" else str(count)
    return text.upper() if kind.startswith("upper") else text


def _gathered(paragraph: Any) -> _Text:
    gathered = _Text()
    _gather(paragraph, gathered)
    return gathered


def _gather(element: Any, gathered: _Text) -> None:
    for child in element:
        if child.tag in _TEXTS:
            text = child.text or ""
            gathered.pieces.append(text)
            gathered.bold &= not text.strip() or _is_on(element.find(f"{_WORD}rPr/{_WORD}b"))
        elif child.tag in _CHARACTERS:
            gathered.pieces.append(_CHARACTERS[child.tag])
        elif child.tag in _NOTES:
            gathered.notes.append((_NOTES[child.tag], child.get(f"{_WORD}id", "")))
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
    columns = _integer(_value(row, "trPr/gridBefore"), 0, _MAX_COLUMNS)
    return [Cell("", columns)] if columns else []


def _value(element: Any, path: str) -> str | None:
    """The value of the element at this path, such as "pPr/pStyle"; None if there is none."""
    found = element.find("/".join(f"{_WORD}{name}" for name in path.split("/")))
    value: str | None = None if found is None else found.get(f"{_WORD}val")
    return value


def _integer(value: str | None, default: int, most: int) -> int:
    return min(int(value[:9]), most) if value is not None and value[:9].isdecimal() else default


def _is_on(element: Any) -> bool:
    return element is not None and element.get(f"{_WORD}val") not in _OFF
