"""A follow-up question → a question that can be asked alone.

"Who told him so?" is about what was asked before it: such a question is searched for together with
the one before. Earlier answers are never evidence.
"""

from collections.abc import Sequence

from rag.errors import QuestionError
from rag.words import STOP_WORDS, words

History = Sequence[tuple[str, str]]
"""Earlier (question, answer text) pairs, oldest first."""

_REFERRING = frozenset(
    """
    he him his she her hers it its they them their theirs this that these those there then one ones former
    latter same other others else
    """.split()
)
_FEW_WORDS = 1
"""A question with no more content words than this ("Why?", "And in 2015?") goes on from the last one."""


def standalone(question: str, history: History) -> str:
    """The question, after the last one it goes on from, if it goes on from any."""
    if not isinstance(history, Sequence) or not all(map(_is_pair, history)):
        raise QuestionError("history must be pairs of texts, oldest first: [(question, answer text), ...]")
    topic = next((asked for asked, _ in reversed(history) if not _goes_on(asked)), None)
    return f"{topic} {question}" if topic and _goes_on(question) else question


def _is_pair(turn: object) -> bool:
    return isinstance(turn, tuple | list) and len(turn) == 2 and all(isinstance(text, str) for text in turn)


def _goes_on(question: str) -> bool:
    found = words(question)
    content = [word for word in found if word not in STOP_WORDS]
    return len(content) <= _FEW_WORDS or any(word in _REFERRING for word in found)
