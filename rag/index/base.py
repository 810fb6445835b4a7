"""The index as questions and builds see it: in a folder (`rag.index.disk`) or in Milvus (`rag.index.milvus`).

A build writes documents with their chunks and vectors; a question opens the newest state and searches it.
"""

import bisect
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from rag.errors import IndexFileError
from rag.index.codec import EmbeddedText, Vectors, cosines, unpack_spans, unpack_stems
from rag.types import Block, Chunk, Document, EmbedderIdentity, Scope

BUILD = "Update it: rag build"
REBUILD = "Rebuild it: rag build --rebuild"
REPAIR = "Repair it: rag doctor --repair"

ScoredIds = list[tuple[int, float]]
"""The ids of chunks with their scores, best first."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with its offsets; `sentences` are (start, end) in the document, with their vectors and stems.

    A chunk with a `context` has that as its first sentence, at offsets before its start.
    `document` is the id of the version of its document that was chunked. The vectors are packed (see
    `rag.index.codec`), the stems of a sentence are a line (see `rag.text.analyzer`). The chunks of
    near-duplicate documents have the same `group`.
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
    group: int
    context: str = ""


def stored_chunk(
    id: int,
    document: int,
    source: str,
    span: tuple[int, int],
    embedded: str,
    spans: bytes,
    vectors: bytes,
    stems: str,
    group: int,
) -> StoredChunk:
    """The chunk from what is kept of it; `ValueError` for bytes that are not whole numbers."""
    start, end = span
    first = start - (len(embedded) - (end - start))  # where its context would begin in the document
    text = embedded[start - first :]
    sentences = tuple([(first + begin, first + stop) for begin, stop in unpack_spans(spans)])
    context = embedded[: start - first].rstrip("\n")
    return StoredChunk(
        id, document, source, start, end, text, sentences, vectors, unpack_stems(stems), group, context
    )


class Weighable(NamedTuple):
    """What a chunk is scored by: its sentences' vectors and stems (see `StoredChunk`).

    `order` decides between chunks of equal scores.
    """

    id: int
    order: tuple[str, int]
    sentence_vectors: bytes
    stems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a document, the sha256 of its file, and the offsets at which its `pages` begin."""

    sha256: str
    title: str | None
    date: str | None
    pages: tuple[int, ...]

    def page(self, offset: int) -> int | None:
        """The number of the page, from 1, of the character at `offset`; None for a document without pages."""
        return bisect.bisect_right(self.pages, offset) if self.pages else None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it was indexed, without its text; `characters` is the length of that."""

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
    """One state of an index. Ids are those that its own searches gave.

    `keyword` says that it can be searched by words too, and can count them.
    """

    generation: str
    keyword: bool

    def chunk_count(self) -> int:
        """The number of chunks."""

    def dense_search(self, vector: Vectors, k: int, scope: Scope | None = None) -> ScoredIds:
        """The k chunks nearest to `vector` of shape (dimension,), with their cosines.

        With a scope, of its documents alone; `QuestionError` if it names a source that isn't indexed.
        """

    def keyword_search(self, terms: Sequence[str], k: int, scope: Scope | None = None) -> ScoredIds:
        """The k best chunks that have any of the terms, whatever their endings, with their BM25.

        A scope is that of `dense_search`.
        """

    def chunks_with(self, terms: Sequence[str]) -> Mapping[str, int]:
        """The number of chunks that have each of the terms, whatever its ending."""

    def weighables(self, ids: Sequence[int]) -> list[Weighable]:
        """What the chunks of these ids are scored by, in order of id."""

    def chunks(self, ids: Sequence[int]) -> tuple[StoredChunk, ...]:
        """The chunks of these ids, in this order."""

    def cosines(self, vector: Vectors, ids: Sequence[int]) -> list[float]:
        """The cosine of the vector of each of these chunks with `vector` of shape (dimension,), in order."""

    def chunks_between(self, document: int, start: int, end: int) -> tuple[StoredChunk, ...]:
        """The chunks of a document that have a character from `start` to `end`, in order."""

    def around(self, chunks: Sequence[StoredChunk], max_chars: int) -> list[tuple[StoredChunk, ...]]:
        """For each of these chunks those of its document that a passage of `max_chars` with it may touch.

        They are in order, the chunk itself among them.
        """

    def about(self, document: int) -> About:
        """What is known of a document."""

    def blocks(self, document: int, start: int, end: int) -> tuple[Block, ...]:
        """The blocks of a document with a character from `start` to `end`, after the headings above them."""

    def near_duplicates(self, document: int, scope: Scope | None) -> Mapping[str, str]:
        """The texts, by source, of at most 20 other documents in the scope that say nearly the same."""

    def damaged_vectors(self) -> IndexFileError:
        """The error to raise for vectors that can't be unpacked."""


class Index(Protocol):
    """Opens the newest state for each question. Any number of threads may read at once."""

    def open(self) -> contextlib.AbstractContextManager[State]:
        """The state now; `IndexFileError` when there is none, or it can't be read."""

    def generation(self) -> str:
        """The name of the state now."""

    def close(self) -> None:
        """Release what it holds; it isn't used again."""


@dataclass(frozen=True, slots=True)
class EmbeddedDocument:
    """A document cut into chunks, and those of their texts that the index lacks, each once, with vectors."""

    document: Document
    pieces: tuple[Chunk, ...]
    texts: tuple[EmbeddedText, ...]


class IndexWriter(Protocol):
    """What a build may do to an index."""

    def hashes(self) -> Mapping[str, str]:
        """The sha256 of each completely indexed document, by source."""

    def connect(self) -> "Callable[[], IndexWriter] | None":
        """A function that makes another writer in another process; None where only one process can write."""

    def known(self, sources: Sequence[str], keys: Sequence[bytes]) -> Mapping[bytes, EmbeddedText | None]:
        """The texts of these hashes, from these documents, that need not be embedded.

        None for a text that the index has and needs no copy of.
        """

    def keep(self, texts: Sequence[EmbeddedText]) -> bool:
        """Keep the texts before their documents are complete, for the next build if this one is interrupted.

        False where the index can't: the texts must come with their documents.
        """

    def upsert(self, documents: Iterable[EmbeddedDocument]) -> None:
        """Add these documents, in place of other versions of them. Writes are idempotent."""

    def finish(self, now: Mapping[str, str]) -> None:
        """Remove every document but those of these sources and hashes, all of which are in the index.

        When it returns, questions see exactly these documents; `IndexFileError` if they don't.
        """


@dataclass(frozen=True, slots=True)
class Coverage:
    """The numbers of characters other than white space: of a document, and of those in its chunks."""

    characters: int
    indexed: int


@dataclass(frozen=True, slots=True)
class Examination:
    """What a backend finds in its own store; sizes in bytes, None for what it can't tell.

    `sound` says that the store can be searched. `faults` are sentences that name what repairs them, `notes`
    are no faults. `near_duplicates` counts the documents that have a near-duplicate, `recall` is the share of
    the 10 nearest chunks by exact search that dense search finds, for some of the chunks.
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


def coverage(text: str, spans: Iterable[tuple[int, int]]) -> Coverage:
    """How much of the text of a document is in these spans, which are in order."""
    covered, lost = 0, ""
    for start, end in spans:
        lost += text[covered:start]
        covered = max(covered, end)
    lost += text[covered:]
    characters, missing = (len("".join(some.split())) for some in (text, lost))
    return Coverage(characters, characters - missing)


def sentence_cosines(
    state: State, chunks: Sequence[StoredChunk | Weighable], vector: Vectors
) -> list[list[float]]:
    """The cosine of each sentence of each chunk with `vector` of shape (dimension,)."""
    try:
        by_chunk = cosines([chunk.sentence_vectors for chunk in chunks], vector)
    except ValueError as error:
        raise state.damaged_vectors() from error
    if [len(of_chunk) for of_chunk in by_chunk] != [len(chunk.stems) for chunk in chunks]:
        raise state.damaged_vectors()
    return by_chunk


def require_identity(built: EmbedderIdentity, wanted: EmbedderIdentity, name: str) -> None:
    """`IndexFileError`, naming both embedders, unless the index of this name was built with `wanted`."""
    if built == wanted:
        return
    remedy = REBUILD
    if (built.name, built.dimension) != (wanted.name, wanted.dimension):
        what = (
            f"{built.name} ({built.dimension} dimensions); settings name {wanted.name} ({wanted.dimension})"
        )
    elif built.weights_sha256 != wanted.weights_sha256:
        hashes = f"sha256 {built.weights_sha256[:12]}…, now {wanted.weights_sha256[:12]}…"
        what = f"other weights of {built.name} ({hashes})"
    elif built.precision != wanted.precision:
        what = f"{built.name} in {built.precision}; settings name {wanted.precision}"
        remedy = f"Use --precision {built.precision}, or rebuild it: rag build --rebuild"
    else:
        what = f"other rules (chunks {built.chunking}, now {wanted.chunking})"
    raise IndexFileError(f"{name} was built with {what}. {remedy}")
