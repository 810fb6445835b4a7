"""The web chat: `python app.py`, or `rag serve` from any folder.

The page opens at once; the index is brought in step with the documents meanwhile, and the page shows how
far that is. What a document says is shown as text, whatever markup it holds.
"""

import os

# Before gradio is imported, which reads it then: nothing leaves the machine.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import contextlib
import functools
import json
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from rag import library
from rag.documents import MAX_BYTES, READABLE
from rag.engine import MAX_QUESTION_CHARS
from rag.errors import DocumentsError, QuestionError, RagError, SettingsError
from rag.feedback import rate
from rag.library import Listed
from rag.page import chat
from rag.page.chat import Limits, Messages, Session, messages
from rag.page.conversation import (
    MAX_TITLE_CHARS,
    markdown,
    read_record,
    record,
    renamed,
)
from rag.page.markup import as_text
from rag.page.panes import NOTHING_INSIDE, NOTHING_OPEN, documents_html, inside_html, source_html
from rag.serving.endpoints import Endpoints
from rag.serving.guard import Login
from rag.serving.preparation import Preparation
from rag.serving.programs import Programs
from rag.serving.server import additions
from rag.settings import Serving, resolve, resolve_serving
from rag.types import Citation, Passage

P = ParamSpec("P")
T = TypeVar("T")

EXAMPLES = {
    "002_13f831a3d5680a96.txt": "Until when did the EU extend its curbs on Syria?",
    "003_297b44c24d4f81b1.txt": "Who is the Kremlin spokesman?",
    "004_4d98d33cc253c48d.txt": "Who is scheduled to visit Moscow early next week?",
}
"""Questions to begin with, where these documents are."""

LOOK_S = 2
"""How often the page asks for the state of the index."""

THEME = gr.themes.Default(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(
    # White words on them can be read, which Gradio's own shades don't allow.
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
)
DATE = "2016, 2016-05 or 2016-05-12"


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
class Panes:
    """What the panes beside the conversation show, for one preparation."""

    preparation: Preparation
    read_only: bool

    def source(self, session: Session, what: str, turn: int, number: int) -> str:
        """The document of a citation ("cite") or a passage of the turn of this number."""
        answer = session.conversation.answer(turn)
        found: Sequence[Citation | Passage] = ()
        if answer is not None:
            found = answer.citations if what == "cite" else answer.passages
        if answer is None or not 0 <= number < len(found):
            raise QuestionError("This is no longer in the conversation. Ask again.")
        cited = found[number]
        if isinstance(cited, Citation):
            return self._opened(cited, answer.passages[cited.label - 1])
        citation = Citation(number + 1, cited.source, cited.start, cited.end, cited.text, cited.page)
        return self._opened(citation, cited)

    def document(self, source: str) -> str:
        """A document that is indexed, by its name."""
        return self._opened(Citation(1, source, 0, 0, ""), Passage(source, 0, 0, "", 0.0))

    def listed(self, documents: Sequence[Listed], sought: str | None) -> str:
        """The documents that have what is sought in their name."""
        return documents_html(documents, sought or "", read_only=self.read_only)

    def add(self, paths: Sequence[str]) -> None:
        """Put uploaded files among the documents and bring the index in step, then tell of those refused."""
        self._may_change()
        refused: list[str] = []
        for path in paths:
            try:
                library.add(self.preparation.settings.documents, Path(path).name, Path(path))
            except DocumentsError as error:
                refused.append(str(error))
            finally:
                Path(path).unlink(missing_ok=True)
        if len(refused) < len(paths):
            self.preparation.build()
        if refused:
            raise DocumentsError(" ".join(refused))

    def remove(self, source: str) -> None:
        """Delete a file of the documents folder, and bring the index in step."""
        self._may_change()
        library.remove(self.preparation.settings.documents, source)
        self.preparation.build(may_be_empty=True)

    def rebuild(self) -> None:
        """Build the index from nothing."""
        self._may_change()
        self.preparation.build(rebuild=True)

    def _opened(self, citation: Citation, passage: Passage) -> str:
        opened = self.preparation.ready().open(citation)
        stale = opened.sha256 is not None and library.is_stale(
            self.preparation.settings.documents, opened.source, opened.sha256
        )
        return source_html(opened, citation, passage, stale=stale)

    def _may_change(self) -> None:
        if self.read_only:
            raise SettingsError("This page is read-only: its documents can't be changed here.")


def page(preparation: Preparation, *, read_only: bool = False) -> Any:
    """The page, not yet served. Opening it starts the preparation, again if it failed before."""
    panes = Panes(preparation, read_only)

    @told
    def take(question: str | None, session: Session) -> tuple[str, Messages, Session, Any]:
        session = chat.taken(session, question or "")
        # The box is emptied here, once: what is typed while the answer grows stays.
        return "", messages(session), session, gr.Row(visible=False)

    @told
    def take_again(session: Session) -> tuple[Messages, Session, Any]:
        session = chat.taken_again(session)
        return messages(session), session, gr.Row(visible=False)

    async def reply(
        session: Session, since: str | None, until: str | None, sources: list[str] | None
    ) -> AsyncGenerator[tuple[Messages, Any], None]:
        limits = Limits(since or "", until or "", sources or ())
        async with contextlib.aclosing(chat.replies(session, preparation, limits)) as growing:
            async for shown, after in growing:
                yield shown, gr.skip() if after is None else after

    def stop(session: Session) -> tuple[Any, Session, str]:
        if session.pending is None:
            return gr.skip(), session, ""
        session = chat.stopped(session)
        return messages(session), session, record(session.conversation)

    def kept(session: Session) -> str:
        return record(session.conversation) if session.conversation.turns else ""

    def leave() -> tuple[Messages, Session, Any]:
        return [], Session(), gr.Row(visible=False)

    @told
    def edit(session: Session, event: gr.EventData) -> tuple[Session, str, Any, str]:
        session, question = chat.edited(session, event.turn)
        told_so = f"Editing question {event.turn + 1}: what follows it is replaced when you ask."
        return session, question, gr.Row(visible=True), told_so

    def keep_as_is(session: Session) -> tuple[Session, str, Any]:
        return replace(session, editing=None), "", gr.Row(visible=False)

    @told
    def thumb(session: Session, event: gr.EventData) -> tuple[Messages, Session]:
        session, answer, rating = chat.rated(session, event.turn, event.rating)
        rate(preparation.settings.index, answer, rating)
        return messages(session), session

    @told
    def open_cited(session: Session, event: gr.EventData) -> tuple[str, Any]:
        return panes.source(session, event.what, event.turn, event.number), gr.Tabs(selected="source")

    @told
    def open_document(event: gr.EventData) -> tuple[str, Any]:
        return panes.document(event.source), gr.Tabs(selected="source")

    @told
    def look_inside(session: Session, event: gr.EventData) -> tuple[str, Any]:
        answer = session.conversation.answer(event.turn)
        if answer is None:
            raise QuestionError("This answer is no longer in the conversation. Ask again.")
        return inside_html(answer), gr.Tabs(selected="inside")

    @told
    def reopen(text: str | None, _: str | None = None) -> tuple[Any, ...]:
        if not text:  # nothing is touched: a first question may be asked already
            return gr.skip(), gr.skip(), gr.skip()
        session = Session(read_record(text))
        now = frozenset[Citation]()
        with contextlib.suppress(RagError):
            if preparation.engine is not None:
                now = chat.changed(session.conversation, preparation.engine)
        return messages(session, now), session, gr.Row(visible=False)

    def titles(found: str) -> Any:
        known = json.loads(found)
        if known["full"]:
            gr.Warning("The browser's storage is full, so this conversation isn't kept. Delete others.")
        choices = [(title, identity) for title, identity in known["titles"]]
        chosen = known["open"] if any(known["open"] == identity for _, identity in choices) else None
        return gr.Radio(choices=choices, value=chosen)

    def deleted(found: str, session: Session) -> tuple[Any, ...]:
        known = {identity for _, identity in json.loads(found)["titles"]}
        gone = session.pending is None and session.conversation.id not in known
        return titles(found), *(leave() if gone else (gr.skip(), session, gr.skip()))

    @told
    def rename(title: str | None, session: Session) -> tuple[Session, str]:
        conversation = renamed(chat.idle(session).conversation, title or "")
        if not conversation.turns:
            raise QuestionError("This conversation has no question yet. Ask one, then name it.")
        return replace(session, conversation=conversation), ""

    def export(session: Session, kind: str) -> str:
        if not session.conversation.turns:
            raise gr.Error("This conversation is empty. Ask something first.", print_exception=False)
        conversation = session.conversation
        name = "".join(letter if letter.isalnum() else "-" for letter in conversation.title)[:40].strip("-")
        if kind == "md":
            file = {"type": "text/markdown", "text": markdown(conversation)}
        else:
            file = {"type": "application/json", "text": record(conversation)}
        return json.dumps({"name": f"{name or 'conversation'}.{kind}", **file})

    def listing(sought: str | None) -> tuple[tuple[Listed, ...], str, Any]:
        documents = preparation.documents()
        known = [one.source for one in documents if one.characters is not None]
        return documents, panes.listed(documents, sought), gr.Dropdown(choices=known)

    @told
    def upload(paths: list[str], sought: str | None) -> tuple[Any, ...]:
        panes.add(paths)
        return listing(sought)

    @told
    def remove(sought: str | None, event: gr.EventData) -> tuple[Any, ...]:
        panes.remove(event.source)
        return listing(sought)

    @told
    def rebuild(sought: str | None) -> tuple[Any, ...]:
        panes.rebuild()
        return listing(sought)

    def state() -> str:
        return f"<p>{escape(preparation.state)}</p>"

    def look(session: Session, seen: str, sought: str | None) -> tuple[Any, ...]:
        same = (gr.skip(), seen, gr.skip(), gr.skip(), gr.skip())
        engine = preparation.engine
        now = ""
        with contextlib.suppress(RagError):  # the next question tells of an index that can't be read
            if engine is not None:
                now = engine.generation()
        now = f"{now} {preparation.state}"
        if now == seen or session.pending is not None:
            return state(), *same
        shown = gr.skip()
        with contextlib.suppress(RagError):
            if engine is not None and (cited := chat.changed(session.conversation, engine)):
                shown = messages(session, cited)
        return state(), shown, now, *listing(sought)

    with gr.Blocks(title="Ask the documents", analytics_enabled=False) as blocks:
        session = gr.State(Session())
        seen = gr.State("")
        documents = gr.State(())
        file = gr.Textbox(visible="hidden", container=False)
        kept_record = gr.Textbox(visible="hidden", container=False)
        gr.Markdown("# Ask the documents\nEvery answer is quoted from them, word for word.", elem_id="top")
        status = gr.HTML(state(), elem_id="status")
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                conversation = gr.Chatbot(
                    elem_id="chat",
                    label="Conversation",
                    show_label=False,
                    height="60vh",
                    latex_delimiters=[],
                    buttons=[],
                    feedback_options=None,
                    placeholder="Ask about your documents. Nothing leaves this machine.",
                )
                with gr.Row(visible=False) as editing:
                    editing_note = gr.Markdown()
                    leave_as_is = gr.Button("Keep it as it was", size="sm", min_width=140, scale=0)
                with gr.Row():
                    box = gr.Textbox(
                        label="Question",
                        show_label=False,
                        container=False,
                        placeholder="Your question",
                        elem_id="question",
                        max_length=MAX_QUESTION_CHARS,
                        scale=8,
                        autofocus=True,
                    )
                    send = gr.Button("Ask", variant="primary", scale=1, min_width=60)
                    stopping = gr.Button("Stop", scale=1, min_width=60)
                with gr.Accordion("Ask only some documents", open=False):
                    sources = gr.Dropdown([], multiselect=True, label="These documents")
                    with gr.Row():
                        since = gr.Textbox(label="Dated from", placeholder=DATE, min_width=140)
                        until = gr.Textbox(label="Dated to", placeholder=DATE, min_width=140)
                known = [
                    question
                    for source, question in EXAMPLES.items()
                    if (preparation.settings.documents / source).is_file()
                ]
                if known:
                    known.append("What is the capital of Australia?")
                    gr.Examples([[example] for example in known], inputs=[box], label="For example")
            with gr.Column(scale=5, min_width=320), gr.Tabs(selected="source") as tabs:
                with gr.Tab("Source", id="source"):
                    source = gr.HTML(NOTHING_OPEN, elem_id="source", apply_default_css=False)
                with gr.Tab("Look inside", id="inside"):
                    inside = gr.HTML(NOTHING_INSIDE, apply_default_css=False)
                with gr.Tab("Documents", id="documents"):
                    sought = gr.Textbox(label="Search by name or title", max_lines=1)
                    table = gr.HTML(
                        apply_default_css=False,
                        js_on_load="rag.documents(element, trigger)",
                        elem_id="documents",
                    )
                    if not read_only:
                        gr.HTML(
                            f'<p class="hint">Add {" ".join(READABLE)} files of at most '
                            f"{MAX_BYTES // 1_000_000} MB, or put them into the documents folder.</p>"
                        )
                    with gr.Row(visible=not read_only):
                        adding = gr.UploadButton(
                            "Add files",
                            file_count="multiple",
                            file_types=list(READABLE),
                            size="sm",
                        )
                        rebuilding = gr.Button("Rebuild the index", size="sm")
                with gr.Tab("Conversations", id="conversations") as conversations:
                    choice = gr.Radio([], label="Kept in this browser")
                    with gr.Row():
                        fresh = gr.Button("New", size="sm", min_width=80)
                        delete = gr.Button("Delete", size="sm", min_width=80)
                        as_markdown = gr.Button("Export Markdown", size="sm", min_width=120)
                        as_json = gr.Button("Export JSON", size="sm", min_width=120)
                    with gr.Row():
                        title = gr.Textbox(
                            placeholder="New title",
                            label="New title",
                            show_label=False,
                            container=False,
                            max_length=MAX_TITLE_CHARS,
                            max_lines=1,
                            scale=3,
                        )
                        retitle = gr.Button("Rename", size="sm", scale=1, min_width=80)
        clicks = gr.HTML(visible="hidden", js_on_load="rag.connect(trigger)")

        private: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        keeping: dict[str, Any] = {
            "fn": titles,
            "inputs": [kept_record],
            "outputs": [choice],
            "js": "record => rag.save(record)",
            **private,
        }
        listed = [documents, table, sources]
        taken = gr.on(
            [box.submit, send.click],
            take,
            [box, session],
            [box, conversation, session, editing],
            trigger_mode="multiple",
            **private,
        )
        taken_again = clicks.retry(
            take_again, [session], [conversation, session, editing], trigger_mode="multiple", **private
        )
        replying = [
            begun_reply.success(
                reply,
                [session, since, until, sources],
                [conversation, session],
                concurrency_limit=None,
                trigger_mode="multiple",
                show_progress="hidden",
                api_visibility="private",
            )
            for begun_reply in (taken, taken_again)
        ]
        for ended in replying:
            ended.then(kept, [session], [kept_record], **private).then(**keeping)
        stopping.click(
            stop, [session], [conversation, session, kept_record], cancels=replying, **private
        ).then(**keeping)
        # Another tab may have kept one meanwhile.
        conversations.select(**{**keeping, "js": "() => rag.save('')"})
        for leaving in (conversation.clear, fresh.click):
            leaving(
                leave,
                None,
                [conversation, session, editing],
                cancels=replying,
                js="() => rag.close()",
                **private,
            ).then(lambda: "", outputs=[kept_record], **private).then(**keeping)
        clicks.edit(edit, [session], [session, box, editing, editing_note], **private)
        leave_as_is.click(keep_as_is, [session], [session, box, editing], **private)
        clicks.like(thumb, [session], [conversation, session], **private).then(
            kept, [session], [kept_record], **private
        ).then(**keeping)
        clicks.select(open_cited, [session], [source, tabs], **private).then(js="() => rag.show()")
        clicks.click(look_inside, [session], [inside, tabs], **private)
        table.select(open_document, None, [source, tabs], **private).then(js="() => rag.show()")
        table.delete(remove, [sought], listed, concurrency_limit=None, api_visibility="private")
        sought.input(panes.listed, [documents, sought], [table], trigger_mode="always_last", **private)
        adding.upload(upload, [adding, sought], listed, concurrency_limit=None, api_visibility="private")
        rebuilding.click(rebuild, [sought], listed, concurrency_limit=None, api_visibility="private")
        choice.input(
            reopen,
            [kept_record, choice],
            [conversation, session, editing],
            cancels=replying,
            js="(_, id) => [rag.load(id), id]",
            **private,
        )
        delete.click(
            lambda found, session, _: deleted(found, session),
            [kept_record, session, choice],
            [choice, conversation, session, editing],
            js="(_, session, id) => [rag.remove(id), session, id]",
            **private,
        )
        retitle.click(rename, [title, session], [session, title], **private).success(
            kept, [session], [kept_record], **private
        ).then(**keeping)
        for button, kind in ((as_markdown, "md"), (as_json, "json")):
            button.click(functools.partial(export, kind=kind), [session], [file], **private).success(
                js="file => rag.download(file)", inputs=[file]
            )
        blocks.load(
            reopen,
            [kept_record],
            [conversation, session, editing],
            js="() => rag.reload()",
            **private,
        ).then(**keeping)
        blocks.load(preparation.start, **private)
        for looking in (blocks.load, gr.Timer(LOOK_S).tick):
            looking(look, [session, seen, sought], [status, conversation, seen, *listed], **private)
        endpoints = Endpoints(preparation, refusal=lambda message: gr.Error(message, print_exception=False))
        for endpoint in (endpoints.answer, endpoints.search, endpoints.documents):
            gr.events.api(endpoint, api_name=endpoint.__name__, concurrency_limit=None)
        if not read_only:
            gr.events.api(endpoints.build, api_name="build", concurrency_limit=None)
    return blocks


def serve(
    *,
    documents: str | None = None,
    index: str | None = None,
    embedder: str | None = None,
    model: str | None = None,
    reranker: str | None = None,
    reader: str | None = None,
    mode: str | None = None,
    threshold: str | None = None,
    host: str | None = None,
    port: int | None = None,
    user: str | None = None,
    read_only: bool | None = None,
) -> None:
    """Serve the page until it is interrupted; arguments as in `rag.settings`."""
    settings = resolve(
        documents=documents,
        index=index,
        embedder=embedder,
        model=model,
        reranker=reranker,
        reader=reader,
        mode=mode,
        threshold=threshold,
    )
    serving = resolve_serving(host=host, port=port, user=user, read_only=read_only)
    preparation = Preparation(settings)
    blocks = page(preparation, read_only=serving.read_only)
    login = Login(serving.user, serving.password) if serving.user else None
    added = additions(Programs(preparation.ready), host=serving.host, login=login)
    _, url, _ = launch(blocks, serving, added)
    preparation.start()
    threading.Thread(target=preparation.watch, name="watching", daemon=True).start()
    print(f"The chat is at {url}  (Ctrl-C ends it)", flush=True)
    blocks.block_thread()


def launch(blocks: Any, serving: Serving, added: Mapping[str, Any] | None = None) -> tuple[Any, str, str]:
    """Serve the page, with nothing from elsewhere: (server, its address, "").

    It goes on in threads of its own; `added` is what else it serves (see `rag.serving.server`).
    `SettingsError` when the port is taken.
    """
    parts = files("rag.page")
    try:
        served: tuple[Any, str, str] = blocks.queue().launch(
            server_name=serving.host,
            server_port=serving.port,
            auth=(serving.user, serving.password) if serving.user else None,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            theme=THEME,
            css=parts.joinpath("page.css").read_text("utf-8"),
            head=f"<script>{parts.joinpath('page.js').read_text('utf-8')}</script>",
            footer_links=[],
            max_file_size=MAX_BYTES,
            app_kwargs=dict(added or {}),
        )
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"Port {serving.port or '7860 and those after it'} can't be used. Name another: --port N"
        ) from error
    return served


if __name__ == "__main__":
    from rag.cli import main

    sys.exit(main(["serve", *sys.argv[1:]]))
