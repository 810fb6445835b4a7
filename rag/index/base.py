"""The index as questions and builds see it: in a folder (`rag.index.disk`) or in Milvus (`rag.index.milvus`).

A build writes documents with their chunks and vectors; a question opens the newest state and searches it.
"""

import bisect
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from rag.errors import IndexFileError
from rag.index.codec import EmbeddedText, cosines
from rag.types import Chunk, Document, EmbedderIdentity, Scope

BUILD = "Update it: rag build"
REBUILD = "Rebuild it: rag build --rebuild"
REPAIR = "Repair it: rag doctor --repair"

Vectors = npt.NDArray[np.float32]
Found = list[tuple[int, float]]
"""The ids of chunks with their scores, best first."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an index can do beside dense search: `keyword` is search by words, and to count who has them."""

    keyword: bool


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk where it stands; `sentences` are (start, end) in the document, with their vectors and stems.

    `document` is the id of its document, of the version that was cut. The vectors are packed (see
    `rag.index.codec`), the stems of a sentence are a line (see `rag.text.analyzer`). Documents that are
    nearly the same tell the same `story`.
    """

    id: int
    document: int
    source: str
    start: int
    end: int
    text: str
    sentences: tuple[tuple[int, int], ...]
    sentence_vectors: bytes
    stems: tuple[str, ...]
    story: int


class Weighable(NamedTuple):
    """What a chunk is weighed by: the vectors and stems of its sentences (see `StoredChunk`).

    Those that weigh the same stand by `order`.
    """

    id: int
    order: tuple[str, int]
    sentence_vectors: bytes
    stems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class About:
    """What a document says of itself, and the hash of its file."""

    sha256: str
    title: str | None
    date: str | None
    pages: tuple[int, ...]

    def page(self, place: int) -> int | None:
        """The number of the page, from 1, that the character at `place` stands on."""
        return bisect.bisect_right(self.pages, place) if self.pages else None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it was indexed, without its text, which has so many `characters`."""

    sha256: str
    title: str | None
    date: str | None
    characters: int


class Documents(Protocol):
    """The documents of one state of an index. Ids are valid in this state."""

    identity: EmbedderIdentity

    def document(self, source: str) -> int | None:
        """The id of the document of this source, None where there is none."""

    def documents(self) -> Mapping[str, StoredDocument]:
        """What was indexed, by source."""

    def text(self, document: int, start: int = 0, end: int | None = None) -> str:
        """The characters of a document from `start` to `end`, None for its end, as it was indexed."""


class State(Documents, Protocol):
    """One state of an index. Ids are those that its own searches gave."""

    generation: str
    capabilities: Capabilities

    def chunk_count(self) -> int:
        """How many chunks there are."""

    def dense_search(self, vector: Vectors, k: int, scope: Scope | None = None) -> Found:
        """The chunks whose vectors are nearest to `vector` of shape (dimension,), with their cosines.

        With a scope, of the documents in it alone; `QuestionError` if it names a source that there isn't.
        """

    def keyword_search(self, terms: Sequence[str], k: int, scope: Scope | None = None) -> Found:
        """The chunks that have any of the terms, up to their endings, with their BM25; as `dense_search`."""

    def chunks_with(self, terms: Sequence[str]) -> Mapping[str, int]:
        """How many chunks have each of the terms, up to its ending."""

    def weighables(self, ids: Sequence[int]) -> list[Weighable]:
        """What the chunks of these ids are weighed by, in order of id."""

    def chunks(self, ids: Sequence[int]) -> tuple[StoredChunk, ...]:
        """The chunks of these ids, in this order."""

    def cosines(self, vector: Vectors, ids: Sequence[int]) -> list[float]:
        """The cosine of the vector of each of these chunks with `vector` of shape (dimension,), in order."""

    def chunks_between(self, document: int, start: int, end: int) -> tuple[StoredChunk, ...]:
        """The chunks of a document that have a character from `start` to `end`, in order."""

    def around(self, chunks: Sequence[StoredChunk], max_chars: int) -> list[tuple[StoredChunk, ...]]:
        """For each of these chunks those of its document that a passage with it may have a character of.

        A passage has so many characters at most. They are in order, the chunk itself among them.
        """

    def about(self, document: int) -> About:
        """What is known of a document."""

    def copies(self, document: int, scope: Scope | None) -> Mapping[str, str]:
        """The texts by source of the other documents that tell the same story, in the scope; at most 20."""

    def damaged_vectors(self) -> IndexFileError:
        """What to raise for vectors that are none."""


class Index(Protocol):
    """Opens the newest state for each question. Any number of threads may read at once."""

    def open(self) -> contextlib.AbstractContextManager[State]:
        """The state now; `IndexFileError` when there is none, or it can't be read."""

    def generation(self) -> str:
        """The name of the state now."""

    def close(self) -> None:
        """Give back what it holds; it isn't used again."""


@dataclass(frozen=True, slots=True)
class EmbeddedDocument:
    """A document cut into chunks, and their texts, each once, with vectors: those that the index lacks."""

    document: Document
    pieces: tuple[Chunk, ...]
    texts: tuple[EmbeddedText, ...]


class IndexWriter(Protocol):
    """What a build may do to an index."""

    def hashes(self) -> Mapping[str, str]:
        """The sha256 of each document by source, of those that are wholly there."""

    def connect(self) -> "Callable[[], IndexWriter] | None":
        """What makes another writer of the same index, in another process; None where one process writes."""

    def known(self, sources: Sequence[str], keys: Sequence[bytes]) -> Mapping[bytes, EmbeddedText | None]:
        """What is embedded already of the texts with these hashes, which are of these documents.

        None for a text that the index has and needs no copy of. A text that isn't in the result must be
        embedded.
        """

    def keep(self, texts: Sequence[EmbeddedText]) -> bool:
        """Keep the texts before their documents are complete, for the next build if this one is interrupted.

        False where the index can't: the texts must come with their documents.
        """

    def upsert(self, documents: Iterable[EmbeddedDocument]) -> None:
        """Put these documents in, in place of other versions of them. Writes are idempotent."""

    def finish(self, now: Mapping[str, str]) -> None:
        """Remove every document but those of these sources and hashes, all of which are in the index.

        When it returns, questions see all that was put in, and nothing else. `IndexFileError` if they don't.
        """


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many characters other than white space a document has, and how many of them its chunks have."""

    characters: int
    indexed: int


@dataclass(frozen=True, slots=True)
class Examination:
    """What a backend finds wrong in its own store; sizes in bytes, None for what it can't tell.

    `sound` says that the store can be searched. `faults` are sentences that name what repairs them, `notes`
    are worth knowing, but no fault.
    `near_duplicates` counts the documents of which there is another that says nearly the same, `recall` is
    the share of the 10 nearest chunks by exact search that dense search finds, for some of the chunks.
    """

    sound: bool
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    coverage: Mapping[str, Coverage] = field(default_factory=dict)
    chunks: int = 0
    near_duplicates: int | None = None
    store_bytes: int | None = None
    vectors_bytes: int | None = None
    recall: float | None = None


class Backend(Protocol):
    """A place where an index is kept: a folder, or a collection of a server.

    `name` is what messages call it, `folder` the folder it is in, None if it is elsewhere.
    `batch_texts` is how many texts a build embeds before it writes documents.
    """

    name: str
    folder: Path | None
    batch_texts: int

    def exists(self) -> bool:
        """Whether there is an index to ask; `IndexFileError` if that can't be found out."""

    def open(self, identity: EmbedderIdentity) -> Index:
        """The index, to be read; `IndexFileError` unless there is one that `identity` built."""

    def write(
        self, identity: EmbedderIdentity, *, rebuild: bool
    ) -> contextlib.AbstractContextManager[IndexWriter]:
        """The right to change the index, which is created if there is none.

        `rebuild` starts from nothing; the old index answers until the new one is complete. `IndexFileError`
        if another build is at work, or the index is damaged or was built with another embedder.
        """

    def documents(self) -> Mapping[str, StoredDocument]:
        """What is indexed, by source; none where there is no index. `IndexFileError` if it can't be read."""

    def examine(
        self, identity: EmbedderIdentity
    ) -> contextlib.AbstractContextManager[tuple[Documents, Examination]]:
        """Check the store's integrity: its state now, and what is wrong with it.

        `IndexFileError` if there is no index that `identity` built.
        """

    def repair(self, identity: EmbedderIdentity) -> None:
        """Repair what can be repaired without the documents; the rest is removed, for the next build to add.

        `IndexFileError` when the index can't be repaired so, can't be written, is locked, or was built with
        another embedder.
        """


def sentence_cosines(
    state: State, chunks: Sequence[StoredChunk | Weighable], vector: Vectors
) -> list[list[float]]:
    """The cosine of each sentence of each chunk with `vector` of shape (dimension,)."""
    try:
        found = cosines([chunk.sentence_vectors for chunk in chunks], vector)
    except ValueError as error:  # of bytes that are not whole vectors
        raise state.damaged_vectors() from error
    if [len(of_chunk) for of_chunk in found] != [len(chunk.stems) for chunk in chunks]:
        raise state.damaged_vectors()
    return found


def require_identity(found: EmbedderIdentity, wanted: EmbedderIdentity, name: str) -> None:
    """`IndexFileError`, naming both embedders, unless that of the index of this name is the one wanted."""
    if found == wanted:
        return
    if (found.name, found.dimension) != (wanted.name, wanted.dimension):
        raise IndexFileError(
            f"{name} was built with {found.name} ({found.dimension} dimensions); settings name "
            f"{wanted.name} ({wanted.dimension}). {REBUILD}"
        )
    if found.weights_sha256 != wanted.weights_sha256:
        raise IndexFileError(
            f"{name} was built with other weights of {found.name} (sha256 "
            f"{found.weights_sha256[:12]}…, now {wanted.weights_sha256[:12]}…). {REBUILD}"
        )
    if found.precision != wanted.precision:
        raise IndexFileError(
            f"{name} was built with {found.name} in {found.precision}; settings name "
            f"{wanted.precision}. Use --precision {found.precision}, or rebuild it: rag build --rebuild"
        )
    raise IndexFileError(
        f"{name} was built with other rules (chunks {found.chunking}, now {wanted.chunking}). {REBUILD}"
    )
