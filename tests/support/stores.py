"""One interface over the stores that tests write and read."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag.index.base import Backend, EmbeddedDocument, Index, IndexWriter
from rag.index.codec import EmbeddedText, key_of, text_hash
from rag.index.disk.backend import DiskBackend
from rag.index.milvus.backend import MilvusBackend
from rag.indexing.build import embedder_identity
from rag.text.blocks import blocks_of_text
from rag.text.chunking import chunks, embedded_spans, embedded_text
from rag.types import Document, EmbedderIdentity
from rag.uris import MilvusAddress
from tests.support.fakes import WordEmbedder

IDENTITY = embedder_identity("words", "0" * 64, WordEmbedder.dimension)


TEXTS = {
    "2016-05-12 war.txt": "War and bread. The wars went on.",
    'bread\'s "best" \\ 100%.txt': "Bread and salt.\r\n\r\nSalt again 🍞, and peace.",
    "deep/river.txt": "The river. A river froze.",
}


@dataclass(frozen=True)
class Store:
    """One of the implementations: where it is, how it is written and read."""

    place: Path | MilvusAddress
    keyword: bool

    def backend(self) -> Backend:
        if isinstance(self.place, Path):
            return DiskBackend(self.place)
        return MilvusBackend(self.place, keyword=self.keyword)

    def write(
        self, identity: EmbedderIdentity = IDENTITY, *, rebuild: bool = False
    ) -> AbstractContextManager[IndexWriter]:
        return self.backend().write(identity, rebuild=rebuild)

    def read(self, identity: EmbedderIdentity = IDENTITY) -> Index:
        return self.backend().open(identity)


def embedded(source: str, text: str, *, title: str | None = None, **about) -> EmbeddedDocument:
    embedder = WordEmbedder()
    blocks = blocks_of_text(text)
    pieces = chunks(text, blocks, title=title, count_tokens=embedder.count_tokens, max_tokens=8)
    by_key = {key_of(piece): (embedded_text(piece), embedded_spans(piece)) for piece in pieces}
    texts, spans = [text for text, _ in by_key.values()], [spans for _, spans in by_key.values()]
    vectors, of_sentences = embedder.embed_with_spans(texts, spans)
    found = tuple(map(EmbeddedText, texts, vectors, spans, of_sentences))
    sha256 = text_hash(text).hex()
    return EmbeddedDocument(Document(source, text, sha256, title, blocks=blocks, **about), pieces, found)


def write(store: Store, texts=TEXTS, *, rebuild: bool = False) -> dict[str, EmbeddedDocument]:
    """Bring the index in step with these documents."""
    documents = {source: embedded(source, text) for source, text in texts.items()}
    with store.write(rebuild=rebuild) as writer:
        writer.upsert([documents[source] for source in texts])
        writer.finish({source: one.document.sha256 for source, one in documents.items()})
    return documents


def vector(text: str) -> np.ndarray:
    return WordEmbedder().embed([text])[0]


def everything(state) -> set[tuple[str, int, int, str]]:
    """All chunks, each once."""
    found = state.dense_search(vector("war"), 1_000)
    assert len(found) == len({chunk for chunk, _ in found}) == state.chunk_count()
    return {(one.source, one.start, one.end, one.text) for one in state.chunks([i for i, _ in found])}


def expected(documents: dict[str, EmbeddedDocument]) -> set[tuple[str, int, int, str]]:
    return {
        (source, piece.start, piece.end, piece.text)
        for source, one in documents.items()
        for piece in one.pieces
    }


@contextlib.contextmanager
def opened(store: Store) -> Iterator:
    with contextlib.closing(store.read()) as index, index.open() as state:
        yield state
