"""What the page's events do: each takes and gives the values of Gradio's components."""

import contextlib
import functools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from html import escape
from typing import Any, ParamSpec, TypeAlias, TypeVar

import gradio as gr

from rag.errors import QuestionError, RagError
from rag.indexing.catalog import Listed
from rag.interfaces.chat import session as chat
from rag.interfaces.chat.conversation import markdown, read_record, record, renamed
from rag.interfaces.chat.messages import as_text
from rag.interfaces.chat.panes import Panes, inside_html
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
"""The state of the index, and how many builds had ended, when a page last looked."""


def told(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with a `RagError` shown on the page as the one sentence that it is."""

    @functools.wraps(function)
    def telling(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except RagError as error:
            raise gr.Error(as_text(str(error)), print_exception=False) from error

    return telling


@dataclass(frozen=True, slots=True)
class Handlers:
    """The events of one page over one preparation."""

    preparation: Preparation
    panes: Panes

    @told
    def take(
        self, question: str | None, session: Session, marked: Marked
    ) -> tuple[str, Messages, Session, Any]:
        """The question is to be answered next."""
        session = chat.taken(session, question or "")
        # The box is emptied here, once: what is typed while the answer grows stays.
        return "", messages(session, marked), session, gr.Row(visible=False)

    @told
    def take_again(self, session: Session, marked: Marked) -> tuple[Messages, Session, Any]:
        """The last question is to be answered again."""
        session = chat.taken_again(session)
        return messages(session, marked), session, gr.Row(visible=False)

    async def reply(
        self,
        session: Session,
        marked: Marked,
        since: str | None,
        until: str | None,
        sources: list[str] | None,
    ) -> AsyncGenerator[tuple[Any, Any, Any], None]:
        """The conversation and its passages while the answer grows; the session only at the end."""
        limits = Limits(since or "", until or "", sources or ())
        found = chat.replies(session, self.preparation, limits, marked)
        async with contextlib.aclosing(found):
            yield gr.skip(), gr.skip(), ()
            async for shown, after in found:
                if isinstance(after, Session):
                    yield shown, after, ()
                else:
                    yield shown, gr.skip(), after

    def failed(self, session: Session, marked: Marked) -> tuple[Any, Session]:
        """A question that got no answer, as its limits couldn't be used, is pending no longer."""
        session = chat.ended(
            session, "This question can't be asked as it is. Change its limits, or ask another."
        )
        return messages(session, marked), session

    def stop(self, session: Session, marked: Marked) -> tuple[Any, Session, str]:
        """The answer that is being written ends here; the record to keep, "" if there was none."""
        if session.pending is None:
            return gr.skip(), session, ""
        session = chat.ended(session, "Stopped.")
        return messages(session, marked), session, record(session.conversation)

    def shown(self, session: Session, marked: Marked) -> Any:
        """The conversation as it is, in place of what an answer that has ended may have shown last."""
        return gr.skip() if session.pending is not None else messages(session, marked)

    def kept(self, session: Session) -> str:
        """The record to keep, "" for an empty conversation."""
        return record(session.conversation) if session.conversation.turns else ""

    def leave(self) -> tuple[Any, Messages, Session, Any]:
        """Begin an empty conversation; of those that are kept, none is chosen."""
        return gr.Radio(value=None), [], Session(), gr.Row(visible=False)

    @told
    def edit(self, session: Session, event: gr.EventData) -> tuple[Session, str, Any, str]:
        """Put a question back into the box, and say that what follows it will be replaced."""
        session, question = chat.edited(session, event.turn)
        told_so = f"Editing question {event.turn + 1}: what follows it is replaced when you ask."
        return session, question, gr.Row(visible=True), told_so

    def keep_as_is(self, session: Session) -> tuple[Session, str, Any]:
        """Edit nothing after all."""
        return replace(session, editing=None), "", gr.Row(visible=False)

    @told
    def thumb(self, session: Session, marked: Marked, event: gr.EventData) -> tuple[Messages, Session]:
        """Keep what a person thinks of an answer."""
        session, answer, rating = chat.rated(session, event.turn, event.rating)
        rate(backend(self.preparation.settings), answer, rating)
        return messages(session, marked), session

    @told
    def open_cited(
        self, session: Session, reading: tuple[Passage, ...], event: gr.EventData
    ) -> tuple[str, Any]:
        """Open the document of a citation or a passage, which may be one that is being read."""
        if session.pending is not None and event.turn == len(session.conversation.turns):
            shown = self.panes.passage(reading, event.number)
        else:
            shown = self.panes.source(session.conversation, event.what, event.turn, event.number)
        return shown, gr.Tabs(selected="source")

    @told
    def open_document(self, event: gr.EventData) -> tuple[str, Any]:
        """Open a document of the list."""
        return self.panes.document(event.source), gr.Tabs(selected="source")

    @told
    def look_inside(self, session: Session, event: gr.EventData) -> tuple[str, Any]:
        """Show how an answer came to be."""
        answer = session.conversation.answer(event.turn)
        if answer is None:
            raise QuestionError("This answer is no longer in the conversation. Ask again.")
        return inside_html(answer), gr.Tabs(selected="inside")

    @told
    def reopen(self, text: str | None, _: str | None = None) -> tuple[Any, ...]:
        """The conversation that the browser has kept."""
        if not text:  # nothing is touched: a first question may be asked already
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        session = Session(read_record(text))
        marked: Marked = frozenset()
        with contextlib.suppress(RagError):
            if self.preparation.engine is not None:
                marked = chat.changed(session.conversation, self.preparation.engine)
        return messages(session, marked), session, marked, gr.Row(visible=False)

    def titles(self, found: str, session: Session) -> tuple[Any, Any]:
        """The kept conversations to choose from, as `page.js` lists them.

        A conversation that another tab went on with was kept beside it, and has another id from now on.
        """
        known = json.loads(found)
        if known["full"]:
            gr.Warning("The browser's storage is full, so this conversation isn't kept. Delete others.")
        choices = [(title, identity) for title, identity in known["titles"]]
        chosen = known["open"] if any(known["open"] == identity for _, identity in choices) else None
        if known["moved"]:
            gr.Info("Another tab went on with this conversation. This one is kept beside it.")
            moved = replace(session.conversation, id=known["moved"])
            return gr.Radio(choices=choices, value=chosen), replace(session, conversation=moved)
        return gr.Radio(choices=choices, value=chosen), gr.skip()

    def deleted(self, found: str, session: Session, chosen: str | None) -> tuple[Any, ...]:
        """What is left to choose from; the conversation is empty if it was the one that was deleted."""
        radio, _ = self.titles(found, session)
        known = {identity for _, identity in json.loads(found)["titles"]}
        if session.pending is None and chosen == session.conversation.id and chosen not in known:
            return radio, *self.leave()[1:]
        return radio, gr.skip(), gr.skip(), gr.skip()

    @told
    def rename(self, title: str | None, session: Session) -> tuple[Session, str]:
        """Give the conversation another title."""
        conversation = renamed(chat.idle(session).conversation, title or "")
        if not conversation.turns:
            raise QuestionError("This conversation has no question yet. Ask one, then name it.")
        return replace(session, conversation=conversation), ""

    @told
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

    def listing(self, sought: str | None) -> tuple[tuple[Listed, ...], str, Any]:
        """The documents, their table, and those that a question can be limited to."""
        documents = self.preparation.documents()
        known = [one.source for one in documents if one.characters is not None]
        return documents, self.panes.listed(documents, sought), gr.Dropdown(choices=known)

    @told
    def upload(self, paths: list[str], sought: str | None) -> tuple[Any, ...]:
        """Add files."""
        self.panes.add(paths)
        return self.listing(sought)

    @told
    def remove(self, sought: str | None, event: gr.EventData) -> tuple[Any, ...]:
        """Remove a document."""
        self.panes.remove(event.source)
        return self.listing(sought)

    @told
    def rebuild(self, sought: str | None) -> tuple[Any, ...]:
        """Build the index from nothing."""
        self.panes.rebuild()
        return self.listing(sought)

    def state(self) -> str:
        """What the preparation is at, as HTML."""
        return f"<p>{escape(self.preparation.state)}</p>"

    def look(self, session: Session, seen: Seen, sought: str | None) -> tuple[Any, ...]:
        """What has changed since the page last looked, and saw this."""
        unchanged = (gr.skip(),) * 6
        if session.pending is not None:
            return self.state(), *unchanged
        try:
            engine = self.preparation.engine
            now = ("" if engine is None else engine.generation(), self.preparation.builds)
            if now == seen:
                return self.state(), *unchanged
            shown, marked = gr.skip(), gr.skip()
            if engine is not None and now[0] != seen[0] and session.conversation.turns:
                marked = chat.changed(session.conversation, engine)
                shown = messages(session, marked)
            return self.state(), shown, now, marked, *self.listing(sought)
        except RagError as error:  # of an index that can't be read
            return f"<p>{escape(str(error))}</p>", *unchanged
