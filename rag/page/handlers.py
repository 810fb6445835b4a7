"""What the page's events do: each takes and gives the values of Gradio's components."""

import contextlib
import functools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from html import escape
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from rag.errors import QuestionError, RagError
from rag.feedback import rate
from rag.library import Listed
from rag.page import chat
from rag.page.chat import Limits, Messages, Session, messages
from rag.page.conversation import markdown, read_record, record, renamed
from rag.page.markup import as_text
from rag.page.panes import Panes, inside_html
from rag.serving.preparation import Preparation
from rag.types import Citation

P = ParamSpec("P")
T = TypeVar("T")


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
    def take(self, question: str | None, session: Session) -> tuple[str, Messages, Session, Any]:
        """The question is to be answered next."""
        session = chat.taken(session, question or "")
        # The box is emptied here, once: what is typed while the answer grows stays.
        return "", messages(session), session, gr.Row(visible=False)

    @told
    def take_again(self, session: Session) -> tuple[Messages, Session, Any]:
        """The last question is to be answered again."""
        session = chat.taken_again(session)
        return messages(session), session, gr.Row(visible=False)

    async def reply(
        self, session: Session, since: str | None, until: str | None, sources: list[str] | None
    ) -> AsyncGenerator[tuple[Messages, Any], None]:
        """The conversation while the answer grows; the session only at the end (see `rag.page.chat`)."""
        limits = Limits(since or "", until or "", sources or ())
        async with contextlib.aclosing(chat.replies(session, self.preparation, limits)) as growing:
            async for shown, after in growing:
                yield shown, gr.skip() if after is None else after

    def stop(self, session: Session) -> tuple[Any, Session, str]:
        """The answer that is being written ends here; the record to keep, "" if there was none."""
        if session.pending is None:
            return gr.skip(), session, ""
        session = chat.stopped(session)
        return messages(session), session, record(session.conversation)

    def kept(self, session: Session) -> str:
        """The record to keep, "" for an empty conversation."""
        return record(session.conversation) if session.conversation.turns else ""

    def leave(self) -> tuple[Messages, Session, Any]:
        """Begin an empty conversation."""
        return [], Session(), gr.Row(visible=False)

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
    def thumb(self, session: Session, event: gr.EventData) -> tuple[Messages, Session]:
        """Keep what a person thinks of an answer."""
        session, answer, rating = chat.rated(session, event.turn, event.rating)
        rate(self.preparation.settings.index, answer, rating)
        return messages(session), session

    @told
    def open_cited(self, session: Session, event: gr.EventData) -> tuple[str, Any]:
        """Open the document of a citation or a passage."""
        return self.panes.source(session.conversation, event.what, event.turn, event.number), gr.Tabs(
            selected="source"
        )

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
            return gr.skip(), gr.skip(), gr.skip()
        session = Session(read_record(text))
        now = frozenset[Citation]()
        with contextlib.suppress(RagError):
            if self.preparation.engine is not None:
                now = chat.changed(session.conversation, self.preparation.engine)
        return messages(session, now), session, gr.Row(visible=False)

    def titles(self, found: str) -> Any:
        """The kept conversations to choose from, as `page.js` lists them."""
        known = json.loads(found)
        if known["full"]:
            gr.Warning("The browser's storage is full, so this conversation isn't kept. Delete others.")
        choices = [(title, identity) for title, identity in known["titles"]]
        chosen = known["open"] if any(known["open"] == identity for _, identity in choices) else None
        return gr.Radio(choices=choices, value=chosen)

    def deleted(self, found: str, session: Session) -> tuple[Any, ...]:
        """What is left to choose from; the conversation is empty if it was the one."""
        known = {identity for _, identity in json.loads(found)["titles"]}
        gone = session.pending is None and session.conversation.id not in known
        return self.titles(found), *(self.leave() if gone else (gr.skip(), session, gr.skip()))

    @told
    def rename(self, title: str | None, session: Session) -> tuple[Session, str]:
        """Give the conversation another title."""
        conversation = renamed(chat.idle(session).conversation, title or "")
        if not conversation.turns:
            raise QuestionError("This conversation has no question yet. Ask one, then name it.")
        return replace(session, conversation=conversation), ""

    def export(self, session: Session, kind: str) -> str:
        """A file for `page.js` to save: its name, type and text, as JSON."""
        if not session.conversation.turns:
            raise gr.Error("This conversation is empty. Ask something first.", print_exception=False)
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

    def look(self, session: Session, seen: tuple[str, str], sought: str | None) -> tuple[Any, ...]:
        """What has changed since the page last looked, and saw this state of the index and of its start."""
        engine = self.preparation.engine
        now = ("", self.preparation.state)
        with contextlib.suppress(RagError):  # the next question tells of an index that can't be read
            if engine is not None:
                now = (engine.generation(), self.preparation.state)
        if now == seen or session.pending is not None:
            return self.state(), gr.skip(), seen, gr.skip(), gr.skip(), gr.skip()
        shown = gr.skip()
        with contextlib.suppress(RagError):
            if engine is not None and now[0] != seen[0] and session.conversation.turns:
                shown = messages(session, chat.changed(session.conversation, engine))
        return self.state(), shown, now, *self.listing(sought)
