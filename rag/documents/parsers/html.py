"""Web page → its text and blocks without menus: the only module that imports lxml and trafilatura."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

from rag.documents.parsers import Extract
from rag.documents.parsers.html_elements import (
    CAPTURED,
    CONTROLS,
    HEADINGS,
    LISTS,
    UNSEEN,
    Measure,
    is_link,
    is_menu,
    is_shown,
    letters_in,
    measured,
    number_of,
)
from rag.documents.parsers.plain import clean, decode_stated, title
from rag.documents.parsers.writer import Cell, Span, Writer
from rag.errors import UnreadableError

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_HEAD_BYTES = 4096
# Given the whole page, the library also takes the date of a copyright line or a comment for the page's.
_DATED = (
    "(//article//time)[1] | //body//*[@itemprop='datePublished']"
    " | //body//script[@type='application/ld+json']"
)
_STATED_DATE = {"original_date": True, "extensive_search": False}

_CONTEXTS = {"li", "blockquote", "dl", "dd", "details"}
"""Elements whose blocks are of a kind of their own."""

_BLOCKS = {
    *LISTS,
    *_CONTEXTS,
    *CAPTURED,
    *"html body div p section article main aside header footer address center".split(),
    *"table thead tbody tfoot tr figure fieldset legend form hr hgroup search dialog noscript".split(),
}
_SECTIONS = {"article", "main", "section"}
_MAIN = {"article", "main"}
_EDGES = {"header", "footer"}
_LAYOUT_ROLES = {"presentation", "none"}
_COPYRIGHT = re.compile(r"©|\(c\)|copyright\b|all rights reserved", re.IGNORECASE)
_CONTACT = re.compile(r"@|(?!(?:19|20)\d\d\b)\b\d{3}")
_BLANKS = re.compile(r"\s+")
_BREAK = "\0"
"""Stands for a line break until white space is made one blank; no text of a page can have it."""
_AROUND_BREAK = re.compile(f" ?{_BREAK} ?")
_MAX_COLUMNS, _MAX_ROWS, _MAX_SPANNED = 1000, 65534, 100_000
"""The first two are those of HTML; the last is how many cells a table may have for others' spans."""


def read_web_page(content: bytes) -> Extract:
    """The text as from `read_markup`, in the encoding that the page states or that is detected."""
    stated = _CHARSET.search(content[:_HEAD_BYTES])
    return read_markup(decode_stated(content, stated[1].decode() if stated else None))


def read_markup(markup: str) -> Extract:
    """What is seen without menus, or all that is seen where nothing else is; "" for no text.

    `UnreadableError` for elements nested more than 2,048 deep.
    """
    import lxml.etree
    import lxml.html
    from trafilatura.metadata import extract_metadata

    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        page = lxml.html.document_fromstring(clean(markup).encode(), parser=parser)
    except lxml.etree.ParserError:  # no element and no text
        return Extract("")
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise UnreadableError("is nested too deep to be read")
    heading = extract_metadata(_part(page, "//h1"), date_config=_STATED_DATE).title
    date = extract_metadata(_part(page, _DATED), date_config=_STATED_DATE).date
    writer = _Reading(measured(_walk(page))).read(page)
    if not writer.has_content:
        writer = _Reading(None).read(page)
    return writer.extract(title(heading), date)


def _part(page: Any, xpath: str) -> Any:
    """A page with this page's head, and the parts of its body that the XPath finds."""
    import lxml.html

    part = lxml.html.document_fromstring("<html><head></head><body></body></html>")
    for parent, path in zip(part, ("./head/*", xpath), strict=True):
        parent.extend(deepcopy(element) for element in page.xpath(path))
    return part


def _walk(page: Any) -> Any:
    """The beginnings and ends of all elements, in order."""
    import lxml.etree

    return lxml.etree.iterwalk(page, events=("start", "end"))


@dataclass(slots=True)
class _Line:
    """The text of a block as it is gathered, and how many of its letters stand in links and in bold."""

    pieces: list[str] = field(default_factory=list)
    letters: int = 0
    linked: int = 0
    bold: int = 0
    links: int = 0

    def text(self) -> str:
        r"""The text with single blanks, and with "\n" where a line is broken."""
        return _AROUND_BREAK.sub("\n", _BLANKS.sub(" ", "".join(self.pieces))).strip()


@dataclass(slots=True)
class _Capture:
    """An element that makes one block or cell: the texts in it, each with the tag that it stands in."""

    element: Any
    texts: list[tuple[str, str]] = field(default_factory=list)
    tag: str = ""
    bold: bool = True

    def text(self) -> str:
        """The texts on one line, with "; " between the items of a list."""
        pieces: list[str] = []
        last = "", ""
        for tag, text in self.texts:
            if pieces:
                pieces.append("; " if tag == last[0] == "li" and last[1][-1] not in ".;,:" else " ")
            pieces.append(f"{text}:" if tag == "dt" and text[-1] not in ":?" else text)
            last = tag, text
        return _BLANKS.sub(" ", "".join(pieces))


@dataclass(slots=True)
class _List:
    """A list: the number of its next item, None for bullets, and what leads to it."""

    number: int | None
    lead_in: Sequence[Span]


@dataclass(slots=True)
class _Context:
    """An element whose blocks are of a kind of their own; `question` was open before it.

    `marker` and `span` are those of an item, which has a span once it has text. `term` is what a definition
    defines, as long as it isn't written, and `span` then where it stands.
    """

    tag: str
    question: Span | None
    marker: str = ""
    term: str = ""
    span: Span | None = None


@dataclass(slots=True)
class _Table:
    """A table of data: its rows, how many are headers, and where the next cell of the last row stands.

    `width` is that of the first row. `spanning` has the columns in which a cell goes on, with the number of
    its last row and its width.
    """

    rows: list[list[Cell]] = field(default_factory=list)
    headers: int = 0
    width: int = 0
    number: int = 0
    column: int = 0
    spanning: dict[int, tuple[int, int]] = field(default_factory=dict)
    may_span: int = _MAX_SPANNED

    def begin(self) -> None:
        """Begin a row."""
        self.rows.append([])
        self.number += 1
        self.column = 0

    def put(self, cell: Cell, rows: int) -> None:
        """Add a cell that spans this number of rows, after those that go on from the rows before."""
        self._go_on()
        self.rows[-1].append(cell)
        if rows > 1:
            self.spanning[self.column] = self.number + rows - 1, cell.columns
        self.column += cell.columns

    def end(self, *, is_header: bool) -> None:
        """End the last row: drop it if it has no cell; a header is as wide as the first row."""
        if not self.rows[-1]:
            self.rows.pop()
            return
        self._go_on()
        self.width = self.width or self.column
        if is_header and self.headers == len(self.rows) - 1 and self.column >= self.width:
            self.headers += 1

    def _go_on(self) -> None:
        while self.may_span > 0:
            last, columns = self.spanning.get(self.column, (0, 1))
            if last < self.number:
                return
            self.rows[-1].append(Cell("", columns, above=True))
            self.column += columns
            self.may_span -= 1


class _Reading:
    """A page that is being read, element after element, so that no depth is too deep."""

    def __init__(self, measures: Mapping[Any, Measure] | None) -> None:
        """Begin with no text; without measures all that is seen is read, menus too."""
        self._measures = measures
        self._writer = Writer()
        self._line = _Line()
        self._capture: _Capture | None = None
        self._lists: list[_List] = []
        self._contexts: list[_Context] = []
        self._tables: list[_Table | None] = []
        self._links = self._bold = self._sections = self._edges = self._main = 0

    def read(self, page: Any) -> Writer:
        """The writer with all of the page."""
        walk = _walk(page)
        skipped: Any = None
        for event, element in walk:
            if event == "start":
                if self._leaves_out(element):
                    if element.tag in _BLOCKS:
                        self._part()
                        self._writer.cut()
                    walk.skip_subtree()
                    skipped = element
                else:
                    self._open(element)
                    self._text(element.text)
            else:
                if element is not skipped:
                    self._close(element)
                elif element.tag in CONTROLS and not self._in_code:
                    self._text(" ")
                self._text(element.tail)
        self._flush()
        return self._writer

    @property
    def _in_code(self) -> bool:
        return self._capture is not None and self._capture.element.tag == "pre"

    def _leaves_out(self, element: Any) -> bool:
        if self._measures is None:
            return element.tag in UNSEEN
        if element.tag == "button" and self._capture is not None:  # the heading of an accordion
            return False
        return not is_shown(element) or (element in self._measures and self._is_menu(element))

    def _is_menu(self, element: Any) -> bool:
        """Whether it is a menu; in a cell or a heading nothing is, nor is a list that something leads to."""
        assert self._measures is not None, "with them menus are left out"
        measure = self._measures[element]
        if self._capture is not None or not is_menu(element, measure, in_main=self._main > 0):
            return False
        self._flush()
        return element.tag not in LISTS or not self._writer.leads

    def _text(self, text: str | None) -> None:
        if text and text.isspace():
            self._line.pieces.append(text)
        elif text:
            line, letters = self._line, letters_in(text)
            line.pieces.append(text)
            line.letters += letters
            line.linked += letters if self._links else 0
            line.bold += letters if self._bold else 0

    def _open(self, element: Any) -> None:
        tag = element.tag
        if tag == "br":
            self._line.pieces.append(_BREAK)
        elif tag in {"b", "strong"}:
            self._bold += 1
        elif is_link(element):
            self._links += 1
            self._line.links += 1
        elif tag in _BLOCKS or "-" in tag:
            self._part()
            if self._capture is not None:
                self._capture.tag = tag
            else:
                self._open_block(element)

    def _open_block(self, element: Any) -> None:
        tag = element.tag
        table = self._tables[-1] if self._tables else None
        if tag in LISTS or tag in {"table", "pre"}:
            self._settle()
        if tag in LISTS:
            self._open_list(element)
        elif tag in _CONTEXTS:
            self._open_context(element)
        elif tag == "table":
            measure = (self._measures or {}).get(element)
            is_data = measure is not None and measure.is_data and element.get("role") not in _LAYOUT_ROLES
            self._tables.append(_Table() if is_data else None)
        elif tag == "tr" and table is not None:
            table.begin()
        elif tag in CAPTURED and (table is not None or tag not in {"td", "th"}):
            self._capture = _Capture(element)
        self._sections += tag in _SECTIONS
        self._main += tag in _MAIN or element.get("role") == "main"
        self._edges += tag in _EDGES and not self._sections

    def _close(self, element: Any) -> None:
        tag = element.tag
        if tag in {"b", "strong"}:
            self._bold -= 1
        elif is_link(element):
            self._links -= 1
        elif tag in _BLOCKS or "-" in tag:
            if self._capture is not None and self._capture.element is element:
                self._close_capture(self._capture)
            else:
                self._part()
                if self._capture is not None:
                    self._capture.tag = ""
                else:
                    self._close_block(element)

    def _close_block(self, element: Any) -> None:
        tag = element.tag
        table = self._tables[-1] if self._tables else None
        if tag in LISTS:
            self._lists.pop()
        elif tag in _CONTEXTS:
            self._settle()
            self._writer.question = self._contexts.pop().question
        elif tag == "table":
            self._tables.pop()
            if table is not None:
                self._writer.table(table.rows, headers=table.headers)
        elif tag == "tr" and table is not None:
            labels = all(cell.tag == "th" for cell in element if cell.tag in {"td", "th"})
            table.end(is_header=labels or element.getparent().tag == "thead")
        self._edges -= tag in _EDGES and not self._sections
        self._sections -= tag in _SECTIONS
        self._main -= tag in _MAIN or element.get("role") == "main"

    def _close_capture(self, capture: _Capture) -> None:
        element, tag = capture.element, capture.element.tag
        if tag == "pre":
            pieces, self._line, self._capture = self._line.pieces, _Line(), None
            self._writer.code(dedent("".join(pieces).replace(_BREAK, "\n")))
            return
        self._flush()
        self._capture, text = None, capture.text()
        context = self._contexts[-1] if self._contexts else None
        if tag in {"td", "th"}:
            self._put_cell(element, text, label=tag == "th" or capture.bold)
        elif tag in HEADINGS:
            self._writer.heading(text, HEADINGS[tag])
        elif tag == "summary":
            self._writer.ask(text)
        elif tag == "dt" and context is not None and context.tag == "dl":
            context.term, context.span = f"{context.term}, {text}" if context.term else text, None
        elif tag == "dt":
            self._writer.paragraph(text)
        else:
            self._writer.add("caption", text)

    def _put_cell(self, element: Any, text: str, *, label: bool) -> None:
        table = self._tables[-1]
        assert table is not None, "cells are captured in tables of data"
        if not table.rows:
            table.begin()
        rows = number_of(element, "rowspan", 1, _MAX_ROWS) or _MAX_ROWS
        table.put(Cell(text, max(1, number_of(element, "colspan", 1, _MAX_COLUMNS)), label), rows)

    def _open_list(self, element: Any) -> None:
        context = self._contexts[-1] if self._contexts else None
        lead_in: Sequence[Span] = self._writer.lead_in()
        if context is not None and context.tag == "li":
            lead_in = (context.span,) if context.span else self._lists[-1].lead_in if self._lists else ()
        number = number_of(element, "start", 1, 10**9) if element.tag == "ol" else None
        self._lists.append(_List(number, lead_in))

    def _open_context(self, element: Any) -> None:
        context = _Context(element.tag, self._writer.question)
        around = self._contexts[-1] if self._contexts else None
        if element.tag == "li":
            context.marker = self._marker(element)
        elif element.tag == "dd" and around is not None and around.tag == "dl":
            context.term, context.span, around.term = around.term, around.span, ""
        self._contexts.append(context)

    def _marker(self, element: Any) -> str:
        items = self._lists[-1] if self._lists else None
        if items is None or items.number is None:
            return "- "
        number = number_of(element, "value", items.number, 10**9)
        items.number = number + 1
        return f"{number}. "

    def _part(self) -> None:
        """End the line before or after a block; in code that is a line break."""
        if not self._in_code:
            self._flush()
        elif self._line.pieces and not self._line.pieces[-1].endswith(("\n", _BREAK)):
            self._line.pieces.append(_BREAK)

    def _flush(self) -> None:
        """Write the line that was gathered: an empty line in it parts paragraphs."""
        if not self._line.pieces:
            return
        line, self._line = self._line, _Line()
        if not (text := line.text()):
            return
        if self._capture is not None:
            self._capture.texts.append((self._capture.tag, text))
            self._capture.bold &= 0 < line.letters == line.bold
        elif self._measures is None or not self._is_links(line):
            for part in text.split("\n\n"):
                self._write(part.strip("\n"), bold=0 < line.letters == line.bold)

    def _is_links(self, line: _Line) -> bool:
        """Whether a line has nothing but links and so is a menu: at the edges of the page one is enough."""
        in_list = bool(self._contexts) and self._contexts[-1].tag == "li"
        return line.links > (0 if self._edges else 1) and line.linked == line.letters and not in_list

    def _write(self, text: str, *, bold: bool) -> None:
        context = self._contexts[-1] if self._contexts else None
        tag = context.tag if context is not None and text else ""
        if context is not None and tag == "li":
            self._write_item(text, context)
        elif context is not None and tag == "dd" and context.term:
            self._write_definition(text, context)
        elif context is not None and tag == "dd" and context.span:
            self._writer.add("field", text, header=[context.span])
        elif tag == "blockquote":
            self._writer.add("quotation", text)
        elif self._edges and _COPYRIGHT.match(text) and not _CONTACT.search(text):
            self._writer.add("furniture", text)
        else:
            self._writer.paragraph(text, bold=bold)

    def _write_item(self, text: str, context: _Context) -> None:
        level = max(1, len(self._lists))
        if context.span is not None:
            self._writer.add("item", text, level=level, header=[context.span])
            return
        lead_in = self._lists[-1].lead_in if self._lists else ()
        context.span = self._writer.add("item", context.marker + text, level=level, header=lead_in)

    def _write_definition(self, text: str, context: _Context) -> None:
        self._writer.field(context.term, text)
        last = self._writer.last
        context.term = ""
        context.span = last.header[0] if last is not None and last.kind == "field" else None
        self._contexts[-2].span = context.span  # of the list, for one more definition of the term

    def _settle(self) -> None:
        """Write a term whose definition is none, or doesn't begin with text."""
        context = self._contexts[-1] if self._contexts else None
        if context is not None and context.term:
            self._writer.add("field", context.term)
            context.term = ""
