"""What the tests share: a real server over loopback, and an engine that never stops by itself."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette

from rag.interfaces.api.mount import additions
from rag.interfaces.api.security import Login
from rag.interfaces.api.service import Programs
from rag.llm.worker import Worker
from tests.support import PATIENCE_S
from tests.support.fakes import QueuedModel


@contextlib.contextmanager
def served(engine: Any, *, login: Login | None = None, host: str = "127.0.0.1") -> Iterator[str]:
    """The address of a server that answers programs with this engine."""
    app = Starlette(**additions(Programs(lambda: engine), host=host, login=login))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    started = threading.Event()
    startup = server.startup

    async def starting(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = starting
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(PATIENCE_S)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


class TalkingEngine:
    """An engine whose model talks until it is stopped."""

    def __init__(self) -> None:
        self.worker = Worker(QueuedModel)
        self.talking = threading.Event()
        self.ended = threading.Event()

    def stream(self, question: str, *, stop: threading.Event, **_: Any) -> Iterator[Any]:
        def talk(model, cancelled):
            try:
                while not cancelled():
                    self.talking.set()
                    yield "word "
            finally:
                self.ended.set()

        yield ()
        yield from self.worker.run(talk, stop=stop)

    def model_is_free(self) -> bool:
        """Whether the model does what it is asked to once the talk has been ended by who asked."""

        def work(model, cancelled):
            yield model.name

        return self.ended.wait(PATIENCE_S) and list(self.worker.run(work))[-1] == "queued"
