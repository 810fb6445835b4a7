"""What kind of answer a question asks for, and where a text has one (English)."""

import re
from collections.abc import Iterator, Set
from typing import Literal

from rag.text.analyzer import STOP_WORDS, stem, words

Kind = Literal["number", "time", "name", "reason", "any"]

HOW = re.compile(r"\bhow (many|much|long|old|far|large|tall|big|high|often|deep|wide|fast)\b", re.I)
WHERE = re.compile(r"\bwhere\b|\b(?:what|which) (?:city|country|state|place|river)\b", re.I)
MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"

_ASKS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "time",
        re.compile(
            r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade)\b|\bhow long ago\b", re.I
        ),
    ),
    (
        "number",
        re.compile(
            rf"{HOW.pattern}|\bwhat (?:percent|percentage|number|share|proportion)\b",
            re.I,
        ),
    ),
    ("name", re.compile(rf"\b(?:who|whom|whose)\b|{WHERE.pattern}", re.I)),
    ("reason", re.compile(r"\bwhy\b", re.I)),
)
_ASKING = re.compile(r"\b(?:who|whom|whose|when|where|why|what|which|how)\b", re.I)
_NTH = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh"
    "|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth)"
)
_COUNT = (
    "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    "|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|half|dozen|hundred"
    "|thousand|million|billion|trillion)s?"
)
_YEAR = r"(?:1\d{3}|20\d{2})"
_SPANS: dict[Kind, re.Pattern[str]] = {
    "time": re.compile(
        rf"""
        (?:{DAY},?\s)?\b\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{MONTH}\b(?:,?\s\d{{3,4}}\b)?
        | (?:{DAY},?\s)?\b{MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?\b(?:,\s\d{{3,4}}\b)?
        | \b{MONTH}(?:\sof)?\s\d{{3,4}}\b
        | (?:\bthe\s)?(?:\b(?:early|mid|late)[-\s])?\b\d{{3,4}}s\b
        | (?:\bthe\s)?(?:\b(?:early|mid|late)[-\s])?\b{_NTH}(?:\sand\s{_NTH})?[-\s]centur(?:y|ies)\b
        | \b\d{{2,4}}\s(?:AD|BC|BCE|CE)\b
        | \b{_YEAR}(?:\s?[-–]\s?\d{{2,4}})?\b
        | \b(?:{MONTH}|{DAY})\b
        """,
        re.X,
    ),
    "number": re.compile(
        rf"""
        (?<![\w.,])[-−]?(?:[$€£¥]\s?)?(?:\d{{1,3}}(?:[ \u00a0\u202f]\d{{3}})+|\d+(?:[.,]\d+)*)
            (?:\s?[-–]\s?\d+(?:[.,]\d+)*)?(?:(?:m|bn|tn|k)\b|(?:[-\s]{_COUNT}\b)*)(?!\w)
            (?:\s?%|\sper\s?cent\b)?
        | \b{_COUNT}\b(?:[-\s](?:and\s)?{_COUNT}\b)*(?:\sper\s?cent\b)?
        """,
        re.X | re.I,
    ),
    "name": re.compile(
        r"(?<!\w)(?:[A-Z][\w'’.-]*\w|[A-Z]\.)(?:\s(?:(?:of|the|de|of\sthe|von|van|la)\s)?(?:[A-Z][\w'’.-]*\w|[A-Z]\.))*"
    ),
}
_TIME_LEADS = re.compile(
    r"\b(?:in|since|until|till|by|of|on|from|before|after|between|during|early|late|mid|last|next|this|and|year)"
    r"\s(?:the\s)?$",
    re.I,
)
_REASON = re.compile(r"\b(?:because|due to|so that|in order|since|as a result|therefore|owing to|to)\b", re.I)


def asked_for(question: str) -> Kind:
    """The kind of answer that the question asks for, by the first word that asks."""
    first = _ASKING.search(question)
    place = first.start() if first else len(question)
    return next((kind for kind, pattern in _ASKS if pattern.match(question, place)), "any")


def spans_of(kind: Kind, text: str, said: Set[str]) -> Iterator[tuple[int, int]]:
    """The (start, end) of each thing of this kind in the text that the question hasn't said.

    `said` are the stems of the question. Only a time, a number or a name has a span.
    """
    if kind not in _SPANS:
        return
    for match in _SPANS[kind].finditer(text):
        found = [word for word in words(match.group()) if kind != "name" or word not in STOP_WORDS]
        is_kind = kind != "time" or _is_time(match.group(), text[: match.start()], text[match.end() :])
        if is_kind and any(stem(word) not in said for word in found):
            yield match.span()


def _is_time(span: str, before: str, after: str) -> bool:
    """Whether a year is no count ("1500 soldiers") and a month no name or verb ("Theresa May")."""
    led = _TIME_LEADS.search(before) is not None
    if span in ("May", "March", "August"):
        return led
    return (
        led
        or not span.isdigit()
        or re.match(r"\s(?!and|when|to|but|by|as|who|which|he|she|it)[a-z]", after) is None
    )


def has_answer_of(kind: Kind, text: str, said: Set[str]) -> bool:
    """Whether the text has something of this kind that the question, of these stems, hasn't said."""
    if kind == "reason":
        return _REASON.search(text) is not None
    return kind == "any" or next(spans_of(kind, text, said), None) is not None
