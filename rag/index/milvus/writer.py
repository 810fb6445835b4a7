"""Documents and vectors → an index in Milvus.

The id of a row is a hash of what it is of, the version of the document included: so writes are idempotent,
and all that is read of a document is of one version.
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
from rag.index.milvus import collections
from rag.index.milvus.client import BUILD_S, MOST, SEARCH, all_rows, connected, count, query, translated
from rag.index.milvus.collections import Hold, documents_of, load, meta_of, put_meta
from rag.index.milvus.rows import PART_FIELDS, chunk_rows, document_rows, embedded_text, key
from rag.models.pooling import unit
from rag.types import EmbedderIdentity
from rag.uris import MilvusAddress

_SETTLE_S = 120.0
"""How long a build waits until questions see what it wrote."""

RENEWED_S = 20.0
"""How often a build says that it is still at work."""

_DELETED = 50
"""How many documents are deleted at a time."""

CHECKED_S = 20.0
"""How often a writer looks whether another build has taken over: to look takes 0.2 s."""

_ROWS = 200
"""How many rows are sent at a time, 2 MB; the server takes 64 MB."""

_SAMPLE, _PROBES, _NEAREST = 1_000, 20, 10
"""Among how many chunks, with how many vectors, how many of the nearest to each are searched."""

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
            rows = collections.whole_documents(self._client, self._documents)
        self._before = {row["source"]: row["sha256"] for row in rows}
        return self._before

    def connect(self) -> Callable[[], IndexWriter]:
        """See `IndexWriter.connect`."""
        if self._address.in_process:
            raise IndexFileError(
                f"{self._address} is a file, which one process can open. Name a server for a cluster."
            )
        return functools.partial(MilvusWriter, self.chunks, self._hold)

    def known(self, sources: Sequence[str], keys: Sequence[bytes]) -> dict[bytes, EmbeddedText]:
        """See `IndexWriter.known`."""
        fields = ["text", "spans", "sentence_vectors", "vector"]
        with translated(self._address):
            rows = all_rows(self._client, self.chunks, f"name in {[*map(key, sources)]}", fields)
        texts = [text for row in rows if (text := embedded_text(row)) is not None]
        return {text_hash(text.text, text.sentences): text for text in texts}

    def keep(self, texts: Sequence[EmbeddedText]) -> bool:
        """See `IndexWriter.keep`: rows of chunks need their document."""
        return False

    def upsert(self, documents: Iterable[EmbeddedDocument]) -> None:
        """See `IndexWriter.upsert`; `IndexFileError` if another build has taken over."""
        rows = [(document_rows(embedded), chunk_rows(embedded)) for embedded in documents]
        firsts = [parts[0] for parts, _ in rows]
        with translated(self._address):
            self._begin()
            # Before its chunks, so that each has its document, which counts as whole when all are there.
            self._put(self._documents, [row | {"whole": False} for parts, _ in rows for row in parts])
            self._put(self.chunks, [row for _, chunks in rows for row in chunks])
            self._put(self._documents, firsts)
            # The version before is deleted as soon as this one answers. One of a moment ago may be missed: it
            # is deleted at the end.
            versions = f"part == 0 and name in {[row['name'] for row in firsts]}"
            written = query(self._client, self._documents, versions, ["document"], seen="Eventually")
            now = {row["document"] for row in firsts}
            self._delete(sorted({row["document"] for row in written} - now))

    def _begin(self) -> None:
        """Check now and then that the build has its hold, and mark the state as one that changes."""
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
            rows = all_rows(self._client, self._documents, "part == 0", fields)
            outdated = [row["document"] for row in rows if now.get(row["source"]) != row["sha256"]]
            current = [row for row in rows if row["whole"] and now.get(row["source"]) == row["sha256"]]
            self._delete(outdated)
            hashes = {row["source"]: row["sha256"] for row in current}
            if lacking := [source for source in now if source not in hashes]:
                raise IndexFileError(
                    f"{self._address} lacks {len(lacking)} documents that this build wrote, such as "
                    f"{lacking[0]}: another build removed them. Build it again: rag build"
                )
            expected = sum(row["chunks"] for row in current)
            meta = meta_of(self._client, self.chunks)
            named = meta["generation"] != collections.NONE and not meta.get("changing")
            unchanged = named and self._before == hashes and not outdated
            if unchanged and count(self._client, self.chunks, "") == expected:
                return
            self._client.flush(self.chunks, timeout=BUILD_S)
            self._settle(expected)
            self._hold.require(self._client)
            put_meta(
                self._client, self.chunks, meta | {"generation": secrets.token_hex(6), "changing": False}
            )

    def _delete(self, documents: Sequence[int]) -> None:
        """Delete versions of documents, so that a build that follows an interruption finds what is left."""
        for first in range(0, len(documents), _DELETED):
            some = f"document in {documents[first : first + _DELETED]}"
            # First they are marked as not whole, so that none counts as there whose chunks are deleted.
            firsts = query(self._client, self._documents, f"{some} and part == 0", PART_FIELDS, seen="Strong")
            self._put(self._documents, [row | {"whole": False} for row in firsts])
            for collection, condition in (
                (self.chunks, some),
                (self._documents, f"{some} and part > 0"),
                (self._documents, some),
            ):
                rows = query(self._client, collection, condition, ["id"], seen="Strong")
                ids = [row["id"] for row in rows]
                for at in range(0, len(ids), MOST):
                    self._client.delete(collection, ids=ids[at : at + MOST], timeout=BUILD_S)

    def _settle(self, expected: int) -> None:
        """Wait until there are as many chunks as expected, and search finds a sample of them."""
        before, until = -1, 0.0
        while True:
            shown = count(self._client, self.chunks, "")
            pending = collections.unindexed(self._client, self.chunks)
            if shown == expected and not pending and self._finds():
                return
            if pending != before:  # the index over the vectors is being built
                before, until = pending, time.monotonic() + _SETTLE_S
            if time.monotonic() > until:
                raise IndexFileError(
                    f"{self._address} has {shown} chunks, its documents {expected}, and {pending} wait for "
                    "the server's index: search doesn't find them all. Look at the server's log, and build "
                    "again: rag build"
                )
            time.sleep(0.2)

    def _finds(self) -> bool:
        """Whether search finds the nearest among a sample of the chunks.

        Until the index over the vectors is built and loaded, which the server doesn't report, another one
        answers that finds less: 0.7 of the nearest.
        """
        sample = self._client.query(
            self.chunks, filter="id > 0", output_fields=["id", "vector"], limit=_SAMPLE, timeout=BUILD_S
        )
        if not sample:
            return True
        vectors = np.array([row["vector"] for row in sample], dtype=np.float32)
        pairs = np.random.default_rng(0).integers(len(sample), size=(2, _PROBES))
        probes = unit(vectors[pairs[0]] + vectors[pairs[1]])
        exact = np.sort(probes @ vectors.T, axis=1)[:, ::-1][:, :_NEAREST]
        results = self._client.search(
            self.chunks,
            data=probes.tolist(),
            anns_field="vector",
            limit=_NEAREST,
            filter=f"id in {[row['id'] for row in sample]}",
            search_params=SEARCH,
            timeout=BUILD_S,
        )
        near = sum(
            hit["distance"] > cosines[-1] - _OFF
            for hits, cosines in zip(results, exact, strict=True)
            for hit in hits
        )
        return bool(near >= _RECALL * exact.size)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@contextlib.contextmanager
def writing(
    address: MilvusAddress, identity: EmbedderIdentity, *, keyword: bool, rebuild: bool
) -> Iterator[MilvusWriter]:
    """The right to change the index, which is created if there is none (see `Backend.write`).

    With `keyword` it can be searched by words: `IndexFileError` if the server, or the index as it is, can't.
    """
    with contextlib.closing(connected(address, make_folder=True)) as client, translated(address):
        current = collections.collection_of(client, address)
        if keyword:
            collections.require_keyword(client, address)
        whole = current in collections.own(client, address)
        if current is not None and not whole and not rebuild:
            raise IndexFileError(f"{address} lacks the texts of its documents. {REBUILD}")
        # Of two first builds each begins a collection, and one gives way.
        fresh = None if whole else collections.begun(client, address, identity, keyword)
        held = fresh or str(current)
        load(client, documents_of(held))
        hold = Hold(address, documents_of(held), secrets.token_hex(8))
        with _taken(hold, client):
            if (
                collections.collection_of(client, address) != current
            ):  # another build ended after the question
                raise IndexFileError(f"{address} was built by another process just now. Build it: rag build")
            if rebuild and fresh is None:
                fresh = collections.begun(client, address, identity, keyword)
            chunks = fresh or held
            others = [name for name in collections.own(client, address) if name not in (chunks, current)]
            collections.drop(client, others)
            load(client, chunks, documents_of(chunks))
            meta = meta_of(client, chunks)
            require_identity(EmbedderIdentity(**meta["embedder"]), identity, str(address))
            if keyword and not meta["keyword"]:
                raise IndexFileError(
                    f"{address} was built for dense search alone. Build it so: --retrieval dense, or rebuild "
                    "it: rag build --rebuild"
                )
            with contextlib.closing(MilvusWriter(chunks, hold)) as writer:
                yield writer
            if fresh is not None:
                collections.put_in_force(client, address, fresh)
                if current is not None:
                    collections.drop(client, [current])


@contextlib.contextmanager
def _taken(hold: Hold, client: Any) -> Iterator[None]:
    """Take the hold, have a thread renew it, however long a block is being embedded, and give it back."""
    ended = threading.Event()

    def renew() -> None:
        with contextlib.suppress(IndexFileError), contextlib.closing(connected(hold.address)) as own_client:
            while not ended.wait(RENEWED_S):
                with contextlib.suppress(IndexFileError), translated(hold.address):
                    hold.renew(own_client)

    thread = threading.Thread(target=renew, name="renewing", daemon=True)
    try:
        hold.take(client)
        thread.start()
        yield
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()
        with contextlib.suppress(IndexFileError), translated(hold.address):
            hold.give_back(client)
