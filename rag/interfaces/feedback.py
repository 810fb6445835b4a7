"""Answers and whether people like them → `feedback.jsonl` in the index folder: questions for `rag eval`."""

import json
import re
from pathlib import Path
from typing import Literal

import platformdirs

from rag.errors import IndexFileError, shown
from rag.index.base import Backend
from rag.types import Answer

FEEDBACK = "feedback.jsonl"


def rate(backend: Backend, answer: Answer, rating: Literal["up", "down"] | None) -> None:
    """Keep what a person thinks of the answer; None takes back what was said of it.

    A line is one JSON object: `question`, as it was taken to mean, `rating`, the answer's `text`, and for
    "up" its short answer, or else its quotes, as `answers`, and the documents that it cites as `sources`. A
    later line of the same question and text replaces an earlier one. `IndexFileError` if it can't be written.
    """
    said: dict[str, object] = {
        "question": answer.taken_as or answer.question,
        "rating": rating,
        "text": answer.text,
    }
    if rating == "up":
        quotes = [citation.quote for citation in answer.citations]
        said["answers"] = quotes if answer.short is None else [answer.short]
        said["sources"] = [*dict.fromkeys(citation.source for citation in answer.citations)]
    # All in one call, to the end of the file: lines of threads and processes don't mix. Without a character
    # beyond ASCII, so that half of a surrogate pair, which no encoding has, can be kept too.
    line = json.dumps(said).encode() + b"\n"
    path = _folder(backend) / FEEDBACK
    try:
        if backend.folder is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            written = file.write(line)
    except OSError as error:
        raise _unwritable(path, error.strerror) from error
    if written != len(line):
        raise _unwritable(path, "No space left on device")


def _folder(backend: Backend) -> Path:
    """The folder of the index, or one of the user's data for an index elsewhere."""
    return backend.folder or platformdirs.user_data_path("rag") / re.sub(r"[^\w.-]+", "_", backend.name)


def _unwritable(path: Path, why: str | None) -> IndexFileError:
    return IndexFileError(f"{shown(path)} can't be written: {why}. Check its disk space and permissions.")
