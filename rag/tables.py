"""What a store holds, in SQLite tables: documents, chunks, the vectors of their texts, keywords.

Vectors are kept by the hash of their text, so that equal texts share them, and are written as they are
made, so that an interrupted build goes on where it was. Nothing of them is seen until the documents
are swapped in, in one transaction.
"""

import contextlib
import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.errors import IndexFileError, shown
from rag.types import Chunk, Document, EmbedderIdentity

SCHEMA_VERSION = 2
REBUILD = "Rebuild it: rag build --rebuild"
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
CREATE INDEX chunks_by_place ON chunks (document, "start");
CREATE INDEX chunks_by_text ON chunks (text_hash);
CREATE TABLE texts (
    text_hash BLOB PRIMARY KEY, text TEXT NOT NULL, vector BLOB NOT NULL,
    sentences BLOB NOT NULL, sentence_vectors BLOB NOT NULL
);
CREATE VIRTUAL TABLE keywords USING fts5 (
    text, content = '', tokenize = 'porter unicode61 remove_diacritics 2'
);
"""

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """The text of a chunk with its vector, of shape (dimension,), and those of its sentences.

    `sentences` are (start, end) in the text, `sentence_vectors` theirs, of shape (n, dimension). All
    vectors are float32 of length 1.
    """

    text: str
    vector: Vectors
    sentences: tuple[tuple[int, int], ...]
    sentence_vectors: Vectors


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk where it stands; `sentences` are (start, end) in the document, with their vectors."""

    id: int
    source: str
    start: int
    end: int
    text: str
    sentences: tuple[tuple[int, int], ...]
    sentence_vectors: Vectors


def text_hash(text: str) -> bytes:
    """The key under which the vectors of a text are kept."""
    return blake2b(text.encode(), digest_size=16).digest()


def create(connection: sqlite3.Connection, identity: EmbedderIdentity) -> None:
    """Make the tables of an empty store for this embedder."""
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
                f"{SCHEMA_VERSION}. {REBUILD}"
            )
        try:
            self.generation: str = meta["generation"]
            self.identity = EmbedderIdentity(**json.loads(meta["embedder"]))
        except (KeyError, TypeError, ValueError) as error:
            raise IndexFileError(
                f"{shown(folder)}/ is damaged (its embedder's name is lost). {REBUILD}"
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
        rows = self._rows("SELECT id, vector FROM chunks JOIN texts USING (text_hash) ORDER BY id")
        size = self.identity.dimension * np.dtype(np.float32).itemsize
        if len(rows) != self.chunk_count() or any(len(row[1]) != size for row in rows):
            raise IndexFileError(f"{shown(self._folder)}/ lacks vectors. {REBUILD}")
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float32)
        return ids, matrix.reshape(len(rows), self.identity.dimension)

    def keyword_search(self, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        """The (chunk id, BM25) of the k chunks that match any of the terms best, best first."""
        if not terms:
            return []
        return self._rows(
            "SELECT rowid, -bm25(keywords) FROM keywords WHERE keywords MATCH ? ORDER BY rank LIMIT ?",
            (_any_of(terms), k),
        )

    def keyword_scores(self, terms: Sequence[str], ids: Sequence[int]) -> dict[int, float]:
        """The BM25 of those of these chunks that match any of the terms."""
        if not terms:
            return {}
        return dict(
            self._rows(
                "SELECT rowid, -bm25(keywords) FROM keywords "
                "WHERE keywords MATCH ? AND rowid IN (SELECT value FROM json_each(?))",
                (_any_of(terms), json.dumps(ids)),
            )
        )

    def chunks_with(self, term: str) -> int:
        """How many chunks have the term, up to its ending."""
        return int(self._rows("SELECT count(*) FROM keywords WHERE keywords MATCH ?", (f'"{term}"',))[0][0])

    def chunks(self, ids: Sequence[int]) -> tuple[StoredChunk, ...]:
        """The chunks of these ids, in this order."""
        found = {
            chunk.id: chunk
            for chunk in self._chunks("chunks.id IN (SELECT value FROM json_each(?))", json.dumps(ids))
        }
        if len(found) != len(set(ids)):
            raise IndexFileError(f"{shown(self._folder)}/ lacks chunks. {REBUILD}")
        return tuple(found[chunk] for chunk in ids)

    def chunks_between(self, source: str, start: int, end: int) -> tuple[StoredChunk, ...]:
        """The chunks of a document that have a character from `start` to `end`, in order."""
        return self._chunks('source = ? AND "end" > ? AND "start" < ?', source, start, end)

    def _chunks(self, condition: str, *values: object) -> tuple[StoredChunk, ...]:
        rows = self._rows(
            'SELECT chunks.id, source, "start", "end", texts.text, sentences, sentence_vectors '
            "FROM chunks JOIN documents ON documents.id = document JOIN texts USING (text_hash) "
            f'WHERE {condition} ORDER BY "start"',
            values,
        )
        try:
            return tuple(
                StoredChunk(
                    chunk,
                    source,
                    start,
                    end,
                    text,
                    tuple((start + first, start + last) for first, last in _unpack_spans(spans)),
                    _unpack_vectors(packed, self.identity.dimension),
                )
                for chunk, source, start, end, text, spans, packed in rows
            )
        except ValueError as error:  # from numpy, of bytes that are not whole vectors
            raise IndexFileError(f"{shown(self._folder)}/ has damaged vectors. {REBUILD}") from error

    def text(self, source: str, start: int, end: int) -> str:
        """The characters of a document from `start` to `end`, as it was indexed."""
        rows = self._rows(
            "SELECT substr(text, ? + 1, ?) FROM documents WHERE source = ?", (start, end - start, source)
        )
        if not rows:
            raise IndexFileError(f"{shown(self._folder)}/ lacks documents. {REBUILD}")
        return str(rows[0][0])

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

    def lacks(self, key: bytes) -> bool:
        """Whether the text with this hash is still to be embedded."""
        found = self._connection.execute("SELECT 1 FROM texts WHERE text_hash = ?", (key,)).fetchone()
        return found is None

    def keep(self, texts: Iterable[EmbeddedText]) -> None:
        """Keep the texts with their vectors, for good."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?)",
                (
                    (
                        text_hash(embedded.text),
                        embedded.text,
                        embedded.vector.astype(np.float32).tobytes(),
                        np.array(embedded.sentences, dtype=np.int32).tobytes(),
                        _pack_vectors(embedded.sentence_vectors),
                    )
                    for embedded in texts
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
                "DELETE FROM texts WHERE text_hash NOT IN (SELECT text_hash FROM chunks)"
            )
            self._connection.execute(
                "UPDATE meta SET value = ? WHERE key = 'generation'", (uuid.uuid4().hex[:12],)
            )
            yield self.snapshot()

    def _remove(self, source: str) -> None:
        self._connection.execute(
            "INSERT INTO keywords (keywords, rowid, text) "
            "SELECT 'delete', chunks.id, texts.text FROM chunks JOIN texts USING (text_hash) "
            "JOIN documents ON documents.id = document WHERE source = ?",
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


def _any_of(terms: Sequence[str]) -> str:
    """The query that FTS5 understands; terms are words, without a quotation mark."""
    return " OR ".join(f'"{term}"' for term in terms)


def _pack_vectors(vectors: Vectors) -> bytes:
    """Unit vectors of shape (n, dimension) as one byte a number: an eighth of a degree off."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
    return bytes(np.round(vectors / largest * 127).astype(np.int8).tobytes())


def _unpack_vectors(packed: bytes, dimension: int) -> Vectors:
    """The unit vectors again, of shape (n, dimension)."""
    vectors = np.frombuffer(packed, dtype=np.int8).reshape(-1, dimension).astype(np.float32)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _unpack_spans(packed: bytes) -> list[tuple[int, int]]:
    return [(int(start), int(end)) for start, end in np.frombuffer(packed, dtype=np.int32).reshape(-1, 2)]
