"""The index in a folder: SQLite holds the truth (see `rag.index.disk.store`), FAISS finds what is near."""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rag.errors import shown
from rag.index.base import Capabilities, EmbeddedDocument, Found, Vectors, require_identity
from rag.index.codec import EmbeddedText
from rag.index.disk import store
from rag.index.disk.faiss_index import VectorIndex
from rag.index.disk.snapshot import Snapshot
from rag.index.disk.spool import Spool
from rag.index.disk.writer import Writer
from rag.types import EmbedderIdentity, Scope

CHANGES = 10_000
SHARE = 0.25
"""So many chunks, or so large a share of them, may have come or gone since the FAISS file was made.

It is made anew with more: the vectors that came are compared one by one, and read at each start.
"""


class LocalState(Snapshot):
    """A state of the store, joined with the FAISS index of that state (see `rag.index.base.State`)."""

    capabilities = Capabilities(keyword=True)
    vectors_found: VectorIndex

    def chunk_count(self) -> int:
        """How many chunks there are."""
        return len(self.vectors_found)

    def dense_search(self, vector: Vectors, k: int, scope: Scope | None = None) -> Found:
        """See `State.dense_search`."""
        among = None if scope is None else self.chunks_within(scope)
        return self.vectors_found.search(vector, k, among=among)


class LocalIndex:
    """The index in a folder (see `rag.index.base.Index`)."""

    def __init__(self, folder: Path, identity: EmbedderIdentity) -> None:
        """Read the index in `folder`; `IndexFileError` unless `identity` made it."""
        self._folder = folder
        self._identity = identity
        self._loading = threading.Lock()
        self._loaded: tuple[Path | None, str, VectorIndex] | None = None
        with self.open():
            pass  # a missing, damaged or foreign index is told of now, not at the first question

    @contextlib.contextmanager
    def open(self) -> Iterator[LocalState]:
        """The state now, with its vectors, loaded once for each state."""
        with store.reading_as(self._folder, LocalState) as state:
            require_identity(state.identity, self._identity, f"{shown(self._folder)}/")
            state.vectors_found = self._vectors(state)
            yield state

    def close(self) -> None:
        """Nothing is held between questions but memory."""

    def generation(self) -> str:
        """The name of the state now."""
        with store.reading(self._folder) as snapshot:
            return snapshot.generation

    def _vectors(self, snapshot: Snapshot) -> VectorIndex:
        with self._loading:
            path, generation, found = self._loaded or (None, None, None)
            if generation != snapshot.generation:
                if found is None or path != snapshot.vectors_path:
                    found = VectorIndex.load(snapshot.vectors_path)
                found = as_of(snapshot, found)
                path = snapshot.vectors_path
                if found is None:
                    found, path = made(snapshot), None  # later states begin from the file, not from this
                self._loaded = path, snapshot.generation, found
            assert found is not None, "a state that is loaded has vectors"
            return found


class LocalWriter:
    """Writes block by block into the index in a folder, which changes at once (see `BlockWriter`)."""

    def __init__(self, writer: Writer, spool: Spool) -> None:
        """Write through `writer`, and keep the documents in `spool` until all are there."""
        self._writer = writer
        self._spool = spool
        self._there: set[str] = set()

    def hashes(self) -> dict[str, str]:
        """See `BlockWriter.hashes`."""
        return self._writer.snapshot().hashes()

    def connect(self) -> None:
        """See `BlockWriter.connect`: one process writes into a folder."""

    def known(self, sources: Sequence[str]) -> Mapping[bytes, EmbeddedText]:
        """Nothing: blocks are embedded elsewhere, where the store can't be read."""
        return {}

    def upsert(self, documents: Iterable[EmbeddedDocument]) -> None:
        """See `BlockWriter.upsert`."""
        for embedded in documents:
            if embedded.document.source not in self._there:
                self._writer.keep(embedded.texts)
                self._spool.add(embedded.document, embedded.pieces)
                self._there.add(embedded.document.source)

    def finish(self, now: Mapping[str, str]) -> None:
        """See `BlockWriter.finish`."""
        before = self.hashes()
        changed = [source for source in self._spool.sources if source in before]
        removed = [source for source in before if source not in now]
        if self._spool.sources or removed:
            with self._writer.swap([*changed, *removed], self._spool):
                save_vectors(self._writer)


@contextlib.contextmanager
def writing(folder: Path, identity: EmbedderIdentity, *, rebuild: bool) -> Iterator[LocalWriter]:
    """The right to change the index in `folder` block by block (see `store.writing`)."""
    with store.writing(folder, identity, rebuild=rebuild) as writer, Spool(folder) as spool:
        yield LocalWriter(writer, spool)


def as_of(snapshot: Snapshot, saved: VectorIndex | None) -> VectorIndex | None:
    """What was saved, with what has changed since; None if that isn't as much as this state has."""
    if saved is None:
        return None
    later = list(snapshot.vectors(after=snapshot.vectors_last))
    empty = np.zeros((0, snapshot.identity.dimension), dtype=np.float32)
    found = saved.changed(
        gone=snapshot.gone(),
        ids=np.concatenate([np.zeros(0, dtype=np.int64), *(ids for ids, _ in later)]),
        vectors=np.concatenate([empty, *(vectors for _, vectors in later)]),
    )
    return found if len(found) == snapshot.count("chunks") else None


def made(snapshot: Snapshot) -> VectorIndex:
    """The vectors of this state, made anew from the store."""
    return VectorIndex.made(snapshot.identity.dimension, snapshot.count("chunks"), snapshot.vectors)


def save_vectors(writer: Writer) -> None:
    """Save the FAISS index of the state that is being written, where the one before would be too far off."""
    state = writer.snapshot()
    changes = state.count("gone") + state.count(f"chunks WHERE id > {state.vectors_last}")
    if changes > min(CHANGES, SHARE * state.chunk_count()) or not state.vectors_path.is_file():
        renew_vectors(writer)


def renew_vectors(writer: Writer) -> None:
    """Make the FAISS index of the state that is being written anew, and save it."""
    writer.take_vectors()
    now = writer.snapshot()
    made(now).save(now.vectors_path)
