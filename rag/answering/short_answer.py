"""Question + the sentence that answers it → the few words of the sentence that are the answer (English).

Only where the question asks for a time, a number or a name, and the sentence has one.
"""

import re
from collections.abc import Callable

from rag.text.analyzer import STOP_WORDS, stem, stems, words
from rag.text.answer_type import DAY, HOW, MONTH, WHERE, Kind, asked_for, spans_of

_WORD = re.compile(r"[^\W_]+")
_LENGTH = "kilomet|metre|meter|mile|km|feet|foot|ft|inch"
_UNITS = {
    "long": f"second|minute|hour|day|week|month|year|decade|centur|{_LENGTH}",
    "old": "year|month|day",
    "far": f"{_LENGTH}|light",
    "tall": f"{_LENGTH}|stor",
    "high": f"{_LENGTH}|degree|°|%|per ?cent",
    "deep": _LENGTH,
    "wide": _LENGTH,
    "often": "time|year|month|week|day|hour",
    "fast": "kilomet|km|mile|mph|knot",
}
_MONEY = re.compile(r"[$€£¥]|\b(?:dollar|euro|pound|kron|yen|yuan|franc|mark|ruble|cent)", re.I)
_PERCENT = re.compile(r"%|\bper ?cent", re.I)
_IN = re.compile(
    r"\b(?:in|at|near|on|from|to|into|across|outside|around|between|over|off)\s+(?:the\s+)?$", re.I
)
_NO_PERSON = re.compile(rf"(?:On\s)?(?:{DAY}|{MONTH}|Yesterday|Today|Tomorrow)(?:\s\d+)?")
_BY = re.compile(r"\bby\s+(?:the\s+)?$", re.I)
_OPENERS = STOP_WORDS | {
    *("although", "though", "since", "however", "many", "another", "later", "without", "despite", "today"),
    *("also", "early"),
}
CLEAR = 1.0
"""How far the best words must be ahead of the next. Of the short answers shown for sentences of SQuAD 2 that
are right, 0.96 are the gold to the word where a time is asked for, 0.83 for a number, 0.69 for a name."""

_UNIT_BONUS = 6.0
"""More than any word nearby can weigh: a unit or a counted noun decides."""


def short_answer(question: str, sentence: str) -> str | None:
    """The answer in a few words, which are a part of the sentence; None where none stands out."""
    kind = asked_for(question)
    spans = [
        span
        for span in spans_of(kind, sentence, frozenset(stems(question)))
        if not _opens(kind, sentence, span)
    ]
    if not spans:
        return None
    worth = _worth(kind, question, sentence)
    first, *others = sorted(spans, key=worth, reverse=True)
    if not _fits(kind, question, sentence, first):
        return None
    if others and worth(first) - worth(others[0]) < CLEAR:
        return None
    start, end = first
    how = HOW.search(question)
    if kind == "number" and how and (units := _UNITS.get(how[1].lower())):
        unit = re.match(rf"[\s-](?:{units})\w*", sentence[end:], re.I)
        end += unit.end() if unit else 0
    return sentence[start:end]


def _fits(kind: Kind, question: str, sentence: str, span: tuple[int, int]) -> bool:
    """Whether what stands beside the span fits the question: no short answer is better than a wrong one."""
    start, end = span
    text, before, after = sentence[start:end], sentence[:start], sentence[end : end + 25]
    if kind == "name":
        if WHERE.search(question):
            return _IN.search(before) is not None
        return _IN.search(before) is None and _NO_PERSON.fullmatch(text) is None
    how = HOW.search(question)
    if kind != "number" or how is None:
        return (
            kind != "number"
            or "percent" not in question.lower()
            or _PERCENT.search(text + after[:10]) is not None
        )
    what = how[1].lower()
    if what == "many":
        counted = [stem(word) for word in words(question[how.end() :])[:2]]
        return after[:1].isspace() and any(stem(word) in counted for word in words(after)[:3])
    if what == "much":
        return _MONEY.search(text + after[:12]) is not None or _PERCENT.search(text + after[:10]) is not None
    units = _UNITS.get(what)
    return units is None or re.match(rf"[\s-](?:{units})", after, re.I) is not None


def _opens(kind: Kind, sentence: str, span: tuple[int, int]) -> bool:
    """Whether a name is only the first word of the sentence, which has its capital from that."""
    start, end = span
    found = words(sentence[start:end])
    return kind == "name" and not sentence[:start].strip() and len(found) == 1 and found[0] in _OPENERS


def _worth(kind: Kind, question: str, sentence: str) -> Callable[[tuple[int, int]], float]:
    """What a span is worth as the answer: the question's words near it, and what stands beside it."""
    asked = {stem(word) for word in words(question) if word not in STOP_WORDS}
    places = [
        (match.start(), stem(word)) for match in _WORD.finditer(sentence) for word in words(match.group())[:1]
    ]
    how = HOW.search(question)
    counted = [stem(word) for word in words(question[how.end() :])[:2]] if how else []
    units = _UNITS.get(how[1].lower()) if how else None

    def worth(span: tuple[int, int]) -> float:
        start, end = span
        inside = [number for number, (place, _) in enumerate(places) if start <= place < end]
        near = sum(
            1 / (1 + min(abs(number - inside[0]), abs(number - inside[-1])))
            for number, (_, word) in enumerate(places)
            if word in asked and number not in inside
        )
        before, after = sentence[:start], sentence[end : end + 20]
        if kind == "number":
            return near * 4 + _as_number(sentence[start:end], after)
        if kind == "name":
            said = sum(places[number][1] in asked for number in inside) / len(inside)
            return near * 4 - 1.5 * said + _as_name(before)
        return near

    def _as_number(text: str, after: str) -> float:
        following = [stem(word) for word in words(after)[:2]]
        bonus = 0.0
        if how and how[1].lower() == "many" and any(word in following for word in counted):
            bonus += _UNIT_BONUS
        if units and re.match(rf"[\s-](?:{units})", after, re.I):
            bonus += _UNIT_BONUS
        if how and how[1].lower() == "much" and _MONEY.search(text + after[:12]):
            bonus += _UNIT_BONUS
        if re.search("percent", question, re.I) and _PERCENT.search(text + after[:10]):
            bonus += _UNIT_BONUS
        if re.fullmatch(r"1\d{3}|20\d\d", text):
            bonus -= 4  # a year
        return bonus

    def _as_name(before: str) -> float:
        if WHERE.search(question):
            return 2.0 * bool(_IN.search(before))
        return 1.0 * bool(_BY.search(before)) - 1.0 * bool(_IN.search(before))

    return worth
