"""A store → what is wrong inside it, and its repair from what it holds itself."""

import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from rag.index.base import Coverage
from rag.index.codec import Vectors, stem_lines, term_counts, text_hash, unpack_spans
from rag.index.disk.schema import KEYWORDS
from rag.text.near_duplicates import bands

_UNIT = 1e-3
"""How far from 1 the length of a stored vector may be."""


def page_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """What SQLite itself finds wrong; only a rebuild repairs it."""
    for (found,) in connection.execute("PRAGMA integrity_check(5)"):
        if found != "ok":
            yield str(found)


def broken_documents(connection: sqlite3.Connection, dimension: int) -> Iterator[tuple[str, str]]:
    """Each document whose chunks, vectors or sentences aren't as a build makes them, with what is wrong."""
    sound: dict[bytes, str | None] = {}
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
            wrong = "has not the text that was indexed"
        for start, end, key, chunk, vector, sentences, vectors, lines in rows:
            if vector is None:
                wrong = "has chunks without vectors"
            elif text[start:end] != chunk:
                wrong = "has chunks that don't say what stands there"
            else:
                if key not in sound:
                    sound[key] = _wrong(key, chunk, vector, sentences, vectors, lines, dimension)
                wrong = sound[key] or wrong
        if wrong:
            yield source, wrong


def coverage(connection: sqlite3.Connection) -> Mapping[str, Coverage]:
    """How much of each document's text its chunks have, by source."""
    found = {}
    for number, source, text in connection.execute("SELECT id, source, text FROM documents"):
        place = lost = 0
        for start, end in connection.execute(
            'SELECT "start", "end" FROM chunks WHERE document = ? ORDER BY "start"', (number,)
        ):
            lost += _solid(text[place:start])
            place = max(place, end)
        characters = _solid(text)
        found[source] = Coverage(characters, characters - lost - _solid(text[place:]))
    return found


def faults(connection: sqlite3.Connection, dimension: int) -> Iterator[str]:
    """What is left over in the tables, or lacking, beside the documents; `repair` removes or rebuilds it."""
    for what, sql in _LEFT_OVER.items():
        (count,) = connection.execute(f"SELECT count(*) FROM {sql}").fetchone()
        if count:
            yield f"{count} {what}"
    if count := len(_damaged_spares(connection, dimension)):
        yield f"{count} damaged vectors of no chunk"
    if _keywords(connection) != _rebuilt_keywords(connection):
        yield "the keyword index has not what the chunks say"
    if dict(connection.execute("SELECT term, chunks FROM terms")) != _terms(connection):
        yield "the table of terms has not what the chunks say"
    for (source,) in connection.execute(
        "SELECT source FROM documents WHERE id NOT IN (SELECT document FROM bands)"
    ):
        yield f"{source} is not compared with the other documents for copies"


def spares(connection: sqlite3.Connection) -> int:
    """How many vectors there are of no chunk: a build that didn't end left them for the next."""
    (count,) = connection.execute(f"SELECT count(*) FROM {_SPARE}").fetchone()
    return int(count)


def repair(connection: sqlite3.Connection, dimension: int) -> None:
    """Remove what is left over, and the broken documents; rebuild keywords and bands.

    A document that is removed is embedded again by the next build.
    """
    for source, _ in list(broken_documents(connection, dimension)):
        connection.execute("DELETE FROM documents WHERE source = ?", (source,))
    for sql in _LEFT_OVER.values():
        connection.execute(f"DELETE FROM {sql}")
    for key in _damaged_spares(connection, dimension):
        connection.execute("DELETE FROM texts WHERE text_hash = ?", (key,))
    _drop_keywords(connection)
    connection.execute(KEYWORDS)
    connection.execute(
        "INSERT INTO keywords (rowid, text) SELECT id, text FROM chunks JOIN texts USING (text_hash)"
    )
    connection.execute("DELETE FROM terms")
    connection.executemany("INSERT INTO terms VALUES (?, ?)", _terms(connection).items())
    lacking = connection.execute(
        "SELECT id, hashes FROM documents WHERE id NOT IN (SELECT document FROM bands)"
    ).fetchall()
    for number, hashes in lacking:
        keys = {*bands(np.frombuffer(hashes, dtype=np.uint32))}
        connection.executemany("INSERT INTO bands VALUES (?, ?)", [(key, number) for key in keys])


def _terms(connection: sqlite3.Connection) -> Counter[str]:
    """In how many chunks each stem is."""
    rows = connection.execute("SELECT text FROM chunks JOIN texts USING (text_hash)")
    return term_counts(text for (text,) in rows)


def _drop_keywords(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("DROP TABLE IF EXISTS keywords")
    except sqlite3.DatabaseError:  # so damaged that SQLite can't open it to drop it
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'keywords'")
        connection.execute("PRAGMA writable_schema = RESET")
        for part in ("data", "idx", "docsize", "config", "content"):
            connection.execute(f"DROP TABLE IF EXISTS keywords_{part}")


def _damaged_spares(connection: sqlite3.Connection, dimension: int) -> list[bytes]:
    """The keys of damaged vectors of no chunk, which a build must not go on from."""
    rows = connection.execute(
        f"SELECT text_hash, text, vector, sentences, sentence_vectors, stems FROM {_SPARE}"
    )
    return [
        key
        for key, text, vector, sentences, vectors, lines in rows
        if _wrong(key, text, vector, sentences, vectors, lines, dimension)
    ]


_LEFT_OVER = {
    "chunks of no document": "chunks WHERE document NOT IN (SELECT id FROM documents)",
    "bands of no document": "bands WHERE document NOT IN (SELECT id FROM documents)",
}
_SPARE = "texts WHERE text_hash NOT IN (SELECT text_hash FROM chunks)"


def _solid(text: str) -> int:
    """How many of its characters aren't white space."""
    return len("".join(text.split()))


def _wrong(
    key: bytes, text: str, vector: bytes, sentences: bytes, vectors: bytes, lines: str, dimension: int
) -> str | None:
    """What is wrong with the vectors of a text, or None."""
    if text_hash(text) != key:
        return "has a text under another's key"
    if len(vector) != dimension * np.dtype(np.float32).itemsize or not _is_unit(
        np.frombuffer(vector, dtype=np.float32)
    ):
        return "has damaged vectors"
    if len(sentences) % 8 or len(vectors) != len(sentences) // 8 * dimension:
        return "has damaged sentences"
    spans = unpack_spans(sentences)
    places = [0, *itertools.chain(*spans), len(text)]
    whole = places == sorted(places) and lines == "\n".join(stem_lines(text, spans))
    return None if whole else "has damaged sentences"


def _is_unit(vector: Vectors) -> bool:
    """Whether its length is 1, or 0 as of a text in which an embedder knows no word."""
    length = float(np.linalg.norm(vector))  # not a number if one of its is none
    return length == 0 or abs(length - 1) < _UNIT


def _keywords(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    """Each term of the keyword index: in how many chunks it is, and how often. Empty if it can't be read."""
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
    made = sqlite3.connect(":memory:")
    made.execute(KEYWORDS)
    made.executemany(
        "INSERT INTO keywords (rowid, text) VALUES (?, ?)",
        connection.execute("SELECT id, text FROM chunks JOIN texts USING (text_hash)"),
    )
    return _keywords(made)
