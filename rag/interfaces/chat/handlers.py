"""What the page's events do: each takes and gives the values of Gradio's components."""

import contextlib
import functools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeAlias, TypeVar

import gradio as gr

from rag.errors import QuestionError, RagError
from rag.indexing.catalog import Listed
from rag.interfaces.chat import session as chat
from rag.interfaces.chat.conversation import markdown, read_record, record, renamed
from rag.interfaces.chat.html import as_text
from rag.interfaces.chat.panes import Panes, inside_html, status_html
from rag.interfaces.chat.session import Limits, Messages, Session, messages
from rag.interfaces.feedback import rate
from rag.interfaces.lifecycle import Preparation
from rag.types import Citation, Passage
from rag.wiring import backend

P = ParamSpec("P")
T = TypeVar("T")

Marked: TypeAlias = frozenset[Citation]
"""The citations whose document has changed since."""

Seen: TypeAlias = tuple[str, int]
"""The generation of the index and the number of finished builds when a page last looked."""


def shows_errors(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with the message of a `RagError` shown on the page."""

    @functools.wraps(function)
    def showing(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except RagError as error:
            raise gr.Error(as_text(str(error)), print_exception=False) from error

    return showing


@dataclass(frozen=True, slots=True)
class Handlers:
    """The events of one page over one preparation."""

    preparation: Preparation
    panes: Panes

    @shows_errors
    def ask(
        self, question: str | None, session: Session, marked: Marked
    ) -> tuple[str, Messages, Session, Any]:
        """Show the question, which `reply` answers next, and empty its box."""
        session = chat.asked(session, question or "")
        # The box is emptied here only: what is typed while the answer grows stays.
        return "", messages(session, marked), session, gr.Row(visible=False)

    @shows_errors
    def ask_again(self, session: Session, marked: Marked) -> tuple[Messages, Session, Any]:
        """Remove the last answer; `reply` answers its question next."""
        session = chat.asked_again(session)
        return messages(session, marked), session, gr.Row(visible=False)

    async def reply(
        self,
        session: Session,
        marked: Marked,
        since: str | None,
        until: str | None,
        sources: list[str] | None,
    ) -> AsyncGenerator[tuple[Any, Any, Any], None]:
        """The conversation and the passages that are read while the answer grows; the session at the end."""
        limits = Limits(since or "", until or "", sources or ())
        replies = chat.replies(session, self.preparation, limits, marked)
        async with contextlib.aclosing(replies):
            yield gr.skip(), gr.skip(), ()
            async for shown, after in replies:
                if isinstance(after, Session):
                    yield shown, after, ()
                else:
                    yield shown, gr.skip(), after

    def reply_failed(self, session: Session, marked: Marked) -> tuple[Any, Session]:
        """End a question that `reply` could not ask because of its limits."""
        session = chat.ended(
            session, "This question can't be asked with these limits. Change them, or ask another question."
        )
        return messages(session, marked), session

    def stop(self, session: Session, marked: Marked) -> tuple[Any, Session, str]:
        """End the answer that is being written; also the record to save, "" if there was no such answer."""
        if session.pending is None:
            return gr.skip(), session, ""
        session = chat.ended(session, "Stopped.")
        return messages(session, marked), session, record(session.conversation)

    def repaint(self, session: Session, marked: Marked) -> Any:
        """Show the conversation as it is, in place of the last state of an answer that was cancelled."""
        return gr.skip() if session.pending is not None else messages(session, marked)

    def to_save(self, session: Session) -> str:
        """The record for the browser to save, "" for an empty conversation."""
        return record(session.conversation) if session.conversation.turns else ""

    def leave(self) -> tuple[Any, Messages, Session, Any]:
        """Begin an empty conversation, with none of the saved ones chosen."""
        return gr.Radio(value=None), [], Session(), gr.Row(visible=False)

    @shows_errors
    def edit(self, session: Session, event: gr.EventData) -> tuple[Session, str, Any, str]:
        """Put a question back into the box, with a note that it replaces what follows."""
        session, question = chat.edited(session, event.turn)
        note = f"Editing question {event.turn + 1}: asking it replaces everything after it."
        return session, question, gr.Row(visible=True), note

    def cancel_edit(self, session: Session) -> tuple[Session, str, Any]:
        """Leave the question that is edited as it was."""
        return replace(session, editing=None), "", gr.Row(visible=False)

    @shows_errors
    def rate_answer(self, session: Session, marked: Marked, event: gr.EventData) -> tuple[Messages, Session]:
        """Save whether a person finds an answer right."""
        session, answer, rating = chat.rated(session, event.turn, event.rating)
        rate(backend(self.preparation.settings), answer, rating)
        return messages(session, marked), session

    @shows_errors
    def open_cited(
        self, session: Session, reading: tuple[Passage, ...], event: gr.EventData
    ) -> tuple[str, Any]:
        """Open the document of a citation or a passage, also one of an answer in progress."""
        if session.pending is not None and event.turn == len(session.conversation.turns):
            shown = self.panes.passage(reading, event.number)
        else:
            shown = self.panes.source(session.conversation, event.what, event.turn, event.number)
        return shown, gr.Tabs(selected="source")

    @shows_errors
    def open_document(self, event: gr.EventData) -> tuple[str, Any]:
        """Open a document of the list."""
        return self.panes.document(event.source), gr.Tabs(selected="source")

    @shows_errors
    def look_inside(self, session: Session, event: gr.EventData) -> tuple[str, Any]:
        """Show how an answer was made."""
        answer = session.conversation.answer(event.turn)
        if answer is None:
            raise QuestionError("This answer is no longer in the conversation. Ask again.")
        return inside_html(answer), gr.Tabs(selected="inside")

    @shows_errors
    def reopen(self, text: str | None, _: str | None = None) -> tuple[Any, ...]:
        """Show a conversation that the browser has saved."""
        if not text:  # a first question may have been asked already: nothing changes
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        session = Session(read_record(text))
        marked: Marked = frozenset()
        with contextlib.suppress(RagError):
            if self.preparation.engine is not None:
                marked = chat.changed(session.conversation, self.preparation.engine)
        return messages(session, marked), session, marked, gr.Row(visible=False)

    def list_saved(self, saved: str, session: Session) -> tuple[Any, Any]:
        """The saved conversations to choose from, which `page.js` gives as JSON.

        If another tab continued the same conversation, this one was saved as a copy and gets the copy's id.
        """
        known = json.loads(saved)
        if known["full"]:
            gr.Warning("The browser's storage is full, so this conversation isn't saved. Delete others.")
        choices = [(title, identity) for title, identity in known["titles"]]
        chosen = known["open"] if any(known["open"] == identity for _, identity in choices) else None
        radio = gr.Radio(choices=choices, value=chosen)
        if not known["moved"]:
            return radio, gr.skip()
        gr.Info("Another tab continued this conversation. This one is saved as a copy.")
        return radio, replace(session, conversation=replace(session.conversation, id=known["moved"]))

    def deleted(self, saved: str, session: Session, chosen: str | None) -> tuple[Any, ...]:
        """The conversations that are left; an empty one is shown if the one that was open is deleted."""
        radio, _ = self.list_saved(saved, session)
        left = {identity for _, identity in json.loads(saved)["titles"]}
        if session.pending is None and chosen == session.conversation.id and chosen not in left:
            return radio, *self.leave()[1:]
        return radio, gr.skip(), gr.skip(), gr.skip()

    @shows_errors
    def rename(self, title: str | None, session: Session) -> tuple[Session, str]:
        """Give the conversation another title."""
        conversation = renamed(chat.idle(session).conversation, title or "")
        if not conversation.turns:
            raise QuestionError("This conversation has no question yet. Ask one, then rename it.")
        return replace(session, conversation=conversation), ""

    @shows_errors
    def export(self, session: Session, kind: str) -> str:
        """A file for `page.js` to save: its name, type and text, as JSON."""
        if not session.conversation.turns:
            raise QuestionError("This conversation is empty. Ask something first.")
        conversation = session.conversation
        name = "".join(letter if letter.isalnum() else "-" for letter in conversation.title)[:40].strip("-")
        if kind == "md":
            file = {"type": "text/markdown", "text": markdown(conversation)}
        else:
            file = {"type": "application/json", "text": record(conversation)}
        return json.dumps({"name": f"{name or 'conversation'}.{kind}", **file})

    def list_documents(self, sought: str | None) -> tuple[tuple[Listed, ...], str, Any]:
        """The documents, their table, and those to which a question can be limited."""
        documents = self.preparation.documents()
        indexed = [one.source for one in documents if one.characters is not None]
        return documents, self.panes.listed(documents, sought), gr.Dropdown(choices=indexed)

    @shows_errors
    def upload(self, paths: list[str], sought: str | None) -> tuple[Any, ...]:
        """Add files to the documents."""
        self.panes.add(paths)
        return self.list_documents(sought)

    @shows_errors
    def remove(self, sought: str | None, event: gr.EventData) -> tuple[Any, ...]:
        """Remove a document."""
        self.panes.remove(event.source)
        return self.list_documents(sought)

    @shows_errors
    def rebuild(self, sought: str | None) -> tuple[Any, ...]:
        """Rebuild the index."""
        self.panes.rebuild()
        return self.list_documents(sought)

    def status(self) -> str:
        """What the preparation is doing, as HTML."""
        return status_html(self.preparation.state)

    def look(self, session: Session, seen: Seen, sought: str | None) -> tuple[Any, ...]:
        """What has changed since the page last looked; `seen` is what it saw then."""
        unchanged = (gr.skip(),) * 6
        if session.pending is not None:
            return self.status(), *unchanged
        try:
            engine = self.preparation.engine
            now = ("" if engine is None else engine.generation(), self.preparation.builds)
            if now == seen:
                return self.status(), *unchanged
            shown, marked = gr.skip(), gr.skip()
            if engine is not None and now[0] != seen[0] and session.conversation.turns:
                marked = chat.changed(session.conversation, engine)
                shown = messages(session, marked)
            return self.status(), shown, now, marked, *self.list_documents(sought)
        except RagError as error:  # of an index that can't be read
            return status_html(str(error)), *unchanged
