"""The kind of answer that a question asks for, and where a text has one (English)."""

import re
from collections.abc import Iterator, Set
from typing import Literal

from rag.text.analyzer import STOP_WORDS, stem, words

Kind = Literal["number", "time", "name", "reason", "any"]

HOW = re.compile(r"\bhow (many|much|long|old|far|large|tall|big|high|often|deep|wide|fast)\b", re.I)
WHERE = re.compile(r"\bwhere\b|\b(?:what|which) (?:city|country|state|place|river)\b", re.I)
MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"

_ASKS: dict[Kind, str] = {
    "time": r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade)\b|\bhow long ago\b",
    "number": rf"{HOW.pattern}|\bwhat (?:percent|percentage|number|share|proportion)\b",
    "name": rf"\b(?:who|whom|whose)\b|{WHERE.pattern}",
    "reason": r"\bwhy\b",
}
"""What a question matches from its first question word on; the first kind that matches counts."""

_QUESTION_WORD = re.compile(r"\b(?:who|whom|whose|when|where|why|what|which|how)\b", re.I)
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
_COUNTED = re.compile(r"\s(?!and|when|to|but|by|as|who|which|he|she|it)[a-z]")
_REASON = re.compile(r"\b(?:because|due to|so that|in order|since|as a result|therefore|owing to|to)\b", re.I)


def asked_for(question: str) -> Kind:
    """The kind of answer that the question asks for, by its first question word."""
    first = _QUESTION_WORD.search(question)
    asking = question[first.start() :] if first else ""
    return next((kind for kind, pattern in _ASKS.items() if re.match(pattern, asking, re.I)), "any")


def spans_of(kind: Kind, text: str, said: Set[str]) -> Iterator[tuple[int, int]]:
    """The (start, end) of each time, number or name in the text that isn't in the question.

    `said` are the stems of the question. Other kinds have no spans.
    """
    if kind not in _SPANS:
        return
    for match in _SPANS[kind].finditer(text):
        content = [word for word in words(match.group()) if kind != "name" or word not in STOP_WORDS]
        is_kind = kind != "time" or _is_time(match.group(), text[: match.start()], text[match.end() :])
        if is_kind and any(stem(word) not in said for word in content):
            yield match.span()


def _is_time(span: str, before: str, after: str) -> bool:
    """Whether a year isn't a count ("1500 soldiers"), and a month isn't a name or verb ("Theresa May")."""
    if _TIME_LEADS.search(before):
        return True
    return span not in ("May", "March", "August") and not (span.isdigit() and _COUNTED.match(after))


def has_answer_of(kind: Kind, text: str, said: Set[str]) -> bool:
    """Whether the text has something of this kind that isn't in the question, whose stems are `said`."""
    if kind == "reason":
        return _REASON.search(text) is not None
    return kind == "any" or next(spans_of(kind, text, said), None) is not None
