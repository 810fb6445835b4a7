"""What kind of answer a question asks for, and whether a text has one (English)."""

import re
from typing import Literal

from rag.words import words

Kind = Literal["number", "time", "name", "reason", "any"]

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
            r"\bhow (?:many|much|long|old|far|large|tall|big|high|often|deep|wide|fast)\b"
            r"|\bwhat (?:percent|percentage|number|share|proportion)\b",
            re.I,
        ),
    ),
    (
        "name",
        re.compile(
            r"\bwho\b|\bwhom\b|\bwhose\b|\bwhere\b|\b(?:what|which) (?:city|country|state|place|river)\b",
            re.I,
        ),
    ),
    ("reason", re.compile(r"\bwhy\b", re.I)),
)
_TIME = re.compile(
    r"\d{3,}|\b(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|century|centuries|year|years)\b"
)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|"
    r"dozens?|hundreds?|thousands?|millions?|billions?|half|thirds?|quarter|percent|twice|none)\b",
    re.I,
)
_REASON = re.compile(r"\b(?:because|due to|so that|in order|since|as a result|therefore|owing to|to)\b", re.I)
_CAPITALISED = re.compile(r"(?<=\W)[A-Z]\w+")


def asked_for(question: str) -> Kind:
    """The kind of answer that the question asks for."""
    return next((kind for kind, pattern in _ASKS if pattern.search(question)), "any")


def has_answer_of(kind: Kind, text: str, question: str) -> bool:
    """Whether the text has something of this kind; a name counts only when the question hasn't said it."""
    if kind == "time":
        return _TIME.search(text) is not None
    if kind == "number":
        return _NUMBER.search(text) is not None
    if kind == "reason":
        return _REASON.search(text) is not None
    if kind == "name":
        said = set(words(question))
        return any(not said.issuperset(words(name)) for name in _CAPITALISED.findall(text))
    return True
