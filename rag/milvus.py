"""The index in Milvus, for folders that outgrow one machine: the only module that imports pymilvus.

An index of the name `articles` is an alias of a collection `articles_rag_1a2b3c4d` of chunks, beside which
`articles_rag_1a2b3c4d_documents` has the documents' texts, in parts that a field of Milvus can hold, and a
row that says what the index is, and who builds it. A rebuild makes others and then points the alias to them.
The id of a row is a hash of what it is of, the version of the document included: to write it twice changes
nothing, and what is read of a document is of one version.
"""

import contextlib
import functools
import importlib.util
import json
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rag.addresses import MilvusAddress
from rag.errors import IndexFileError, QuestionError
from rag.index import (
    About,
    BlockWriter,
    Capabilities,
    EmbeddedDocument,
    Found,
    StoredChunk,
    StoredDocument,
    Vectors,
    Weighable,
    require_identity,
)
from rag.pooling import unit
from rag.rows import (
    CHUNK_FIELDS,
    META,
    NO_VECTOR,
    PART_CHARS,
    about_of,
    chunk_rows,
    document_rows,
    embedded_text,
    key,
    meta_row,
    stored_chunk,
)
from rag.tables import REBUILD, EmbeddedText, text_hash
from rag.types import EmbedderIdentity, Scope
from rag.words import stem

SCHEMA = "1"
KEYWORD_SINCE = (2, 5)
"""The release of the server that brought BM25."""

ANSWER_S = 10.0
"""How long a question waits for the server."""

_BUILD_S = 300.0
_SETTLE_S = 120.0
"""How long a build waits until questions see what it wrote."""

_GRACE_S = 5.0
"""Questions that began before a rebuild ended are answered from the collection before for so long."""

_LEASE_S = 120.0
"""A build that hasn't written for so long has ended, though it didn't say so."""

_RENEWED_S = 20.0

_MOST = 1_000
"""So many chunks are asked for at most: each comes with all that it is weighed by."""

_ROWS = 200
"""So many rows are sent at a time, 2 MB; the server takes 64 MB."""

_SAMPLE, _PROBES, _NEAREST = 1_000, 20, 10
"""So many chunks, out of which the nearest are looked for so many times, that many."""

_SEARCH = {"params": {"ef": 2 * _MOST}}
_GRAPH = {"M": 16, "efConstruction": 200}
_ANALYSER = {"tokenizer": "standard"}
"""What is searched by words are stems already (see `rag.words`)."""

_NONE = "none"
"""The generation of an index that no build has finished."""

_NOT_CONNECTED, _NO_COLLECTION = 2, 100
"""Codes of Milvus's errors."""

_RECALL = 0.95
_OFF = 1e-4
"""How far off a cosine may be that the server computes."""


class MilvusIndex:
    """An index in Milvus (see `rag.index.Index`)."""

    def __init__(self, address: MilvusAddress, identity: EmbedderIdentity, *, keyword: bool) -> None:
        """Connect; `IndexFileError` unless there is an index that `identity` made.

        `keyword` says that search by words is wanted: `IndexFileError` if the index has none.
        """
        self._address = address
        self._identity = identity
        self._keyword = keyword
        self._client = _connected(address)
        with _translated(address):
            if (chunks := _collection(self._client, address)) is not None:
                _load(self._client, chunks)
        with self.open():
            pass  # what is wrong is told of now, not at the first question

    @contextlib.contextmanager
    def open(self) -> "Iterator[MilvusState]":
        """See `Index.open`."""
        with _translated(self._address):
            state = _state(self._client, self._address)
            if state is None:
                raise IndexFileError(f"No index in {self._address}. Build it: rag build")
            require_identity(state.identity, self._identity, str(self._address))
            if self._keyword and not state.capabilities.keyword:
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
    """An index in Milvus as it is now (see `rag.index.State`).

    What a build writes meanwhile may be seen, a document at a time. Chunks that a search brings are kept here
    with all that they are weighed by.
    """

    def __init__(self, client: Any, address: MilvusAddress, chunks: str, meta: Mapping[str, Any]) -> None:
        """Of the collection `chunks`, which `meta` describes."""
        self._client = client
        self._address = address
        self._chunks = chunks
        self._documents = _documents(chunks)
        self._kept: dict[int, dict[str, Any]] = {}
        self._read: dict[int, dict[str, Any]] = {}
        self._having: dict[str, int] = {}
        self.generation: str = meta["generation"]
        self.identity = EmbedderIdentity(**meta["embedder"])
        self.capabilities = Capabilities(keyword=bool(meta["keyword"]), copies=False)

    def chunk_count(self) -> int:
        """See `State.chunk_count`."""
        return _count(self._client, self._chunks, "")

    def dense_search(self, vector: Vectors, k: int, scope: Scope | None = None) -> Found:
        """See `State.dense_search`."""
        return self._search("vector", vector.tolist(), k, scope, _SEARCH)

    def keyword_search(self, terms: Sequence[str], k: int, scope: Scope | None = None) -> Found:
        """See `State.keyword_search`."""
        if not terms:
            return []
        found = self._search("keywords", " ".join(map(stem, terms)), k, scope, {})
        # Servers differ in the sign; more is better here.
        return [(chunk, abs(score)) for chunk, score in found]

    def _search(self, field: str, sought: Any, k: int, scope: Scope | None, params: dict[str, Any]) -> Found:
        (hits,) = self._client.search(
            self._chunks,
            data=[sought],
            anns_field=field,
            limit=min(k, _MOST),
            filter=self._within(scope),
            output_fields=CHUNK_FIELDS,
            search_params=params,
            timeout=ANSWER_S,
        )
        self._kept.update((int(hit["id"]), dict(hit["entity"]) | {"id": int(hit["id"])}) for hit in hits)
        found = [(int(hit["id"]), float(hit["distance"])) for hit in hits]
        return sorted(found, key=lambda one: (-abs(one[1]) if field == "keywords" else -one[1], one[0]))

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
        for sought in {*map(stem, terms)} - self._having.keys():
            condition = f"TEXT_MATCH(stems, {json.dumps(sought, ensure_ascii=False)})"
            self._having[sought] = _count(self._client, self._chunks, condition)
        return {term: self._having[stem(term)] for term in terms}

    def weighables(self, ids: Sequence[int]) -> list[Weighable]:
        """See `State.weighables`."""
        return [
            Weighable(chunk.id, chunk.sentence_vectors, chunk.stems) for chunk in self.chunks(sorted(ids))
        ]

    def chunks(self, ids: Sequence[int]) -> tuple[StoredChunk, ...]:
        """See `State.chunks`."""
        self._keep(ids)
        return tuple(stored_chunk(self._kept[chunk]) for chunk in ids)

    def cosines(self, vector: Vectors, ids: Sequence[int]) -> list[float]:
        """See `State.cosines`."""
        self._keep(ids)
        return [float(np.array(self._kept[chunk]["vector"], np.float32) @ vector) for chunk in ids]

    def _keep(self, ids: Sequence[int]) -> None:
        if missing := [chunk for chunk in ids if chunk not in self._kept]:
            rows = self._query(self._chunks, f"id in {missing}", CHUNK_FIELDS)
            self._kept.update((row["id"], row) for row in rows)
        if any(chunk not in self._kept for chunk in ids):
            raise IndexFileError(f"{self._address} lacks chunks. {REBUILD}")

    def chunks_between(self, document: int, start: int, end: int) -> tuple[StoredChunk, ...]:
        """See `State.chunks_between`."""
        return self._stored(_between(document, start, end))

    def _stored(self, condition: str) -> tuple[StoredChunk, ...]:
        found = map(stored_chunk, self._query(self._chunks, condition, CHUNK_FIELDS))
        return tuple(sorted(found, key=lambda chunk: chunk.start))

    def around(self, chunks: Sequence[StoredChunk], max_chars: int) -> list[tuple[StoredChunk, ...]]:
        """See `State.around`: all at once, and what else is asked of their documents then."""
        spans = [(one.document, one.end - max_chars, one.start + max_chars) for one in chunks]
        if not spans:
            return []
        parts = {(document, 0) for document, _, _ in spans}
        parts |= {(document, max(at, 0) // PART_CHARS) for document, *ends in spans for at in ends}
        fields = ["id", "sha256", "title", "date", "pages", "characters", "text"]
        ids = [key(*part) for part in sorted(parts)]
        self._read |= {row["id"]: row for row in self._query(self._documents, f"id in {ids}", fields)}
        found = self._stored(" or ".join(f"({_between(*span)})" for span in spans))
        return [
            tuple(one for one in found if one.document == document and one.end > start and one.start < end)
            for document, start, end in spans
        ]

    def document(self, source: str) -> int | None:
        """See `State.document`."""
        condition = f"part == 0 and whole == true and name == {key(source)}"
        rows = self._query(self._documents, condition, ["document"])
        return max((int(row["document"]) for row in rows), default=None)

    def documents(self) -> dict[str, StoredDocument]:
        """See `State.documents`."""
        return {
            row["source"]: StoredDocument(
                row["sha256"], row["title"] or None, row["date"] or None, row["characters"]
            )
            for row in _whole(self._client, self._documents)
        }

    def about(self, document: int) -> About:
        """See `State.about`."""
        (row,) = self._parts(document, [0], ["sha256", "title", "date", "pages"])
        return about_of(row)

    def text(self, document: int, start: int = 0, end: int | None = None) -> str:
        """See `State.text`."""
        if end is None:
            (row,) = self._parts(document, [0], ["characters"])
            end = int(row["characters"])
        first, last = start // PART_CHARS, max(end - 1, 0) // PART_CHARS
        texts: list[str] = []
        for part in range(first, last + 1, _ROWS):
            some = range(part, min(part + _ROWS, last + 1))
            texts.extend(row["text"] for row in self._parts(document, some, ["text"]))
        return "".join(texts)[start - first * PART_CHARS : end - first * PART_CHARS]

    def copies(self, document: int, scope: Scope | None) -> dict[str, str]:
        """None: Milvus can't say which documents are nearly the same (see `Capabilities`)."""
        return {}

    def damaged_vectors(self) -> IndexFileError:
        """See `State.damaged_vectors`."""
        return IndexFileError(f"{self._address} has damaged vectors. {REBUILD}")

    def _parts(self, document: int, parts: Iterable[int], fields: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of these parts of a document, in order."""
        ids = [key(document, part) for part in parts]
        missing = [number for number in ids if number not in self._read]
        rows = self._query(self._documents, f"id in {missing}", ["id", *fields]) if missing else []
        found = self._read | {row["id"]: row for row in rows}
        if any(number not in found for number in ids):
            raise IndexFileError(f"{self._address} lacks a document that was changed just now. Ask again.")
        return [found[number] for number in ids]

    def _query(self, collection: str, condition: str, fields: Sequence[str]) -> list[dict[str, Any]]:
        return _query(self._client, collection, condition, fields)


class MilvusWriter:
    """The right to write into a collection, for all workers of a build (see `rag.index.BlockWriter`)."""

    def __init__(self, address: MilvusAddress, chunks: str, token: str) -> None:
        """Write into the collection `chunks` and the one of its documents, as the build of this token."""
        self._address = address
        self._client = _connected(address)
        self._documents = _documents(chunks)
        self._token = token
        self._renewed = time.monotonic()
        self._before: dict[str, str] | None = None
        self.chunks = chunks

    def hashes(self) -> dict[str, str]:
        """See `BlockWriter.hashes`."""
        with _translated(self._address):
            self._before = {row["source"]: row["sha256"] for row in _whole(self._client, self._documents)}
        return self._before

    def connect(self) -> Callable[[], BlockWriter]:
        """See `BlockWriter.connect`."""
        if self._address.in_process:
            raise IndexFileError(f"{self._address} is a file of one process. Name a server for a cluster.")
        return functools.partial(MilvusWriter, self._address, self.chunks, self._token)

    def known(self, sources: Sequence[str]) -> dict[bytes, EmbeddedText]:
        """See `BlockWriter.known`."""
        fields = ["text", "spans", "sentence_vectors", "vector"]
        with _translated(self._address):
            rows = _all(self._client, self.chunks, f"name in {[*map(key, sources)]}", fields)
            known = {text_hash(row["text"]): embedded_text(row) for row in rows}
            return {hashed: found for hashed, found in known.items() if found is not None}

    def upsert(self, documents: Iterable[EmbeddedDocument]) -> None:
        """See `BlockWriter.upsert`; `IndexFileError` if another build has taken over."""
        self._renew()
        found = [(document_rows(embedded), chunk_rows(embedded)) for embedded in documents]
        # Before its chunks, so that each that is found has its document, which is whole when all are there.
        self._put(self._documents, [row | {"whole": False} for parts, _ in found for row in parts])
        self._put(self.chunks, [row for _, rows in found for row in rows])
        self._put(self._documents, [parts[0] for parts, _ in found])

    def _renew(self) -> None:
        """Say that the build goes on."""
        if time.monotonic() - self._renewed > _RENEWED_S:
            with _translated(self._address):
                _hold(self._client, self._address, self.chunks, self._token)
            self._renewed = time.monotonic()

    def _put(self, collection: str, rows: Sequence[dict[str, Any]]) -> None:
        with _translated(self._address):
            for first in range(0, len(rows), _ROWS):
                self._client.upsert(collection, [*rows[first : first + _ROWS]], timeout=_BUILD_S)

    def finish(self, now: Mapping[str, str]) -> None:
        """See `BlockWriter.finish`."""
        fields = ["document", "source", "sha256", "whole", "chunks"]
        with _translated(self._address):
            _hold(self._client, self._address, self.chunks, self._token)
            expected = 0
            deleted = False
            there: dict[str, str] = {}
            for row in _all(self._client, self._documents, "part == 0", fields):
                if now.get(row["source"]) != row["sha256"]:
                    self._delete(row["document"])
                    deleted = True
                elif row["whole"]:
                    expected += row["chunks"]
                    there[row["source"]] = row["sha256"]
            if lacking := [source for source in now if source not in there]:
                raise IndexFileError(
                    f"{self._address} lacks {len(lacking)} documents that were put in, such as {lacking[0]}: "
                    "another build took them out. Build it again: rag build"
                )
            meta = _meta(self._client, self.chunks)
            unchanged = self._before == there and not deleted and meta["generation"] != _NONE
            if unchanged and _count(self._client, self.chunks, "") == expected:
                return
            self._client.flush(self.chunks, timeout=_BUILD_S)
            self._settle(expected)
            self._client.upsert(
                self._documents, [meta_row(meta | {"generation": secrets.token_hex(6)})], timeout=_BUILD_S
            )

    def _delete(self, document: int) -> None:
        """Delete a version of a document, so that what is left, if it is interrupted, is found again."""
        for collection, condition in (
            (self.chunks, f"document == {document}"),
            (self._documents, f"document == {document} and part > 0"),
            (self._documents, f"document == {document}"),
        ):
            ids = [row["id"] for row in _all(self._client, collection, condition, ["id"])]
            for first in range(0, len(ids), _MOST):
                self._client.delete(collection, ids=ids[first : first + _MOST], timeout=_BUILD_S)

    def _settle(self, expected: int) -> None:
        """Wait until there are as many chunks as expected, and search finds those that are looked for."""
        waited = time.monotonic() + _SETTLE_S
        before = -1
        while True:
            count, pending = _count(self._client, self.chunks, ""), _pending(self._client, self.chunks)
            if count == expected and not pending and self._finds():
                return
            if pending != before:  # the index over the vectors is being made
                before, waited = pending, time.monotonic() + _SETTLE_S
            if time.monotonic() > waited:
                raise IndexFileError(
                    f"{self._address} shows {count} chunks, where its documents have {expected}, or search "
                    f"doesn't find them ({pending} wait for it). Look at the server's log, and build again: "
                    "rag build"
                )
            self._renew()
            time.sleep(0.2)

    def _finds(self) -> bool:
        """Whether search finds what is nearest among some of the chunks.

        Until the index over the vectors is made and loaded, which nothing tells, another answers that finds
        less: 0.7 of the nearest.
        """
        some = self._client.query(
            self.chunks, filter="id > 0", output_fields=["id", "vector"], limit=_SAMPLE, timeout=_BUILD_S
        )
        if not some:
            return True
        vectors = np.array([row["vector"] for row in some], dtype=np.float32)
        chosen = np.random.default_rng(0).integers(len(some), size=(2, _PROBES))
        probes = unit(vectors[chosen[0]] + vectors[chosen[1]])
        nearest = np.sort(probes @ vectors.T, axis=1)[:, ::-1][:, :_NEAREST]
        found = self._client.search(
            self.chunks,
            data=probes.tolist(),
            anns_field="vector",
            limit=_NEAREST,
            filter=f"id in {[row['id'] for row in some]}",
            search_params=_SEARCH,
            timeout=_BUILD_S,
        )
        near = sum(
            hit["distance"] > exact[-1] - _OFF
            for hits, exact in zip(found, nearest, strict=True)
            for hit in hits
        )
        return bool(near >= _RECALL * nearest.size)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()


@contextlib.contextmanager
def writing(
    address: MilvusAddress, identity: EmbedderIdentity, *, keyword: bool, rebuild: bool
) -> Iterator[MilvusWriter]:
    """The right to change the index, which is made if there is none.

    With `keyword` it can be searched by words: `IndexFileError` if the server, or the index as it is, can't
    be. `rebuild` starts from nothing; the old index answers until the new one is whole. `IndexFileError` if
    the index was built with another embedder, or another build is at work.
    """
    token = secrets.token_hex(8)
    with contextlib.closing(_connected(address, make_folder=True)) as client:
        with _translated(address):
            current = _collection(client, address)
            fresh = rebuild or current is None
            if keyword:
                _require_keyword(client, address)
            if fresh:
                left = _unfinished(client, address, identity, keyword)
                chunks = left or _made(client, address, identity, keyword)
            else:
                assert current is not None, "an index that isn't made anew is there"
                chunks = current
            _load(client, chunks)
            meta = _meta(client, chunks)
            require_identity(EmbedderIdentity(**meta["embedder"]), identity, str(address))
            if keyword and not meta["keyword"]:
                raise IndexFileError(
                    f"{address} was built for dense search alone. Build it so: --retrieval dense, or "
                    "rebuild it: rag build --rebuild"
                )
            if current is not None:
                _require_free(address, _meta(client, current))
            _require_free(address, meta)
            _hold(client, address, chunks, token, new=True)
        try:
            with contextlib.closing(MilvusWriter(address, chunks, token)) as writer:
                yield writer
            if fresh:
                with _translated(address):
                    _put_in_force(client, address, chunks)
        finally:
            with contextlib.suppress(IndexFileError), _translated(address):
                _release(client, chunks, token)


def _hold(client: Any, address: MilvusAddress, chunks: str, token: str, *, new: bool = False) -> None:
    """Say who builds, and that it goes on; `IndexFileError` if another build has taken over."""
    meta = _meta(client, chunks)
    builder = meta.get("builder") or {}
    if not new and builder.get("token") != token:
        _require_free(address, meta)
    who = {"token": token, "who": f"process {os.getpid()} on {socket.gethostname()}", "seen": time.time()}
    client.upsert(_documents(chunks), [meta_row(meta | {"builder": who})], timeout=_BUILD_S)


def _release(client: Any, chunks: str, token: str) -> None:
    meta = _meta(client, chunks)
    if (meta.get("builder") or {}).get("token") == token:
        client.upsert(_documents(chunks), [meta_row(meta | {"builder": None})], timeout=_BUILD_S)


def _require_free(address: MilvusAddress, meta: Mapping[str, Any]) -> None:
    """`IndexFileError` while a build is at work."""
    if _is_held(meta):
        raise IndexFileError(
            f"{address} is being built by {meta['builder']['who']}. Wait for it; one that was killed is "
            f"forgotten after {_LEASE_S:g} s."
        )


def exists(address: MilvusAddress) -> bool:
    """Whether there is an index at the address; `IndexFileError` if that can't be told."""
    with contextlib.closing(_connected(address)) as client, _translated(address):
        return _collection(client, address) is not None


def _state(client: Any, address: MilvusAddress) -> MilvusState | None:
    chunks = _collection(client, address)
    return None if chunks is None else MilvusState(client, address, chunks, _meta(client, chunks))


def _collection(client: Any, address: MilvusAddress) -> str | None:
    """The collection that the index's name is an alias of; None if it is none."""
    from pymilvus import MilvusException

    try:
        found = client.describe_collection(address.collection, timeout=ANSWER_S)
    except MilvusException as error:
        if error.code == _NO_COLLECTION:
            return None
        raise
    name = str(found["collection_name"])
    if not _is_of(address, name):
        raise IndexFileError(
            f"{address} is a collection of another program's. Name another: --index milvus://host/collection"
        )
    return name


def _is_of(address: MilvusAddress, name: str) -> bool:
    return re.fullmatch(re.escape(address.collection) + "_rag_[0-9a-f]{8}", name) is not None


def _between(document: int, start: int, end: int) -> str:
    """The condition that a chunk has a character of the document there."""
    return f"document == {document} and end > {start} and start < {end}"


def _documents(chunks: str) -> str:
    return f"{chunks}_documents"


def _meta(client: Any, chunks: str) -> dict[str, Any]:
    rows = _query(client, _documents(chunks), f"id == {META}", ["text"])
    if not rows:
        raise IndexFileError(f"The collection {chunks} lacks what says how it was built. {REBUILD}")
    meta: dict[str, Any] = json.loads(rows[0]["text"])
    if meta.get("schema") != SCHEMA:
        raise IndexFileError(
            f"The collection {chunks} has schema {meta.get('schema')}; this version reads schema {SCHEMA}. "
            f"{REBUILD}"
        )
    return meta


def _require_keyword(client: Any, address: MilvusAddress) -> None:
    version = str(client.get_server_version(timeout=ANSWER_S))
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers is not None and tuple(map(int, numbers.groups())) < KEYWORD_SINCE:
        raise IndexFileError(
            f"The Milvus server at {address.server} is {version}; search by words needs 2.5 or later. Use a "
            "newer one, or search by meaning alone: --retrieval dense"
        )


def _unfinished(client: Any, address: MilvusAddress, identity: EmbedderIdentity, keyword: bool) -> str | None:
    """A collection that a build has begun and never finished, if it fits and no build is at work on it."""
    for name, meta in _own(client, address).items():
        fits = EmbedderIdentity(**meta["embedder"]) == identity and meta["keyword"] == keyword
        if fits and meta["generation"] == _NONE and not _is_held(meta):
            return name
    return None


def _own(client: Any, address: MilvusAddress) -> dict[str, dict[str, Any]]:
    """The collections of chunks that were made for this index, with what is said of them."""
    names = {*client.list_collections(timeout=ANSWER_S)}
    found = {}
    for name in sorted(names):
        if _is_of(address, name) and _documents(name) in names:
            _load(client, name)
            with contextlib.suppress(IndexFileError, ValueError):
                found[name] = _meta(client, name)
    return found


def _is_held(meta: Mapping[str, Any]) -> bool:
    builder = meta.get("builder")
    return builder is not None and time.time() - builder["seen"] < _LEASE_S


def _load(client: Any, chunks: str) -> None:
    """Have them in the server's memory: milvus-lite hasn't, in another process."""
    for name in (chunks, _documents(chunks)):
        client.load_collection(name, timeout=_BUILD_S)


def _made(client: Any, address: MilvusAddress, identity: EmbedderIdentity, keyword: bool) -> str:
    """An empty collection and that of its documents."""
    from pymilvus import DataType, Function, FunctionType, MilvusClient

    chunks = f"{address.collection}_rag_{secrets.token_hex(4)}"
    whole, text = {"datatype": DataType.INT64}, {"datatype": DataType.VARCHAR, "max_length": 65_535}
    of_document = {"document": whole, "name": whole, "source": text, "date": text}
    stemmed = text | {"enable_analyzer": True, "enable_match": True, "analyzer_params": _ANALYSER}

    def made(name: str, fields: Mapping[str, Any], dimension: int, index: Mapping[str, Any]) -> None:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        indexes = client.prepare_index_params()
        indexes.add_index("vector", metric_type="IP", **index)
        for field, of_field in fields.items():
            schema.add_field(field, **of_field)
        if "keywords" in fields:
            schema.add_function(
                Function(
                    name="bm25",
                    function_type=FunctionType.BM25,
                    input_field_names=["stems"],
                    output_field_names=["keywords"],
                )
            )
            indexes.add_index("keywords", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
        client.create_collection(
            name, schema=schema, index_params=indexes, consistency_level="Session", timeout=_BUILD_S
        )

    fields = of_document | {"start": whole, "end": whole, "text": text, "spans": text}
    fields |= {"sentence_vectors": text, "stems": stemmed if keyword else text}
    if keyword:
        fields |= {"keywords": {"datatype": DataType.SPARSE_FLOAT_VECTOR}}
    of_chunks = (chunks, fields, identity.dimension, {"index_type": "HNSW", "params": _GRAPH})
    fields = of_document | {"part": whole, "chunks": whole, "characters": whole, "sha256": text}
    fields |= {"title": text, "pages": text, "text": text, "whole": {"datatype": DataType.BOOL}}
    # A collection must have vectors; these are never searched.
    of_documents = (_documents(chunks), fields, len(NO_VECTOR), {"index_type": "FLAT"})
    with ThreadPoolExecutor(2) as both:  # each waits some seconds for the server
        for waiting in [both.submit(made, *one) for one in (of_chunks, of_documents)]:
            waiting.result()
    meta = {"schema": SCHEMA, "embedder": asdict(identity), "keyword": keyword, "generation": _NONE}
    client.upsert(_documents(chunks), [meta_row(meta)], timeout=_BUILD_S)
    return chunks


def _put_in_force(client: Any, address: MilvusAddress, chunks: str) -> None:
    """Point the index's name to the collection, and drop the others that it had."""
    if _collection(client, address) is None:
        client.create_alias(chunks, address.collection, timeout=_BUILD_S)
    else:
        client.alter_alias(chunks, address.collection, timeout=_BUILD_S)
        time.sleep(_GRACE_S)
    for name, meta in _own(client, address).items():
        if name != chunks and not _is_held(meta):
            client.drop_collection(name, timeout=_BUILD_S)
            client.drop_collection(_documents(name), timeout=_BUILD_S)


def _count(client: Any, collection: str, condition: str) -> int:
    (row,) = client.query(collection, filter=condition, output_fields=["count(*)"], timeout=ANSWER_S)
    return int(row["count(*)"])


def _query(client: Any, collection: str, condition: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    return [
        dict(row)
        for row in client.query(collection, filter=condition, output_fields=[*fields], timeout=ANSWER_S)
    ]


def _all(client: Any, collection: str, condition: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """All rows that this is true of, however many."""
    found = client.query_iterator(
        collection, filter=condition, output_fields=[*fields], batch_size=_MOST, timeout=_BUILD_S
    )
    rows: list[dict[str, Any]] = []
    with contextlib.closing(found):
        while some := found.next():
            rows.extend(map(dict, some))
    return rows


def _whole(client: Any, documents: str) -> list[dict[str, Any]]:
    fields = ["source", "sha256", "title", "date", "characters"]
    return _all(client, documents, "part == 0 and whole == true", fields)


def _pending(client: Any, chunks: str) -> int:
    return int(client.describe_index(chunks, "vector", timeout=ANSWER_S).get("pending_index_rows", 0))


def _connected(address: MilvusAddress, *, make_folder: bool = False) -> Any:
    """A client of its own; `IndexFileError` if the server can't be reached or refuses.

    The folder of a file is made with `make_folder` alone.
    """
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise IndexFileError(
            f'{address} needs pymilvus. Install the extra milvus: pip install "rag[milvus]"'
        ) from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what goes wrong is told of here
    if address.in_process:
        if importlib.util.find_spec("milvus_lite") is None:
            raise IndexFileError(f"{address} needs milvus-lite: pip install milvus-lite")
        for name in ("grpc._server", "milvus_lite"):  # of what milvus-lite doesn't know
            logging.getLogger(name).setLevel(logging.CRITICAL)
        path = Path(address.server)
        try:
            if make_folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            elif not path.exists():
                raise IndexFileError(f"No index in {address}. Build it: rag build")
        except OSError as error:
            raise IndexFileError(f"{path} can't be used: {error.strerror}. Name another file.") from error
        with _translated(address):
            return MilvusClient(address.server)
    options: dict[str, Any] = {}
    if address.tls:
        options = {"secure": True, "server_name": address.server.rpartition(":")[0]}
        if address.certificate:
            if not Path(address.certificate).is_file():
                raise IndexFileError(f"{address.certificate} can't be read. Check RAG_MILVUS_CERTIFICATE.")
            # Without a certificate of the client's own pymilvus takes the authority's by this name alone.
            options["server_pem_path"] = address.certificate
    with _translated(address):
        return MilvusClient(
            f"{'https' if address.tls else 'http'}://{address.server}",
            user=address.user,
            password=address.password,
            timeout=ANSWER_S,
            dedicated=True,
            **options,
        )


@contextlib.contextmanager
def _translated(address: MilvusAddress) -> Iterator[None]:
    """The server's errors as `IndexFileError`, with what mends them."""
    from grpc import RpcError
    from pymilvus import MilvusException

    try:
        yield
    except (MilvusException, RpcError) as error:
        raise IndexFileError(_told(address, error)) from error


def _told(address: MilvusAddress, error: BaseException) -> str:
    """What a person is told of the error: the server's own words are for those who run it."""
    from grpc import RpcError, StatusCode

    cause: BaseException | None = error
    while not isinstance(cause, RpcError) and cause is not None:
        cause = (
            cause.__cause__ if cause.__cause__ is not cause else None
        )  # pymilvus raises some from themselves
    if address.in_process:
        return (
            f"{address} can't be used ({_message(error)}). It is a file of one process: end another that has "
            "it open, or name another."
        )
    server = f"The Milvus server at {address.server}"
    code = None if cause is None else cause.code()
    if code == StatusCode.UNAUTHENTICATED:
        who = f"{address.user} with this password" if address.user else "a client without user and password"
        return f"{server} refuses {who}. Check RAG_MILVUS_USER and RAG_MILVUS_PASSWORD."
    if code == StatusCode.DEADLINE_EXCEEDED:
        return f"{server} doesn't answer (a question waits {ANSWER_S:g} s). Ask again, or look at its load."
    if code == StatusCode.UNAVAILABLE or getattr(error, "code", None) == _NOT_CONNECTED:
        return f"{server} can't be reached. Check that it runs, its address, and " + (
            "whether RAG_MILVUS_CERTIFICATE is of who signed its certificate."
            if address.tls
            else "whether it wants TLS (milvus+tls://)."
        )
    if getattr(error, "code", None) == _NO_COLLECTION:
        return f"{address} was rebuilt just now. Ask again."
    return f"{server} failed: {_message(error)}. Ask again, or look at its log."


def _message(error: BaseException) -> str:
    """What the server said, on one line."""
    said = " ".join(str(getattr(error, "message", error)).split())
    return "".join(filter(str.isprintable, said))[:300].rstrip(".")
