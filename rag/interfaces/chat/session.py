"""What happens in the chat: questions are asked, answers grow, earlier turns are changed.

A `Session` is what the server knows about one open page; each function gives the next one.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, get_args

from rag.answering.engine import Engine
from rag.errors import QuestionError, RagError
from rag.interfaces.async_stream import events
from rag.interfaces.chat.conversation import Conversation, Rating, Turn, continued, cut
from rag.interfaces.chat.messages import growing_html, note_html, question_html, turn_html
from rag.interfaces.lifecycle import Preparation
from rag.types import Answer, Citation, Passage, Waiting

Messages: TypeAlias = list[dict[str, Any]]
"""Gradio's messages: two for each turn."""

STATE_S = 0.2
"""How often the status of the start is shown while a question waits for it."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open page: its conversation, the question that is being answered, the turn that is being edited."""

    conversation: Conversation = field(default_factory=Conversation)
    pending: str | None = None
    editing: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The documents to which a question is limited, as typed on the page; empty means no limit."""

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


def asked(session: Session, question: str) -> Session:
    """The session with this question pending; it replaces the turn that is edited, and those after it."""
    session = idle(session)
    if not question.strip():
        raise QuestionError("The question is empty. Type one.")
    # Half of a surrogate pair, which a browser may send, has no encoding: it couldn't be saved.
    question = question.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    conversation = cut(session.conversation, session.editing)
    return Session(conversation, pending=question)


def asked_again(session: Session) -> Session:
    """The session with its last question pending again."""
    turns = idle(session).conversation.turns
    if not turns:
        raise QuestionError("There is no question to ask again.")
    return Session(cut(session.conversation, len(turns) - 1), pending=turns[-1].question)


def ended(session: Session, note: str = "", answer: Answer | None = None) -> Session:
    """The session whose pending question, if any, has this answer, or none for the reason in the note."""
    if session.pending is None:
        return session
    conversation = continued(session.conversation, Turn(session.pending, answer, note))
    return replace(session, conversation=conversation, pending=None)


def edited(session: Session, number: int) -> tuple[Session, str]:
    """The session in which the turn of this number is edited, and its question."""
    turns = idle(session).conversation.turns
    if not 0 <= number < len(turns):
        raise QuestionError("This question is no longer in the conversation.")
    return replace(session, editing=number), turns[number].question


def rated(session: Session, number: int, rating: Rating) -> tuple[Session, Answer, Rating | None]:
    """The session with the turn rated, its answer, and its rating: None if this was its rating before."""
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

    First with the status of the start, then with the passages, then with the text as the model writes it. The
    session comes only at the end, so that it doesn't undo what was changed meanwhile. Without a pending
    question, for example one stopped before it began, nothing comes. Closing it stops the computation.
    """
    if (question := session.pending) is None:
        return

    def finished(answer: Answer | None, note: str = "") -> tuple[Messages, Session]:
        after = ended(session, note, answer)
        return messages(after, marked), after

    while not preparation.ended.is_set():
        yield messages(session, marked, note_html(preparation.state)), ()
        await asyncio.sleep(STATE_S)
    engine = preparation.engine
    if engine is None:
        yield finished(None, preparation.failure or preparation.state)
        return
    number, text = len(session.conversation.turns), ""
    passages: tuple[Passage, ...] = ()
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
                waiting = 0
                if isinstance(event, Answer):
                    yield finished(event)
                    continue
                if isinstance(event, Waiting):
                    waiting = event.ahead
                elif isinstance(event, str):
                    text += event
                else:
                    passages = event
                yield messages(session, marked, growing_html(number, text, passages, waiting)), passages
    except RagError as error:
        yield finished(None, str(error))
    except Exception as error:
        yield finished(None, f"The answer failed ({error!r}). The terminal has the details.")
        raise


def changed(conversation: Conversation, engine: Engine) -> frozenset[Citation]:
    """The citations whose quote is no longer where it was in its document."""
    cited = {citation for turn in conversation.turns if turn.answer for citation in turn.answer.citations}
    return frozenset(citation for citation in cited if engine.open(citation).changed)
