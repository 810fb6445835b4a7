"""The SQLite tables of a store: documents, chunks, the vectors of their texts, keywords.

Vectors are kept by the hash of their text, so that equal texts share them, and are written as they are
computed, so that the next build reuses those of an interrupted one. No reader sees them until the documents
are swapped in, in one transaction (see `rag.index.disk.writer`).

The FAISS file that `meta` names may be of an earlier state: it has the chunks up to the id `vectors_last`,
removed ones (`gone`) among them. `terms` counts the chunks that have a stem. `bands` and `story` find and
group near-duplicates. While `spares` is 1 there may be vectors of no chunk.

SQLite reads a row from its first column to the last that is asked for: what questions need stands first.
"""

import json
import sqlite3
import uuid
from dataclasses import asdict

from rag.types import EmbedderIdentity

SCHEMA_VERSION = 6

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, story INTEGER NOT NULL,
    title TEXT, date TEXT, characters INTEGER NOT NULL, hashes BLOB NOT NULL, pages BLOB NOT NULL,
    blocks BLOB NOT NULL, text TEXT NOT NULL
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

CHUNK_TEXTS = "chunks JOIN texts USING (text_hash)"
"""The chunks with their texts and vectors, in SQL."""


def create(connection: sqlite3.Connection, identity: EmbedderIdentity) -> None:
    """Create the tables of an empty store for this embedder."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(f"BEGIN; {_SCHEMA} {KEYWORDS}; COMMIT;")
    meta = {
        "schema": str(SCHEMA_VERSION),
        "embedder": json.dumps(asdict(identity)),
        "generation": uuid.uuid4().hex[:12],
        "vectors": "none",
        "vectors_last": "0",
        "spares": "0",
    }
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
