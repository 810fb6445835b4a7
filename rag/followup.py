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
    try:
        earlier = [asked for asked, _ in history if isinstance(asked, str)]
    except (TypeError, ValueError) as error:
        raise QuestionError(
            "history must be pairs of texts, oldest first: [(question, answer text), ...]"
        ) from error
    topic = next((asked for asked in reversed(earlier) if not _goes_on(asked)), None)
    return f"{topic} {question}" if topic and _goes_on(question) else question


def _goes_on(question: str) -> bool:
    found = words(question)
    content = [word for word in found if word not in STOP_WORDS]
    return len(content) <= _FEW_WORDS or any(word in _REFERRING for word in found)
