"""The web chat: `python app.py`, or `rag serve` from any folder.

The page opens at once; the index is brought in step with the documents meanwhile, and the page shows how
far that is. What a document says is shown as text, whatever markup it holds.
"""

import os

# Before gradio is imported, which reads it then: nothing leaves the machine.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import sys
import threading
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Unpack

import gradio as gr

from rag.documents.folder import MAX_BYTES
from rag.errors import SettingsError
from rag.interfaces.api.gradio_api import Endpoints
from rag.interfaces.api.mount import additions
from rag.interfaces.api.security import Login
from rag.interfaces.api.service import Programs
from rag.interfaces.chat.events import connect
from rag.interfaces.chat.handlers import Handlers
from rag.interfaces.chat.layout import THEME, Page
from rag.interfaces.chat.panes import Panes
from rag.interfaces.lifecycle import Preparation
from rag.settings import PageOptions, Serving, resolve_page

MAX_SESSIONS = 500
"""How many pages and programs the server remembers: each takes 0.1 MB; Gradio's default is 10,000."""


def page(preparation: Preparation, *, read_only: bool = False) -> Any:
    """The page, not yet served. Opening it starts the preparation, again if it failed before."""
    handlers = Handlers(preparation, Panes(preparation, read_only))
    with gr.Blocks(title="Ask the documents", analytics_enabled=False, delete_cache=(3600, 86_400)) as blocks:
        connect(blocks, Page(preparation.settings, handlers.status(), read_only=read_only), handlers)
        endpoints = Endpoints(preparation, refusal=lambda message: gr.Error(message, print_exception=False))
        public = [endpoints.answer, endpoints.search, endpoints.documents]
        for endpoint in public if read_only else [*public, endpoints.build]:
            gr.events.api(endpoint, api_name=endpoint.__name__, concurrency_limit=None)
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
