"""Documents and vectors → an index in Milvus.

The id of a row is a hash of what it is of, the version of the document included: to write it twice changes
nothing, and what is read of a document is of one version.
"""

import contextlib
import functools
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rag.errors import IndexFileError
from rag.index.base import REBUILD, EmbeddedDocument, IndexWriter, require_identity
from rag.index.codec import EmbeddedText, text_hash
from rag.index.milvus.client import (
    ANSWER_S,
    BUILD_S,
    MOST,
    SEARCH,
    all_rows,
    connected,
    count,
    query,
    translated,
)
from rag.index.milvus.collections import (
    NONE,
    Hold,
    begun,
    collection_of,
    documents_of,
    drop,
    load,
    meta_of,
    own,
    put_in_force,
    put_meta,
    require_keyword,
    whole_documents,
)
from rag.index.milvus.rows import PART_FIELDS, chunk_rows, document_rows, embedded_text, key
from rag.models.pooling import unit
from rag.types import EmbedderIdentity
from rag.uris import MilvusAddress

_SETTLE_S = 120.0
"""How long a build waits until questions see what it wrote."""

RENEWED_S = 20.0
"""How often a build says that it goes on."""

_DELETED = 50
"""So many documents are deleted at a time."""

CHECKED_S = 20.0
"""How often a writer looks whether another build has taken over: to look takes 0.2 s."""

_ROWS = 200
"""So many rows are sent at a time, 2 MB; the server takes 64 MB."""

_SAMPLE, _PROBES, _NEAREST = 1_000, 20, 10
"""So many chunks, out of which the nearest are looked for so many times, that many."""

_RECALL = 0.95
_OFF = 1e-4
"""How far off a cosine may be that the server computes."""


class MilvusWriter:
    """The right to write into a collection, for all workers of a build (see `rag.index.base.IndexWriter`)."""

    def __init__(self, chunks: str, hold: Hold) -> None:
        """Write into the collection `chunks` and the one of its documents, while the build has its hold."""
        self._address = hold.address
        self._client = connected(hold.address)
        self._documents = documents_of(chunks)
        self._hold = hold
        self._before: dict[str, str] | None = None
        self._next_check = 0.0
        self.chunks = chunks

    def hashes(self) -> dict[str, str]:
        """See `IndexWriter.hashes`."""
        with translated(self._address):
            self._before = {
                row["source"]: row["sha256"] for row in whole_documents(self._client, self._documents)
            }
        return self._before

    def connect(self) -> Callable[[], IndexWriter]:
        """See `IndexWriter.connect`."""
        if self._address.in_process:
            raise IndexFileError(f"{self._address} is a file of one process. Name a server for a cluster.")
        return functools.partial(MilvusWriter, self.chunks, self._hold)

    def known(self, sources: Sequence[str], keys: Sequence[bytes]) -> dict[bytes, EmbeddedText]:
        """See `IndexWriter.known`."""
        fields = ["text", "spans", "sentence_vectors", "vector"]
        with translated(self._address):
            rows = all_rows(self._client, self.chunks, f"name in {[*map(key, sources)]}", fields)
            known = {text_hash(row["text"]): embedded_text(row) for row in rows}
            return {hashed: found for hashed, found in known.items() if found is not None}

    def keep(self, texts: Sequence[EmbeddedText]) -> bool:
        """See `IndexWriter.keep`: rows of chunks need their document."""
        return False

    def upsert(self, documents: Iterable[EmbeddedDocument]) -> None:
        """See `IndexWriter.upsert`; `IndexFileError` if another build has taken over."""
        found = [(document_rows(embedded), chunk_rows(embedded)) for embedded in documents]
        firsts = [parts[0] for parts, _ in found]
        with translated(self._address):
            self._begin()
            # Before its chunks, so that each that is found has its document, which is whole when all are
            # there.
            self._put(self._documents, [row | {"whole": False} for parts, _ in found for row in parts])
            self._put(self.chunks, [row for _, rows in found for row in rows])
            self._put(self._documents, firsts)
            # The version before goes as soon as this one answers. One of a moment ago may be overlooked: it
            # goes at the end.
            versions = f"part == 0 and name in {[row['name'] for row in firsts]}"
            there = {
                row["document"]
                for row in query(self._client, self._documents, versions, ["document"], seen="Eventually")
            }
            self._delete(sorted(there - {row["document"] for row in firsts}))

    def _begin(self) -> None:
        """See now and then that the build has its hold, and say that the state isn't what was named."""
        if time.monotonic() < self._next_check:
            return
        self._hold.require(self._client)
        meta = meta_of(self._client, self.chunks)
        if not meta.get("changing"):
            put_meta(self._client, self.chunks, meta | {"changing": True})
        self._next_check = time.monotonic() + CHECKED_S

    def _put(self, collection: str, rows: Sequence[dict[str, Any]]) -> None:
        for first in range(0, len(rows), _ROWS):
            self._client.upsert(collection, [*rows[first : first + _ROWS]], timeout=BUILD_S)

    def finish(self, now: Mapping[str, str]) -> None:
        """See `IndexWriter.finish`."""
        fields = ["document", "source", "sha256", "whole", "chunks"]
        with translated(self._address):
            self._hold.require(self._client)
            expected = 0
            gone: list[int] = []
            there: dict[str, str] = {}
            for row in all_rows(self._client, self._documents, "part == 0", fields):
                if now.get(row["source"]) != row["sha256"]:
                    gone.append(row["document"])
                elif row["whole"]:
                    expected += row["chunks"]
                    there[row["source"]] = row["sha256"]
            self._delete(gone)
            if lacking := [source for source in now if source not in there]:
                raise IndexFileError(
                    f"{self._address} lacks {len(lacking)} documents that were put in, such as {lacking[0]}: "
                    "another build took them out. Build it again: rag build"
                )
            meta = meta_of(self._client, self.chunks)
            unchanged = self._before == there and not gone and not meta.get("changing")
            if unchanged and meta["generation"] != NONE and count(self._client, self.chunks, "") == expected:
                return
            self._client.flush(self.chunks, timeout=BUILD_S)
            self._settle(expected)
            self._hold.require(self._client)
            named = meta | {"generation": secrets.token_hex(6), "changing": False}
            put_meta(self._client, self.chunks, named)

    def _delete(self, documents: Sequence[int]) -> None:
        """Delete versions of documents, so that what is left, if it is interrupted, is found again."""
        for first in range(0, len(documents), _DELETED):
            some = f"document in {documents[first : first + _DELETED]}"
            # First they are whole no longer, so that none counts as there whose chunks have gone.
            firsts = query(self._client, self._documents, f"{some} and part == 0", PART_FIELDS, seen="Strong")
            self._put(self._documents, [row | {"whole": False} for row in firsts])
            for collection, condition in (
                (self.chunks, some),
                (self._documents, f"{some} and part > 0"),
                (self._documents, some),
            ):
                found = query(self._client, collection, condition, ["id"], seen="Strong")
                ids = [row["id"] for row in found]
                for at in range(0, len(ids), MOST):
                    self._client.delete(collection, ids=ids[at : at + MOST], timeout=BUILD_S)

    def _settle(self, expected: int) -> None:
        """Wait until there are as many chunks as expected, and search finds those that are looked for."""
        waited = time.monotonic() + _SETTLE_S
        before = -1
        while True:
            shown, pending = count(self._client, self.chunks, ""), _pending(self._client, self.chunks)
            if shown == expected and not pending and self._finds():
                return
            if pending != before:  # the index over the vectors is being made
                before, waited = pending, time.monotonic() + _SETTLE_S
            if time.monotonic() > waited:
                raise IndexFileError(
                    f"{self._address} shows {shown} chunks, where its documents have {expected}, or search "
                    f"doesn't find them ({pending} wait for it). Look at the server's log, and build again: "
                    "rag build"
                )
            time.sleep(0.2)

    def _finds(self) -> bool:
        """Whether search finds what is nearest among some of the chunks.

        Until the index over the vectors is made and loaded, which nothing tells, another answers that finds
        less: 0.7 of the nearest.
        """
        some = self._client.query(
            self.chunks, filter="id > 0", output_fields=["id", "vector"], limit=_SAMPLE, timeout=BUILD_S
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
            search_params=SEARCH,
            timeout=BUILD_S,
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
    with contextlib.closing(connected(address, make_folder=True)) as client:
        with translated(address):
            current = collection_of(client, address)
            if keyword:
                require_keyword(client, address)
            whole = current in own(client, address)
            if current is not None and not whole and not rebuild:
                raise IndexFileError(f"{address} lacks the texts of its documents. {REBUILD}")
            # Of two first builds each begins a collection, and one gives way.
            fresh = None if whole else begun(client, address, identity, keyword)
            held = fresh or str(current)
            load(client, documents_of(held))
        hold = Hold(address, documents_of(held), secrets.token_hex(8))
        try:
            with translated(address):
                hold.take(client)
            with _renewed(hold):
                with translated(address):
                    if collection_of(client, address) != current:  # another build ended after that was asked
                        raise IndexFileError(
                            f"{address} was built by another process just now. Build it: rag build"
                        )
                    if rebuild and fresh is None:
                        fresh = begun(client, address, identity, keyword)
                    chunks = fresh or held
                    others = [name for name in own(client, address) if name not in (chunks, current)]
                    drop(client, others)
                    load(client, chunks, documents_of(chunks))
                    meta = meta_of(client, chunks)
                    require_identity(EmbedderIdentity(**meta["embedder"]), identity, str(address))
                    if keyword and not meta["keyword"]:
                        raise IndexFileError(
                            f"{address} was built for dense search alone. Build it so: --retrieval dense, or "
                            "rebuild it: rag build --rebuild"
                        )
                with contextlib.closing(MilvusWriter(chunks, hold)) as writer:
                    yield writer
                with translated(address):
                    if fresh is not None:
                        put_in_force(client, address, fresh)
                        if current is not None:
                            drop(client, [current])
        finally:
            with contextlib.suppress(IndexFileError), translated(address):
                hold.give_back(client)


@contextlib.contextmanager
def _renewed(hold: Hold) -> Iterator[None]:
    """Have a thread say now and then that the build goes on, however long a block is being embedded."""
    ended = threading.Event()

    def renew() -> None:
        with contextlib.suppress(IndexFileError), contextlib.closing(connected(hold.address)) as client:
            while not ended.wait(RENEWED_S):
                with contextlib.suppress(IndexFileError), translated(hold.address):
                    hold.renew(client)

    thread = threading.Thread(target=renew, name="renewing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _pending(client: Any, chunks: str) -> int:
    return int(client.describe_index(chunks, "vector", timeout=ANSWER_S).get("pending_index_rows", 0))
