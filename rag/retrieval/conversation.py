"""A question in its conversation → what to search for, and what it is taken to mean.

What the turns before were about helps to find passages, for "Who told him so?" most of all, which can't be
understood alone. Earlier answers are never evidence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.errors import QuestionError
from rag.text.analyzer import STOP_WORDS, names, stem, words

History = Sequence[tuple[str, str]]
"""Earlier (question, answer text) pairs, oldest first."""

MAX_TURNS = 20
"""How far back a conversation is looked at."""

TOPIC_TURNS = 3
"""How many of the last questions say what a conversation is about."""

MAX_TOPIC_CHARS = 1_000
"""How much of each turn is looked at: the end of a question, the beginning of an answer."""

_PRONOUNS = frozenset("he him his she her hers it its they them their theirs".split())
_POINTING = frozenset("this that these those".split())
_POINTED_FROM = frozenset(
    """
    is was are were did does do has had have will would can could should in of about for with from after
    before by to on at like than and or but
    """.split()
)
_PERIODS = frozenset(
    "second minute hour morning evening day week month season year decade century time".split()
)
_ELSEWHERE = frozenset("else latter others ones".split())
_BE = frozenset("is are was were be been".split())
_ASKS_FOR_ONE = re.compile(r"\s*(?:who|what|where|when)(?:['’]s|\s+(?:is|are|was|were))\b", re.I)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in its conversation.

    `question` is what is searched for, `text` what it is taken to mean, which can be read alone. `topic` is
    what the turns before were about, "" where there are none. `goes_on` says that the question can't be
    understood without them. `turns` are the last (question, answer text) pairs.
    """

    question: str
    text: str
    topic: str
    goes_on: bool
    turns: tuple[tuple[str, str], ...]


def in_context(question: str, history: History) -> Asked:
    """The question in its conversation; `QuestionError` when the history isn't one."""
    if not isinstance(history, Sequence) or not all(map(_is_pair, history)):
        raise QuestionError("history must be pairs of texts, oldest first: [(question, answer text), ...]")
    question = _encodable(question)
    last = [
        (_encodable(asked[-MAX_TOPIC_CHARS:]), _encodable(said[:MAX_TOPIC_CHARS]))
        for asked, said in history[-MAX_TURNS:]
    ]
    earlier = [turn for turn in last if words(turn[0])]
    turns = tuple(earlier[-TOPIC_TURNS:])
    topic = " ".join(asked for asked, _ in turns)[-MAX_TOPIC_CHARS:].strip()
    if not earlier or not _goes_on(question):
        return Asked(question, question, topic, False, turns)
    # The first question goes on from nothing, however it is put.
    start = next((asked for asked, _ in reversed(earlier) if not _goes_on(asked)), earlier[0][0])
    if start not in [asked for asked, _ in turns]:
        topic = f"{start} {topic}"[-MAX_TOPIC_CHARS:]
    return Asked(question, f"{start} {question}", topic, True, turns)


def _encodable(text: str) -> str:
    """The text in characters that can be encoded."""
    return text.encode("utf-8", "replace").decode()


def _is_pair(turn: object) -> bool:
    return isinstance(turn, tuple | list) and len(turn) == 2 and all(isinstance(text, str) for text in turn)


def _goes_on(question: str) -> bool:
    """Whether the question stands for something said before it: it refers to it, or says next to nothing."""
    found = words(question)
    content = [word for word in found if word not in STOP_WORDS]
    named = {name for name in names(question) if not name.isdigit()}
    if not content or (len(content) == 1 and not named and not _ASKS_FOR_ONE.match(question)):
        return True
    for place, word in enumerate(found):
        before = found[place - 1] if place else ""
        after = found[place + 1 : place + 2]
        if stem(word) in named:
            return False  # a pronoun after a name stands for that
        last = not after
        if word in _PRONOUNS or word in _ELSEWHERE:
            return True
        if word in _POINTING and (last or before in _POINTED_FROM) and not _PERIODS.intersection(after):
            return True
        if word in ("there", "then") and (
            last or (word == "there" and before not in _BE and after[0] not in _BE)
        ):
            return True
    return False
