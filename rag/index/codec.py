"""What a store holds, in SQLite tables: documents, chunks, the vectors of their texts, keywords.

Vectors are kept by the hash of their text, so that equal texts share them, and are written as they are
made, so that an interrupted build goes on where it was. Nothing of them is seen until the documents
are swapped in, in one transaction (see `rag.index.disk.writer`).

The FAISS file that `meta` names may be of an earlier state: it has the chunks up to the id `vectors_last`,
those that are `gone` among them. `terms` says in how many chunks a stem is. While `spares` is 1 there may
be vectors of no chunk.

SQLite reads a row from its first column to the last that is asked for: what questions need stands first.
"""

import itertools
import json
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from rag.text.analyzer import line, stems
from rag.types import EmbedderIdentity

SCHEMA_VERSION = 5
REBUILD = "Rebuild it: rag build --rebuild"
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, story INTEGER NOT NULL,
    title TEXT, date TEXT, characters INTEGER NOT NULL, hashes BLOB NOT NULL, pages BLOB NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX documents_by_date ON documents (date);
CREATE INDEX documents_by_story ON documents (story);
CREATE TABLE bands (
    band INTEGER NOT NULL, document INTEGER NOT NULL, PRIMARY KEY (band, document)
) WITHOUT ROWID;
CREATE INDEX bands_by_document ON bands (document);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents (id),
    "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, text_hash BLOB NOT NULL
);
CREATE INDEX chunks_by_place ON chunks (document, "start");
CREATE INDEX chunks_by_text ON chunks (text_hash);
CREATE TABLE gone (chunk INTEGER PRIMARY KEY);
CREATE TABLE texts (
    text_hash BLOB PRIMARY KEY, sentence_vectors BLOB NOT NULL, stems TEXT NOT NULL,
    sentences BLOB NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE TABLE terms (term TEXT PRIMARY KEY, chunks INTEGER NOT NULL) WITHOUT ROWID;
"""
KEYWORDS = """
CREATE VIRTUAL TABLE keywords USING fts5 (
    text, content = '', tokenize = 'porter unicode61 remove_diacritics 2'
)
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


def text_hash(text: str) -> bytes:
    """The key under which the vectors of a text are kept."""
    return blake2b(text.encode(), digest_size=16).digest()


def create(connection: sqlite3.Connection, identity: EmbedderIdentity) -> None:
    """Make the tables of an empty store for this embedder."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(f"BEGIN; {_SCHEMA} {KEYWORDS}; COMMIT;")
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [
            ("schema", str(SCHEMA_VERSION)),
            ("embedder", json.dumps(asdict(identity))),
            ("generation", uuid.uuid4().hex[:12]),
            ("vectors", "none"),
            ("vectors_last", "0"),
            ("spares", "0"),
        ],
    )


def pack_vectors(vectors: Vectors) -> bytes:
    """Unit vectors of shape (n, dimension) as one byte a number: an eighth of a degree off."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
    return bytes(np.round(vectors / largest * 127).astype(np.int8).tobytes())


def cosines(packed: Sequence[bytes], vector: Vectors) -> list[list[float]]:
    """The cosine of each packed vector with `vector` of shape (dimension,), for each of the packs.

    `ValueError` when one has bytes that are no whole vectors.
    """
    sizes = [len(pack) // len(vector) for pack in packed]
    if any(len(pack) % len(vector) for pack in packed):
        raise ValueError("bytes that are no whole vectors")
    vectors = np.frombuffer(b"".join(packed), dtype=np.int8).reshape(-1, len(vector)).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    # Not `@`, which may warn of what BLAS reads beyond the end of short rows.
    found = iter((vectors.dot(vector) / np.maximum(lengths, 1e-9)).tolist())
    return [list(itertools.islice(found, size)) for size in sizes]


def stem_lines(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """The stems of each of these spans of a text, as a line (see `rag.text.analyzer`)."""
    return [line(stems(text[start:end])) for start, end in spans]


def term_counts(texts: Iterable[str]) -> Counter[str]:
    """In how many of these texts each stem is."""
    return Counter(itertools.chain.from_iterable(set(stems(text)) for text in texts))


def pack_numbers(numbers: Sequence[int] | Sequence[tuple[int, int]]) -> bytes:
    """Offsets, or pairs of them, as bytes."""
    return np.array(numbers, dtype=np.int32).tobytes()


def unpack_numbers(packed: bytes) -> list[int]:
    """The offsets again."""
    return list(np.frombuffer(packed, dtype=np.int32).tolist())


def unpack_spans(packed: bytes) -> list[tuple[int, int]]:
    """The pairs of offsets again."""
    numbers = np.frombuffer(packed, dtype=np.int32).tolist()
    return list(zip(numbers[::2], numbers[1::2], strict=True))
