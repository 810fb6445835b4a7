"""The page in a process of its own, as Gradio's server leaves sockets and loops open in the one it is in.

`python -m tests.support.page_process DOCUMENTS INDEX` prints its address; without folders it has an engine
that never stops by itself, and `free` is printed once the model has been freed. It ends with its stdin.
"""

import sys
from typing import cast

import app
from rag.answering.engine import Engine
from rag.interfaces.api.mount import additions
from rag.interfaces.api.service import Programs
from rag.interfaces.lifecycle import Preparation
from rag.settings import resolve, resolve_serving
from tests.support.api_server import TalkingEngine


def main(folders: list[str]) -> None:
    if folders:
        preparation = Preparation(resolve(documents=folders[0], index=folders[1]))
        preparation.start()
    else:
        preparation = Preparation(resolve())
        engine = TalkingEngine()
        preparation.engine = cast(Engine, engine)
        preparation.ended.set()
    added = additions(Programs(preparation.ready), host="127.0.0.1", login=None)
    blocks = app.page(preparation)
    _, url, _ = app.launch(blocks, resolve_serving(), added)
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    if not folders and engine.model_is_free():
        sys.stdout.write("free\n")
        sys.stdout.flush()
    sys.stdin.read()
    blocks.close(verbose=False)


main(sys.argv[1:])
