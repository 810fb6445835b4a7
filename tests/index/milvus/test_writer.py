"""Builds of an index in Milvus that end early, or meet another: what answers, and what the next one does."""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rag.errors import IndexFileError
from rag.index.base import BUILD
from rag.index.milvus import collections, rows, writer
from rag.index.milvus.backend import MilvusBackend
from rag.index.milvus.client import connected
from rag.indexing import doctor
from rag.uris import MilvusAddress, milvus_address
from tests.support import ROOT, SEEDS, wait_until
from tests.support.stores import IDENTITY, Store, embedded, everything, expected, opened, write

pymilvus = pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

pytestmark = pytest.mark.server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(MilvusAddress(str(tmp_path / "index.db"), "articles"), keyword=True)


def interrupted(store: Store, *texts: tuple[str, str], rebuild: bool = False) -> None:
    """A build that has put these in, and isn't finished; it gives its right back."""
    with contextlib.suppress(KeyboardInterrupt), store.write(rebuild=rebuild) as writing:
        writing.upsert([embedded(source, text) for source, text in texts])
        raise KeyboardInterrupt


def test_what_a_build_left_behind_is_put_right_by_the_next(store):
    write(store, {"a.txt": "War.", "b.txt": "Bread."})
    interrupted(store, ("a.txt", "Peace."), ("c.txt", "Salt."))

    # The first version of a.txt is in the folder again, c.txt is gone.
    documents = {
        source: embedded(source, text) for source, text in {"a.txt": "War.", "b.txt": "Bread."}.items()
    }
    with store.write() as writing:
        before = writing.hashes()
        writing.upsert(
            [one for one in documents.values() if before.get(one.document.source) != one.document.sha256]
        )
        writing.finish({source: one.document.sha256 for source, one in documents.items()})

    with opened(store) as state:
        assert everything(state) == expected(documents)


def test_a_build_that_lacks_what_it_put_in_says_so(store):
    documents = write(store, {"a.txt": "War."})
    now = {"a.txt": documents["a.txt"].document.sha256, "b.txt": "0" * 64}
    with (
        pytest.raises(IndexFileError, match=r"lacks 1 documents that this build wrote, such as b\.txt"),
        store.write() as writing,
    ):
        writing.finish(now)


def test_collections_of_others_are_left_alone(store):
    client = connected(store.place, make_folder=True)
    for name in ("articles_20240101", "articles_rag_20240101", "articles_rag_20240101_documents"):
        client.create_collection(name, dimension=4)
    write(store, {"a.txt": "War."})
    write(store, {"a.txt": "War."}, rebuild=True)

    names = set(client.list_collections())
    assert {"articles_20240101", "articles_rag_20240101", "articles_rag_20240101_documents"} < names
    assert len(names) == 5


def test_the_name_of_a_collection_of_another_program_is_reported(store):
    client = connected(store.place, make_folder=True)
    client.create_collection("articles", dimension=4)
    with pytest.raises(IndexFileError, match="is a collection of another program's"):
        store.read()
    with pytest.raises(IndexFileError, match="is a collection of another program's"), store.write():
        pass


def test_a_rebuild_goes_on_from_one_that_never_ended_but_not_from_the_index_before(store, monkeypatch):
    monkeypatch.setattr(collections, "GRACE_S", 0.0)
    write(store, {"a.txt": "War."})
    interrupted(store, ("b.txt", "Salt."), rebuild=True)
    with store.write(rebuild=True) as writing:
        assert {*writing.hashes()} == {"b.txt"}
        one = embedded("b.txt", "Salt.")
        writing.finish({"b.txt": one.document.sha256})
    with store.write(rebuild=True) as writing:
        assert writing.hashes() == {}
        writing.upsert([one])
        writing.finish({"b.txt": one.document.sha256})
    with opened(store) as state:
        assert everything(state) == expected({"b.txt": one})


def test_a_second_build_reports_the_first(store):
    write(store, {"a.txt": "War."})
    with store.write() as first:
        for rebuild in (False, True):
            second = store.write(rebuild=rebuild)
            with pytest.raises(IndexFileError, match=r"is being built by process \d+ on .*\. Wait for it"):
                second.__enter__()
        one = embedded("b.txt", "Salt.")
        first.upsert([one])
        first.finish({"b.txt": one.document.sha256})
    with store.write():
        pass  # the right was given back


def test_a_rebuild_and_two_first_builds_are_reported_as_well(store, monkeypatch):
    monkeypatch.setattr(collections, "GRACE_S", 0.0)
    for rebuild in (False, True):  # the first build, then a rebuild
        one = embedded("b.txt", "Salt.")
        with store.write(rebuild=rebuild) as first:
            first.upsert([one])
            for other in (False, True):
                second = store.write(rebuild=other)
                with pytest.raises(IndexFileError, match=r"is being built by process"):
                    second.__enter__()
            first.finish({"b.txt": one.document.sha256})
        with opened(store) as state:
            assert everything(state) == expected({"b.txt": one})


def test_a_first_build_that_another_one_overtook_leaves_what_that_built(store, monkeypatch):
    real = collections.begun
    built = {}

    def late(*arguments):
        monkeypatch.setattr(collections, "begun", real)
        built.update(write(store, {"a.txt": "War."}))
        return real(*arguments)

    monkeypatch.setattr(collections, "begun", late)
    second = store.write()
    with pytest.raises(IndexFileError, match=r"was built by another process just now\. Build it: rag build"):
        second.__enter__()
    with opened(store) as state:
        assert everything(state) == expected(built)
    with store.write() as writing:
        assert {*writing.hashes()} == {"a.txt"}


def test_a_build_that_is_stopped_while_it_takes_its_right_gives_it_back(store, monkeypatch):
    write(store, {"a.txt": "War."})
    with monkeypatch.context() as stopped:

        def stop(*_):
            raise KeyboardInterrupt

        stopped.setattr(collections.Hold, "_look", stop)
        with pytest.raises(KeyboardInterrupt):
            store.write().__enter__()
    with store.write() as writing:
        assert {*writing.hashes()} == {"a.txt"}


def test_a_deletion_that_breaks_off_leaves_no_document_without_its_chunks(store, monkeypatch):
    texts = {"a.txt": "War and bread.", "b.txt": "Bread."}
    documents = write(store, texts)
    with monkeypatch.context() as broken:
        delete = pymilvus.MilvusClient.delete

        def once(client, collection, *arguments, **options):
            broken.setattr(pymilvus.MilvusClient, "delete", refuse)
            return delete(client, collection, *arguments, **options)

        def refuse(*_, **__):
            raise pymilvus.MilvusException(message="no memory")

        broken.setattr(pymilvus.MilvusClient, "delete", once)
        with pytest.raises(IndexFileError, match="no memory"), store.write() as writing:
            writing.finish({"b.txt": documents["b.txt"].document.sha256})
    monkeypatch.setattr(collections, "LEASE_S", 0.0)
    with store.write() as writing:
        before = writing.hashes()
        assert {*before} == {"b.txt"}
        writing.upsert([documents["a.txt"]])
        writing.finish({source: one.document.sha256 for source, one in documents.items()})
    with opened(store) as state:
        assert everything(state) == expected(documents)


def test_the_doctor_asks_for_no_rebuild_where_a_build_is_enough(store, tmp_path, monkeypatch):
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in (("a.txt", "War."), ("b.txt", "Bread.")):
        (folder / name).write_text(text)
    write(store, {"a.txt": "War."})
    with monkeypatch.context() as killed:
        put = writer.MilvusWriter._put

        def chunks_alone(writing, collection, rows):
            put(writing, collection, rows)
            if collection == writing.chunks:
                raise KeyboardInterrupt

        killed.setattr(writer.MilvusWriter, "_put", chunks_alone)
        interrupted(store, ("b.txt", "Bread."))
    fault = f"{store.place} has 2 chunks, but its documents have 1. {BUILD}"
    assert fault in doctor.examine(folder, store.backend(), IDENTITY).faults
    write(store, {"a.txt": "War.", "b.txt": "Bread."})
    assert not any("chunks" in fault for fault in doctor.examine(folder, store.backend(), IDENTITY).faults)


def test_a_build_that_takes_long_over_a_block_is_not_thought_dead(store, monkeypatch):
    monkeypatch.setattr(writer, "RENEWED_S", 0.05)
    late_s = 0.0
    monkeypatch.setattr(collections, "time", SimpleNamespace(time=lambda: time.time() + late_s))
    renew, renewals = collections.Hold.renew, []

    def renewing(hold, client):
        began_s = late_s
        renew(hold, client)
        renewals.append(began_s)

    monkeypatch.setattr(collections.Hold, "renew", renewing)
    with store.write():
        late_s = 2 * collections.LEASE_S
        wait_until(lambda: late_s in renewals, "the build has renewed its lease")
        second = store.write()
        with pytest.raises(IndexFileError, match=r"is being built by process"):
            second.__enter__()


def test_a_first_build_that_was_killed_is_continued_when_it_no_longer_counts(store, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(collections.Hold, "give_back", lambda hold, client: None)
        interrupted(store, ("a.txt", "War."))
    second = store.write()
    with pytest.raises(IndexFileError, match=r"one that was killed no longer counts after 120 s\."):
        second.__enter__()
    monkeypatch.setattr(collections, "LEASE_S", 0.0)
    with store.write() as writing:
        assert {*writing.hashes()} == {"a.txt"}


@pytest.mark.parametrize("meta", [None, {"schema": "0"}])
def test_a_rebuild_repairs_an_index_without_metadata(store, monkeypatch, meta):
    monkeypatch.setattr(collections, "GRACE_S", 0.0)
    write(store, {"a.txt": "War."})
    client = connected(store.place)
    (before,) = collections.own(client, store.place)
    if meta is None:
        client.delete(collections.documents_of(before), ids=[rows.META])
    else:
        collections.put_meta(client, before, meta)
    with pytest.raises(IndexFileError, match=r"Rebuild it: rag build --rebuild"):
        write(store, {"a.txt": "War."})

    documents = write(store, {"a.txt": "War."}, rebuild=True)
    with opened(store) as state:
        assert everything(state) == expected(documents)
    assert len(collections.own(client, store.place)) == 1


def test_of_a_document_that_changes_one_version_answers(store):
    write(store, {"a.txt": "War. War.", "b.txt": "Bread."})
    changed = {"a.txt": embedded("a.txt", "Peace."), "b.txt": embedded("b.txt", "Bread.")}
    with store.write() as writing:
        writing.upsert([changed["a.txt"]])
        with opened(store) as state:
            assert everything(state) == expected(changed)
            document = state.document("a.txt")
            assert document is not None
            assert state.text(document) == "Peace."
        writing.finish({source: one.document.sha256 for source, one in changed.items()})


def test_what_a_killed_build_put_in_gets_a_name_from_the_next(store):
    write(store, {"a.txt": "War."})
    with opened(store) as state:
        before = state.generation
    interrupted(store, ("b.txt", "Bread."))
    documents = {
        source: embedded(source, text) for source, text in {"a.txt": "War.", "b.txt": "Bread."}.items()
    }
    for changes in (True, False):
        with store.write() as writing:
            now = writing.hashes()
            assert now == {source: one.document.sha256 for source, one in documents.items()}
            writing.finish(now)
        with opened(store) as state:
            assert (state.generation != before) is changes
            before = state.generation


def test_the_next_build_drops_what_a_rebuild_left_that_never_ended(store):
    write(store, {"a.txt": "War."})
    interrupted(store, ("a.txt", "War."), rebuild=True)
    client = connected(store.place)
    assert len(client.list_collections()) == 4
    write(store, {"a.txt": "War."})
    assert len(client.list_collections()) == 2


def test_a_builder_that_was_thought_dead_may_not_go_on(store, monkeypatch):
    write(store, {"a.txt": "War."})
    monkeypatch.setattr(writer, "CHECKED_S", 0.0)
    with store.write() as late:
        monkeypatch.setattr(collections, "LEASE_S", 0.0)
        with store.write():
            monkeypatch.setattr(collections, "LEASE_S", 120.0)
            with pytest.raises(IndexFileError, match="is being built by process"):
                late.upsert([embedded("b.txt", "Salt.")])


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rag", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_another_process_reads_it_by_meaning_and_by_words(tmp_path):
    where = f"milvus://{tmp_path}/deep/index.db/articles"
    missing = ran("search", "Moscow", "--index", where)
    assert (missing.returncode, missing.stderr) == (1, f"rag: No index in {where}. Build it: rag build\n")
    assert not MilvusBackend(milvus_address(where), keyword=False).exists()
    assert not (tmp_path / "deep").exists()

    built = ran("build", "--documents", str(SEEDS), "--index", where)
    assert (built.returncode, built.stderr) == (0, ""), built.stderr
    for question in ("Who is the Kremlin spokesman?", "Кто такой Песков, 俄罗斯总统 𝒳?"):
        found = ran("search", question, "--index", where, "--json", "-k", "3")
        assert found.returncode == 0, found.stderr
        assert len(json.loads(found.stdout)) == 3
    found = json.loads(ran("search", "chlorine Aleppo", "--index", where, "--json", "-k", "1").stdout)
    assert found[0]["keyword"]["rank"] is not None
    assert found[0]["keyword"]["score"] > 0
    again = ran("build", "--documents", str(SEEDS), "--index", where)
    assert "5 unchanged" in again.stdout
