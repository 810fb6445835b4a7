"""A collection in Milvus as a place to keep an index (see `rag.index.base.Backend`)."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from rag.errors import IndexFileError
from rag.index.base import (
    BUILD,
    REBUILD,
    Coverage,
    Documents,
    Examination,
    StoredChunk,
    StoredDocument,
)
from rag.index.milvus.client import connected, is_missing, translated
from rag.index.milvus.collections import collection_of
from rag.index.milvus.index import MilvusIndex, MilvusState
from rag.index.milvus.writer import MilvusWriter, writing
from rag.types import EmbedderIdentity
from rag.uris import MilvusAddress

_READ_CHARS = 500_000


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
        with (
            contextlib.closing(MilvusIndex(self._address, None, keyword=False)) as index,
            index.open() as state,
        ):
            return state.documents()

    @contextlib.contextmanager
    def examine(self, identity: EmbedderIdentity) -> Iterator[tuple[Documents, Examination]]:
        """See `Backend.examine`: each chunk is compared with its document. Vectors aren't checked."""
        with (
            contextlib.closing(MilvusIndex(self._address, identity, keyword=False)) as index,
            index.open() as state,
        ):
            yield state, _examination(state, self.name)

    def repair(self, identity: EmbedderIdentity) -> None:
        """See `Backend.repair`."""
        raise IndexFileError(f"{self.name} is repaired by a build: rag build, or rag build --rebuild")


def _examination(state: MilvusState, name: str) -> Examination:
    faults: list[str] = []
    coverage: dict[str, Coverage] = {}
    chunks = 0
    for source, about in state.documents().items():
        document = state.document(source)
        text = "" if document is None else state.text(document)
        found = [] if document is None else _chunks_of(state, document, len(text))
        if len(text) != about.characters or any(text[one.start : one.end] != one.text for one in found):
            faults.append(f"{source}: its chunks in {name} are not of its text. {REBUILD}")
        coverage[source] = Coverage(_solid(text), sum(_solid(one.text) for one in found))
        chunks += len(found)
    if chunks != (counted := state.chunk_count()):
        remedy = BUILD if counted > chunks else REBUILD  # an interrupted build leaves some
        faults.append(f"{name} has {counted} chunks, but its documents have {chunks}. {remedy}")
    return Examination(sound=True, faults=tuple(faults), coverage=coverage, chunks=counted)


def _chunks_of(state: MilvusState, document: int, characters: int) -> list[StoredChunk]:
    """All chunks of a document, read some at a time."""
    chunks: dict[int, StoredChunk] = {}
    for start in range(0, characters, _READ_CHARS):
        some = state.chunks_between(document, start, min(start + _READ_CHARS, characters))
        chunks |= {chunk.id: chunk for chunk in some}
    return [*chunks.values()]


def _solid(text: str) -> int:
    """How many of its characters aren't white space."""
    return sum(not character.isspace() for character in text)
