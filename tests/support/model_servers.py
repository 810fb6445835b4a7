"""Servers of language models: llama.cpp's own with the embedded model, and one that says what it is told."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rag.models.registry import EMBEDDED_LANGUAGE_MODEL, embedded_path
from tests.support import PATIENCE_S, wait_until


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def llama_server(log: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of llama.cpp's server with the embedded model, and its process."""
    pytest.importorskip("starlette_context", reason="llama-cpp-python[server] has the server")
    model = embedded_path(EMBEDDED_LANGUAGE_MODEL)
    assert model is not None
    port = free_port()
    program = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--host", "127.0.0.1"]
    program += ["--port", str(port), "--interrupt_requests", "False", "--n_ctx", "2048", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(program, stdout=output, stderr=output, env=os.environ | {"HOST": ""})

    def listens() -> bool:
        if process.poll() is not None:
            pytest.fail(log.read_text())
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE_S):
            return True
        return False

    try:
        wait_until(listens, "the model's server listens")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


class Scripted(ThreadingHTTPServer):
    """A server that ignores grammars, writes `reply`, and then does what `end` says.

    Where that is "silence" or "pings" it says nothing of the reply, for as long as it runs.
    """

    daemon_threads = True

    def __init__(self, reply: str, *, end: str = "done") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.end = end
        self.closing = threading.Event()
        self.asked: list[dict] = []
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers["Authorization"])
        if self.server.end.isdecimal():
            self.send_error(int(self.server.end), self.server.reply)
            return
        self.send_response(200)
        kind = "text/plain; charset=latin-1" if self.server.end == "odd" else "text/event-stream"
        self.send_header("Content-Type", kind)
        self.end_headers()
        if self.server.end in ("pings", "silence"):
            self._keep_waiting()
            return
        pieces = [self.server.reply[at : at + 7] for at in range(0, len(self.server.reply), 7)]
        for piece in pieces:
            self._send({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
        if self.server.end == "done":
            self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self.wfile.write(b"data: [DONE]\n\n")
        elif self.server.end == "odd":  # as some servers write it
            self._send({"error": None, "choices": [{"index": 0, "delta": {"content": None}}]})
            self.wfile.write(b"id: 1\revent: ping\r\r: a comment\n\ndata:[DONE]\r\n\r\n")
        elif self.server.end == "error":
            self._send({"error": {"message": "out of memory"}})

    def _keep_waiting(self) -> None:
        with contextlib.suppress(OSError):
            while not self.server.closing.wait(0.1):
                if self.server.end == "pings":
                    self.wfile.write(b": ping\n\n")

    def _send(self, part: dict) -> None:
        self.wfile.write(b"data: " + json.dumps(part, ensure_ascii=False).encode() + b"\n\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def scripted(reply: str, **options) -> Iterator[Scripted]:
    with Scripted(reply, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
