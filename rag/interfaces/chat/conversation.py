"""A conversation of the chat, as the browser saves it and as it is exported."""

import re
import uuid
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from rag.errors import QuestionError
from rag.interfaces.rendering import literal, passage_of
from rag.interfaces.rendering import markdown as answer_markdown
from rag.types import Answer

Rating = Literal["up", "down"]

MAX_TITLE_CHARS = 80
MAX_RECORD_CHARS = 5_000_000
"""The most that browsers save for a page: no longer record can come from one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its answer, or, where there is none, a note that says why."""

    question: str
    answer: Answer | None
    note: str = ""
    rating: Rating | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns, oldest first; `id` is 32 hexadecimal digits, "" while there is no turn."""

    id: str = ""
    title: str = ""
    turns: tuple[Turn, ...] = ()

    def history(self) -> list[tuple[str, str]]:
        """The (question, answer text) pairs, oldest first, of what was answered."""
        return [(turn.question, turn.answer.text) for turn in self.turns if turn.answer is not None]

    def answer(self, number: int) -> Answer | None:
        """The answer of the turn of this number, from 0; None where there is none."""
        return self.turns[number].answer if 0 <= number < len(self.turns) else None


def continued(conversation: Conversation, turn: Turn) -> Conversation:
    """The conversation with one more turn; without a title, it gets the turn's question as its title."""
    return Conversation(
        id=conversation.id or uuid.uuid4().hex,
        title=conversation.title or _title(turn.question),
        turns=(*conversation.turns, turn),
    )


def cut(conversation: Conversation, end: int | None) -> Conversation:
    """The conversation without its turns from `end` on; None keeps all.

    If none is left, a title that was the first question is removed too.
    """
    turns = conversation.turns[:end]
    emptied = conversation.turns and not turns
    if emptied and conversation.title == _title(conversation.turns[0].question):
        return replace(conversation, title="", turns=())
    return replace(conversation, turns=turns)


_RECORD = TypeAdapter(Conversation)


def record(conversation: Conversation) -> str:
    """The conversation as JSON, with the file, offsets and quote of every citation."""
    return _RECORD.dump_json(conversation, indent=2).decode()


def read_record(text: str) -> Conversation:
    """The conversation of a record; `QuestionError` for anything else.

    A record comes from outside: each of its quotes has to be in one of its passages, as in an answer.
    """
    try:
        if len(text) > MAX_RECORD_CHARS:
            raise ValueError("it is too long")
        found = _RECORD.validate_json(text)
        if not re.fullmatch(r"[0-9a-f]{32}", found.id):
            raise ValueError("its id is not 32 hexadecimal digits")
        for turn in found.turns:
            if turn.answer is not None:
                _check_citations(turn.answer)
    except (ValidationError, ValueError) as error:
        raise QuestionError("This conversation can't be read: it is damaged. Delete it.") from error
    return replace(found, title=_title(found.title))


def renamed(conversation: Conversation, title: str) -> Conversation:
    """The conversation under another title; `QuestionError` if that is empty."""
    if not title.strip():
        raise QuestionError("The title is empty. Type one.")
    return replace(conversation, title=_title(title))


def markdown(conversation: Conversation) -> str:
    """The conversation as a Markdown file, in which no quote is markup."""
    blocks = [f"# {literal(conversation.title)}"]
    for turn in conversation.turns:
        blocks.append(f"## {literal(turn.question)}")
        blocks.append(literal(turn.note) if turn.answer is None else answer_markdown(turn.answer))
    return "\n\n".join(filter(None, blocks)) + "\n"


def _check_citations(answer: Answer) -> None:
    """`ValueError` unless each quote is in a passage, and each label can be one.

    Labels count citations; in conversations that were saved earlier they count passages.
    """
    most = max(len(answer.citations), len(answer.passages))
    for citation in answer.citations:
        passage_of(answer, citation)
        if not 1 <= citation.label <= most:
            raise ValueError(f"there is no [{citation.label}]")


def _title(text: str) -> str:
    return " ".join(text.split())[:MAX_TITLE_CHARS].rstrip()
