"""The truth about an index, in SQLite: documents, chunks, vectors, keywords, the embedder's identity.

index/
├── current              the name of the store in force, replaced at once
├── store-<id>.db        SQLite in WAL mode: readers see one state while a build makes the next
├── vectors-<id>.faiss   derived from the store (see `rag.vectors`)
└── writer.lock          held by the one build that may write; writer.json says who it is

Vectors are kept by the hash of their text and written as they are made, so that an interrupted build
goes on where it was. Nothing of them is seen until the documents are swapped in, in one transaction.
A rebuild makes a store under a new name and then changes `current`.
"""

import contextlib
import json
import os
import re
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import numpy.typing as npt

from rag.errors import IndexFileError, shown
from rag.types import Chunk, Document, EmbedderIdentity, Passage

SCHEMA_VERSION = 1
_REBUILD = "Rebuild it: rag build --rebuild"
_STORE_NAME = re.compile(r"store-[0-9a-f]{12}\.db")
_NOT_THE_FILES_FAULT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents (id),
    "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, text_hash BLOB NOT NULL
);
CREATE INDEX chunks_by_document ON chunks (document);
CREATE INDEX chunks_by_text ON chunks (text_hash);
CREATE TABLE vectors (text_hash BLOB PRIMARY KEY, vector BLOB NOT NULL);
CREATE VIRTUAL TABLE keywords USING fts5 (
    text, content = '', tokenize = 'porter unicode61 remove_diacritics 2'
);
"""

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


def text_hash(text: str) -> bytes:
    """The key under which the vector of a text is kept."""
    return blake2b(text.encode(), digest_size=16).digest()


class Snapshot:
    """One state of an index, unchanged however long it is read."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        """Read `connection`, which is inside a transaction."""
        self._connection = connection
        self._folder = folder
        meta = dict(self._rows("SELECT key, value FROM meta"))
        if meta.get("schema") != str(SCHEMA_VERSION):
            raise IndexFileError(
                f"{shown(folder)}/ has schema {meta.get('schema')}; this version reads schema "
                f"{SCHEMA_VERSION}. {_REBUILD}"
            )
        try:
            self.generation: str = meta["generation"]
            self.identity = EmbedderIdentity(**json.loads(meta["embedder"]))
        except (KeyError, TypeError, ValueError) as error:
            raise IndexFileError(
                f"{shown(folder)}/ is damaged (its embedder's name is lost). {_REBUILD}"
            ) from error

    @property
    def vectors_path(self) -> Path:
        """Where the FAISS file of this state is, when there is one."""
        return self._folder / f"vectors-{self.generation}.faiss"

    def hashes(self) -> dict[str, str]:
        """The sha256 of each document by source."""
        return dict(self._rows("SELECT source, sha256 FROM documents"))

    def chunk_count(self) -> int:
        """How many chunks there are."""
        return int(self._rows("SELECT count(*) FROM chunks")[0][0])

    def vectors(self) -> tuple[Ids, Vectors]:
        """The ids, of shape (n,), and vectors, of shape (n, dimension), of all chunks."""
        rows = self._rows("SELECT id, vector FROM chunks JOIN vectors USING (text_hash) ORDER BY id")
        size = self.identity.dimension * np.dtype(np.float32).itemsize
        if len(rows) != self.chunk_count() or any(len(row[1]) != size for row in rows):
            raise IndexFileError(f"{shown(self._folder)}/ lacks vectors. {_REBUILD}")
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float32)
        return ids, matrix.reshape(len(rows), self.identity.dimension)

    def keyword_search(self, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        """The (chunk id, BM25) of the k chunks that match any of the terms best, best first."""
        if not terms:
            return []
        return self._rows(
            "SELECT rowid, -bm25(keywords) FROM keywords WHERE keywords MATCH ? ORDER BY rank LIMIT ?",
            (" OR ".join(f'"{term}"' for term in terms), k),
        )

    def chunks_with(self, term: str) -> int:
        """How many chunks have the term, up to its ending."""
        return int(self._rows("SELECT count(*) FROM keywords WHERE keywords MATCH ?", (f'"{term}"',))[0][0])

    def passages(self, scores: Mapping[int, float]) -> tuple[Passage, ...]:
        """The chunks of these ids as passages with their scores, in the mapping's order."""
        marks = ",".join("?" * len(scores))
        rows = self._rows(
            'SELECT chunks.id, source, "start", "end", substr(text, "start" + 1, "end" - "start") '
            f"FROM chunks JOIN documents ON documents.id = document WHERE chunks.id IN ({marks})",
            tuple(scores),
        )
        found = {
            chunk: Passage(source, start, end, text, scores[chunk])
            for chunk, source, start, end, text in rows
        }
        if len(found) != len(scores):
            raise IndexFileError(f"{shown(self._folder)}/ lacks chunks. {_REBUILD}")
        return tuple(found[chunk] for chunk in scores)

    def document_text(self, source: str) -> str | None:
        """The text of a document as it was indexed, or None if it isn't in the index."""
        rows = self._rows("SELECT text FROM documents WHERE source = ?", (source,))
        return str(rows[0][0]) if rows else None

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()


class Writer:
    """The one build that may change an index (see `writing`)."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        """Write through `connection`, which is in autocommit mode."""
        self._connection = connection
        self._folder = folder

    def snapshot(self) -> Snapshot:
        """The state as this writer sees it."""
        return Snapshot(self._connection, self._folder)

    def lacks_vector(self, key: bytes) -> bool:
        """Whether the vector of the text with this hash is still to be made."""
        found = self._connection.execute("SELECT 1 FROM vectors WHERE text_hash = ?", (key,)).fetchone()
        return found is None

    def keep_vectors(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Keep vectors, of shape (n, dimension), under the hashes of their texts, for good."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                (
                    (key, vector.astype(np.float32).tobytes())
                    for key, vector in zip(keys, vectors, strict=True)
                ),
            )

    @contextlib.contextmanager
    def swap(
        self, removed: Iterable[str], added: Iterable[tuple[Document, Sequence[Chunk]]]
    ) -> Iterator[Snapshot]:
        """Replace documents at once: the body sees the new state, others only after it ends well."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for source in removed:
                self._remove(source)
            for document, pieces in added:
                self._add(document, pieces)
            self._connection.execute(
                "DELETE FROM vectors WHERE text_hash NOT IN (SELECT text_hash FROM chunks)"
            )
            self._connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'generation'", (uuid.uuid4().hex[:12],)
            )
            yield self.snapshot()

    def _remove(self, source: str) -> None:
        self._connection.execute(
            "INSERT INTO keywords (keywords, rowid, text) "
            """SELECT 'delete', chunks.id, substr(text, "start" + 1, "end" - "start") """
            "FROM chunks JOIN documents ON documents.id = document WHERE source = ?",
            (source,),
        )
        self._connection.execute(
            "DELETE FROM chunks WHERE document = (SELECT id FROM documents WHERE source = ?)", (source,)
        )
        self._connection.execute("DELETE FROM documents WHERE source = ?", (source,))

    def _add(self, document: Document, pieces: Sequence[Chunk]) -> None:
        number = self._connection.execute(
            "INSERT INTO documents (source, sha256, text) VALUES (?, ?, ?)",
            (document.source, document.sha256, document.text),
        ).lastrowid
        for chunk in pieces:
            row = self._connection.execute(
                'INSERT INTO chunks (document, "start", "end", text_hash) VALUES (?, ?, ?, ?)',
                (number, chunk.start, chunk.end, text_hash(chunk.text)),
            )
            self._connection.execute(
                "INSERT INTO keywords (rowid, text) VALUES (?, ?)", (row.lastrowid, chunk.text)
            )


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[Snapshot]:
    """The index in `folder` as it is now; `IndexFileError` if there is none or it is damaged."""
    with _translated(folder), contextlib.closing(_open_current(folder)) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        yield Snapshot(connection, folder)


@contextlib.contextmanager
def writing(folder: Path, identity: EmbedderIdentity, *, rebuild: bool) -> Iterator[Writer]:
    """The right to change the index in `folder`, which is made if there is none.

    `rebuild` starts from nothing; the old index answers until the new one is whole. `IndexFileError`
    if another build holds the lock, the index is damaged, or was built with another embedder.
    """
    with _lock(folder), _translated(folder):
        current = _current(folder)
        fresh = rebuild or current is None
        path = _unfinished(folder, current, identity) if fresh else _store(folder, str(current))
        with contextlib.closing(_connect(path)) as connection:
            writer = Writer(connection, folder)
            require_identity(writer.snapshot().identity, identity, folder)
            yield writer
            generation = writer.snapshot().generation
        if fresh:
            _write_at_once(folder / "current", path.name)
        _remove_all_but(folder, {path.name, f"vectors-{generation}.faiss"})


def require_identity(found: EmbedderIdentity, wanted: EmbedderIdentity, folder: Path) -> None:
    """`IndexFileError`, naming both embedders, unless the index's is the one wanted."""
    if found == wanted:
        return
    if (found.name, found.dimension) != (wanted.name, wanted.dimension):
        raise IndexFileError(
            f"{shown(folder)}/ was built with {found.name} ({found.dimension} dimensions); settings name "
            f"{wanted.name} ({wanted.dimension}). {_REBUILD}"
        )
    if found.weights_sha256 != wanted.weights_sha256:
        raise IndexFileError(
            f"{shown(folder)}/ was built with other weights of {found.name} (sha256 "
            f"{found.weights_sha256[:12]}…, now {wanted.weights_sha256[:12]}…). {_REBUILD}"
        )
    raise IndexFileError(
        f"{shown(folder)}/ was built with other rules (chunks {found.chunking}, now {wanted.chunking}). "
        f"{_REBUILD}"
    )


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
        # A rebuild that ended just now took the store away and named another.
        renamed = _current(folder)
        if renamed == name or renamed is None:
            raise
        return _connect(_store(folder, renamed))


def _store(folder: Path, name: str) -> Path:
    """The store of this name, which `current` gave."""
    if not _STORE_NAME.fullmatch(name):
        raise IndexFileError(f"{shown(folder / 'current')} is damaged: it names no store. {_REBUILD}")
    if not (folder / name).is_file():
        raise IndexFileError(f"{shown(folder / name)} is missing. {_REBUILD}")
    return folder / name


def _connect(path: Path) -> sqlite3.Connection:
    # Never mode=ro: SQLite must be able to make the -shm file beside a store in WAL mode.
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=30,
        check_same_thread=False,
    )


def _unfinished(folder: Path, current: str | None, identity: EmbedderIdentity) -> Path:
    """A store to build in: the one that an interrupted build left, if it fits, or a new one."""
    for path in sorted(folder.glob("store-*.db")):
        if path.name != current and _fits(path, folder, identity):
            return path
    path = folder / f"store-{uuid.uuid4().hex[:12]}.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("schema", str(SCHEMA_VERSION)),
                ("embedder", json.dumps(asdict(identity))),
                ("generation", uuid.uuid4().hex[:12]),
            ],
        )
    return path


def _fits(path: Path, folder: Path, identity: EmbedderIdentity) -> bool:
    try:
        with contextlib.closing(_connect(path)) as connection:
            whole = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            snapshot = Snapshot(connection, folder)
            return whole and snapshot.identity == identity
    except (sqlite3.DatabaseError, IndexFileError, KeyError):
        return False


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    who = folder / "writer.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / "writer.lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        try:
            holder = json.loads(who.read_text("utf-8"))
            by = f"process {holder['process']} since {holder['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            by = "another process"
        raise IndexFileError(f"{shown(folder)}/ is being built by {by}. Wait for it, or end it.") from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        _write_at_once(who, json.dumps({"process": os.getpid(), "since": since}))
        yield
    finally:
        who.unlink(missing_ok=True)
        lock.release()


def _unwritable(folder: Path, error: OSError) -> IndexFileError:
    return IndexFileError(f"{shown(folder)}/ can't be written: {error.strerror}. Name another: --index DIR")


def _write_at_once(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _remove_all_but(folder: Path, names: set[str]) -> None:
    """Remove the stores and FAISS files that are not in force."""
    for path in [*folder.glob("store-*.db*"), *folder.glob("vectors-*")]:
        if path.name.removesuffix("-wal").removesuffix("-shm") not in names:
            # Windows keeps a file that a reader holds open; the next build removes it.
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """SQLite's errors as `IndexFileError`, with what mends them."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_THE_FILES_FAULT:
            raise IndexFileError(
                f"{shown(folder)}/ can't be used: {error}. Check its disk space and permissions, or name "
                "another: --index DIR"
            ) from error
        raise IndexFileError(f"{shown(folder)}/ is damaged ({error}). {_REBUILD}") from error
