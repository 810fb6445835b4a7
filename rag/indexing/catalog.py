"""Documents folder and index → each document with its state; and files are added to the folder and removed.

Names and sources are never trusted: nothing outside the folder is read, written or removed.
"""

import contextlib
import os
import re
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from pathvalidate import is_valid_filename, sanitize_filename
from pathvalidate.handler import ReservedNameHandler

from rag.documents.folder import READABLE, File, files, hashed, opened_file, sources
from rag.errors import DocumentsError, UnreadableError, shown
from rag.index.base import StoredDocument
from rag.types import Failure

DocumentState: TypeAlias = Literal["indexed", "changed", "new", "failed", "gone"]

MAX_NAME_BYTES = 255
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that reverse the order of what is read, and halves of characters."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A document of the folder or the index.

    `changed`: its file was indexed with another content; `new`: it isn't indexed; `gone`: it is no longer in
    the folder; `failed`: it can't be read, for this `reason`, the rest of a sentence that begins with its
    name, None for the others. `title`, `date` (ISO) and the number of `characters` are those of the indexed
    document, None where there is none.
    """

    source: str
    state: DocumentState
    reason: str | None = None
    title: str | None = None
    date: str | None = None
    characters: int | None = None


def listed(
    documents: Path, indexed: Mapping[str, StoredDocument], failed: Sequence[Failure] = ()
) -> tuple[Listed, ...]:
    """The documents of the folder and of the index, in order of source; `indexed` is what the index has.

    `failed` is what the last build could not read: such a file counts as failed while it isn't indexed. Of a
    folder that is missing, or has no readable document, all documents are gone.
    """
    items: list[File | Failure] = []
    with contextlib.suppress(DocumentsError):
        items.extend(files(documents))
    reasons = {failure.source: failure.reason for failure in failed if failure.source not in indexed}
    reasons |= {item.source: item.reason for item in items if isinstance(item, Failure)}
    entries: list[Listed] = []
    for source, state in states(items, indexed).items():
        reason = reasons.get(source)
        one = Listed(source, state if reason is None else "failed", reason)
        if (document := indexed.get(source)) is not None:
            one = replace(one, title=document.title, date=document.date, characters=document.characters)
        entries.append(one)
    return tuple(entries)


def states(
    items: Sequence[File | Failure], indexed: Mapping[str, StoredDocument]
) -> dict[str, DocumentState]:
    """The state of each document of the folder and of the index, in order of source."""
    by_source: dict[str, DocumentState] = dict.fromkeys(indexed, "gone")
    for item in items:
        if isinstance(item, Failure):
            by_source[item.source] = "failed"
        elif item.source not in indexed:
            by_source[item.source] = "new"
        else:
            same = indexed[item.source].sha256 == item.sha256
            by_source[item.source] = "indexed" if same else "changed"
    return dict(sorted(by_source.items()))


def add(documents: Path, name: str, path: Path) -> str:
    """Add the file at `path` to the folder under the last part of `name`, and return its source.

    Dots and blanks around it are left out; what Windows can't have in a name becomes "_". The file appears at
    once with all its content, and replaces none. The folder is created if it is missing. `DocumentsError` for
    a kind that isn't read, a name that is not allowed or taken, a file that can't be read or is too large,
    and a folder that can't be written.
    """
    source = _safe(name)
    try:
        with opened_file(path) as stream:
            content = stream.read()
    except UnreadableError as error:
        raise DocumentsError(f"{source} {error}.") from error
    # Hidden, so that a build passes it over.
    temporary = documents / f".{uuid.uuid4().hex}.tmp"
    try:
        documents.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            _rename(temporary, documents / source)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DocumentsError(
            f"{shown(documents)} can't be written: {error.strerror}. Check its disk space and permissions, "
            "or name another: --documents DIR"
        ) from error
    return source


def remove(documents: Path, source: str) -> None:
    """Remove the file of this source from the folder: of a link the link.

    `DocumentsError` if it is no document of the folder, or can't be removed.
    """
    # Only what was found in the folder can be named, so that no trick in a name leads out of it.
    if source not in sources(documents)[0]:
        raise DocumentsError(f"{shown(documents)} has no document {source!r}. Name one that it lists.")
    try:
        (documents / source).unlink(missing_ok=True)
    except OSError as error:
        raise DocumentsError(
            f"{source} can't be removed: {error.strerror}. Check its permissions, and whether a program "
            "has it open."
        ) from error


def is_stale(documents: Path, source: str, sha256: str) -> bool:
    """Whether the folder's file isn't the one with this hash: removed, unreadable, or changed."""
    try:
        inside = Path(os.path.realpath(documents / source)).is_relative_to(os.path.realpath(documents))
    except ValueError:  # no file has NUL in its name
        return True
    file = hashed(documents, source) if inside else None
    return not isinstance(file, File) or file.sha256 != sha256


def _safe(name: str) -> str:
    """The name that a file is given: one that Linux, macOS and Windows can have, hidden on none."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    if _UNSEEN.search(last):
        raise DocumentsError(f"{last!r} has characters that no file name can have. Give it another name.")
    safe = re.sub(r"^[\s.]+|[\s.]+$", "", last)
    if not safe:
        raise DocumentsError(f"{name!r} is not a file name. Give it another name.")
    if (size := len(safe.encode())) > MAX_NAME_BYTES:
        raise DocumentsError(f"The name has {size} bytes, more than {MAX_NAME_BYTES}. Give it a shorter one.")
    as_is = ReservedNameHandler.as_is
    safe = sanitize_filename(safe, "_", fs_encoding="utf-8", reserved_name_handler=as_is)
    # Windows ignores the suffix of a device and the blanks before it.
    stem = safe.partition(".")[0].rstrip(" ")
    if not is_valid_filename(stem, fs_encoding="utf-8", additional_reserved_names=["CONIN$", "CONOUT$"]):
        raise DocumentsError(f"{safe} is the name of a device on Windows. Give it another name.")
    if Path(safe).suffix.lower() not in READABLE:
        raise DocumentsError(f"{safe} has a type that can't be read. Readable: {' '.join(READABLE)}")
    return safe


def _rename(temporary: Path, path: Path) -> None:
    """Give the file this name; `DocumentsError` if it is taken."""
    try:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links: the name is reserved first, so that no file is replaced
            path.touch(exist_ok=False)
            temporary.replace(path)
    except FileExistsError as error:
        raise DocumentsError(
            f"{path.name} is there already. Remove it first, or give yours another name."
        ) from error
