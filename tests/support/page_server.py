"""`rag serve` in a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import PATIENCE_S, ROOT, wait_until


@contextlib.contextmanager
def served(folder: Path, *options: str, **environment: str) -> Iterator[tuple[str, int]]:
    """The address of the page over the documents in `folder`/docs, and the number of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--documents", str(folder / "docs"), "--index", str(folder / "index")]
    with (folder / f"log-{port}").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "rag", "serve", *places, *options, "--port", str(port)],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=os.environ | environment,
        )
    url = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        if server.poll() is not None:
            pytest.fail((folder / f"log-{port}").read_text())
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE_S):
            return True
        return False

    try:
        wait_until(answers, "the page is served")
        yield url, server.pid
    finally:
        server.terminate()
        server.wait(PATIENCE_S)
