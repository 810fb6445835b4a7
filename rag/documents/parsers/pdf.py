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
_HYPHEN_BEFORE_LETTER = re.compile("[\x02\ufffe]([^\\W\\d_])")
_HYPHEN = re.compile("[\x02\ufffe]")


def read_pdf(content: bytes) -> Extract:
    """The text of the pages with a blank line between them, and the title and date of its making.

    `UnreadableError` for one that is encrypted, is broken or has no text.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        # Without a page PDFium gives the reason of the document before.
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD and b"/Encrypt" in content:
            raise UnreadableError("is encrypted; save it without a password") from error
        raise UnreadableError("is not a PDF that can be read: it is damaged or has no page") from error
    with document:
        texts = [_page(document, number) for number in range(len(document))]
        about = document.get_metadata_dict()
    if not any(texts):
        raise UnreadableError("has no text; a scanned document needs OCR first")
    pages, offset = [], 0
    for text in texts:
        pages.append(offset)
        offset += len(text) + len(_BETWEEN_PAGES)
    made = first_date(about["CreationDate"].removeprefix("D:")[:8])  # D:20240131120000+01'00'
    return Extract(_BETWEEN_PAGES.join(texts), title(about["Title"]), made, tuple(pages))


def _page(document: Any, number: int) -> str:
    """The text that is seen on the page, a line each."""
    with contextlib.closing(document[number]) as page, contextlib.closing(page.get_textpage()) as words:
        text = words.get_text_bounded()
    # Before a capital the hyphen is the writer's own, as in Jean-Paul; so it is before a digit.
    text = _HYPHEN_BEFORE_LETTER.sub(lambda mark: mark[1] if mark[1].islower() else f"-{mark[1]}", text)
    return clean(_HYPHEN.sub("-", text)).strip()
