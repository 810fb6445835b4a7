"""The process that reads documents, one after the other, until its input ends.

Its arguments are its memory limit in bytes and its time limit per document in seconds. A request is a line
of JSON with the kind and the length in bytes, and then the bytes. The reply is a line of JSON: the fields of
an `Extract`, or the reason why there is none.
"""

import contextlib
import faulthandler
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, replace
from typing import BinaryIO

from rag.documents.parsers import OUT_OF_MEMORY, Extract, require_text
from rag.documents.parsers.docx import read_word
from rag.documents.parsers.eml import read_mail
from rag.documents.parsers.html import read_web_page
from rag.documents.parsers.pdf import read_pdf
from rag.documents.parsers.plain import clean
from rag.errors import UnreadableError

_READERS: Mapping[str, tuple[str, Callable[[bytes], Extract]]] = {
    ".pdf": ("PDF", read_pdf),
    ".docx": ("Word document", read_word),
    ".html": ("web page", read_web_page),
    ".htm": ("web page", read_web_page),
    ".eml": ("e-mail", read_mail),
}


def main(max_memory_bytes: int, max_seconds: float) -> None:
    """Read requests from stdin, and write replies to stdout."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the replies
    _limit_memory(max_memory_bytes)
    try:
        _serve(sys.stdin.buffer, replies, max_seconds)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _limit_memory(max_bytes: int) -> None:
    """Limit the memory where the system can: Linux does, macOS ignores the limit, Windows has none."""
    try:
        import resource
    except ImportError:
        return
    _, hard_limit = resource.getrlimit(resource.RLIMIT_AS)
    limit = max_bytes if hard_limit == resource.RLIM_INFINITY else min(max_bytes, hard_limit)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard_limit))


def _serve(requests: BinaryIO, replies: BinaryIO, max_seconds: float) -> None:
    while line := requests.readline():
        request = json.loads(line)
        # The parent stops this process earlier; this is for when the parent is gone.
        faulthandler.dump_traceback_later(max_seconds, exit=True)
        content = requests.read(request["length"])
        replies.write(json.dumps(_reply(request["kind"], content), ensure_ascii=False).encode() + b"\n")
        replies.flush()
        faulthandler.cancel_dump_traceback_later()


def _reply(kind: str, content: bytes) -> dict[str, object]:
    name, read = _READERS[kind]
    try:
        extract = require_text(read(content))
        blocks = [astuple(block) for block in extract.blocks]
        return asdict(replace(extract, blocks=())) | {"blocks": blocks}
    except MemoryError:
        raise
    except UnreadableError as error:
        return {"reason": str(error)}
    except RecursionError:
        return {"reason": "is nested too deep to be read"}
    except Exception as error:  # noqa: BLE001  whatever a library raises, the file is the reason
        message = (clean(str(error)).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        return {"reason": f"is not a {name} that can be read: {message}"}


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
