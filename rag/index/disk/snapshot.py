"""One state of an index, as questions and builds read it."""

import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import IndexFileError, QuestionError, shown
from rag.index.base import (
    REBUILD,
    About,
    ScoredIds,
    StoredChunk,
    StoredDocument,
    Weighable,
    stored_chunk,
)
from rag.index.codec import Ids, Vectors, unpack_blocks, unpack_numbers, unpack_stems
from rag.index.disk.schema import CHUNK_TEXTS, SCHEMA_VERSION
from rag.text.analyzer import stem
from rag.types import Block, EmbedderIdentity, Scope

_NEAR_DUPLICATES = 20
_POSTINGS = 2_000
"""How many pairs of a term and a chunk that has it are examined for a question: 3 ms of work."""

_POSTINGS_IN_SCOPE = 50_000
"""The same with a scope, where most are dropped before they are scored."""

_VECTORS = 20_000
"""How many vectors are read at a time, 30 MB of the embedded embedder's."""

_LISTED = "IN (SELECT value FROM json_each(?))"
"""The condition, in SQL, that a value is in a list, given as JSON."""


class Snapshot:
    """One state of an index, unchanged however long it is read."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        """Read `connection`, which is inside a transaction."""
        self.connection = connection
        self._folder = folder
        self._scopes: dict[Scope, Ids] = {}
        meta = dict(self._rows("SELECT key, value FROM meta"))
        if meta.get("schema") != str(SCHEMA_VERSION):
            raise self._error(f"has schema {meta.get('schema')}; this version reads schema {SCHEMA_VERSION}")
        try:
            self.generation: str = meta["generation"]
            self.identity = EmbedderIdentity(**json.loads(meta["embedder"]))
            self.vectors_last = int(meta["vectors_last"])
            """The greatest id of a chunk that the FAISS file has."""
            self.vectors_path = folder / f"vectors-{meta['vectors']}.faiss"
            """The FAISS file that this state begins from, when there is one."""
        except (KeyError, TypeError, ValueError) as error:
            raise self._error("is damaged (its embedder's name is lost)") from error

    def _error(self, what: str) -> IndexFileError:
        return IndexFileError(f"{shown(self._folder)}/ {what}. {REBUILD}")

    def hashes(self) -> dict[str, str]:
        """The sha256 of each document by source."""
        return dict(self._rows("SELECT source, sha256 FROM documents"))

    def documents(self) -> dict[str, StoredDocument]:
        """See `Documents.documents`."""
        rows = self._rows("SELECT source, sha256, title, date, characters FROM documents")
        return {source: StoredDocument(*about) for source, *about in rows}

    def chunk_count(self) -> int:
        """See `State.chunk_count`."""
        return self.count("chunks")

    def count(self, what: str) -> int:
        """The number of rows of what SQL names: a table, perhaps with a condition."""
        return int(self._rows(f"SELECT count(*) FROM {what}")[0][0])

    def chunks_within(self, scope: Scope) -> Ids:
        """The ids of the chunks of documents that are in the scope, of shape (n,).

        `QuestionError` if it names a source that the index doesn't have.
        """
        if scope not in self._scopes:
            self._require_sources(scope)
            condition, values = _within(scope)
            rows = self._rows(
                "SELECT chunks.id FROM chunks JOIN documents ON documents.id = document "
                f"WHERE {condition} ORDER BY chunks.id",
                values,
            )
            self._scopes[scope] = _ids(rows)
        return self._scopes[scope]

    def _require_sources(self, scope: Scope) -> None:
        rows = self._rows(
            f"SELECT source FROM documents WHERE source {_LISTED}", (json.dumps(scope.sources or ()),)
        )
        known = {source for (source,) in rows}
        if unknown := [source for source in scope.sources or () if source not in known]:
            raise QuestionError(
                f"{shown(self._folder)}/ has no document {', '.join(unknown[:5])}. Choose another, or "
                "index it: rag build"
            )

    def document(self, source: str) -> int | None:
        """See `Documents.document`."""
        rows = self._rows("SELECT id FROM documents WHERE source = ?", (source,))
        return int(rows[0][0]) if rows else None

    def about(self, document: int) -> About:
        """See `State.about`."""
        sha256, title, date, pages = self._of_document("sha256, title, date, pages", document)
        return About(sha256, title, date, tuple(unpack_numbers(pages)))

    def blocks(self, document: int, start: int, end: int) -> tuple[Block, ...]:
        """See `State.blocks`."""
        return unpack_blocks(self._of_document("blocks", document)[0], start, end)

    def text(self, document: int, start: int = 0, end: int | None = None) -> str:
        """See `Documents.text`."""
        length = "" if end is None else f", {end - start}"
        return str(self._of_document(f"substr(text, {start} + 1{length})", document)[0])

    def _of_document(self, columns: str, document: int) -> Sequence[Any]:
        rows = self._rows(f"SELECT {columns} FROM documents WHERE id = ?", (document,))
        if not rows:
            raise self._error("lacks documents")
        row: Sequence[Any] = rows[0]
        return row

    def near_duplicates(self, document: int, scope: Scope | None) -> dict[str, str]:
        """See `State.near_duplicates`."""
        condition, values = _within(scope or Scope())
        return dict(
            self._rows(
                "SELECT source, text FROM documents WHERE id != ? AND story = "
                f"(SELECT story FROM documents WHERE id = ?) AND {condition} ORDER BY source LIMIT ?",
                (document, document, *values, _NEAR_DUPLICATES),
            )
        )

    def vectors(self, *, after: int = 0) -> Iterator[tuple[Ids, Vectors]]:
        """The vectors of the chunks with an id greater than `after`, in batches, in order of id.

        Each batch is the ids, of shape (n,), and the vectors, of shape (n, dimension).
        """
        size = self.identity.dimension * np.dtype(np.float32).itemsize
        count = 0
        cursor = self.connection.execute(
            f"SELECT id, vector FROM {CHUNK_TEXTS} WHERE id > ? ORDER BY id", (after,)
        )
        while rows := cursor.fetchmany(_VECTORS):
            if any(len(vector) != size for _, vector in rows):
                break
            count += len(rows)
            matrix = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.float32)
            yield _ids(rows), matrix.reshape(len(rows), -1)
        if count != self.count(f"chunks WHERE id > {after}"):
            raise self._error("lacks vectors")

    def gone(self) -> Ids:
        """The ids of removed chunks that the FAISS file still has."""
        return _ids(self._rows("SELECT chunk FROM gone ORDER BY chunk"))

    def cosines(self, vector: Vectors, ids: Sequence[int]) -> list[float]:
        """See `State.cosines`."""
        rows = self._rows(f"SELECT id, vector FROM {CHUNK_TEXTS} WHERE id {_LISTED}", (json.dumps(ids),))
        try:
            by_id = {chunk: float(np.frombuffer(packed, np.float32) @ vector) for chunk, packed in rows}
        except ValueError as error:  # of bytes that are not a whole vector
            raise self.damaged_vectors() from error
        return [by_id[chunk] for chunk in ids]

    def keyword_search(self, terms: Sequence[str], k: int, scope: Scope | None = None) -> ScoredIds:
        """See `State.keyword_search`.

        Of many terms that many chunks have, the rarest alone are searched for; with a scope more of them:
        terms that are common elsewhere may distinguish its chunks.
        """
        searched = self._rarest(terms, _POSTINGS if scope is None else _POSTINGS_IN_SCOPE)
        if not searched:
            return []
        # With the plus, SQLite looks each match up among the ids, and not each id up among the matches.
        limited = "" if scope is None else f"AND +rowid {_LISTED}"
        ids = [] if scope is None else [json.dumps(self.chunks_within(scope).tolist())]
        any_of = " OR ".join(f'"{term}"' for term in searched)  # terms are words, without a quotation mark
        return self._rows(
            f"SELECT rowid, -bm25(keywords) FROM keywords WHERE keywords MATCH ? {limited} "
            "ORDER BY rank LIMIT ?",
            (any_of, *ids, k),
        )

    def chunks_with(self, terms: Sequence[str]) -> dict[str, int]:
        """See `State.chunks_with`."""
        stems = json.dumps([stem(term) for term in terms])
        counts = dict(self._rows(f"SELECT term, chunks FROM terms WHERE term {_LISTED}", (stems,)))
        return {term: counts.get(stem(term), 0) for term in terms}

    def _rarest(self, terms: Sequence[str], postings: int) -> list[str]:
        """The rarest terms whose `postings` together are no more than these, but at least one."""
        rising = sorted((count, term) for term, count in self.chunks_with(terms).items() if count)
        totals = itertools.accumulate(count for count, _ in rising)
        fitting = sum(total <= postings for total in totals)
        return [term for _, term in rising[: max(fitting, 1)]]

    def weighables(self, ids: Sequence[int]) -> list[Weighable]:
        """See `State.weighables`."""
        rows = self._rows(
            f"SELECT id, sentence_vectors, stems FROM {CHUNK_TEXTS} WHERE id {_LISTED} ORDER BY id",
            (json.dumps(ids),),
        )
        if len(rows) != len(ids):
            raise self._error("lacks chunks")
        return [Weighable(chunk, ("", chunk), packed, unpack_stems(stems)) for chunk, packed, stems in rows]

    def chunks(self, ids: Sequence[int]) -> tuple[StoredChunk, ...]:
        """See `State.chunks`."""
        by_id = {chunk.id: chunk for chunk in self._chunks(f"chunks.id {_LISTED}", json.dumps(ids))}
        if len(by_id) != len(set(ids)):
            raise self._error("lacks chunks")
        return tuple(by_id[chunk] for chunk in ids)

    def chunks_between(self, document: int, start: int, end: int) -> tuple[StoredChunk, ...]:
        """See `State.chunks_between`."""
        return self._chunks('document = ? AND "end" > ? AND "start" < ?', document, start, end)

    def around(self, chunks: Sequence[StoredChunk], max_chars: int) -> list[tuple[StoredChunk, ...]]:
        """See `State.around`."""
        return [
            self.chunks_between(one.document, one.end - max_chars, one.start + max_chars) for one in chunks
        ]

    def _chunks(self, condition: str, *values: object) -> tuple[StoredChunk, ...]:
        rows = self._rows(
            'SELECT chunks.id, document, source, "start", "end", texts.text, sentences, sentence_vectors, '
            f"stems, story FROM {CHUNK_TEXTS} JOIN documents ON documents.id = document "
            f'WHERE {condition} ORDER BY "start"',
            values,
        )
        try:
            chunks = [_stored_chunk(row) for row in rows]
        except ValueError as error:  # of bytes that are not whole numbers
            raise self.damaged_vectors() from error
        if any(len(chunk.sentences) != len(chunk.stems) for chunk in chunks):
            raise self.damaged_vectors()
        return tuple(chunks)

    def damaged_vectors(self) -> IndexFileError:
        """See `State.damaged_vectors`."""
        return self._error("has damaged vectors")

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        return self.connection.execute(sql, values).fetchall()


def _stored_chunk(row: Sequence[Any]) -> StoredChunk:
    chunk, document, source, start, end, text, spans, vectors, stems, group = row
    return stored_chunk(chunk, document, source, (start, end), text, spans, vectors, stems, group)


def _ids(rows: Sequence[Sequence[Any]]) -> Ids:
    """The first column of these rows."""
    return np.array([row[0] for row in rows], dtype=np.int64)


def _within(scope: Scope) -> tuple[str, list[str]]:
    """The condition, in SQL, that a document is in the scope, and the values that it needs."""
    sources = None if scope.sources is None else json.dumps(scope.sources)
    limits = {"date >= ?": scope.since, "date <= ?": scope.until, f"source {_LISTED}": sources}
    given = {condition: value for condition, value in limits.items() if value is not None}
    return " AND ".join(["TRUE", *given]), [*given.values()]
