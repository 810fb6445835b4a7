"""The documents folder → its files, and the text of each.

The text of `.txt` and `.md` is the file's decoded content, unchanged but for a byte-order mark, because all
offsets count in it. The text of other formats is extracted in another process (see `rag.documents.sandbox`).
"""

import contextlib
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag.documents.encoding import decode
from rag.documents.markdown import read_markdown
from rag.documents.parsers import KINDS, Extract, require_text
from rag.documents.sandbox import Sandbox
from rag.errors import DocumentsError, UnreadableError, shown
from rag.text.blocks import blocks_of_text
from rag.text.dates import first_date
from rag.types import Document, Failure

READABLE = (".txt", ".md", *KINDS)
TEXTS = "texts-v2"
"""The version of text extraction, part of an index's identity: change it when extracted text changes."""

MAX_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class File:
    """A file of a readable kind: the SHA-256 of its content, and its size in bytes."""

    source: str
    path: Path
    sha256: str
    size: int


def read_folder(folder: Path) -> Iterator[Document | Failure]:
    """Each document in order of source, a `Failure` for a bad one; `DocumentsError` as from `files`."""
    with Sandbox() as sandbox:
        for item in files(folder):
            yield read(item, sandbox) if isinstance(item, File) else item


def files(folder: Path) -> Iterator[File | Failure]:
    """Each file of a readable kind in order of source, and a `Failure` for each that can't be opened.

    Hidden files and folders, files of other kinds and links that leave the folder are skipped.
    `DocumentsError` if the folder is missing or has no file of a readable kind.
    """
    if not os.path.isdir(folder):  # noqa: PTH112  false, where pathlib raises, for a name that is too long
        reason = "is not a folder" if os.path.lexists(folder) else "doesn't exist"
        raise DocumentsError(f"The documents folder {shown(folder)} {reason}. Name another: --documents DIR")
    readable, others, failures = sources(folder)
    if not readable and not failures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(5)) or "it is empty"
        raise DocumentsError(
            f"{shown(folder)} has no readable document: {kinds}. Readable: {' '.join(READABLE)}"
        )
    for source in readable:
        yield hashed(folder, source)
    yield from failures


def passed_over(folder: Path) -> tuple[tuple[str, int], ...]:
    """The kinds of files in the folder that can't be read, each with its count; the most frequent first."""
    _, others, _ = sources(folder)
    return tuple(others.most_common())


def read(file: File, sandbox: Sandbox) -> Document | Failure:
    """The document in the file as it is now, its `sha256` of the bytes that were read.

    Its date is the one it states, or else the one in its name.
    """
    kind = file.path.suffix.lower()
    try:
        with opened_file(file.path) as stream:
            content = stream.read()
        if not content:
            raise UnreadableError("is empty")
        extract = sandbox.extract(content, kind) if kind in KINDS else _plain(content, kind)
    except UnreadableError as error:
        return Failure(file.source, str(error))
    return Document(
        source=file.source,
        text=extract.text,
        sha256=hashlib.sha256(content).hexdigest(),
        title=extract.title,
        date=extract.date or first_date(file.path.stem),
        pages=extract.pages,
        blocks=extract.blocks or blocks_of_text(extract.text),
    )


def sources(folder: Path) -> tuple[list[str], Counter[str], list[Failure]]:
    """The readable files, the number of files of each other kind, and the folders that can't be listed."""
    root = folder.resolve()
    readable: list[str] = []
    others: Counter[str] = Counter()
    errors: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(parent, name) for name in names if not name.startswith(".")):
            if path.suffix.lower() not in READABLE:
                others[path.suffix.lower() or "without a suffix"] += 1
            # Path.resolve raises RuntimeError for a link to itself; opened_file reports that one.
            elif not Path(os.path.realpath(path)).is_relative_to(root):
                others["link out of the folder"] += 1
            else:
                readable.append(path.relative_to(folder).as_posix())
    failures = []
    for error in errors:
        unlisted = Path(error.filename).relative_to(folder).as_posix()
        failures.append(Failure(_printable(unlisted), f"can't be read: {error.strerror}"))
    return sorted(readable), others, failures


def hashed(folder: Path, source: str) -> File | Failure:
    """The file of this source, or why it can't be opened."""
    if _printable(source) != source:
        return Failure(_printable(source), "has a name that is not valid text; rename it")
    try:
        with opened_file(folder / source) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return File(source, folder / source, digest, os.fstat(stream.fileno()).st_size)
    except UnreadableError as error:
        return Failure(source, str(error))


def _printable(name: str) -> str:
    """The name with "?" for each byte that isn't valid text."""
    return name.encode("utf-8", "replace").decode()


@contextlib.contextmanager
def opened_file(path: Path) -> Iterator[io.BufferedReader]:
    """The file to read; `UnreadableError` if it isn't a readable regular file of at most `MAX_BYTES`."""
    try:
        if not path.is_file():  # reading a pipe could block
            raise UnreadableError("is not a regular file")
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                raise UnreadableError(f"is larger than {MAX_BYTES // 1_000_000} MB; split it")
            yield stream
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror}") from error


def _plain(content: bytes, kind: str) -> Extract:
    text = decode(content)
    if not text.strip():
        raise UnreadableError("is empty")
    extract = require_text(Extract(text))
    return read_markdown(text) if kind == ".md" else extract
