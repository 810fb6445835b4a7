import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rag.documents import sandbox
from rag.documents.folder import read, read_folder
from rag.errors import DocumentsError, IndexFileError
from rag.index.disk import store
from rag.index.disk.index import DiskIndex
from rag.indexing import build as build_module
from rag.types import BuildReport, Failure
from tests.support import ROOT
from tests.support.fakes import WordEmbedder
from tests.support.files import pdf
from tests.support.folders import IDENTITY, TEXTS, Folders, built, mangle
from tests.support.vectors import index_of


@pytest.fixture
def folders(tmp_path) -> Folders:
    made = Folders(tmp_path)
    made.write(TEXTS)
    return made


def kinds(report: BuildReport) -> dict[str, tuple[str, ...]]:
    return {
        kind: found
        for kind in ("added", "changed", "removed", "unchanged")
        if (found := getattr(report, kind))
    }


def no_embedder() -> WordEmbedder:
    raise AssertionError("the embedder is not needed")


def test_a_first_build_embeds_everything(folders):
    told = []

    report = folders.build(progress=lambda done, total: told.append((done, total)))

    assert kinds(report) == {"added": ("a.txt", "b.txt", "c.txt")}
    assert report.failed == ()
    assert sorted(folders.embedder.embedded) == sorted(TEXTS.values())
    sizes = [len(text) for text in TEXTS.values()]
    total = sum(sizes)
    assert told == [(0, total), (total, total), *((done, total) for done in itertools.accumulate(sizes))]
    assert folders.found("peace")[0][0] == "b.txt"
    assert sorted(path.name for path in folders.index.iterdir()) == sorted(
        ["current", folders.state(), folders.vectors_file().name, "writer.lock"]
    )


def test_an_unchanged_build_does_not_load_the_embedder(folders):
    folders.build()
    before = folders.vectors_file()

    report = folders.build(load_embedder=no_embedder)

    assert kinds(report) == {"unchanged": ("a.txt", "b.txt", "c.txt")}
    assert folders.vectors_file() == before


def test_an_unchanged_build_reads_no_document_and_starts_no_process(folders, monkeypatch):
    (folders.documents / "d.pdf").write_bytes(pdf("War", "and peace"))
    (folders.documents / "e.html").write_text("<p>Salt and bread")
    assert kinds(folders.build()) == {"added": ("a.txt", "b.txt", "c.txt", "d.pdf", "e.html")}
    assert folders.found("war and peace")[0][0] == "d.pdf"

    def refuse(*_) -> None:
        raise AssertionError("nothing has to be read")

    monkeypatch.setattr(build_module, "read", refuse)
    monkeypatch.setattr(sandbox, "_start", refuse)
    report = folders.build(load_embedder=no_embedder)

    assert kinds(report) == {"unchanged": ("a.txt", "b.txt", "c.txt", "d.pdf", "e.html")}


def test_only_what_is_new_or_changed_is_read(folders, monkeypatch):
    folders.build()
    folders.write({"b.txt": "War.", "d.txt": "Peace."})
    sources = []

    def recorded(file, extraction):
        sources.append(file.source)
        return read(file, extraction)

    monkeypatch.setattr(build_module, "read", recorded)

    assert kinds(folders.build()) == {
        "added": ("d.txt",),
        "changed": ("b.txt",),
        "unchanged": ("a.txt", "c.txt"),
    }
    assert sources == ["b.txt", "d.txt"]


def test_a_file_that_changes_while_it_is_read_is_indexed_as_it_was_read(folders, monkeypatch):
    def meanwhile(file, extraction):
        folders.write({"b.txt": "War."})
        return read(file, extraction)

    monkeypatch.setattr(build_module, "read", meanwhile)
    folders.build()
    monkeypatch.undo()

    assert kinds(folders.build(load_embedder=no_embedder)) == {"unchanged": ("a.txt", "b.txt", "c.txt")}
    with store.reading(folders.index) as snapshot:
        assert snapshot.text(snapshot.document("b.txt")) == "War."


def test_a_document_that_can_no_longer_be_read_is_removed(folders):
    folders.build()
    (folders.documents / "b.txt").write_bytes(b"\0")
    (folders.documents / "a.pdf").write_bytes(b"War")

    report = folders.build(load_embedder=no_embedder)

    assert kinds(report) == {"removed": ("b.txt",), "unchanged": ("a.txt", "c.txt")}
    assert report.failed == (
        Failure("a.pdf", "is not a PDF that can be read: it is damaged or has no page"),
        Failure("b.txt", "is binary, not text"),
    )
    assert "b.txt" not in dict(folders.found("peace"))


def test_a_changed_document_alone_is_embedded(folders):
    folders.build()
    folders.write({"b.txt": "The war by the river."})

    report = folders.build()

    assert kinds(report) == {"changed": ("b.txt",), "unchanged": ("a.txt", "c.txt")}
    assert folders.embedder.embedded == ["The war by the river."]
    assert folders.found("peace") == [("a.txt", 0.0), ("c.txt", 0.0), ("b.txt", 0.0)]
    assert {source for source, score in folders.found("war") if score} == {"a.txt", "b.txt"}


def test_a_removed_document_stops_matching_at_once(folders):
    folders.build()
    index = DiskIndex(folders.index, IDENTITY)
    vector = WordEmbedder().embed(["peace"])[0]
    with index.open() as snapshot:
        ((chunk, _),) = snapshot.keyword_search(["peace"], 10)
        assert snapshot.dense_search(vector, 1)[0][0] == chunk
    (folders.documents / "b.txt").unlink()

    report = folders.build(load_embedder=no_embedder)

    assert kinds(report) == {"removed": ("b.txt",), "unchanged": ("a.txt", "c.txt")}
    with index.open() as snapshot:
        assert snapshot.keyword_search(["peace"], 10) == []
        assert snapshot.chunks_with(["peace"]) == {"peace": 0}
        assert snapshot.document("b.txt") is None
        assert chunk not in [found for found, _ in snapshot.dense_search(vector, 10)]
        assert snapshot.chunk_count() == snapshot.count("chunks") == 2
        assert len(next(snapshot.vectors())[0]) == 2


def test_a_renamed_document_keeps_its_vectors(folders):
    folders.build()
    (folders.documents / "b.txt").rename(folders.documents / "d.txt")

    report = folders.build()

    assert kinds(report) == {"added": ("d.txt",), "removed": ("b.txt",), "unchanged": ("a.txt", "c.txt")}
    assert folders.embedder.embedded == []
    assert folders.found("peace")[0][0] == "d.txt"


def test_a_text_that_stands_twice_is_embedded_once(folders):
    folders.write({"d.txt": TEXTS["a.txt"]})

    folders.build()

    assert sorted(folders.embedder.embedded) == sorted(TEXTS.values())
    with store.reading(folders.index) as snapshot:
        assert snapshot.chunk_count() == 4
        assert len(snapshot.keyword_search(["war"], 10)) == 2


def test_a_rebuild_embeds_everything_in_a_new_store(folders):
    folders.build()
    before, found = folders.state(), folders.found("bread and salt")

    report = folders.build(rebuild=True)

    assert kinds(report) == {"added": ("a.txt", "b.txt", "c.txt")}
    assert sorted(folders.embedder.embedded) == sorted(TEXTS.values())
    assert folders.state() != before
    assert folders.found("bread and salt") == found
    assert [path.name for path in folders.index.glob("store-*")] == [folders.state()]


def test_a_rebuild_forgets_what_is_gone(folders):
    folders.build()
    (folders.documents / "a.txt").unlink()

    assert kinds(folders.build(rebuild=True)) == {"added": ("b.txt", "c.txt")}
    with store.reading(folders.index) as snapshot:
        assert [*snapshot.hashes()] == ["b.txt", "c.txt"]


def test_a_bad_document_is_left_out_and_reported(folders):
    (folders.documents / "bad.txt").write_bytes(b"\0")

    report = folders.build()

    assert report.failed == (Failure("bad.txt", "is binary, not text"),)
    assert report.added == ("a.txt", "b.txt", "c.txt")


def test_without_a_readable_document_the_index_stays(folders):
    folders.build()
    found = folders.found("peace")
    for source in TEXTS:
        (folders.documents / source).write_bytes(b"")

    with pytest.raises(DocumentsError) as raised:
        folders.build(load_embedder=no_embedder)

    assert str(raised.value) == (
        f"{folders.documents} has no readable document: a.txt is empty; b.txt is empty; c.txt is empty. "
        "The index is unchanged."
    )
    assert folders.found("peace") == found


def test_many_builds_leave_the_index_of_one(folders, tmp_path):
    folders.build()
    folders.write({"a.txt": "Bread.", "d.txt": "War, peace and salt."})
    folders.build()
    (folders.documents / "c.txt").unlink()
    folders.write({"a.txt": TEXTS["a.txt"]})
    folders.build()

    fresh = Folders(tmp_path / "fresh")
    fresh.documents = folders.documents
    fresh.index.parent.mkdir()
    fresh.build()

    for question in ("war", "peace", "bread", "salt by the river"):
        assert sorted(folders.found(question)) == sorted(fresh.found(question))


def test_dense_search_is_a_dot_product_with_the_documents(folders):
    folders.build()
    vector = WordEmbedder().embed(["war and bread"])[0]

    with DiskIndex(folders.index, IDENTITY).open() as snapshot:
        found = snapshot.dense_search(vector, 3)
        chunks = snapshot.chunks([chunk for chunk, _ in found])

    expected = {source: float(WordEmbedder().embed([text])[0] @ vector) for source, text in TEXTS.items()}
    assert [chunk.source for chunk in chunks] == sorted(expected, key=expected.get, reverse=True)
    assert [cosine for _, cosine in found] == pytest.approx(sorted(expected.values(), reverse=True))
    assert [chunk.text for chunk in chunks] == [TEXTS[chunk.source] for chunk in chunks]


OTHERS = {
    "name": (
        dataclasses.replace(IDENTITY, name="bge-base", dimension=768),
        "was built with words (5 dimensions); settings name bge-base (768).",
    ),
    "weights": (
        dataclasses.replace(IDENTITY, weights_sha256="cd" * 32),
        "was built with other weights of words (sha256 abababababab…, now cdcdcdcdcdcd…).",
    ),
    "chunking": (
        dataclasses.replace(IDENTITY, chunking="other-v2"),
        f"was built with other rules (chunks {IDENTITY.chunking}, now other-v2).",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_embedder_is_reported_with_the_command_that_repairs_it(folders, what):
    other, expected = OTHERS[what]
    folders.build()

    for use in (
        lambda: folders.build(identity=other, load_embedder=no_embedder),
        lambda: DiskIndex(folders.index, other),
    ):
        with pytest.raises(IndexFileError) as raised:
            use()
        assert str(raised.value) == f"{folders.index}/ {expected} Rebuild it: rag build --rebuild"

    other = dataclasses.replace(other, dimension=WordEmbedder.dimension)
    folders.build(identity=other, rebuild=True)
    DiskIndex(folders.index, other)


def test_a_failing_build_leaves_the_old_index_answering(folders):
    folders.build()
    found = folders.found("peace")
    folders.write({"b.txt": "Salt.", "d.txt": "Peace, peace."})

    def fail(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    for rebuild in (False, True):
        with pytest.raises(KeyboardInterrupt):
            folders.build(progress=fail, rebuild=rebuild)
        assert folders.found("peace") == found


def test_an_interrupted_first_build_goes_on_where_it_was(folders):
    folders.write({f"d{i}.txt": f"bread {i}" for i in range(297)})

    def fail(done: int, total: int) -> None:
        if done:  # the first 256 of them
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.build(progress=fail)
    done = list(folders.embedder.embedded)
    assert len(done) == 256
    with pytest.raises(IndexFileError) as raised:
        DiskIndex(folders.index, IDENTITY)
    assert str(raised.value) == f"No index in {folders.index}/. Build it: rag build"

    report = folders.build()

    assert len(report.added) == 300
    assert len(folders.embedder.embedded) == 44
    assert set(done) & set(folders.embedder.embedded) == set()
    assert folders.found("peace")[0][0] == "b.txt"


def test_an_interrupted_build_of_another_embedder_is_not_continued(folders):
    def fail(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.build(progress=fail, identity=dataclasses.replace(IDENTITY, name="other"))

    folders.build()

    assert sorted(folders.embedder.embedded) == sorted(TEXTS.values())
    assert [path.name for path in folders.index.glob("store-*")] == [folders.state()]


KILLED = """
import os, sys
from pathlib import Path
from rag.index.disk import store
from rag.index.disk import faiss_index
from tests.support.folders import Folders, built

def die(*_): os._exit(9)

folders, moment, rebuild = Folders(Path(sys.argv[1])), sys.argv[2], sys.argv[3] == "True"
if moment == "embedding":
    folders.build(progress=lambda done, total: done and die(), rebuild=rebuild)
if moment == "swap":
    faiss_index.VectorIndex.save = die
if moment == "cleaning":
    store._remove_all_but = die
if moment == "current" and rebuild:
    store._write = lambda path, text: path.name == "current" and die()
folders.build(rebuild=rebuild)
die()
"""


@pytest.mark.parametrize("rebuild", [False, True])
@pytest.mark.parametrize("moment", ["embedding", "swap", "current", "cleaning"])
def test_a_build_killed_at_any_moment_leaves_an_index_that_answers(folders, moment, rebuild):
    folders.build()
    before = [folders.found(word) for word in ("war", "peace", "salt")]
    folders.write({"a.txt": "Bread, war and salt.", "d.txt": "Peace, peace and war."})

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, folders.index.parent, moment, str(rebuild)], cwd=ROOT, check=False
    )

    assert killed.returncode == 9
    after_kill = [folders.found(word) for word in ("war", "peace", "salt")]
    folders.build()
    after = [folders.found(word) for word in ("war", "peace", "salt")]
    assert after != before
    assert after_kill == (after if moment == "cleaning" or (moment == "current" and not rebuild) else before)
    assert [path.name for path in folders.index.glob("store-*")] == [folders.state()]


def test_a_second_writer_names_who_is_building(folders):
    folders.build()
    folders.write({"a.txt": "Salt."})
    messages = []

    def second(done: int, total: int) -> None:
        since = json.loads((folders.index / "writer.json").read_text())["since"]
        with pytest.raises(IndexFileError) as raised:
            built(
                folders.documents,
                folders.index,
                identity=IDENTITY,
                load_embedder=no_embedder,
            )
        messages.append(str(raised.value))
        expected.append(
            f"{folders.index}/ is being built by process {os.getpid()} since {since}. Wait for it, or end it."
        )

    expected: list[str] = []
    folders.build(progress=second)

    assert len(messages) > 2
    assert messages == expected
    assert not (folders.index / "writer.json").exists()
    folders.build(load_embedder=no_embedder)


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_reader_keeps_its_state_while_a_build_swaps(folders, rebuild):
    folders.build()
    index = DiskIndex(folders.index, IDENTITY)
    folders.write({"b.txt": "War."})
    vector = WordEmbedder().embed(["peace"])[0]

    with index.open() as snapshot:
        before = dict(snapshot.hashes())
        folders.build(rebuild=rebuild)
        assert snapshot.hashes() == before
        ((chunk, _),) = snapshot.keyword_search(["peace"], 5)
        assert snapshot.dense_search(vector, 1) == [(chunk, pytest.approx(2**-0.5))]
        assert snapshot.text(snapshot.document("b.txt")) == TEXTS["b.txt"]
        with index.open() as new:
            assert new.text(new.document("b.txt")) == "War."
            assert new.keyword_search(["peace"], 5) == []

    with index.open() as snapshot:
        assert snapshot.text(snapshot.document("b.txt")) == "War."


def test_a_reader_that_comes_during_the_swap_sees_the_old_state(folders):
    folders.build()
    (document, *_) = read_folder(folders.documents)

    with store.writing(folders.index, IDENTITY, rebuild=False) as writer:
        with writer.swap([document.source], []) as state:
            assert [*state.hashes()] == ["b.txt", "c.txt"]
            with store.reading(folders.index) as snapshot:
                assert [*snapshot.hashes()] == ["a.txt", "b.txt", "c.txt"]
        with store.reading(folders.index) as snapshot:
            assert [*snapshot.hashes()] == ["b.txt", "c.txt"]


HOWS = ["missing", "empty", "truncated", "overwritten", "text"]


@pytest.mark.parametrize("how", [*HOWS, "foreign"])
def test_a_damaged_vectors_file_is_rebuilt_from_the_store(folders, tmp_path, how):
    folders.build()
    found = folders.found("war and bread")
    if how == "foreign":
        other = Folders(tmp_path / "other")
        other.index.parent.mkdir()
        other.write({"a.txt": "river", "b.txt": "salt", "c.txt": "war"})
        other.build()
        folders.vectors_file().write_bytes(other.vectors_file().read_bytes())
    else:
        mangle(how, folders.vectors_file())

    assert folders.found("war and bread") == found


def test_the_vectors_file_of_another_embedder_is_rebuilt(folders):
    folders.build()
    found = folders.found("war and bread")
    other = folders.index / "vectors-other.faiss"
    index_of(np.array([1, 2, 3]), np.eye(3, 7, dtype=np.float32)).save(other)
    other.replace(next(folders.index.glob("vectors-*")))

    assert folders.found("war and bread") == found


@pytest.mark.parametrize("how", ["missing", "empty", "truncated", "text"])
def test_a_damaged_store_names_its_repair(folders, how):
    folders.build()
    found = folders.found("war and bread")
    mangle(how, folders.store())

    for use in (lambda: folders.found("war and bread"), lambda: folders.build(load_embedder=no_embedder)):
        with pytest.raises(IndexFileError) as raised:
            use()
        assert str(folders.index) in str(raised.value)
        assert str(raised.value).endswith("Rebuild it: rag build --rebuild")

    folders.build(rebuild=True)
    assert folders.found("war and bread") == found


def test_a_store_with_any_page_overwritten_answers_or_names_its_repair(folders):
    folders.build()
    path, content = folders.store(), folders.store().read_bytes()
    folders.vectors_file().unlink()
    found = folders.found("war and bread")
    noise = np.random.default_rng(1)

    messages = []
    for page in range(0, len(content), 4096):
        for start, length in ((page, 4096), (page + 4000, 90), (page + 8, 60)):
            path.write_bytes(content[:start] + noise.bytes(length) + content[start + length :])
            try:
                folders.found("war and bread")
            except IndexFileError as error:
                messages.append(str(error))
    assert len(messages) > 10
    assert [text for text in messages if not text.endswith("Rebuild it: rag build --rebuild")] == []

    folders.build(rebuild=True)
    assert folders.found("war and bread") == found


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_without_current_there_is_no_index_and_a_build_makes_it(folders, content):
    folders.build()
    found = folders.found("war and bread")
    (folders.index / "current").unlink()
    if content is not None:
        (folders.index / "current").write_bytes(content)

    with pytest.raises(IndexFileError) as raised:
        folders.found("war")
    assert str(raised.value) == f"No index in {folders.index}/. Build it: rag build"

    folders.build()
    assert folders.found("war and bread") == found


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"store\x00.db", b"../else.db", b"none.db", b"x" * 5000]
)
def test_a_damaged_current_names_its_repair(folders, content):
    folders.build()
    found = folders.found("war and bread")
    (folders.index / "current").write_bytes(content)

    for use in (lambda: folders.found("war"), lambda: folders.build(load_embedder=no_embedder)):
        with pytest.raises(IndexFileError) as raised:
            use()
        assert str(raised.value).endswith("Rebuild it: rag build --rebuild")

    folders.build(rebuild=True)
    assert folders.found("war and bread") == found


def test_a_file_in_place_of_the_index_names_the_flag(folders):
    folders.index.write_text("not a folder")

    with pytest.raises(IndexFileError) as raised:
        folders.build()
    assert str(raised.value) == f"{folders.index}/ can't be written: File exists. Name another: --index DIR"


def test_a_chunk_has_at_most_250_tokens_however_many_the_embedder_reads(folders):
    folders.embedder.max_tokens = 1000
    folders.write({"a.txt": "w " * 390})  # 392 tokens, in two sentences as one has at most 400 characters
    folders.build()
    with DiskIndex(folders.index, IDENTITY).open() as snapshot:
        sizes = WordEmbedder().count_tokens(
            [chunk.text for chunk in snapshot.chunks_between(snapshot.document("a.txt"), 0, 780)]
        )
    assert sizes == [202, 192]


def test_an_index_may_become_empty_where_that_is_meant(folders):
    folders.build()
    for source in TEXTS:
        (folders.documents / source).unlink()
    before = folders.state()
    with pytest.raises(DocumentsError, match="no readable document"):
        folders.build()
    assert folders.state() == before

    assert kinds(folders.build(may_be_empty=True, load_embedder=no_embedder)) == {"removed": tuple(TEXTS)}
    assert folders.found("war") == []
    assert kinds(folders.build(may_be_empty=True, load_embedder=no_embedder)) == {}
    folders.write({"a.txt": TEXTS["a.txt"]})
    assert kinds(folders.build()) == {"added": ("a.txt",)}
    assert [source for source, _ in folders.found("war")] == ["a.txt"]


@pytest.mark.parametrize("rebuild", [False, True])
def test_an_index_becomes_empty_where_nothing_can_be_read(folders, rebuild):
    folders.build()
    for source in TEXTS:
        (folders.documents / source).write_bytes(b"")
    report = folders.build(may_be_empty=True, rebuild=rebuild)
    assert sorted(failure.source for failure in report.failed) == sorted(TEXTS)
    assert folders.found("war") == []


def test_a_folder_that_is_missing_is_never_meant_to_be_empty(folders):
    folders.build()
    before = folders.found("war")
    shutil.rmtree(folders.documents)
    with pytest.raises(DocumentsError, match=r"^The documents folder .* doesn't exist\."):
        folders.build(may_be_empty=True)
    assert folders.found("war") == before
