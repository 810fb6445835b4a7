"""PDF → text and blocks: the only module that imports pypdfium2.

`pdf_lines` makes the characters of a page lines with their places, `pdf_layout` puts the lines in order, and
`pdf_blocks` makes them blocks.
"""

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any

from rag.documents.parsers import Extract
from rag.documents.parsers.pdf_blocks import arrange
from rag.documents.parsers.pdf_furniture import Page
from rag.documents.parsers.pdf_lines import read_lines
from rag.documents.parsers.plain import clean, title
from rag.errors import UnreadableError
from rag.text.dates import first_date

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
            lines, box = read_lines(raw, textpage, page.get_bbox(), number)
        fields, notes = _annotations(raw, page, document.formenv.raw if has_form else None)
        return Page(number, lines, box, fields, notes)


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
