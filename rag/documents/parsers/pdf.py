"""PDF → text, page by page: the only module that imports pypdfium2."""

import contextlib
import re
from typing import Any

from rag.documents.parsers import Extract
from rag.documents.parsers.plain import clean, title
from rag.errors import UnreadableError
from rag.text.dates import first_date

_BETWEEN_PAGES = "\n\n"
# PDFium joins a word that is hyphenated at the end of a line, and writes one of these for the hyphen.
_HYPHEN = re.compile("[\x02\ufffe]([^\\W\\d_]?)")


def read_pdf(content: bytes) -> Extract:
    """The text of the pages with a blank line between them, and the title and creation date.

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
        texts = [_page(document, number) for number in range(len(document))]
        metadata = document.get_metadata_dict()
    if not any(texts):
        raise UnreadableError("has no text; a scanned document needs OCR first")
    pages, offset = [], 0
    for text in texts:
        pages.append(offset)
        offset += len(text) + len(_BETWEEN_PAGES)
    created = first_date(metadata["CreationDate"].removeprefix("D:")[:8])  # D:20240131120000+01'00'
    return Extract(_BETWEEN_PAGES.join(texts), title(metadata["Title"]), created, tuple(pages))


def _page(document: Any, number: int) -> str:
    """The visible text of the page."""
    with contextlib.closing(document[number]) as page, contextlib.closing(page.get_textpage()) as textpage:
        text = textpage.get_text_bounded()
    # Before a capital or a digit the hyphen belongs to the word, as in Jean-Paul.
    text = _HYPHEN.sub(lambda mark: mark[1] if mark[1].islower() else f"-{mark[1]}", text)
    return clean(text).strip()
