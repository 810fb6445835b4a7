"""The index in a folder: SQLite holds the truth (see `rag.index.disk.store`), FAISS finds what is near."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rag.errors import shown
from rag.index.base import ScoredIds, require_identity
from rag.index.codec import Vectors
from rag.index.disk import store
from rag.index.disk.faiss_index import VectorIndex
from rag.index.disk.snapshot import Snapshot
from rag.index.disk.writer import StoreWriter
from rag.types import EmbedderIdentity, Scope

CHANGES = 10_000
SHARE = 0.25
"""The FAISS file is rebuilt when more chunks, or a larger share of them, came or went since it was built.

The vectors that came since are compared one by one, and read at each start.
"""


class DiskState(Snapshot):
    """A state of the store, joined with the FAISS index of that state (see `rag.index.base.State`)."""

    keyword = True
    vector_index: VectorIndex

    def chunk_count(self) -> int:
        """See `State.chunk_count`."""
        return len(self.vector_index)

    def dense_search(self, vector: Vectors, k: int, scope: Scope | None = None) -> ScoredIds:
        """See `State.dense_search`."""
        among = None if scope is None else self.chunks_within(scope)
        return self.vector_index.search(vector, k, among=among)


class DiskIndex:
    """The index in a folder (see `rag.index.base.Index`)."""

    def __init__(self, folder: Path, identity: EmbedderIdentity) -> None:
        """Read the index in `folder`; `IndexFileError` unless `identity` built it."""
        self._folder = folder
        self._identity = identity
        self._loading = threading.Lock()
        self._loaded: tuple[Path | None, str, VectorIndex] | None = None
        with self.open():
            pass  # a missing, damaged or foreign index is reported now, not at the first question

    @contextlib.contextmanager
    def open(self) -> Iterator[DiskState]:
        """See `Index.open`; the vectors are loaded once for each state."""
        with store.reading_as(self._folder, DiskState) as state:
            require_identity(state.identity, self._identity, f"{shown(self._folder)}/")
            state.vector_index = self._vectors(state)
            yield state

    def close(self) -> None:
        """See `Index.close`: only memory is held between questions."""

    def generation(self) -> str:
        """See `Index.generation`."""
        with store.reading(self._folder) as snapshot:
            return snapshot.generation

    def _vectors(self, snapshot: Snapshot) -> VectorIndex:
        with self._loading:
            path, generation, vectors = self._loaded or (None, None, None)
            if vectors is None or generation != snapshot.generation:
                if vectors is None or path != snapshot.vectors_path:
                    vectors = VectorIndex.load(snapshot.vectors_path)
                vectors = up_to_date(snapshot, vectors)
                path = snapshot.vectors_path
                if vectors is None:
                    vectors, path = _built(snapshot), None  # later states begin from the file, not from this
                self._loaded = path, snapshot.generation, vectors
            return vectors


def up_to_date(snapshot: Snapshot, saved: VectorIndex | None) -> VectorIndex | None:
    """What was saved, with what has changed since; None if that doesn't have all chunks of this state."""
    if saved is None:
        return None
    later = list(snapshot.vectors(after=snapshot.vectors_last))
    empty = np.zeros((0, snapshot.identity.dimension), dtype=np.float32)
    vectors = saved.changed(
        gone=snapshot.gone(),
        ids=np.concatenate([np.zeros(0, dtype=np.int64), *(ids for ids, _ in later)]),
        vectors=np.concatenate([empty, *(vectors for _, vectors in later)]),
    )
    return vectors if len(vectors) == snapshot.count("chunks") else None


def _built(snapshot: Snapshot) -> VectorIndex:
    """The FAISS index of this state, from the store."""
    return VectorIndex.built(snapshot.identity.dimension, snapshot.count("chunks"), snapshot.vectors)


def save_vectors(writer: StoreWriter) -> None:
    """Save the FAISS index of the state that is being written, if the saved one differs too much from it."""
    state = writer.snapshot()
    changes = state.count("gone") + state.count(f"chunks WHERE id > {state.vectors_last}")
    if changes > min(CHANGES, SHARE * state.chunk_count()) or not state.vectors_path.is_file():
        rebuild_vectors(writer)


def rebuild_vectors(writer: StoreWriter) -> None:
    """Build the FAISS index of the state that is being written from the store, and save it."""
    writer.take_vectors()
    state = writer.snapshot()
    _built(state).save(state.vectors_path)
