"""A question in its conversation → what is known of it before anything is searched.

It is analysed once; search and answering read what they need of it.
"""

from dataclasses import dataclass, replace

from rag.errors import QuestionError
from rag.retrieval.conversation import History, in_context
from rag.text.analyzer import names, stems, terms
from rag.text.answer_type import Kind, asked_for
from rag.types import Scope

MAX_QUESTION_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Query:
    """A question, analysed.

    `question` is what was asked, `text` what it is taken to mean, which can be read alone. `topic` is what
    the turns before were about, "" where there are none, and `continues` says that the question can't be
    understood without them; `turns` are the last (question, answer text) pairs. `parts` are the texts whose
    meaning is searched for: the question, and the topic if there is one. `kind` is the kind of answer asked
    for; `terms` are the words to search for, `stems` those of all words of the question, `names` those of
    its names and numbers. `scope` are the documents that are asked, None for all.
    """

    question: str
    text: str
    topic: str
    continues: bool
    turns: tuple[tuple[str, str], ...]
    scope: Scope | None
    kind: Kind
    terms: tuple[str, ...]
    stems: frozenset[str]
    names: frozenset[str]

    @property
    def parts(self) -> tuple[str, ...]:
        """The texts whose meaning is searched for."""
        return (self.question, self.topic) if self.topic else (self.question,)

    @property
    def searched(self) -> str:
        """The text whose words are searched for."""
        return " ".join(reversed(self.parts))


def analyse(question: str, *, history: History = (), scope: Scope | None = None) -> Query:
    """The question in its conversation; `QuestionError` when it can't be asked, or the history isn't one."""
    if not isinstance(question, str) or not question.strip():
        raise QuestionError("The question is empty. Type one.")
    if len(question) > MAX_QUESTION_CHARS:
        raise QuestionError(
            f"The question has {len(question):,} characters; at most {MAX_QUESTION_CHARS:,} can be asked. "
            "Shorten it."
        )
    context = in_context(question, history)
    return Query(
        question=context.question,
        text=context.text[-MAX_QUESTION_CHARS:],
        topic=context.topic,
        continues=context.continues,
        turns=context.turns,
        scope=scope,
        kind=asked_for(context.question),
        terms=terms(context.question),
        stems=frozenset(stems(context.question)),
        names=names(context.question),
    )


def reworded(query: Query, question: str) -> Query:
    """The query with a question that can be understood alone."""
    fresh = analyse(question, scope=query.scope)
    return replace(fresh, topic=query.topic, turns=query.turns)
