"""A question in its conversation → what to search for, and what it is taken to mean.

What the turns before were about helps to find passages, for "Who told him so?" most of all, which can't be
understood alone. Earlier answers are never evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rag.errors import QuestionError
from rag.words import STOP_WORDS, words

History = Sequence[tuple[str, str]]
"""Earlier (question, answer text) pairs, oldest first."""

TOPIC_TURNS = 3
"""How many of the last questions say what a conversation is about."""

MAX_TOPIC_CHARS = 1_000
_REFERRING = frozenset(
    """
    he him his she her hers it its they them their theirs this that these those there then one ones former
    latter same other others else
    """.split()
)
_FEW_WORDS = 1
"""A question with no more content words than this ("Why?", "And in 2015?") goes on from the last one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in its conversation.

    `text` is what it is taken to mean, which can be read alone. `topic` is what the turns before were
    about, "" where there are none. `goes_on` says that the question can't be understood without them.
    """

    question: str
    text: str
    topic: str
    goes_on: bool


def in_context(question: str, history: History) -> Asked:
    """The question in its conversation; `QuestionError` when the history isn't one."""
    if not isinstance(history, Sequence) or not all(map(_is_pair, history)):
        raise QuestionError("history must be pairs of texts, oldest first: [(question, answer text), ...]")
    question = _encodable(question)
    history = [(_encodable(asked), said) for asked, said in history]
    topic = " ".join(asked[-MAX_TOPIC_CHARS:] for asked, _ in history[-TOPIC_TURNS:])[-MAX_TOPIC_CHARS:]
    said = next((asked for asked, _ in reversed(history) if not _goes_on(asked)), None)
    goes_on = bool(said) and _goes_on(question)
    if goes_on and said not in [asked for asked, _ in history[-TOPIC_TURNS:]]:
        topic = f"{said} {topic}"[-MAX_TOPIC_CHARS:]
    return Asked(question, f"{said} {question}" if goes_on else question, topic.strip(), goes_on)


def _encodable(text: str) -> str:
    """The text in characters that can be encoded."""
    return text.encode("utf-8", "replace").decode()


def _is_pair(turn: object) -> bool:
    return isinstance(turn, tuple | list) and len(turn) == 2 and all(isinstance(text, str) for text in turn)


def _goes_on(question: str) -> bool:
    found = words(question)
    content = [word for word in found if word not in STOP_WORDS]
    return len(content) <= _FEW_WORDS or any(word in _REFERRING for word in found)
