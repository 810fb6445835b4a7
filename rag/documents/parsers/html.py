"""Web page → its main text: the only module that imports lxml and trafilatura."""

import re
from copy import deepcopy
from typing import Any

from rag.documents.parsers import Extract
from rag.documents.parsers.plain import clean, decode_stated, title
from rag.errors import UnreadableError

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_HEAD_BYTES = 4096
# In a whole page the library takes any date for the page's, that of a copyright or of a comment too.
_DATED = (
    "(//article//time)[1] | //body//*[@itemprop='datePublished']"
    " | //body//script[@type='application/ld+json']"
)
_STATED_DATE = {"original_date": True, "extensive_search": False}


def read_web_page(content: bytes) -> Extract:
    """What `read_markup` finds, in the encoding that the page states, or else shows."""
    stated = _CHARSET.search(content[:_HEAD_BYTES])
    return read_markup(decode_stated(content, stated[1].decode() if stated else None))


def read_markup(markup: str) -> Extract:
    """The main text without menus, or all that is seen where nothing stands out; "" for no text.

    `UnreadableError` for one whose elements are nested more than 2,048 deep.
    """
    import lxml.etree
    import lxml.html
    import trafilatura
    from trafilatura.metadata import extract_metadata

    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        page = lxml.html.document_fromstring(clean(markup).encode(), parser=parser)
    except lxml.etree.ParserError:  # not one element, nor a word
        return Extract("")
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise UnreadableError("is nested too deep to be read")
    named = extract_metadata(_part(page, "//h1"), date_config=_STATED_DATE).title
    dated = extract_metadata(_part(page, _DATED), date_config=_STATED_DATE).date
    text = trafilatura.extract(page, include_comments=False)
    if not text:
        lxml.etree.strip_elements(page, "script", "style", "noscript", "template", with_tail=False)
        text = trafilatura.html2txt(page, clean=False)
    return Extract(clean(text).strip(), title(named), dated)


def _part(page: Any, of_body: str) -> Any:
    """The page's head, and of its body no more than what this XPath finds."""
    import lxml.html

    made = lxml.html.document_fromstring("<html><head></head><body></body></html>")
    made[0].extend(deepcopy(part) for part in page.xpath("./head/*"))
    made[1].extend(deepcopy(part) for part in page.xpath(of_body))
    return made
