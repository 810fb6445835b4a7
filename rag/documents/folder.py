"""The documents folder: which files are there, and the text of each.

The text of `.txt` and `.md` is the file's content exactly as it is decoded, line ends untouched and a
byte-order mark dropped, because every offset that the project gives out counts in it. That of the other
formats is taken out of them in another process (see `rag.documents.sandbox`).
"""

import contextlib
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag.documents.encoding import decode
from rag.documents.parsers import KINDS, Extract, require_text
from rag.documents.parsers.plain import title
from rag.documents.sandbox import Sandbox
from rag.errors import DocumentsError, UnreadableError, shown
from rag.text.dates import first_date
from rag.types import Document, Failure

READABLE = (".txt", ".md", *KINDS)
TEXTS = "texts-v1"
"""Names how text is taken out of files: an index holds that text, so change it with the formats."""

MAX_BYTES = 100_000_000

_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(title|date)[ \t]*:(.*)", re.MULTILINE)
_CODE = re.compile(r"^(```|~~~).*?(?:^\1|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#[ \t](.*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a readable kind: its size in bytes, and the SHA-256 of its content."""

    source: str
    path: Path
    sha256: str
    size: int


def read_folder(folder: Path) -> Iterator[Document | Failure]:
    """Each readable document of the folder in order of source, and a `Failure` for each bad one.

    `DocumentsError` as from `files`.
    """
    with Sandbox() as sandbox:
        for item in files(folder):
            yield read(item, sandbox) if isinstance(item, File) else item


def files(folder: Path) -> Iterator[File | Failure]:
    """Each file of a readable kind in order of source, and a `Failure` for each that can't be opened.

    Hidden files and folders, other kinds of file and links that leave the folder are passed over.
    `DocumentsError` if the folder is missing or has no file of a readable kind.
    """
    if not os.path.isdir(folder):  # noqa: PTH112  false, where pathlib raises, for a name that is too long
        what = "is not a folder" if os.path.lexists(folder) else "doesn't exist"
        raise DocumentsError(f"The documents folder {shown(folder)} {what}. Name another: --documents DIR")
    found, others, unlisted = sources(folder)
    if not found and not unlisted:
        raise DocumentsError(_nothing_readable(folder, others))
    for source in found:
        yield hashed(folder, source)
    yield from unlisted


def read(file: File, sandbox: Sandbox) -> Document | Failure:
    """The document in the file as it is now: its `sha256` is that of the bytes that were read.

    Its date is what it states, or else what its name has.
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
    )


def sources(folder: Path) -> tuple[list[str], Counter[str], list[Failure]]:
    """The readable files, how many of each other kind, and the folders that can't be listed."""
    root = folder.resolve()
    found: list[str] = []
    others: Counter[str] = Counter()
    errors: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() not in READABLE:
                others[path.suffix.lower() or "without a suffix"] += 1
            # Path.resolve raises RuntimeError for a link to itself; opened_file tells of that one.
            elif not Path(os.path.realpath(path)).is_relative_to(root):
                others["link out of the folder"] += 1
            else:
                found.append(path.relative_to(folder).as_posix())
    return sorted(found), others, [_unlisted(folder, error) for error in errors]


def _unlisted(folder: Path, error: OSError) -> Failure:
    place = Path(error.filename).relative_to(folder).as_posix()
    return Failure(place.encode("utf-8", "replace").decode(), f"can't be read: {error.strerror}")


def _nothing_readable(folder: Path, others: Counter[str]) -> str:
    found = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
    return (
        f"{shown(folder)} has no readable document: {found or 'it is empty'}. Readable: {' '.join(READABLE)}"
    )


def hashed(folder: Path, source: str) -> File | Failure:
    """The file of this source, or why it can't be opened."""
    if not _printable(source):
        return Failure(
            source.encode("utf-8", "replace").decode(), "has a name that is not valid text; rename it"
        )
    try:
        with opened_file(folder / source) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return File(source, folder / source, digest, os.fstat(stream.fileno()).st_size)
    except UnreadableError as error:
        return Failure(source, str(error))


def _printable(source: str) -> bool:
    try:
        source.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextlib.contextmanager
def opened_file(path: Path) -> Iterator[io.BufferedReader]:
    """The file to read; `UnreadableError` if it can't be, is no regular file, or larger than is read."""
    try:
        if not path.is_file():  # a pipe would be waited for
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
    return _markdown(text) if kind == ".md" else extract


def _markdown(text: str) -> Extract:
    """The text, with the title and date of its front matter, or else its first heading as the title."""
    front = _FRONT_MATTER.match(text)
    fields = dict(_FIELD.findall(front[1])) if front else {}
    heading = _HEADING.search(_CODE.sub("", text[front.end() :] if front else text))
    stated = title(fields.get("title", "").strip().strip("\"'"))
    return Extract(
        text,
        title=stated or (title(heading[1].strip().rstrip("#")) if heading else None),
        date=first_date(fields.get("date", "")),
    )
