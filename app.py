"""The web chat: `python app.py`, or `rag serve` from any folder.

The page opens at once; the index is brought in step with the documents meanwhile, and the page shows how
far that is. What a document says is shown as text, whatever markup it holds.
"""

import os

# Before gradio is imported, which reads it then: nothing leaves the machine.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import functools
import sys
import threading
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Unpack

import gradio as gr

from rag.documents.folder import MAX_BYTES, READABLE
from rag.errors import SettingsError
from rag.interfaces.api.gradio_api import Endpoints
from rag.interfaces.api.mount import additions
from rag.interfaces.api.security import Login
from rag.interfaces.api.service import Programs
from rag.interfaces.chat.conversation import MAX_TITLE_CHARS
from rag.interfaces.chat.handlers import Handlers
from rag.interfaces.chat.panes import NOTHING_INSIDE, NOTHING_OPEN, Panes
from rag.interfaces.chat.session import Session
from rag.interfaces.lifecycle import Preparation
from rag.retrieval.query import MAX_QUESTION_CHARS
from rag.settings import PageOptions, Serving, resolve_page

EXAMPLES = {
    "002_13f831a3d5680a96.txt": "Until when did the EU extend its curbs on Syria?",
    "003_297b44c24d4f81b1.txt": "Who is the Kremlin spokesman?",
    "004_4d98d33cc253c48d.txt": "Who is scheduled to visit Moscow early next week?",
}
"""Questions to begin with, where these documents are."""

LOOK_S = 2
"""How often the page asks for the state of the index."""

MAX_SESSIONS = 500
"""Those of pages and programs that were heard of last: each takes 0.1 MB, and Gradio would keep 10,000."""

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


def page(preparation: Preparation, *, read_only: bool = False) -> Any:
    """The page, not yet served. Opening it starts the preparation, again if it failed before."""
    on = Handlers(preparation, Panes(preparation, read_only))
    with gr.Blocks(title="Ask the documents", analytics_enabled=False, delete_cache=(3600, 86_400)) as blocks:
        session = gr.State(Session())
        marked = gr.State(frozenset())
        reading = gr.State(())
        seen = gr.State(("", -1))
        documents = gr.State(())
        file = gr.Textbox(visible="hidden", container=False)
        kept_record = gr.Textbox(visible="hidden", container=False)
        gr.Markdown("# Ask the documents\nEvery answer is quoted from them, word for word.", elem_id="top")
        status = gr.HTML(on.state(), elem_id="status")
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
                    sources = gr.Dropdown(
                        [], multiselect=True, allow_custom_value=True, label="These documents"
                    )
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
                        js_on_load="rag.documents.folder(element, trigger)",
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

        # What may fail goes through the queue: Gradio shows no error of what doesn't.
        queued: dict[str, Any] = {
            "concurrency_limit": None,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        private: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        keeping: dict[str, Any] = {
            "fn": on.titles,
            "inputs": [kept_record, session],
            "outputs": [choice, session],
            "js": "(record, session) => [rag.save(record), session]",
            **queued,
        }
        painted: dict[str, Any] = {
            "fn": on.shown,
            "inputs": [session, marked],
            "outputs": [conversation],
            **private,
        }
        listed = [documents, table, sources]
        taken = gr.on(
            [box.submit, send.click],
            on.take,
            [box, session, marked],
            [box, conversation, session, editing],
            js="(...given) => rag.asked(given)",
            **queued,
        )
        taken_again = clicks.retry(
            on.take_again, [session, marked], [conversation, session, editing], **queued
        )
        replying = [
            asked.success(
                on.reply,
                [session, marked, since, until, sources],
                [conversation, session, reading],
                trigger_mode="multiple",
                **queued,
            )
            for asked in (taken, taken_again)
        ]
        for ended in replying:
            ended.failure(on.failed, [session, marked], [conversation, session], **private)
            ended.then(on.kept, [session], [kept_record], **private).then(**keeping)
        stopping.click(
            on.stop, [session, marked], [conversation, session, kept_record], cancels=replying, **private
        ).then(**keeping).then(**painted)
        # Another tab may have kept one meanwhile.
        conversations.select(**{**keeping, "js": "(_, session) => [rag.save(''), session]"})
        for leaving in (conversation.clear, fresh.click):
            leaving(
                on.leave,
                None,
                [choice, conversation, session, editing],
                cancels=replying,
                js="() => rag.close()",
                **private,
            ).then(**painted)
        clicks.edit(on.edit, [session], [session, box, editing, editing_note], **queued).success(
            js="() => rag.focus()"
        )
        leave_as_is.click(on.keep_as_is, [session], [session, box, editing], **private)
        clicks.like(on.thumb, [session, marked], [conversation, session], **queued).then(
            on.kept, [session], [kept_record], **private
        ).then(**keeping)
        clicks.select(on.open_cited, [session, reading], [source, tabs], **queued).success(
            js="() => rag.show()"
        )
        clicks.click(on.look_inside, [session], [inside, tabs], **queued)
        table.select(on.open_document, None, [source, tabs], **queued).success(js="() => rag.show()")
        table.delete(on.remove, [sought], listed, **queued)
        sought.input(on.panes.listed, [documents, sought], [table], trigger_mode="always_last", **private)
        adding.upload(on.upload, [adding, sought], listed, **queued)
        rebuilding.click(on.rebuild, [sought], listed, **queued)
        choice.input(
            on.reopen,
            [kept_record, choice],
            [conversation, session, marked, editing],
            cancels=replying,
            js="(_, id) => [rag.load(id), id]",
            **queued,
        ).then(**painted)
        delete.click(
            on.deleted,
            [kept_record, session, choice],
            [choice, conversation, session, editing],
            js="(_, session, id) => [rag.remove(id), session, id]",
            **queued,
        )
        retitle.click(on.rename, [title, session], [session, title], **queued).success(
            on.kept, [session], [kept_record], **private
        ).then(**keeping)
        for button, kind in ((as_markdown, "md"), (as_json, "json")):
            button.click(functools.partial(on.export, kind=kind), [session], [file], **queued).success(
                js="file => rag.download(file)", inputs=[file]
            )
        blocks.load(
            on.reopen,
            [kept_record],
            [conversation, session, marked, editing],
            js="() => rag.reload()",
            **queued,
        ).then(**keeping)
        blocks.load(inputs=[box], outputs=[box], js="typed => rag.unanswered() || typed")
        blocks.load(preparation.start, **private)
        for looking in (blocks.load, gr.Timer(LOOK_S).tick):
            looking(
                on.look,
                [session, seen, sought],
                [status, conversation, seen, marked, *listed],
                **private,
            )
        endpoints = Endpoints(preparation, refusal=lambda message: gr.Error(message, print_exception=False))
        for endpoint in (endpoints.answer, endpoints.search, endpoints.documents):
            gr.events.api(endpoint, api_name=endpoint.__name__, concurrency_limit=None)
        if not read_only:
            gr.events.api(endpoints.build, api_name="build", concurrency_limit=None)
    return blocks


def serve(**options: Unpack[PageOptions]) -> None:
    """Serve the page until it is interrupted; the options are declared in `rag.settings`."""
    settings, serving = resolve_page(**options)
    preparation = Preparation(settings)
    blocks = page(preparation, read_only=serving.read_only)
    login = Login(serving.user, serving.password) if serving.user else None
    added = additions(
        Programs(preparation.ready), host=serving.host, login=login, uploads=not serving.read_only
    )
    _, url, _ = launch(blocks, serving, added)
    preparation.start()
    threading.Thread(target=preparation.watch, name="watching", daemon=True).start()
    print(f"The chat is at {url}  (Ctrl-C ends it)", flush=True)
    blocks.block_thread()


def launch(blocks: Any, serving: Serving, added: Mapping[str, Any] | None = None) -> tuple[Any, str, str]:
    """Serve the page, with nothing from elsewhere: (server, its address, "").

    It goes on in threads of its own; `added` is what else it serves (see `rag.interfaces.api.mount`).
    `SettingsError` when the port is taken.
    """
    parts = files("rag.interfaces.chat")
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
            state_session_capacity=MAX_SESSIONS,
            app_kwargs=dict(added or {}),
        )
    except (OSError, OverflowError) as error:
        where = "" if serving.host == "127.0.0.1" else f" on {serving.host}"
        raise SettingsError(
            f"Port {serving.port or '7860 and those after it'} can't be used{where}. Name another: --port N"
        ) from error
    return served


if __name__ == "__main__":
    from rag.interfaces.cli.main import main

    sys.exit(main(["serve", *sys.argv[1:]]))
