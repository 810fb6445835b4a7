"""A built index as questions see it: the store's state joined with the FAISS index of that state."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from rag import store
from rag.snapshot import Snapshot
from rag.types import EmbedderIdentity
from rag.vectors import VectorIndex


class Index:
    """Opens the newest state for each question. Any number of threads may read at once."""

    def __init__(self, folder: Path, identity: EmbedderIdentity) -> None:
        """Read the index in `folder`; `IndexFileError` unless `identity` made it."""
        self._folder = folder
        self._identity = identity
        self._loading = threading.Lock()
        self._loaded: tuple[str, VectorIndex] | None = None
        with self.open():
            pass  # a missing, damaged or foreign index is told of now, not at the first question

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[Snapshot, VectorIndex]]:
        """The state now, and its vectors, loaded once for each state."""
        with store.reading(self._folder) as snapshot:
            store.require_identity(snapshot.identity, self._identity, self._folder)
            yield snapshot, self._vectors(snapshot)

    def generation(self) -> str:
        """The name of the state now."""
        with store.reading(self._folder) as snapshot:
            return snapshot.generation

    def _vectors(self, snapshot: Snapshot) -> VectorIndex:
        with self._loading:
            if self._loaded is None or self._loaded[0] != snapshot.generation:
                found = VectorIndex.load(snapshot.vectors_path)
                if found is None or len(found) != snapshot.chunk_count():
                    found = VectorIndex(*snapshot.vectors())
                self._loaded = snapshot.generation, found
            return self._loaded[1]
