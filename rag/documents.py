"""The documents folder: which files are there, and the text of each.

The text is the file's content exactly as it is decoded, line ends untouched and a byte-order mark
dropped, because every offset that the project gives out counts in it.
"""

import codecs
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rag.errors import DocumentsError, shown
from rag.types import Document, Failure

READABLE = (".txt", ".md")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_folder(folder: Path) -> Iterator[Document | Failure]:
    """Each readable document of the folder in order of source, and a `Failure` for each bad one.

    Hidden files and folders, other kinds of file and links that leave the folder are passed over.
    `DocumentsError` if the folder is missing or has no file of a readable kind.
    """
    if not os.path.isdir(folder):  # noqa: PTH112  false, where pathlib raises, for a name that is too long
        what = "is not a folder" if os.path.lexists(folder) else "doesn't exist"
        raise DocumentsError(f"The documents folder {shown(folder)} {what}. Name another: --documents DIR")
    sources, others, unlisted = _sources(folder)
    if not sources and not unlisted:
        raise DocumentsError(_nothing_readable(folder, others))
    for source in sources:
        yield _read(folder / source, source)
    yield from unlisted


def _sources(folder: Path) -> tuple[list[str], Counter[str], list[Failure]]:
    """The readable files, how many of each other kind, and the folders that can't be listed."""
    root = folder.resolve()
    sources: list[str] = []
    others: Counter[str] = Counter()
    errors: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            if name.startswith("."):
                continue
            if path.suffix.lower() not in READABLE:
                others[path.suffix.lower() or "without a suffix"] += 1
            # Path.resolve raises RuntimeError for a link to itself; _read tells of that one.
            elif not Path(os.path.realpath(path)).is_relative_to(root):
                others["link out of the folder"] += 1
            else:
                sources.append(path.relative_to(folder).as_posix())
    return sorted(sources), others, [_unlisted(folder, error) for error in errors]


def _unlisted(folder: Path, error: OSError) -> Failure:
    place = Path(error.filename).relative_to(folder).as_posix()
    return Failure(place.encode("utf-8", "replace").decode(), f"can't be read: {error.strerror}")


def _nothing_readable(folder: Path, others: Counter[str]) -> str:
    found = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
    return (
        f"{shown(folder)} has no readable document: {found or 'it is empty'}. Readable: {' '.join(READABLE)}"
    )


def _read(path: Path, source: str) -> Document | Failure:
    if not _printable(source):
        return Failure(
            source.encode("utf-8", "replace").decode(), "has a name that is not valid text; rename it"
        )
    try:
        if not path.is_file():
            return Failure(source, "is not a regular file")
        content = path.read_bytes()
    except OSError as error:
        return Failure(source, f"can't be read: {error.strerror}")
    try:
        text = _decode(content)
    except UnicodeDecodeError as error:
        return Failure(source, f"is not UTF-8 text (byte {error.start}); save it as UTF-8")
    if "\0" in text:
        return Failure(source, "is binary, not text")
    if not text.strip():
        return Failure(source, "is empty")
    return Document(source=source, text=text, sha256=hashlib.sha256(content).hexdigest())


def _printable(source: str) -> bool:
    try:
        source.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _decode(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    return content.decode("utf-8")
