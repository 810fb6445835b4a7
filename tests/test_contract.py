"""What every index promises, whatever keeps it: a folder, Milvus in this process, a Milvus server."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from rag import local, milvus
from rag.addresses import MilvusAddress
from rag.chunks import chunks
from rag.errors import IndexFileError, QuestionError
from rag.index import BlockWriter, Capabilities, EmbeddedDocument, Index, sentence_cosines
from rag.indexing import embedder_identity
from rag.sentences import sentences
from rag.tables import EmbeddedText, text_hash
from rag.types import Document, EmbedderIdentity, Scope
from tests.conftest import WordEmbedder
from tests.isolated.milvus import milvus_server

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

    def write(
        self, identity: EmbedderIdentity = IDENTITY, *, rebuild: bool = False
    ) -> AbstractContextManager[BlockWriter]:
        if isinstance(self.place, Path):
            return local.writing(self.place, identity, rebuild=rebuild)
        return milvus.writing(self.place, identity, keyword=self.keyword, rebuild=rebuild)

    def read(self, identity: EmbedderIdentity = IDENTITY) -> Index:
        if isinstance(self.place, Path):
            return local.LocalIndex(self.place, identity)
        return milvus.MilvusIndex(self.place, identity, keyword=self.keyword)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[int]:
    """The port of a real server."""
    folder = tmp_path_factory.mktemp("milvus")
    with milvus_server(folder / "data", folder / "programs") as started:
        yield started.port


@pytest.fixture(params=["folder", "milvus-lite", "milvus server"])
def store(request, tmp_path) -> Store:
    """An empty one."""
    if request.param == "folder":
        return Store(tmp_path / "index", keyword=True)
    pytest.importorskip("pymilvus")
    if request.param == "milvus-lite":
        pytest.importorskip("milvus_lite")
        return Store(MilvusAddress(str(tmp_path / "index.db"), "articles"), keyword=True)
    port = request.getfixturevalue("server")
    return Store(
        MilvusAddress(f"127.0.0.1:{port}", f"articles_{tmp_path.name}".replace("-", "_")), keyword=False
    )


def embedded(source: str, text: str, **about) -> EmbeddedDocument:
    embedder = WordEmbedder()
    pieces = chunks(text, count_tokens=embedder.count_tokens, max_tokens=8)
    texts = list(dict.fromkeys(piece.text for piece in pieces))
    spans = [sentences(piece) for piece in texts]
    vectors, of_sentences = embedder.embed_with_spans(texts, spans)
    found = tuple(map(EmbeddedText, texts, vectors, spans, of_sentences))
    sha256 = text_hash(text).hex()
    return EmbeddedDocument(Document(source, text, sha256, **about), pieces, found)


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


def test_there_is_none_until_one_is_built(store):
    with pytest.raises(IndexFileError, match=r"^No index in .*Build it: rag build$"):
        store.read()


def test_one_that_was_emptied_finds_nothing(store):
    write(store)
    write(store, {})
    with opened(store) as state:
        assert state.chunk_count() == 0
        assert list(state.dense_search(vector("war"), state.chunk_count())) == []
        assert state.documents() == {}
        if store.keyword:
            assert list(state.keyword_search(["war"], state.chunk_count())) == []


def test_it_has_each_chunk_once_where_it_stands(store):
    documents = write(store)

    with opened(store) as state:
        assert everything(state) == expected(documents)
        assert state.identity == IDENTITY
        assert {source: one.sha256 for source, one in state.documents().items()} == {
            source: one.document.sha256 for source, one in documents.items()
        }
        for source, text in TEXTS.items():
            document = state.document(source)
            assert state.text(document) == text
            assert state.text(document, 3, 9) == text[3:9]
            for chunk in state.chunks_between(document, 0, len(text)):
                assert chunk.source == source
                assert text[chunk.start : chunk.end] == chunk.text
                assert [text[a:b] for a, b in chunk.sentences] == [
                    chunk.text[a:b] for a, b in sentences(chunk.text)
                ]
        assert state.document("absent.txt") is None


def test_dense_search_is_a_dot_product_with_the_chunks(store):
    documents = write(store)
    asked = vector("bread, salt and war")
    wanted = sorted(
        (float(vector(piece.text) @ asked) for one in documents.values() for piece in one.pieces),
        reverse=True,
    )

    with opened(store) as state:
        found = state.dense_search(asked, 4)
        ids = [chunk for chunk, _ in found]
        assert [cosine for _, cosine in found] == pytest.approx(wanted[:4])
        assert state.cosines(asked, ids) == pytest.approx(wanted[:4])
        assert [float(vector(one.text) @ asked) for one in state.chunks(ids)] == pytest.approx(wanted[:4])
        assert [one.id for one in state.weighables(ids)] == sorted(ids)
        cosines = sentence_cosines(state, state.chunks(ids), asked)
        for chunk, of_chunk in zip(state.chunks(ids), cosines, strict=True):
            spans = sentences(chunk.text)
            own = [float(vector(chunk.text[a:b]) @ asked) for a, b in spans]
            assert of_chunk == pytest.approx(own, abs=0.01)


def test_keyword_search_is_of_stems_or_is_declared_missing(store):
    write(store)

    with opened(store) as state:
        assert state.capabilities == Capabilities(keyword=store.keyword)
        if not store.keyword:
            return
        found = state.keyword_search(["rivers"], 5)
        assert {one.source for one in state.chunks([chunk for chunk, _ in found])} == {"deep/river.txt"}
        assert all(score > 0 for _, score in found)
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        assert state.keyword_search(["absent"], 5) == []
        assert state.keyword_search([], 5) == []
        of_war = len([one for one in everything(state) if "war" in one[3].lower()])
        assert dict(state.chunks_with(["war", "absent"])) == {"war": of_war, "absent": 0}


def test_a_scope_leaves_only_its_documents(store):
    dated = embedded("2016-05-12 war.txt", "War.", date="2016-05-12")
    later = embedded("later.txt", "War again.", date="2017-01-01")
    undated = embedded('un"dated\\.txt', "War too.")
    with store.write() as writer:
        writer.upsert([dated, later, undated])
        writer.finish({one.document.source: one.document.sha256 for one in (dated, later, undated)})

    with opened(store) as state:

        def found(**limits) -> set[str]:
            hits = state.dense_search(vector("war"), 10, Scope(**limits))
            return {one.source for one in state.chunks([chunk for chunk, _ in hits])}

        assert found(since="2016-06-01") == {"later.txt"}
        assert found(until="2016-12-31") == {"2016-05-12 war.txt"}
        assert found(since="2016-05-12", until="2016-05-12") == {"2016-05-12 war.txt"}
        assert found(sources=('un"dated\\.txt', "later.txt")) == {'un"dated\\.txt', "later.txt"}
        assert found(since="2016-01-01", sources=('un"dated\\.txt', "later.txt")) == {"later.txt"}
        with pytest.raises(QuestionError, match=r"has no document absent\.txt"):
            found(sources=("later.txt", "absent.txt"))


def test_to_write_the_same_again_changes_nothing(store):
    documents = write(store)
    for _ in range(2):
        with store.write() as writer:
            writer.upsert(list(documents.values()))
            writer.upsert(list(documents.values()))
            writer.finish({source: one.document.sha256 for source, one in documents.items()})

    with opened(store) as state:
        assert everything(state) == expected(documents)


def test_a_changed_and_a_removed_document_stop_matching(store):
    write(store)
    texts = {"2016-05-12 war.txt": "Peace at last.", "deep/river.txt": TEXTS["deep/river.txt"]}

    documents = write(store, texts)

    with opened(store) as state:
        assert everything(state) == expected(documents)
        assert {*state.documents()} == {*texts}
        assert state.text(state.document("2016-05-12 war.txt")) == "Peace at last."


def test_an_index_that_is_open_sees_what_is_written(store):
    write(store)
    with contextlib.closing(store.read()) as index:
        before = index.generation()
        documents = write(store, {"a.txt": "Salt."})
        assert index.generation() != before
        with index.open() as state:
            assert everything(state) == expected(documents)


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_build_that_does_not_end_changes_no_answer(store, rebuild):
    if not rebuild and not isinstance(store.place, Path):
        pytest.skip("documents are changed one by one in Milvus")
    documents = write(store)

    with contextlib.suppress(KeyboardInterrupt), store.write(rebuild=rebuild) as writer:
        writer.upsert([embedded("new.txt", "Peace and war.")])
        raise KeyboardInterrupt

    with opened(store) as state:
        assert everything(state) == expected(documents)


def test_a_first_build_that_does_not_end_is_no_index_and_is_gone_on_from(store):
    with contextlib.suppress(KeyboardInterrupt), store.write() as writer:
        writer.upsert([embedded("a.txt", "Peace and war.")])
        raise KeyboardInterrupt
    with pytest.raises(IndexFileError, match="No index"):
        store.read()

    documents = write(store)

    with opened(store) as state:
        assert everything(state) == expected(documents)


def test_a_rebuild_takes_another_embedder(store):
    write(store)
    other = replace(IDENTITY, name="other")

    with (
        pytest.raises(IndexFileError, match=r"was built with words .* settings name other"),
        store.write(other),
    ):
        pass
    with pytest.raises(IndexFileError, match=r"was built with words .* settings name other"):
        store.read(other)
    with store.write(other, rebuild=True) as writer:
        assert writer.hashes() == {}
        one = embedded("a.txt", "Salt.")
        writer.upsert([one])
        writer.finish({"a.txt": one.document.sha256})
    with contextlib.closing(store.read(other)) as index, index.open() as state:
        assert everything(state) == expected({"a.txt": one})
        assert state.identity == other


def test_a_long_document_of_many_short_sentences_is_whole(store):
    text = "".join(f"{number}.\n" for number in range(6_000)) + "🍞" * 5_000 + " War and peace."
    one = embedded("long.txt", text, title="T" * 50_000, pages=tuple(range(0, len(text), 10)))
    with store.write() as writer:
        writer.upsert([one])
        writer.finish({"long.txt": one.document.sha256})

    with opened(store) as state:
        document = state.document("long.txt")
        assert state.text(document) == text
        assert state.text(document, 15_990, 16_010) == text[15_990:16_010]
        about = state.about(document)
        assert about.page(25) == 3
        assert about.title == "T" * 50_000
        assert state.chunk_count() == len(one.pieces)
        near = state.chunks_between(document, 0, len(text))
        assert "".join(chunk.text for chunk in near).split() == "".join(p.text for p in one.pieces).split()
        assert all(len(chunk.sentences) == len(chunk.stems) for chunk in near)
        sentence_cosines(state, near[:50], vector("war"))
