"""What every index promises, whatever keeps it: a folder, Milvus in this process, a Milvus server."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag.errors import IndexFileError, QuestionError
from rag.index.base import sentence_cosines
from rag.types import Scope
from rag.uris import MilvusAddress
from tests.support.milvus_server import milvus_server
from tests.support.stores import IDENTITY, TEXTS, Store, embedded, everything, expected, opened, vector, write


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[int]:
    """The port of a real server."""
    folder = tmp_path_factory.mktemp("milvus")
    with milvus_server(folder / "data", folder / "programs") as started:
        yield started.port


@pytest.fixture(
    params=[
        "folder",
        pytest.param("milvus-lite", marks=pytest.mark.server),
        pytest.param("milvus server", marks=pytest.mark.server),
    ]
)
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
            stored = state.chunks_between(document, 0, len(text))
            assert [chunk.sentences for chunk in stored] == [
                piece.sentences for piece in documents[source].pieces
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
            spans = [(start - chunk.start, end - chunk.start) for start, end in chunk.sentences]
            own = [float(vector(chunk.text[a:b]) @ asked) for a, b in spans]
            assert of_chunk == pytest.approx(own, abs=0.01)


def test_keyword_search_is_of_stems_or_is_declared_missing(store):
    write(store)

    with opened(store) as state:
        assert state.keyword == store.keyword
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


def test_a_first_build_that_does_not_end_is_no_index_and_is_continued(store):
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


def test_a_long_document_of_many_short_sentences_is_complete(store):
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


def test_it_has_what_a_document_is_made_of(store):
    """Whatever the index cuts it into: the headings above stand far before."""
    text = "Light\n=====\n\nKeepers\n-------\n\n" + "War and peace.\n\n" * 1_500 + "Bread:\n- salt\n- river\n"
    one = embedded("long.txt", text)
    with store.write() as writer:
        writer.upsert([one])
        writer.finish({"long.txt": one.document.sha256})

    blocks = one.document.blocks
    with opened(store) as state:
        document = state.document("long.txt")
        assert state.blocks(document, 0, len(text)) == blocks
        assert state.blocks(document, len(text) - 3, len(text)) == (blocks[0], blocks[2], blocks[-1])
        for start in (15_990, 16_000, 16_010):
            near = [block for block in blocks if block.end > start and block.start < start + 30]
            assert [*state.blocks(document, start, start + 30)] == [blocks[0], blocks[2], *near]


def test_what_stands_above_a_chunk_is_searched_with_it(store):
    one = embedded("light.txt", "The river\n\nIt rose.\n", title="Salt")
    (piece,) = one.pieces
    with store.write() as writer:
        writer.upsert([one])
        writer.finish({"light.txt": one.document.sha256})

    with opened(store) as state:
        ((chunk, cosine),) = state.dense_search(vector("salt"), 1)
        (found,) = state.chunks([chunk])
        assert cosine == pytest.approx(2**-0.5)
        assert (found.start, found.end, found.text) == (0, 19, "The river\n\nIt rose.")
        assert found.context == piece.context == "Salt"
        assert found.sentences == ((-5, -1), (0, 9), (11, 19))
        assert sentence_cosines(state, [found], vector("salt")) == [pytest.approx([1, 0, 0])]
        if store.keyword:
            assert [one for one, _ in state.keyword_search(["salt"], 5)] == [chunk]
