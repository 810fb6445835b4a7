"""A store → what is wrong inside it, and its repair from what it holds itself."""

import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from rag.index.base import REBUILD, REPAIR, Coverage, coverage
from rag.index.codec import Vectors, pack_stems, term_counts, text_hash, unpack_spans
from rag.index.disk.schema import CHUNK_TEXTS, KEYWORDS
from rag.index.disk.snapshot import Snapshot
from rag.text.near_duplicates import bands

_UNIT = 1e-3
"""How far from 1 the length of a stored vector may be."""

_LEFT_OVER = {
    "chunks of no document": "chunks WHERE document NOT IN (SELECT id FROM documents)",
    "bands of no document": "bands WHERE document NOT IN (SELECT id FROM documents)",
}
SPARES = "texts WHERE text_hash NOT IN (SELECT text_hash FROM chunks)"
"""The vectors of no chunk, in SQL: an interrupted build left them for the next."""

_WITHOUT_BANDS = "documents WHERE id NOT IN (SELECT document FROM bands)"


def store_faults(snapshot: Snapshot, name: str) -> Iterator[str]:
    """What is wrong inside the store of the index of this name, with the command that repairs it."""
    pages = snapshot.connection.execute("PRAGMA integrity_check(5)").fetchall()
    if pages != [("ok",)]:
        yield from (f"{name} is damaged ({what}). {REBUILD}" for (what,) in pages)
        return
    for source, what in _broken_documents(snapshot):
        yield f"{source} {what}. {REPAIR}, then rag build"
    yield from (f"{what}. {REPAIR}" for what in _table_faults(snapshot))


def _broken_documents(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Each document whose chunks, vectors or sentences aren't as a build makes them, with what is wrong."""
    connection, dimension = snapshot.connection, snapshot.identity.dimension
    by_text: dict[bytes, str | None] = {}
    for number, source, characters, text in connection.execute(
        "SELECT id, source, characters, text FROM documents ORDER BY source"
    ):
        rows = connection.execute(
            'SELECT "start", "end", text_hash, texts.text, vector, sentences, sentence_vectors, stems '
            "FROM chunks LEFT JOIN texts USING (text_hash) WHERE document = ?",
            (number,),
        ).fetchall()
        wrong = None if rows or not text.strip() else "has no chunks"
        if characters != len(text):
            wrong = "does not have the text that was indexed"
        for start, end, key, chunk, vector, sentences, vectors, stems in rows:
            if vector is None:
                wrong = "has chunks without vectors"
            elif not f"\n{chunk}".endswith(f"\n{text[start:end]}"):  # after its context
                wrong = "has chunks that differ from its text"
            else:
                if key not in by_text:
                    by_text[key] = _wrong(dimension, key, chunk, vector, sentences, vectors, stems)
                wrong = by_text[key] or wrong
        if wrong:
            yield source, wrong


def coverage_by_source(snapshot: Snapshot) -> Mapping[str, Coverage]:
    """How much of each document's text its chunks have."""
    connection = snapshot.connection
    spans = 'SELECT "start", "end" FROM chunks WHERE document = ? ORDER BY "start"'
    return {
        source: coverage(text, connection.execute(spans, (number,)))
        for number, source, text in connection.execute("SELECT id, source, text FROM documents")
    }


def _table_faults(snapshot: Snapshot) -> Iterator[str]:
    """What is left over or missing in the tables, beside the documents; `repair` removes or rebuilds it."""
    connection = snapshot.connection
    for what, rows in _LEFT_OVER.items():
        if count := snapshot.count(rows):
            yield f"{count} {what}"
    if count := len(_damaged_spares(snapshot)):
        yield f"{count} damaged vectors of no chunk"
    if _keywords(connection) != _rebuilt_keywords(connection):
        yield "The keyword index does not match the chunks"
    if dict(connection.execute("SELECT term, chunks FROM terms")) != _terms(connection):
        yield "The table of terms does not match the chunks"
    for (source,) in connection.execute(f"SELECT source FROM {_WITHOUT_BANDS}"):
        yield f"{source} is not compared with the other documents to find near-duplicates"


def repair(snapshot: Snapshot) -> None:
    """Remove what is left over, and the broken documents; rebuild keywords and bands.

    A document that is removed is embedded again by the next build.
    """
    connection = snapshot.connection
    for source, _ in list(_broken_documents(snapshot)):
        connection.execute("DELETE FROM documents WHERE source = ?", (source,))
    for rows in _LEFT_OVER.values():
        connection.execute(f"DELETE FROM {rows}")
    for key in _damaged_spares(snapshot):
        connection.execute("DELETE FROM texts WHERE text_hash = ?", (key,))
    _drop_keywords(connection)
    connection.execute(KEYWORDS)
    connection.execute(f"INSERT INTO keywords (rowid, text) SELECT id, text FROM {CHUNK_TEXTS}")
    connection.execute("DELETE FROM terms")
    connection.executemany("INSERT INTO terms VALUES (?, ?)", _terms(connection).items())
    for number, hashes in connection.execute(f"SELECT id, hashes FROM {_WITHOUT_BANDS}").fetchall():
        keys = {*bands(np.frombuffer(hashes, dtype=np.uint32))}
        connection.executemany("INSERT INTO bands VALUES (?, ?)", [(key, number) for key in keys])


def _terms(connection: sqlite3.Connection) -> Counter[str]:
    """The number of chunks that have each stem."""
    return term_counts(text for (text,) in connection.execute(f"SELECT text FROM {CHUNK_TEXTS}"))


def _drop_keywords(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("DROP TABLE IF EXISTS keywords")
    except sqlite3.DatabaseError:  # so damaged that SQLite can't open it to drop it
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'keywords'")
        connection.execute("PRAGMA writable_schema = RESET")
        for part in ("data", "idx", "docsize", "config", "content"):
            connection.execute(f"DROP TABLE IF EXISTS keywords_{part}")


def _damaged_spares(snapshot: Snapshot) -> list[bytes]:
    """The keys of damaged vectors of no chunk, which a build must not reuse."""
    rows = snapshot.connection.execute(
        f"SELECT text_hash, text, vector, sentences, sentence_vectors, stems FROM {SPARES}"
    )
    return [row[0] for row in rows if _wrong(snapshot.identity.dimension, *row)]


def _wrong(
    dimension: int, key: bytes, text: str, vector: bytes, sentences: bytes, vectors: bytes, stems: str
) -> str | None:
    """What is wrong with the vectors of a text, or None."""
    if len(vector) != dimension * np.dtype(np.float32).itemsize or not _is_unit(
        np.frombuffer(vector, dtype=np.float32)
    ):
        return "has damaged vectors"
    if len(sentences) % 8 or len(vectors) != len(sentences) // 8 * dimension:
        return "has damaged sentences"
    spans = unpack_spans(sentences)
    if text_hash(text, spans) != key:
        return "has a text under another's key"
    offsets = [0, *itertools.chain(*spans), len(text)]
    intact = offsets == sorted(offsets) and stems == pack_stems(text, spans)
    return None if intact else "has damaged sentences"


def _is_unit(vector: Vectors) -> bool:
    """Whether its length is 1, or 0 as for a text in which an embedder knows no word."""
    length = float(np.linalg.norm(vector))  # NaN if one of its numbers is
    return length == 0 or abs(length - 1) < _UNIT


def _keywords(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """Each term of the keyword index, its chunks, its occurrences. Empty if it can't be read."""
    try:
        connection.execute("PRAGMA query_only = OFF")  # SQLite counts a temporary table as a change
        connection.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', 'keywords', 'row')")
        try:
            return connection.execute("SELECT term, doc, cnt FROM temp.vocabulary").fetchall()
        finally:
            connection.execute("DROP TABLE temp.vocabulary")
    except sqlite3.DatabaseError:
        return []


def _rebuilt_keywords(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """The same of a keyword index that is rebuilt in memory."""
    rebuilt = sqlite3.connect(":memory:")
    rebuilt.execute(KEYWORDS)
    rebuilt.executemany(
        "INSERT INTO keywords (rowid, text) VALUES (?, ?)",
        connection.execute(f"SELECT id, text FROM {CHUNK_TEXTS}"),
    )
    return _keywords(rebuilt)
