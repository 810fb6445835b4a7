"""Documents in formats other than plain text → their text, in a process that runs `rag.documents.parsers`."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from rag.documents.parsers import OUT_OF_MEMORY, Extract
from rag.errors import UnreadableError
from rag.types import Block

TIMEOUT_S = 60.0
MAX_MEMORY_BYTES = 2 * 1024**3


class Sandbox:
    """A process that reads documents, started for the first one, and restarted after one that breaks it.

    A context manager that ends the process.
    """

    def __init__(self) -> None:
        """Start the process later, with the first document."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def extract(self, content: bytes, kind: str) -> Extract:
        """The text of a document of this kind, one of `rag.documents.parsers.KINDS`.

        `UnreadableError` with the reason if it has none, or takes too long or too much memory.
        """
        process, late = self._running(), threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        # Ending the process ends the wait, whether it doesn't take the document or doesn't reply.
        timer = threading.Timer(TIMEOUT_S, stop)
        timer.start()
        try:
            reply = _ask(process, content, kind)
        finally:
            timer.cancel()
            timer.join()
        if late.is_set():
            self._end()
            raise UnreadableError(f"took longer than {TIMEOUT_S:g} s to read")
        if not reply.endswith(b"\n"):
            if self._end() == OUT_OF_MEMORY:
                raise UnreadableError(f"needs more than {MAX_MEMORY_BYTES / 1024**3:g} GiB to read")
            raise UnreadableError("can't be read: it crashes the program that reads it")
        fields = json.loads(reply)
        if "reason" in fields:
            raise UnreadableError(fields["reason"])
        blocks = (
            Block(kind, start, end, level, tuple((first, last) for first, last in header))
            for kind, start, end, level, header in fields["blocks"]
        )
        return Extract(**{**fields, "pages": tuple(fields["pages"]), "blocks": tuple(blocks)})

    def _running(self) -> "subprocess.Popen[bytes]":
        """The process, restarted if something else ended it: that must not fail the next document."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = _start()
        return self._process

    def _end(self) -> int | None:
        """End the process, if there is one; its exit status."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        process.communicate()  # closes the pipes, also one with half a document in it
        return process.returncode


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # Not multiprocessing, which would run the user's main module again.
        [sys.executable, "-P", "-m", "rag.documents.parsers", str(MAX_MEMORY_BYTES), str(2 * TIMEOUT_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": _import_path()},
    )


def _import_path() -> str:
    """The import path of this process, with this package's root in place of the working folder."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(dict.fromkeys([*(folder or root for folder in sys.path), root]))


def _ask(process: subprocess.Popen[bytes], content: bytes, kind: str) -> bytes:
    """The reply, without a line end if the process ended early."""
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    with contextlib.suppress(OSError):
        process.stdin.write(json.dumps({"kind": kind, "length": len(content)}).encode() + b"\n")
        process.stdin.write(content)
        process.stdin.flush()
    return process.stdout.readline()
