"""An index in Milvus as questions see it."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rag.errors import IndexFileError, QuestionError
from rag.index.base import REBUILD, About, ScoredIds, StoredChunk, StoredDocument, Weighable, require_identity
from rag.index.codec import Vectors
from rag.index.milvus.client import ANSWER_S, MOST, SEARCH, all_rows, connected, count, query, translated
from rag.index.milvus.collections import collection_of, documents_of, load, meta_of, whole_documents
from rag.index.milvus.rows import CHUNK_FIELDS, PART_CHARS, about_of, blocks_of, chunk_of, key
from rag.text.analyzer import stem
from rag.types import Block, Chunk, EmbedderIdentity, Scope
from rag.uris import MilvusAddress

_PARTS = 200
"""How many parts of a document are read at a time."""


class MilvusIndex:
    """An index in Milvus (see `rag.index.base.Index`)."""

    def __init__(self, address: MilvusAddress, identity: EmbedderIdentity | None, *, keyword: bool) -> None:
        """Connect; `IndexFileError` unless there is an index that `identity` built, None for any.

        With `keyword` it is to be searched by words: `IndexFileError` if it can't be.
        """
        self._address = address
        self._identity = identity
        self._keyword = keyword
        self._client = connected(address)
        with contextlib.ExitStack() as failing:
            failing.callback(self._client.close)
            with translated(address):
                if (chunks := collection_of(self._client, address)) is not None:
                    load(self._client, chunks, documents_of(chunks))
            with self.open():
                pass  # a missing or foreign index is reported now, not at the first question
            failing.pop_all()

    @contextlib.contextmanager
    def open(self) -> "Iterator[MilvusState]":
        """See `Index.open`."""
        with translated(self._address):
            chunks = collection_of(self._client, self._address)
            if chunks is None:
                raise IndexFileError(f"No index in {self._address}. Build it: rag build")
            state = MilvusState(self._client, self._address, chunks, meta_of(self._client, chunks))
            if self._identity is not None:
                require_identity(state.identity, self._identity, str(self._address))
            if self._keyword and not state.keyword:
                raise IndexFileError(
                    f"{self._address} was built for dense search alone. Ask it so: --retrieval dense"
                )
            yield state

    def generation(self) -> str:
        """See `Index.generation`."""
        with self.open() as state:
            return state.generation

    def close(self) -> None:
        """See `Index.close`."""
        self._client.close()


class MilvusState:
    """An index in Milvus as it is now (see `rag.index.base.State`).

    What a build writes meanwhile may be seen, a document at a time. The rows that a search brings are kept
    here with all that chunks are scored by.
    """

    def __init__(self, client: Any, address: MilvusAddress, chunks: str, meta: Mapping[str, Any]) -> None:
        """The state of the collection `chunks`, which `meta` describes."""
        self._client = client
        self._address = address
        self._chunks = chunks
        self._documents = documents_of(chunks)
        self._chunk_rows: dict[int, dict[str, Any]] = {}
        self._part_rows: dict[int, dict[str, Any]] = {}
        self._stem_counts: dict[str, int] = {}
        self._count: int | None = None
        self.generation: str = meta["generation"]
        self.identity = EmbedderIdentity(**meta["embedder"])
        self.keyword = bool(meta["keyword"])

    def chunk_count(self) -> int:
        """See `State.chunk_count`."""
        if self._count is None:
            self._count = count(self._client, self._chunks, "")
        return self._count

    def dense_search(self, vector: Vectors, k: int, scope: Scope | None = None) -> ScoredIds:
        """See `State.dense_search`."""
        return self._search("vector", vector.tolist(), k, scope, SEARCH)

    def keyword_search(self, terms: Sequence[str], k: int, scope: Scope | None = None) -> ScoredIds:
        """See `State.keyword_search`."""
        if not terms:
            return []
        # Servers differ in the sign; more is better here.
        hits = self._search("keywords", " ".join(map(stem, terms)), k, scope, {})
        return sorted(((chunk, abs(score)) for chunk, score in hits), key=_best_first)

    def _search(
        self, field: str, sought: Any, k: int, scope: Scope | None, params: dict[str, Any]
    ) -> ScoredIds:
        if k < 1:  # of an index without documents
            return []
        (hits,) = self._client.search(
            self._chunks,
            data=[sought],
            anns_field=field,
            limit=min(k, MOST),
            filter=self._within(scope),
            output_fields=CHUNK_FIELDS,
            search_params=params,
            timeout=ANSWER_S,
        )
        self._chunk_rows.update(
            (int(hit["id"]), dict(hit["entity"]) | {"id": int(hit["id"])}) for hit in hits
        )
        return sorted(((int(hit["id"]), float(hit["distance"])) for hit in hits), key=_best_first)

    def _within(self, scope: Scope | None) -> str:
        """The condition, in Milvus's language, that a chunk is in the scope."""
        if scope is None:
            return ""
        limits = []
        if scope.since is not None:
            limits.append(f'date >= "{scope.since}"')
        if scope.until is not None:
            limits.append(f'date != "" and date <= "{scope.until}"')
        if scope.sources is not None:
            names = {key(source): source for source in scope.sources}
            rows = self._query(self._documents, f"part == 0 and name in {[*names]}", ["name"])
            known = {row["name"] for row in rows}
            if unknown := [source for name, source in names.items() if name not in known]:
                raise QuestionError(
                    f"{self._address} has no document {', '.join(unknown[:5])}. Choose another, or index it: "
                    "rag build"
                )
            limits.append(f"name in {[*names]}")
        return " and ".join(limits)

    def chunks_with(self, terms: Sequence[str]) -> dict[str, int]:
        """See `State.chunks_with`."""
        for sought in {*map(stem, terms)} - self._stem_counts.keys():
            condition = f"TEXT_MATCH(stems, {json.dumps(sought, ensure_ascii=False)})"
            self._stem_counts[sought] = count(self._client, self._chunks, condition)
        return {term: self._stem_counts[stem(term)] for term in terms}

    def weighables(self, ids: Sequence[int]) -> list[Weighable]:
        """See `State.weighables`."""
        return [
            Weighable(chunk.id, (chunk.source, chunk.start), chunk.sentence_vectors, chunk.stems)
            for chunk in self.chunks(sorted(ids))
        ]

    def chunks(self, ids: Sequence[int]) -> tuple[StoredChunk, ...]:
        """See `State.chunks`."""
        return tuple(map(chunk_of, self._rows_of(ids)))

    def cosines(self, vector: Vectors, ids: Sequence[int]) -> list[float]:
        """See `State.cosines`."""
        return [float(np.array(row["vector"], np.float32) @ vector) for row in self._rows_of(ids)]

    def _rows_of(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these chunks, in this order."""
        if missing := [chunk for chunk in ids if chunk not in self._chunk_rows]:
            rows = self._query(self._chunks, f"id in {missing}", CHUNK_FIELDS)
            self._chunk_rows.update((row["id"], row) for row in rows)
        if any(chunk not in self._chunk_rows for chunk in ids):
            raise IndexFileError(f"{self._address} lacks chunks. {REBUILD}")
        return [self._chunk_rows[chunk] for chunk in ids]

    def chunks_between(self, document: int, start: int, end: int) -> tuple[StoredChunk, ...]:
        """See `State.chunks_between`."""
        return self._stored(_between(document, start, end))

    def every_chunk(self, documents: Sequence[int]) -> dict[int, list[Chunk]]:
        """All chunks of each of these documents, however many, in order."""
        chunks: dict[int, list[Chunk]] = {document: [] for document in documents}
        fields = ["document", "start", "end", "text"]
        for row in all_rows(self._client, self._chunks, f"document in {[*documents]}", fields):
            start, end = row["start"], row["end"]
            chunks[row["document"]].append(Chunk(start, end, row["text"][start - end :]))
        for of_document in chunks.values():
            of_document.sort(key=lambda chunk: chunk.start)
        return chunks

    def _stored(self, condition: str) -> tuple[StoredChunk, ...]:
        chunks = map(chunk_of, self._query(self._chunks, condition, CHUNK_FIELDS))
        return tuple(sorted(chunks, key=lambda chunk: chunk.start))

    def around(self, chunks: Sequence[StoredChunk], max_chars: int) -> list[tuple[StoredChunk, ...]]:
        """See `State.around`; the parts of documents that are asked for next are read too, all at once."""
        spans = [(one.document, one.end - max_chars, one.start + max_chars) for one in chunks]
        if not spans:
            return []
        parts = {(document, 0) for document, _, _ in spans}
        parts |= {(document, max(at, 0) // PART_CHARS) for document, *ends in spans for at in ends}
        fields = ["id", "sha256", "title", "date", "pages", "characters", "blocks", "text"]
        ids = [key(*part) for part in sorted(parts)]
        self._part_rows |= {row["id"]: row for row in self._query(self._documents, f"id in {ids}", fields)}
        near = self._stored(" or ".join(f"({_between(*span)})" for span in spans))
        return [
            tuple(one for one in near if one.document == document and one.end > start and one.start < end)
            for document, start, end in spans
        ]

    def document(self, source: str) -> int | None:
        """See `Documents.document`."""
        condition = f"part == 0 and whole == true and name == {key(source)}"
        rows = self._query(self._documents, condition, ["document"])
        return max((int(row["document"]) for row in rows), default=None)

    def documents(self) -> dict[str, StoredDocument]:
        """See `Documents.documents`."""
        return {
            row["source"]: StoredDocument(
                row["sha256"], row["title"] or None, row["date"] or None, row["characters"]
            )
            for row in whole_documents(self._client, self._documents)
        }

    def about(self, document: int) -> About:
        """See `State.about`."""
        (row,) = self._parts(document, [0], ["sha256", "title", "date", "pages"])
        return about_of(row)

    def text(self, document: int, start: int = 0, end: int | None = None) -> str:
        """See `Documents.text`."""
        if end is None:
            (row,) = self._parts(document, [0], ["characters"])
            end = int(row["characters"])
        first, last = start // PART_CHARS, max(end - 1, 0) // PART_CHARS
        texts: list[str] = []
        for part in range(first, last + 1, _PARTS):
            parts = range(part, min(part + _PARTS, last + 1))
            texts.extend(row["text"] for row in self._parts(document, parts, ["text"]))
        return "".join(texts)[start - first * PART_CHARS : end - first * PART_CHARS]

    def blocks(self, document: int, start: int, end: int) -> tuple[Block, ...]:
        """See `State.blocks`."""
        parts = range(start // PART_CHARS, max(end - 1, 0) // PART_CHARS + 1)
        rows = self._parts(document, parts, ["blocks"])
        return tuple(dict.fromkeys(block for row in rows for block in blocks_of(row, start, end)))

    def near_duplicates(self, document: int, scope: Scope | None) -> dict[str, str]:
        """See `State.near_duplicates`: none, since they aren't known here."""
        return {}

    def damaged_vectors(self) -> IndexFileError:
        """See `State.damaged_vectors`."""
        return IndexFileError(f"{self._address} has damaged vectors. {REBUILD}")

    def _parts(self, document: int, parts: Iterable[int], fields: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of these parts of a document, in order."""
        ids = [key(document, part) for part in parts]
        missing = [number for number in ids if number not in self._part_rows]
        rows = self._query(self._documents, f"id in {missing}", ["id", *fields]) if missing else []
        by_id = self._part_rows | {row["id"]: row for row in rows}
        if any(number not in by_id for number in ids):
            raise IndexFileError(f"{self._address} lacks a document that was changed just now. Ask again.")
        return [by_id[number] for number in ids]

    def _query(self, collection: str, condition: str, fields: Sequence[str]) -> list[dict[str, Any]]:
        return query(self._client, collection, condition, fields)


def _best_first(hit: tuple[int, float]) -> tuple[float, int]:
    return -hit[1], hit[0]


def _between(document: int, start: int, end: int) -> str:
    """The condition that a chunk has a character of the document between these offsets."""
    return f"document == {document} and end > {start} and start < {end}"
