"""One state of an index, as questions and builds read it."""

import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import IndexFileError, QuestionError, shown
from rag.index.base import REBUILD, About, StoredChunk, StoredDocument, Weighable
from rag.index.codec import Ids, Vectors, unpack_numbers, unpack_spans
from rag.index.disk.schema import SCHEMA_VERSION
from rag.text.analyzer import stem
from rag.types import EmbedderIdentity, Scope

_COPIES = 20
_POSTINGS = 2_000
"""So many pairs of a term and a chunk that has it are looked at for a question: 3 ms of work."""

_POSTINGS_IN_SCOPE = 50_000
"""So many of them in a scope, where most fall away before they are weighed."""

_VECTORS = 20_000
"""So many vectors are read at a time, 30 MB of the embedded embedder's."""


class Snapshot:
    """One state of an index, unchanged however long it is read."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        """Read `connection`, which is inside a transaction."""
        self.connection = connection
        self._folder = folder
        self._scopes: dict[Scope, Ids] = {}
        meta = dict(self._rows("SELECT key, value FROM meta"))
        if meta.get("schema") != str(SCHEMA_VERSION):
            raise IndexFileError(
                f"{shown(folder)}/ has schema {meta.get('schema')}; this version reads schema "
                f"{SCHEMA_VERSION}. {REBUILD}"
            )
        try:
            self.generation: str = meta["generation"]
            self.identity = EmbedderIdentity(**json.loads(meta["embedder"]))
            self.vectors_last = int(meta["vectors_last"])
            """The greatest id of a chunk that the FAISS file has."""
            self._vectors_name: str = meta["vectors"]
        except (KeyError, TypeError, ValueError) as error:
            raise IndexFileError(
                f"{shown(folder)}/ is damaged (its embedder's name is lost). {REBUILD}"
            ) from error

    @property
    def vectors_path(self) -> Path:
        """Where the FAISS file is that this state begins from, when there is one."""
        return self._folder / f"vectors-{self._vectors_name}.faiss"

    def hashes(self) -> dict[str, str]:
        """The sha256 of each document by source."""
        return dict(self._rows("SELECT source, sha256 FROM documents"))

    def documents(self) -> dict[str, StoredDocument]:
        """What was indexed, by source."""
        rows = self.connection.execute("SELECT source, sha256, title, date, characters FROM documents")
        return {source: StoredDocument(*about) for source, *about in rows}

    def chunk_count(self) -> int:
        """How many chunks there are."""
        return self.count("chunks")

    def near_duplicates(self) -> int:
        """How many documents there are of which another one says nearly the same."""
        return self.count(
            "documents WHERE story IN (SELECT story FROM documents GROUP BY story HAVING count(*) > 1)"
        )

    def count(self, what: str) -> int:
        """How many rows there are of what SQL names: a table, with a condition perhaps."""
        return int(self._rows(f"SELECT count(*) FROM {what}")[0][0])

    def chunks_within(self, scope: Scope) -> Ids:
        """The ids of the chunks of documents that are in the scope, of shape (n,).

        `QuestionError` if it names a source that the index doesn't have.
        """
        if scope not in self._scopes:
            self._scopes[scope] = self._chunks_within(scope)
        return self._scopes[scope]

    def _chunks_within(self, scope: Scope) -> Ids:
        if scope.sources is not None:
            condition, values = _within(Scope(sources=scope.sources))
            known = {row[0] for row in self._rows(f"SELECT source FROM documents WHERE {condition}", values)}
            if unknown := [source for source in scope.sources if source not in known]:
                raise QuestionError(
                    f"{shown(self._folder)}/ has no document {', '.join(unknown[:5])}. Choose another, or "
                    "index it: rag build"
                )
        condition, values = _within(scope)
        rows = self._rows(
            "SELECT chunks.id FROM chunks JOIN documents ON documents.id = document "
            f"WHERE {condition} ORDER BY chunks.id",
            values,
        )
        return np.array([row[0] for row in rows], dtype=np.int64)

    def document(self, source: str) -> int | None:
        """The id of the document of this source, None where there is none."""
        rows = self._rows("SELECT id FROM documents WHERE source = ?", (source,))
        return int(rows[0][0]) if rows else None

    def about(self, document: int) -> About:
        """What is known of a document."""
        rows = self._rows("SELECT sha256, title, date, pages FROM documents WHERE id = ?", (document,))
        if not rows:
            raise IndexFileError(f"{shown(self._folder)}/ lacks documents. {REBUILD}")
        sha256, title, date, pages = rows[0]
        return About(sha256, title, date, tuple(unpack_numbers(pages)))

    def copies(self, document: int, scope: Scope | None) -> dict[str, str]:
        """The texts by source of the other documents that tell the same story, in the scope; at most 20."""
        condition, values = _within(scope or Scope())
        return dict(
            self._rows(
                "SELECT source, text FROM documents WHERE id != ? AND story = "
                f"(SELECT story FROM documents WHERE id = ?) AND {condition} ORDER BY source LIMIT ?",
                (document, document, *values, _COPIES),
            )
        )

    def vectors(self, *, after: int = 0) -> Iterator[tuple[Ids, Vectors]]:
        """The ids, of shape (n,) and rising, and vectors, of shape (n, dimension), of chunks, some at a time.

        Of those with an id greater than `after`.
        """
        size = self.identity.dimension * np.dtype(np.float32).itemsize
        count = 0
        rows = self.connection.execute(
            "SELECT id, vector FROM chunks JOIN texts USING (text_hash) WHERE id > ? ORDER BY id", (after,)
        )
        while some := rows.fetchmany(_VECTORS):
            if any(len(vector) != size for _, vector in some):
                break
            count += len(some)
            matrix = np.frombuffer(b"".join(vector for _, vector in some), dtype=np.float32)
            yield np.array([row[0] for row in some], dtype=np.int64), matrix.reshape(len(some), -1)
        if count != self.count(f"chunks WHERE id > {after}"):
            raise IndexFileError(f"{shown(self._folder)}/ lacks vectors. {REBUILD}")

    def gone(self) -> Ids:
        """The ids of the chunks that the FAISS file has and that are no more."""
        return np.array([row[0] for row in self._rows("SELECT chunk FROM gone ORDER BY chunk")], np.int64)

    def cosines(self, vector: Vectors, ids: Sequence[int]) -> list[float]:
        """The cosine of the vector of each of these chunks with `vector` of shape (dimension,), in order."""
        rows = self._rows(
            "SELECT id, vector FROM chunks JOIN texts USING (text_hash) "
            "WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids),),
        )
        try:
            found = {chunk: float(np.frombuffer(packed, np.float32) @ vector) for chunk, packed in rows}
        except ValueError as error:  # of bytes that are not a whole vector
            raise self.damaged_vectors() from error
        return [found[chunk] for chunk in ids]

    def keyword_search(
        self, terms: Sequence[str], k: int, scope: Scope | None = None
    ) -> list[tuple[int, float]]:
        """The (chunk id, BM25) of the k chunks that match any of the terms best, best first.

        Of many terms that many chunks have, the rarest alone are searched for. With a scope, of the chunks in
        it, and for more of the terms: those that are common elsewhere may tell them apart.
        """
        searched = self._rarest(terms, _POSTINGS if scope is None else _POSTINGS_IN_SCOPE)
        if not searched:
            return []
        # With the plus, SQLite looks each match up among the ids, and not each id up among the matches.
        limited = "" if scope is None else "AND +rowid IN (SELECT value FROM json_each(?))"
        ids = [] if scope is None else [json.dumps(self.chunks_within(scope).tolist())]
        return self._rows(
            f"SELECT rowid, -bm25(keywords) FROM keywords WHERE keywords MATCH ? {limited} "
            "ORDER BY rank LIMIT ?",
            (_any_of(searched), *ids, k),
        )

    def chunks_with(self, terms: Sequence[str]) -> dict[str, int]:
        """How many chunks have each of the terms, up to its ending."""
        of_stems = dict(
            self._rows(
                "SELECT term, chunks FROM terms WHERE term IN (SELECT value FROM json_each(?))",
                (json.dumps([stem(term) for term in terms]),),
            )
        )
        return {term: of_stems.get(stem(term), 0) for term in terms}

    def _rarest(self, terms: Sequence[str], postings: int) -> list[str]:
        """The terms that are in the fewest chunks, as many as have no more together, but at least one."""
        found = sorted((count, term) for term, count in self.chunks_with(terms).items() if count)
        together = itertools.accumulate(count for count, _ in found)
        return [
            term
            for place, (total, (_, term)) in enumerate(zip(together, found, strict=True))
            if not place or total <= postings
        ]

    def weighables(self, ids: Sequence[int]) -> list[Weighable]:
        """What the chunks of these ids are weighed by, in order of id."""
        rows = self._rows(
            "SELECT id, sentence_vectors, stems FROM chunks JOIN texts USING (text_hash) "
            "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(ids),),
        )
        if len(rows) != len(ids):
            raise IndexFileError(f"{shown(self._folder)}/ lacks chunks. {REBUILD}")
        return [Weighable(chunk, ("", chunk), packed, _lines(stems)) for chunk, packed, stems in rows]

    def chunks(self, ids: Sequence[int]) -> tuple[StoredChunk, ...]:
        """The chunks of these ids, in this order."""
        found = {
            chunk.id: chunk
            for chunk in self._chunks("chunks.id IN (SELECT value FROM json_each(?))", json.dumps(ids))
        }
        if len(found) != len(set(ids)):
            raise IndexFileError(f"{shown(self._folder)}/ lacks chunks. {REBUILD}")
        return tuple(found[chunk] for chunk in ids)

    def chunks_between(self, document: int, start: int, end: int) -> tuple[StoredChunk, ...]:
        """The chunks of a document that have a character from `start` to `end`, in order."""
        return self._chunks('document = ? AND "end" > ? AND "start" < ?', document, start, end)

    def around(self, chunks: Sequence[StoredChunk], max_chars: int) -> list[tuple[StoredChunk, ...]]:
        """For each of these chunks those of its document that a passage with it may have a character of.

        A passage has so many characters at most. They are in order, the chunk itself among them.
        """
        return [
            self.chunks_between(one.document, one.end - max_chars, one.start + max_chars) for one in chunks
        ]

    def _chunks(self, condition: str, *values: object) -> tuple[StoredChunk, ...]:
        rows = self._rows(
            'SELECT chunks.id, document, source, "start", "end", texts.text, sentences, sentence_vectors, '
            "stems, story FROM chunks JOIN documents ON documents.id = document JOIN texts USING (text_hash) "
            f'WHERE {condition} ORDER BY "start"',
            values,
        )
        try:
            found = tuple(
                [
                    StoredChunk(
                        chunk,
                        document,
                        source,
                        start,
                        end,
                        text,
                        tuple([(start + first, start + last) for first, last in unpack_spans(spans)]),
                        packed,
                        _lines(stems),
                        story,
                    )
                    for chunk, document, source, start, end, text, spans, packed, stems, story in rows
                ]
            )
        except ValueError as error:  # of bytes that are not whole numbers
            raise self.damaged_vectors() from error
        if any(len(chunk.sentences) != len(chunk.stems) for chunk in found):
            raise self.damaged_vectors()
        return found

    def damaged_vectors(self) -> IndexFileError:
        """What to raise for vectors that are none."""
        return IndexFileError(f"{shown(self._folder)}/ has damaged vectors. {REBUILD}")

    def text(self, document: int, start: int = 0, end: int | None = None) -> str:
        """The characters of a document from `start` to `end`, None for its end, as it was indexed."""
        length = "" if end is None else f", {end - start}"
        rows = self._rows(
            f"SELECT substr(text, {start} + 1{length}) FROM documents WHERE id = ?", (document,)
        )
        if not rows:
            raise IndexFileError(f"{shown(self._folder)}/ lacks documents. {REBUILD}")
        return str(rows[0][0])

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        return self.connection.execute(sql, values).fetchall()


def _within(scope: Scope) -> tuple[str, list[str]]:
    """The condition, in SQL, that a document is in the scope, and the values that it needs."""
    limits: dict[str, str | None] = {
        "date >= ?": scope.since,
        "date <= ?": scope.until,
        "source IN (SELECT value FROM json_each(?))": None
        if scope.sources is None
        else json.dumps(scope.sources),
    }
    given = {condition: value for condition, value in limits.items() if value is not None}
    return " AND ".join(["TRUE", *given]), [*given.values()]


def _lines(stems: str) -> tuple[str, ...]:
    return tuple(stems.split("\n")) if stems else ()


def _any_of(terms: Sequence[str]) -> str:
    """The query that FTS5 understands; terms are words, without a quotation mark."""
    return " OR ".join(f'"{term}"' for term in terms)
