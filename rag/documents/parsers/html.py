"""Web page → its main text: the only module that imports lxml and trafilatura."""

import re
from copy import deepcopy
from typing import Any

from rag.documents.parsers import Extract
from rag.documents.parsers.plain import clean, decode_stated, title
from rag.errors import UnreadableError

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_HEAD_BYTES = 4096
# Given the whole page, the library also takes the date of a copyright line or a comment for the page's.
_DATED = (
    "(//article//time)[1] | //body//*[@itemprop='datePublished']"
    " | //body//script[@type='application/ld+json']"
)
_STATED_DATE = {"original_date": True, "extensive_search": False}


def read_web_page(content: bytes) -> Extract:
    """The text as from `read_markup`, in the encoding that the page states or that is detected."""
    stated = _CHARSET.search(content[:_HEAD_BYTES])
    return read_markup(decode_stated(content, stated[1].decode() if stated else None))


def read_markup(markup: str) -> Extract:
    """The main text without menus, or all visible text where none is found; "" for no text.

    `UnreadableError` for elements nested more than 2,048 deep.
    """
    import lxml.etree
    import lxml.html
    import trafilatura
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
    text = trafilatura.extract(page, include_comments=False)
    if not text:
        lxml.etree.strip_elements(page, "script", "style", "noscript", "template", with_tail=False)
        text = trafilatura.html2txt(page, clean=False)
    return Extract(clean(text).strip(), title(heading), date)


def _part(page: Any, xpath: str) -> Any:
    """A page with this page's head, and the parts of its body that the XPath finds."""
    import lxml.html

    part = lxml.html.document_fromstring("<html><head></head><body></body></html>")
    for parent, path in zip(part, ("./head/*", xpath), strict=True):
        parent.extend(deepcopy(element) for element in page.xpath(path))
    return part
