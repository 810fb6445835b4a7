"""Documents that are no plain text → their text, read in another process (see `rag.documents.parsers`)."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from rag.documents.parsers import OUT_OF_MEMORY, Extract
from rag.errors import UnreadableError

TIMEOUT_S = 60.0
MAX_MEMORY_BYTES = 2 * 1024**3


class Sandbox:
    """A process that reads documents: started for the first one, and anew after one that breaks it.

    A context manager, which ends the process.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
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

        # Whatever the process does not do, take the document or reply, its end puts an end to it.
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
        return Extract(**{**fields, "pages": tuple(fields["pages"])})

    def _running(self) -> "subprocess.Popen[bytes]":
        """The process, anew if somebody else has ended it: that is no fault of the next document."""
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
        for pipe in (process.stdin, process.stdout):
            # Half a document may still be on its way.
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        return process.wait()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # Not multiprocessing, which would run the user's own program again.
        [sys.executable, "-P", "-m", "rag.documents.parsers", str(MAX_MEMORY_BYTES), str(2 * TIMEOUT_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": _import_path()},
    )


def _import_path() -> str:
    """Where this process finds its modules, this package among them, whatever the working folder is."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(dict.fromkeys([*(place or root for place in sys.path), root]))


def _ask(process: subprocess.Popen[bytes], content: bytes, kind: str) -> bytes:
    """The reply, which lacks its line end if the process ended before."""
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    with contextlib.suppress(OSError):
        process.stdin.write(json.dumps({"kind": kind, "length": len(content)}).encode() + b"\n")
        process.stdin.write(content)
        process.stdin.flush()
    return process.stdout.readline()
