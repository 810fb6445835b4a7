"""A collection in Milvus as a place to keep an index (see `rag.index.base.Backend`)."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from rag.errors import IndexFileError
from rag.index.base import BUILD, REBUILD, Coverage, Documents, Examination, StoredDocument, coverage
from rag.index.milvus.client import connected, is_missing, translated
from rag.index.milvus.collections import collection_of
from rag.index.milvus.index import MilvusIndex, MilvusState
from rag.index.milvus.rows import key
from rag.index.milvus.writer import MilvusWriter, writing
from rag.types import EmbedderIdentity
from rag.uris import MilvusAddress

_EXAMINED = 64
"""How many documents' chunks are asked for at once: each time the server waits for what is being written."""


class MilvusBackend:
    """An index in Milvus."""

    batch_texts = 1024

    def __init__(self, address: MilvusAddress, *, keyword: bool) -> None:
        """The index at this address; `keyword` is whether it is searched by words too."""
        self.folder: Path | None = None
        self.name = str(address)
        self._address = address
        self._keyword = keyword

    def exists(self) -> bool:
        """See `Backend.exists`."""
        with contextlib.suppress(OSError):
            if is_missing(self._address):
                return False
        with contextlib.closing(connected(self._address)) as client, translated(self._address):
            return collection_of(client, self._address) is not None

    def open(self, identity: EmbedderIdentity) -> MilvusIndex:
        """See `Backend.open`."""
        return MilvusIndex(self._address, identity, keyword=self._keyword)

    def write(
        self, identity: EmbedderIdentity, *, rebuild: bool
    ) -> contextlib.AbstractContextManager[MilvusWriter]:
        """See `Backend.write`; `IndexFileError` too if the server can't search by words, where it must."""
        return writing(self._address, identity, keyword=self._keyword, rebuild=rebuild)

    def documents(self) -> Mapping[str, StoredDocument]:
        """See `Backend.documents`."""
        if not self.exists():
            return {}
        with self._state(None) as state:
            return state.documents()

    @contextlib.contextmanager
    def examine(self, identity: EmbedderIdentity) -> Iterator[tuple[Documents, Examination]]:
        """See `Backend.examine`: each chunk is compared with its document. Vectors aren't checked."""
        with self._state(identity) as state:
            yield state, _examination(state, self.name)

    @contextlib.contextmanager
    def _state(self, identity: EmbedderIdentity | None) -> Iterator[MilvusState]:
        with (
            contextlib.closing(MilvusIndex(self._address, identity, keyword=False)) as index,
            index.open() as state,
        ):
            yield state

    def repair(self, identity: EmbedderIdentity) -> None:
        """See `Backend.repair`."""
        raise IndexFileError(f"{self.name} is repaired by a build: rag build, or rag build --rebuild")


def _examination(state: MilvusState, name: str) -> Examination:
    faults: list[str] = []
    by_source: dict[str, Coverage] = {}
    total = 0
    documents = [*state.documents().items()]
    for first in range(0, len(documents), _EXAMINED):
        batch = documents[first : first + _EXAMINED]
        numbers = {source: key(source, about.sha256) for source, about in batch}
        chunks = state.every_chunk([*numbers.values()])
        for source, about in batch:
            text, own = state.text(numbers[source]), chunks[numbers[source]]
            if len(text) != about.characters or any(text[one.start : one.end] != one.text for one in own):
                faults.append(f"{source}: its chunks in {name} differ from its text. {REBUILD}")
            by_source[source] = coverage(text, [(one.start, one.end) for one in own])
            total += len(own)
    if total != (counted := state.chunk_count()):
        remedy = BUILD if counted > total else REBUILD  # an interrupted build leaves some
        faults.append(f"{name} has {counted} chunks, but its documents have {total}. {remedy}")
    return Examination(sound=True, faults=tuple(faults), coverage=by_source, chunks=counted)
