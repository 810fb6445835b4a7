"""A conversation of the chat, as the browser keeps it and as it is taken along."""

import re
import uuid
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from rag.errors import QuestionError
from rag.interfaces.rendering import notes, place
from rag.types import Answer, Citation

Rating = Literal["up", "down"]

MAX_TITLE_CHARS = 80
MAX_RECORD_CHARS = 5_000_000
"""What browsers keep for a page, so that no longer record can come from one."""

_MARKUP = re.compile(r"([\\`*_\[\]<>&#|~$])")
_ITEM = re.compile(r"^(\d+(?=[.)])|(?=[-+]))")
"""What makes a list item of a line, up to the character that does."""


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


def gone_on(conversation: Conversation, turn: Turn) -> Conversation:
    """The conversation with one more turn; the first question is its title until it gets another."""
    return Conversation(
        id=conversation.id or uuid.uuid4().hex,
        title=conversation.title or _title(turn.question),
        turns=(*conversation.turns, turn),
    )


def cut(conversation: Conversation, end: int | None) -> Conversation:
    """The conversation without its turns from `end` on; None leaves all.

    A title that the first question gave goes with it.
    """
    turns = conversation.turns[:end]
    gone = conversation.turns and not turns
    if gone and conversation.title == _title(conversation.turns[0].question):
        return replace(conversation, title="", turns=())
    return replace(conversation, turns=turns)


_RECORD = TypeAdapter(Conversation)


def record(conversation: Conversation) -> str:
    """The conversation as JSON, with the file, offsets and quote of every citation."""
    return _RECORD.dump_json(conversation, indent=2).decode()


def read_record(text: str) -> Conversation:
    """The conversation that was recorded; `QuestionError` for anything else.

    A record comes from outside: its quotes have to stand in its passages, as those of an answer do.
    """
    try:
        if len(text) > MAX_RECORD_CHARS:
            raise ValueError("it is too long")
        found = _RECORD.validate_json(text)
        if not re.fullmatch(r"[0-9a-f]{32}", found.id):
            raise ValueError("its id is none")
        if not all(_exact(turn.answer) for turn in found.turns if turn.answer is not None):
            raise ValueError("a quote doesn't stand where it says")
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
    lines = [f"# {_plain(conversation.title)}", ""]
    for turn in conversation.turns:
        lines += [f"## {_plain(' '.join(turn.question.split()))}", ""]
        if turn.answer is None:
            lines += [_plain(turn.note), ""]
            continue
        lines += [_quoted(turn.answer.text), ""]
        if turn.answer.abstained:
            lines += [_plain(f"No quote, because {turn.answer.abstained}."), ""]
        items = [_source(citation, turn.answer) for citation in turn.answer.citations]
        items += [f"- {_plain(note)}" for note in notes(turn.answer)]
        lines += [*items, ""] if items else []
    return "\n".join(lines).rstrip() + "\n"


def _source(citation: Citation, answer: Answer) -> str:
    where = place(citation, answer.passages[citation.label - 1])
    return f"- \\[{citation.label}\\] {_plain(where)}: “{_plain(citation.quote)}”"


def _exact(answer: Answer) -> bool:
    """Whether each citation is a slice of the passage that its label names."""
    for citation in answer.citations:
        if not 1 <= citation.label <= len(answer.passages):
            return False
        passage = answer.passages[citation.label - 1]
        start, end = citation.start - passage.start, citation.end - passage.start
        if not 0 <= passage.start <= citation.start or citation.source != passage.source:
            return False
        if not 0 < end - start == len(citation.quote) or passage.text[start:end] != citation.quote:
            return False
    return True


def _title(text: str) -> str:
    return " ".join(text.split())[:MAX_TITLE_CHARS].rstrip()


def _plain(text: str) -> str:
    """The text on one line, without markup."""
    return _ITEM.sub(r"\1\\", _MARKUP.sub(r"\\\1", " ".join(text.split())))


def _quoted(text: str) -> str:
    return "\n>\n".join(f"> {_plain(line)}" for line in text.splitlines() if line.strip())
