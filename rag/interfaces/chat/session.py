"""What happens in the chat: questions come in, answers grow, earlier turns are changed.

A `Session` is what the server knows of one open page; each function gives the next one.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, get_args

from rag.answering.engine import Engine
from rag.errors import QuestionError, RagError
from rag.interfaces.async_stream import events
from rag.interfaces.chat.conversation import Conversation, Rating, Turn, cut, gone_on
from rag.interfaces.chat.messages import growing_html, note_html, question_html, turn_html
from rag.interfaces.lifecycle import Preparation
from rag.types import Answer, Citation, Passage, Waiting

Messages: TypeAlias = list[dict[str, Any]]
"""Gradio's messages: two for each turn."""

STATE_S = 0.2
"""How often the state of the start is looked at."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open page: its conversation, the question that is being answered, the turn that is being edited."""

    conversation: Conversation = field(default_factory=Conversation)
    pending: str | None = None
    editing: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """To which documents a question is limited, as the page's boxes say it: blank is no limit."""

    since: str = ""
    until: str = ""
    sources: Sequence[str] = ()


def messages(session: Session, changed: Container[Citation] = (), growing: str | None = None) -> Messages:
    """The conversation to show, with the answer that grows; `changed` as in `turn_html`."""
    turns = session.conversation.turns
    found: Messages = []
    for number, turn in enumerate(turns):
        last = number == len(turns) - 1 and session.pending is None
        found.append({"role": "user", "content": question_html(number, turn.question)})
        found.append({"role": "assistant", "content": turn_html(number, turn, changed, last=last)})
    if session.pending is not None:
        found.append({"role": "user", "content": question_html(len(turns), session.pending)})
    if growing is not None:
        found.append({"role": "assistant", "content": growing})
    return found


def taken(session: Session, question: str) -> Session:
    """The question is to be answered next; in place of the turn that is edited, and those after it."""
    session = idle(session)
    if not question.strip():
        raise QuestionError("The question is empty. Type one.")
    # Half of a surrogate pair, which a browser may send, has no encoding: it couldn't be kept.
    question = question.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    conversation = cut(session.conversation, session.editing)
    return Session(conversation, pending=question)


def taken_again(session: Session) -> Session:
    """The last question is to be answered again."""
    turns = idle(session).conversation.turns
    if not turns:
        raise QuestionError("There is no question to ask again.")
    return Session(cut(session.conversation, len(turns) - 1), pending=turns[-1].question)


def ended(session: Session, note: str) -> Session:
    """The question that was being answered isn't any more, for the reason that the note says."""
    if session.pending is None:
        return session
    return _ended(session, Turn(session.pending, None, note))


def edited(session: Session, number: int) -> tuple[Session, str]:
    """The turn of this number is edited from now on; its question."""
    turns = idle(session).conversation.turns
    if not 0 <= number < len(turns):
        raise QuestionError("This question is no longer in the conversation.")
    return replace(session, editing=number), turns[number].question


def rated(session: Session, number: int, rating: Rating) -> tuple[Session, Answer, Rating | None]:
    """The turn's answer with the rating that it gets: the same one again takes it back."""
    turns = list(idle(session).conversation.turns)
    answer = session.conversation.answer(number)
    if answer is None or rating not in get_args(Rating):
        raise QuestionError("This answer is no longer in the conversation.")
    given = None if turns[number].rating == rating else rating
    turns[number] = replace(turns[number], rating=given)
    return replace(session, conversation=replace(session.conversation, turns=tuple(turns))), answer, given


def idle(session: Session) -> Session:
    """The session; `QuestionError` while an answer is written."""
    if session.pending is not None:
        raise QuestionError("An answer is being written. Stop it first, or wait for it.")
    return session


async def replies(
    session: Session, preparation: Preparation, limits: Limits, marked: Container[Citation] = ()
) -> AsyncGenerator[tuple[Messages, Session | tuple[Passage, ...]], None]:
    """The conversation while the pending question is answered, with the passages that are read for it.

    The session comes in the end alone, so that nothing is put back that was changed meanwhile. Without a
    pending question, as where it was stopped before it began, nothing comes.
    """
    if session.pending is None:
        return
    number = len(session.conversation.turns)
    growth = grown(session.pending, number, session, preparation, limits)
    async with contextlib.aclosing(growth):
        async for found in growth:
            if isinstance(found, Turn):
                session = _ended(session, found)
                yield messages(session, marked), session
            else:
                growing, passages = found
                yield messages(session, marked, growing), passages


async def grown(
    question: str, number: int, session: Session, preparation: Preparation, limits: Limits
) -> AsyncGenerator[tuple[str, tuple[Passage, ...]] | Turn, None]:
    """The answer as HTML while it grows, with its passages; then its turn.

    First what the start still does, then the passages that are read, then the text as the model writes it.
    Closing it stops the computation.
    """
    while not preparation.ended.is_set():
        yield note_html(preparation.state), ()
        await asyncio.sleep(STATE_S)
    engine = preparation.engine
    if engine is None:
        yield Turn(question, None, preparation.failure or preparation.state)
        return
    passages: tuple[Passage, ...] = ()
    text = ""
    stream = events(
        lambda left: engine.stream(
            question,
            stop=left,
            history=session.conversation.history(),
            since=limits.since.strip() or None,
            until=limits.until.strip() or None,
            sources=limits.sources or None,
        )
    )
    try:
        async with contextlib.aclosing(stream):
            async for event in stream:
                if isinstance(event, Answer):
                    yield Turn(question, event)
                elif isinstance(event, Waiting):
                    yield growing_html(number, text, passages, event.ahead), passages
                elif isinstance(event, str):
                    text += event
                    yield growing_html(number, text, passages), passages
                else:
                    passages = event
                    yield growing_html(number, text, passages), passages
    except RagError as error:
        yield Turn(question, None, str(error))
    except Exception as error:
        yield Turn(question, None, f"The answer failed ({error!r}). The terminal has the details.")
        raise


def changed(conversation: Conversation, engine: Engine) -> frozenset[Citation]:
    """The citations whose document has changed since, where their quote stood."""
    cited = {citation for turn in conversation.turns if turn.answer for citation in turn.answer.citations}
    return frozenset(citation for citation in cited if engine.open(citation).changed)


def _ended(session: Session, turn: Turn) -> Session:
    return replace(session, conversation=gone_on(session.conversation, turn), pending=None)
