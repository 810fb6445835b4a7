"""The folder of an index: which store is in force, who may write, what is left over.

index/
├── current              the name of the store in force, replaced at once
├── store-<id>.db        SQLite in WAL mode: readers see one state while a build makes the next
├── vectors-<id>.faiss   derived from the store (see `rag.index.disk.faiss_index`)
└── writer.lock          held by the one build that may write; writer.json says who it is

The store holds the truth (see `rag.index.codec`). A rebuild writes one under a new name and then changes
`current`.
"""

import contextlib
import json
import os
import re
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import filelock

from rag.errors import IndexFileError, shown
from rag.index.base import REBUILD, require_identity
from rag.index.disk.schema import create
from rag.index.disk.snapshot import Snapshot
from rag.index.disk.writer import StoreWriter
from rag.resources import atomic_file
from rag.types import EmbedderIdentity

S = TypeVar("S", bound=Snapshot)

_PATIENCE_S = 0.2
"""How long a build waits for the lock: longer than `writer_of` holds it."""

_CACHE_KIB = 128 * 1024
"""How much of the store a build keeps in memory: of a million chunks all that it writes in random order."""

_STORE_NAME = re.compile(r"store-[0-9a-f]{12}\.db")
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_ACCESS = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}


def reading(folder: Path) -> contextlib.AbstractContextManager[Snapshot]:
    """The index in `folder` as it is now; `IndexFileError` if there is none or it is damaged."""
    return reading_as(folder, Snapshot)


@contextlib.contextmanager
def reading_as(folder: Path, kind: type[S]) -> Iterator[S]:
    """The same, as this kind of snapshot."""
    with _translated(folder), contextlib.closing(_open_current(folder)) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        yield kind(connection, folder)


@contextlib.contextmanager
def writing(folder: Path, identity: EmbedderIdentity, *, rebuild: bool) -> Iterator[StoreWriter]:
    """The right to change the index in `folder`, which is created if there is none (see `Backend.write`)."""
    with _lock(folder), _translated(folder):
        current = _current(folder)
        fresh = rebuild or current is None
        path = _unfinished(folder, current, identity) if fresh else _store(folder, str(current))
        with contextlib.closing(_connect(path)) as connection:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            writer = StoreWriter(connection, folder)
            require_identity(writer.snapshot().identity, identity, f"{shown(folder)}/")
            yield writer
            in_force = {path.name, writer.snapshot().vectors_path.name}
        if fresh:
            _write(folder / "current", path.name)
        _remove_all_but(folder, in_force)


def adopt(folder: Path, identity: EmbedderIdentity) -> None:
    """Put the newest intact store in force where `current` names none."""
    with _lock(folder):
        name = _current(folder)
        if name is not None and _STORE_NAME.fullmatch(name) and (folder / name).is_file():
            return
        for path in sorted(folder.glob("store-*.db"), key=lambda path: -path.stat().st_mtime):
            if _fits(path, folder, identity, with_documents=True):
                _write(folder / "current", path.name)
                return


def writer_of(folder: Path) -> str | None:
    """The process that is building the index now, and since when; None if there is none."""
    if not (folder / "writer.lock").is_file():
        return None
    try:
        with filelock.FileLock(folder / "writer.lock").acquire(timeout=0):
            return None
    except filelock.Timeout:
        return _holder(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def left_over(folder: Path) -> list[str]:
    """The names of stores and FAISS files in the folder that are not in force."""
    with reading(folder) as snapshot:
        in_force = {_current(folder), snapshot.vectors_path.name}
    return sorted(path.name for path in _files(folder) if _owner(path) not in in_force)


def _current(folder: Path) -> str | None:
    try:
        return (folder / "current").read_text("utf-8", "replace").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise IndexFileError(
            f"{shown(folder / 'current')} can't be read: {error.strerror}. Check its permissions, or name "
            "another: --index DIR"
        ) from error


def _open_current(folder: Path) -> sqlite3.Connection:
    name = _current(folder)
    if name is None:
        raise IndexFileError(f"No index in {shown(folder)}/. Build it: rag build")
    try:
        return _connect(_store(folder, name))
    except IndexFileError:
        # A rebuild that ended just now removed the store and named another.
        renamed = _current(folder)
        if renamed == name or renamed is None:
            raise
        return _connect(_store(folder, renamed))


def _store(folder: Path, name: str) -> Path:
    """The store of this name, which `current` gave."""
    if not _STORE_NAME.fullmatch(name):
        raise IndexFileError(f"{shown(folder / 'current')} is damaged: it names no store. {REBUILD}")
    if not (folder / name).is_file():
        raise IndexFileError(f"{shown(folder / name)} is missing. {REBUILD}")
    return folder / name


def _connect(path: Path) -> sqlite3.Connection:
    # Never mode=ro: SQLite must be able to make the -shm file beside a store in WAL mode.
    uri = f"{path.resolve().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30, check_same_thread=False)


def _unfinished(folder: Path, current: str | None, identity: EmbedderIdentity) -> Path:
    """A store to build in: the one that an interrupted build left, if it fits, or a new one."""
    for path in sorted(folder.glob("store-*.db")):
        if path.name != current and _fits(path, folder, identity):
            return path
    path = folder / f"store-{uuid.uuid4().hex[:12]}.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        create(connection, identity)
    return path


def _fits(path: Path, folder: Path, identity: EmbedderIdentity, *, with_documents: bool = False) -> bool:
    """Whether the store is intact and of this embedder."""
    try:
        with contextlib.closing(_connect(path)) as connection:
            intact = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            snapshot = Snapshot(connection, folder)
            fits = intact and snapshot.identity == identity
            return fits and (not with_documents or bool(snapshot.hashes()))
    except (sqlite3.DatabaseError, IndexFileError, KeyError):
        return False


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    who = folder / "writer.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / "writer.lock")
        lock.acquire(timeout=_PATIENCE_S)
    except filelock.Timeout:
        by = _holder(folder)
        raise IndexFileError(f"{shown(folder)}/ is being built by {by}. Wait for it, or end it.") from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        _write(who, json.dumps({"process": os.getpid(), "since": since}))
        yield
    finally:
        with contextlib.suppress(OSError):  # the lock itself says that it is held, not this file
            who.unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    """The process that holds the lock, if writer.json can be read."""
    try:
        holder = json.loads((folder / "writer.json").read_text("utf-8"))
        return f"process {holder['process']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _unwritable(folder: Path, error: OSError) -> IndexFileError:
    return IndexFileError(f"{shown(folder)}/ can't be written: {error.strerror}. Name another: --index DIR")


def _write(path: Path, text: str) -> None:
    try:
        with atomic_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _remove_all_but(folder: Path, names: set[str]) -> None:
    """Remove the stores and FAISS files that are not in force, and files that are only half written."""
    for path in _files(folder):
        if _owner(path) not in names:
            # Windows keeps a file that a reader holds open; the next build removes it.
            with contextlib.suppress(OSError):
                path.unlink()


def _files(folder: Path) -> list[Path]:
    return [*folder.glob("store-*.db*"), *folder.glob("vectors-*"), *folder.glob("*.tmp")]


def _owner(path: Path) -> str:
    """The name of the file that this one belongs to: SQLite keeps two beside a store."""
    return path.name.removesuffix("-wal").removesuffix("-shm")


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """SQLite's errors as `IndexFileError`, with what repairs them."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY | _NO_ACCESS | _NO_ROOM:
            raise IndexFileError(
                f"{shown(folder)}/ can't be used: {error}. Check its disk space and permissions, or name "
                "another: --index DIR"
            ) from error
        raise IndexFileError(f"{shown(folder)}/ is damaged ({error}). {REBUILD}") from error
