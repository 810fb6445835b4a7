"""PDF → text and blocks: the only module that imports pypdfium2.

Here characters become words, and words the lines of each page with their places; `pdf_layout` puts the lines
in order, and `pdf_blocks` makes them blocks.
"""

import contextlib
import ctypes
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from rag.documents.parsers import Extract
from rag.documents.parsers.pdf_blocks import arrange
from rag.documents.parsers.pdf_furniture import Page
from rag.documents.parsers.pdf_layout import Box, Line, bounds, is_marker
from rag.documents.parsers.plain import clean, title
from rag.errors import UnreadableError
from rag.text.dates import first_date

_Font: TypeAlias = tuple[bool, bool]  # bold, of fixed width

# PDFium joins a word that is hyphenated at the end of a line, and writes one of these for the hyphen.
_HYPHENS = "\x02\ufffe"
_WORD = re.compile(rf"[^\s{_HYPHENS}]*[{_HYPHENS}]|[^\s{_HYPHENS}]+")
# TeX has its ligatures at the codes of control characters; where a font doesn't say so they come through.
_TEX_LIGATURE = re.compile(
    "(?<=[^\\W\\d_])[\x0b\x0c\x0e\x0f\u21b5]|[\x0b\x0c\x0e\x0f](?=[^\\W\\d_])|\r(?=[^\\W\\d_])"
)
_UNKNOWN = re.compile(f"[{_HYPHENS}]")
_TEX_LIGATURES = str.maketrans("\x0b\x0c\r\x0e\x0f\u21b5", "ﬀﬁﬂﬃﬄﬀ")
_LIGATURES = str.maketrans(
    {
        "ﬀ": "ff",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "ﬃ": "ffi",
        "ﬄ": "ffl",
        "ﬅ": "st",
        "ﬆ": "st",
        "\x02": "-",
        "\ufffe": "-",
    }
)
# The Arabic ligature of lam and alef comes out of PDFium the wrong way round.
_ALEF_LAM = re.compile("[\u0622\u0623\u0625\u0627]\u0644")

_BOLD = re.compile(rb"bold|black|heavy|demi|cmbx|sfbx|medi\b", re.IGNORECASE)
_FIXED = re.compile(rb"courier|mono|consol|cmtt|sftt|typewriter|fixed|nimbusmon", re.IGNORECASE)
_FIXED_PITCH = 1  # of the flags of a font, in the PDF standard

# In heights of a line, which are about 1.15 of the font size.
_CELL_GAP = 1.0  # more than justified text is stretched
_MARKER_GAP = 3.5
_NUMBER_GAP = 2.0  # after that of a heading
_LETTER_GAP = 0.12
_BACK = 0.5
_RAISED = 0.3  # how much of a footnote mark overlaps with its line

_SAME_HEIGHT = 0.05

_MAX_LYING = 0.2
_NOTES = {1, 3, 8, 9, 10, 11, 12}  # text, free text, highlights and the like, in the PDF standard
_CHECKED = {2, 3}  # check boxes and radio buttons, among PDFium's kinds of form fields


def read_pdf(content: bytes) -> Extract:
    """The text of the document in reading order, its blocks, and the title and creation date.

    `UnreadableError` for a file that is encrypted, damaged or without text.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        # For a document without a page PDFium repeats the error code of the one before.
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD and b"/Encrypt" in content:
            raise UnreadableError("is encrypted; save it without a password") from error
        raise UnreadableError("is not a PDF that can be read: it is damaged or has no page") from error
    with document:
        has_form = document.get_formtype() != pypdfium2.raw.FORMTYPE_NONE and document.init_forms()
        pages = [_page(pypdfium2.raw, document, number, has_form) for number in range(len(document))]
        metadata = document.get_metadata_dict()
    if not any(page.lines or page.fields or page.notes for page in pages):
        raise UnreadableError("has no text; a scanned document needs OCR first")
    text, blocks, starts = arrange(pages)
    created = first_date(metadata["CreationDate"].removeprefix("D:")[:8])  # D:20240131120000+01'00'
    return Extract(text, title(metadata["Title"]), created, starts, blocks)


def _page(raw: Any, document: Any, number: int, has_form: bool) -> Page:
    """The visible lines of the page in PDFium's order, its form fields and notes."""
    with contextlib.closing(document[number]) as page:
        with contextlib.closing(page.get_textpage()) as textpage:
            text = _text(raw, textpage)
            lines, quarter, lying = _Reader(raw, textpage.raw, text, page.get_bbox()).lines(number)
            if lying:
                lines, quarter = _without_places(textpage.get_text_bounded(), number), 0
        box = bounds(lines) if lying else _turned(page.get_bbox(), quarter)
        fields, notes = _annotations(raw, page, document.formenv.raw if has_form else None)
        return Page(number, lines, box, fields, notes)


def _text(raw: Any, textpage: Any) -> str:
    """The text of the page, a character for each of PDFium's."""
    text: str = textpage.get_text_range()
    count = textpage.count_chars()
    if len(text) != count:  # it leaves some out, or has two for one
        codes = (raw.FPDFText_GetUnicode(textpage.raw, index) for index in range(count))
        text = "".join(chr(code) if 0 < code <= 0x10FFFF else " " for code in codes)
    for found in _UNKNOWN.finditer(text):
        if not raw.FPDFText_IsHyphen(textpage.raw, found.start()):
            inside = found.start() and text[found.start() - 1].islower() and text[found.end() :][:1].islower()
            text = f"{text[: found.start()]}{'ﬃ' if inside else chr(0)}{text[found.end() :]}"
    return _TEX_LIGATURE.sub(lambda found: found[0].translate(_TEX_LIGATURES), text)


def _without_places(text: str, number: int) -> list[Line]:
    """The lines of a page whose boxes say nothing, as PDFium has them, each under the one before."""
    lines = []
    for order, line in enumerate(clean(text.replace("\ufffe", "-\n").replace("\x02", "-\n")).split("\n")):
        words = line.split()
        if words:
            box = (0.0, -1.2 * order, 0.5 * len(line), 1 - 1.2 * order)
            lines.append(
                Line(
                    " ".join(words).translate(_LIGATURES), *box, 0.5 * len(words[0]), page=number, order=order
                )
            )
    return lines


def _turned(box: Box, quarter: int) -> Box:
    """The box as it is for a reader of text that is turned by so many quarters, anticlockwise."""
    left, bottom, right, top = box
    return (
        (left, bottom, right, top),
        (bottom, -right, top, -left),
        (-right, -top, -left, -bottom),
        (-top, left, -bottom, right),
    )[quarter]


class _Reader:
    """Reads the lines of one page."""

    def __init__(self, raw: Any, textpage: Any, text: str, visible: Box) -> None:
        self._raw, self._textpage, self._text, self._visible = raw, textpage, text, visible
        self._loose = raw.FS_RECTF()
        self._sides = [ctypes.c_double() for _ in range(4)]
        self._fonts: dict[bytes, _Font] = {}

    def lines(self, number: int) -> tuple[list[Line], int, bool]:
        """The lines, how many quarters most of them are turned, and whether the boxes can't be right.

        Lines that are turned in another way are `aside`.
        """
        lines: list[tuple[Line, int]] = []
        starts: list[tuple[int, int]] = []
        words = lying = 0
        for start, end, quarter, broken, box in self._words():
            words += 1
            lying += not (box[0] < box[2] and box[1] < box[3])
            word = self._word(start, end)
            if not word or not self._is_visible(_turned(box, -quarter % 4)):
                continue
            if lines and quarter == lines[-1][1] and _joins(lines[-1][0], word, box, broken):
                _join(lines[-1][0], word, box, broken)
                starts[-1] = (starts[-1][0], start)
            else:
                line = Line(word, *box, box[2] - box[0], page=number, order=len(lines), follows=not broken)
                line.votes = len(word)
                lines.append((line, quarter))
                starts.append((start, start))
        most = _most(lines)
        for (line, quarter), (first, last) in zip(lines, starts, strict=True):
            line.aside = quarter != most
            fonts = self._font(first), self._font(last)
            line.bold, line.fixed = all(font[0] for font in fonts), all(font[1] for font in fonts)
        places = {(round(line.left), round(line.bottom)) for line, _ in lines}
        lies = lying > _MAX_LYING * words or (len(lines) > 9 and 2 * len(places) < len(lines))
        return [line for line, _ in lines], most, lies

    def _words(self) -> Iterator[tuple[int, int, int, bool, Box]]:
        """The words: start, end, quarters they are turned, whether PDFium has a new line, and the box."""
        before, quarter, text = 0, 0, self._text
        for found in _WORD.finditer(text):
            broken = before == 0 or text[before - 1] in _HYPHENS or "\n" in text[before : found.start()]
            start, before = found.span()
            if broken:
                angle = self._raw.FPDFText_GetCharAngle(self._textpage, start)
                quarter = round(angle / (math.pi / 2)) % 4 if math.isfinite(angle) and angle >= 0 else 0
            first, last = self._box(start, quarter), self._box(before - 1, quarter)
            if last[3] < first[1] and "-" in found[0]:
                # A word that has its own hyphen at the end of a line.
                cut = self._cut(start, before, first, quarter)
                yield start, cut, quarter, broken, _around(first, self._box(cut - 1, quarter))
                start, first, broken = cut, self._box(cut, quarter), True
            yield start, before, quarter, broken, _around(first, last)

    def _cut(self, start: int, end: int, first: Box, quarter: int) -> int:
        """Where the part of the word ends that stands on the line of its first character."""
        for hyphen in re.finditer("-", self._text[start : end - 1]):
            cut = start + hyphen.end()
            if self._box(cut, quarter)[3] < first[1]:
                return cut
        return start + 1

    def _word(self, start: int, end: int) -> str:
        word = self._text[start:end]
        if _ALEF_LAM.search(word):
            word = _ALEF_LAM.sub(
                lambda found: found[0][::-1] if self._is_one(start + found.start()) else found[0], word
            )
        return clean(word.translate(_LIGATURES)).replace("\n", "")

    def _is_one(self, index: int) -> bool:
        """Whether this character and the next are of one glyph."""
        return self._tight(index) == self._tight(index + 1)

    def _box(self, index: int, quarter: int) -> Box:
        """The box of a character for its reader, as high as the line, or as itself where it is turned."""
        return _turned(self._tight(index), quarter) if quarter else self._high(index)

    def _high(self, index: int) -> Box:
        box = self._loose
        if not self._raw.FPDFText_GetLooseCharBox(self._textpage, index, box):
            return (0.0, 0.0, 0.0, 0.0)
        left, bottom, right, top = box.left, box.bottom, box.right, box.top
        return (min(left, right), min(bottom, top), max(left, right), max(bottom, top))

    def _tight(self, index: int) -> Box:
        left, right, bottom, top = self._sides
        self._raw.FPDFText_GetCharBox(self._textpage, index, left, right, bottom, top)
        return (left.value, bottom.value, right.value, top.value)

    def _is_visible(self, box: Box) -> bool:
        left, bottom, right, top = self._visible
        return left <= (box[0] + box[2]) / 2 <= right and bottom <= (box[1] + box[3]) / 2 <= top

    def _font(self, index: int) -> _Font:
        flags = ctypes.c_int()
        name = ctypes.create_string_buffer(128)
        self._raw.FPDFText_GetFontInfo(self._textpage, index, name, 128, flags)
        if name.value not in self._fonts:
            fixed = bool(flags.value & _FIXED_PITCH) or _FIXED.search(name.value) is not None
            self._fonts[name.value] = (_BOLD.search(name.value) is not None, fixed)
        return self._fonts[name.value]


def _around(first: Box, last: Box) -> Box:
    return (
        min(first[0], last[0]),
        min(first[1], last[1]),
        max(first[2], last[2]),
        max(first[3], last[3]),
    )


def _most(lines: list[tuple[Line, int]]) -> int:
    """How many quarters most of the text is turned."""
    counts = [0, 0, 0, 0]
    for line, quarter in lines:
        counts[quarter] += len(line.text)
    return counts.index(max(counts))


def _joins(line: Line, word: str, box: Box, broken: bool) -> bool:
    """Whether the word in the box stands on the line, right beside what the line has."""
    left, bottom, right, top = box
    height = max(line.size, top - bottom)
    if min(line.top, top) - max(line.bottom, bottom) < _RAISED * min(line.size, top - bottom):
        return False
    if broken and line.text.endswith("-"):
        return False
    gap = max(left - line.right, line.left - right)
    most = _CELL_GAP
    if is_marker(line.text):
        most = _MARKER_GAP
    elif word[0].isalpha() and len(line.text) < 3 and line.text.isdigit():
        most = _NUMBER_GAP
    return gap <= most * height and (not broken or gap >= -_BACK * height)


def _join(line: Line, word: str, box: Box, broken: bool) -> None:
    left, bottom, right, top = box
    gap = max(left - line.right, line.left - right)
    # Between words PDFium sees a blank; what it takes for a line of its own may be a raised letter.
    line.text += word if broken and gap < _LETTER_GAP * line.size else f" {word}"
    line.left, line.right = min(left, line.left), max(right, line.right)
    # Most letters say how high the line is: raised ones and those of other fonts have other boxes.
    same = abs(top - line.top) + abs(bottom - line.bottom) < _SAME_HEIGHT * line.size
    line.votes += len(word) if same else -len(word)
    if line.votes < 0:
        line.bottom, line.top, line.votes = bottom, top, -line.votes


def _annotations(raw: Any, page: Any, form: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """The labels and values of the form fields that are filled in, and the notes on the page."""
    fields, notes = [], []
    for index in range(raw.FPDFPage_GetAnnotCount(page.raw)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, index)
        if not annotation:
            continue
        try:
            kind = raw.FPDFAnnot_GetSubtype(annotation)
            if kind == raw.FPDF_ANNOT_WIDGET and form:
                fields.append(_field(raw, form, annotation))
            elif kind in _NOTES:
                notes.append(_string(raw.FPDFAnnot_GetStringValue, annotation, b"Contents"))
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
    return [field for field in fields if field[1]], [note for note in notes if note]


def _field(raw: Any, form: Any, annotation: Any) -> tuple[str, str]:
    label = _string(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
    label = label or _string(raw.FPDFAnnot_GetFormFieldName, form, annotation)
    value = _string(raw.FPDFAnnot_GetFormFieldValue, form, annotation)
    if raw.FPDFAnnot_GetFormFieldType(form, annotation) in _CHECKED:
        # The value of a radio button is that of its group, which each of its buttons has.
        value = value if raw.FPDFAnnot_IsChecked(form, annotation) else ""
    return label.removesuffix(":"), value


def _string(get: Callable[..., int], *of: Any) -> str:
    """A string that PDFium gives in UTF-16, on one line."""
    size = get(*of, None, 0)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2))()
    get(*of, buffer, size)
    return " ".join(clean(bytes(buffer)[:-2].decode("utf-16-le", "replace")).split())
