"""What the elements of a web page are: blocks, links, menus, and what isn't seen."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADINGS = {f"h{level}": level for level in range(1, 7)}
LISTS = {"ul", "ol", "menu"}
CAPTURED = {*HEADINGS, "td", "th", "dt", "summary", "caption", "figcaption", "pre"}
"""Elements that make one block, or one cell, whatever stands in them."""

UNSEEN = {*"head script style noscript template".split()}
CONTROLS = {*"button input select option datalist textarea".split()}
_LEFT_OUT = {*UNSEEN, *CONTROLS, *"nav svg iframe audio video canvas object embed map rp".split()}
_LEFT_OUT_ROLES = {*"navigation menu menubar search toolbar tablist".split()}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_MENU = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|navheader|navfooter|topnav|menu|menubar|breadcrumbs?|pagination|pager"
    r"|skip|share|sharing|social|toc|table-of-contents|related)(?:$|[\s_-])",
    re.IGNORECASE,
)
_CONSENT = re.compile(
    r"cookie[\s_-]?(?:banner|bar|box|consent|dialog|law|message|modal|notice|overlay|popup)"
    r"|(?:^|[\s_-])(?:consent|gdpr)(?:$|[\s_-])|onetrust|cybot",
    re.IGNORECASE,
)
_FOR_SCREEN_READERS = re.compile(r"sr-only|visually-hidden|screen-reader-text|element-invisible")
_MAX_CONSENT_LETTERS = 3000
_MAX_MARK_CHARS = 4
_MENU_SHARE, _LIST_SHARE = 0.5, 0.9
"""The share of letters in links from which what is named a menu is one, and from which a list is one."""

_CONTACT = re.compile(r"(?:tel|mailto|sms|callto|fax|geo):", re.IGNORECASE)
_NOT_LETTER = re.compile(r"[\W_]+")


@dataclass(slots=True)
class Measure:
    """What stands in an element: its letters, those of them in links, and what tells a table of data."""

    letters: int = 0
    linked: int = 0
    parts: bool = False
    labels: bool = False
    widest: int = 0

    @property
    def is_data(self) -> bool:
        """Whether a table has data: a page can also be laid out by one, with its headings in cells."""
        return self.labels or (self.widest > 1 and not self.parts)


def measured(walk: Any) -> Mapping[Any, Measure]:
    """The measures of tables, lists, and what may be a menu or ask for consent; `walk` is an `iterwalk`."""
    measures: dict[Any, Measure] = {}
    tables: list[Measure] = []
    around, links, skipped = [Measure()], 0, None
    for event, element in walk:
        tag = element.tag
        if event == "start":
            if tag in UNSEEN:
                walk.skip_subtree()
                skipped = element
                continue
            if _is_candidate(element):
                measures[element] = Measure()
                around.append(measures[element])
            _note(element, tables, measures)
            links += is_link(element)
            text = element.text
        else:
            if element is not skipped:
                links -= is_link(element)
                if element in measures:
                    inner = around.pop()
                    around[-1].letters += inner.letters
                    around[-1].linked += inner.linked
                    if tag == "table":
                        tables.pop()
            text = element.tail
        if text and not text.isspace():
            letters = letters_in(text)
            around[-1].letters += letters
            around[-1].linked += letters if links else 0
    return measures


def _is_candidate(element: Any) -> bool:
    return element.tag == "table" or element.tag in LISTS or _named(element, _MENU, _CONSENT)


def _note(element: Any, tables: list[Measure], measures: Mapping[Any, Measure]) -> None:
    """Note of the innermost table what this element says of it."""
    tag = element.tag
    if tables and (tag == "table" or tag in HEADINGS or tag == "form"):
        tables[-1].parts = True
    if tables and tag == "th":
        tables[-1].labels = True
    if tables and tag == "tr":
        tables[-1].widest = max(tables[-1].widest, len(element))
    if tag == "table":
        tables.append(measures[element])


def _named(element: Any, *patterns: re.Pattern[str]) -> bool:
    if not element.keys():
        return False
    names = f"{element.get('class', '')} {element.get('id', '')}"
    return any(pattern.search(names) for pattern in patterns)


def is_link(element: Any) -> bool:
    """Whether it leads elsewhere; a telephone number or an address doesn't."""
    href = element.get("href") if element.tag == "a" else None
    return href is not None and not _CONTACT.match(href.strip())


def _is_hidden(element: Any) -> bool:
    """Whether it isn't seen; the panel of a tab or of an accordion is seen once it is opened."""
    if element.get("role") in {"tabpanel", "region"} or element.get("hidden") == "until-found":
        return False
    return (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or (element.tag == "dialog" and element.get("open") is None)
        or _HIDDEN.search(element.get("style", "")) is not None
    )


def _is_mark(element: Any) -> bool:
    """Whether it is the mark of a footnote, or a sign that links to its own place."""
    if element.tag == "sup" and len(element) == 1:
        around = f"{element.text or ''}{element[0].tail or ''}"
        return not around.strip() and _is_mark(element[0])
    if element.tag != "a" or len(element) or not element.get("href", "").startswith("#"):
        return False
    text = (element.text or "").strip()
    in_sup = element.getparent().tag == "sup"
    return 0 < len(text) <= _MAX_MARK_CHARS and (in_sup or not letters_in(text))


def letters_in(text: str) -> int:
    """How many letters and digits the text has."""
    return len(_NOT_LETTER.sub("", text))


def number_of(element: Any, name: str, default: int, most: int) -> int:
    """The number that an attribute states, at most this one; the default for none."""
    value = element.get(name, "").strip()[:9]
    return min(int(value), most) if value.isdecimal() else default


def is_menu(element: Any, measure: Measure, *, in_main: bool) -> bool:
    """Whether it is a menu, a banner that asks for consent, or a list that has links only.

    What a page names its main part has lists of links that are its content.
    """
    if _named(element, _CONSENT) and measure.letters <= _MAX_CONSENT_LETTERS:
        return True
    if measure.linked < _MENU_SHARE * measure.letters or not measure.linked:
        return False
    return _named(element, _MENU) or (
        element.tag in LISTS and not in_main and measure.linked >= _LIST_SHARE * measure.letters
    )


def is_shown(element: Any) -> bool:
    """Whether it is text that is seen, and no control, navigation or mark."""
    if element.tag in _LEFT_OUT or _is_mark(element):
        return False
    return not element.keys() or not (
        element.get("role") in _LEFT_OUT_ROLES
        or _is_hidden(element)
        or (element.tag not in CAPTURED and _named(element, _FOR_SCREEN_READERS))
    )
