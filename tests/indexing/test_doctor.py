"""The doctor finds each damage that is planted, names its repair, and the repair works."""

import dataclasses
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest

from rag.errors import IndexFileError
from rag.index.disk import store
from rag.index.disk.backend import DiskBackend
from rag.indexing import doctor
from tests.support.fakes import VOCABULARY
from tests.support.folders import IDENTITY, TEXTS, Folders
from tests.support.vectors import index_of

NAN = "0000c07f"
REPAIR = "Repair it: rag doctor --repair"


@pytest.fixture
def folders(tmp_path) -> Folders:
    found = Folders(tmp_path)
    found.write(TEXTS)
    found.build()
    return found


def examined(folders: Folders) -> doctor.Diagnosis:
    return folders.examine()


def execute(*statements: str) -> Callable[[Folders], None]:
    def damage(folders: Folders) -> None:
        with closing(sqlite3.connect(folders.store())) as connection, connection:
            for sql in statements:
                connection.execute(sql)

    return damage


def vectors_file(folders: Folders):
    (path,) = folders.index.glob("vectors-*.faiss")
    return path


def cut_vectors(folders: Folders) -> None:
    vectors_file(folders).write_bytes(vectors_file(folders).read_bytes()[:-1])


def exchange_vectors(folders: Folders) -> None:
    with store.reading(folders.index) as snapshot:
        ((ids, vectors),) = snapshot.vectors()
    index_of(ids, np.roll(vectors, 1, axis=0)).save(vectors_file(folders))


def leave_a_store(folders: Folders) -> None:
    shutil.copy(folders.store(), folders.index / "store-0123456789ab.db")


def test_an_index_in_step_is_well(folders):
    found = examined(folders)
    assert (found.well, found.faults, found.notes) == (True, (), ())
    assert found.figures is not None
    figures = dataclasses.replace(found.figures, store_bytes=0, vectors_bytes=0)
    characters = sum(len("".join(text.split())) for text in TEXTS.values())
    assert figures == doctor.Figures(3, 0, 0, 3, characters, characters, 0, 0, "words", "fp32", 5, 1.0)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda f: f.write({"d.txt": "War."}), "d.txt: not in the index. Update it: rag build"),
        (
            lambda f: f.write({"a.txt": "War."}),
            "a.txt: changed since it was indexed. Update it: rag build",
        ),
        (
            lambda f: (f.documents / "b.txt").unlink(),
            "b.txt: in the index, but not in the folder. Update it: rag build",
        ),
    ],
)
def test_a_folder_that_changed_is_reported_and_a_build_repairs_it(folders, damage, fault):
    damage(folders)
    found = examined(folders)
    assert (found.well, found.faults) == (False, (fault,))
    folders.build()
    assert examined(folders).well


def test_a_file_that_cannot_be_read_is_named(folders):
    (folders.documents / "d.txt").write_bytes(b"\0\1\2")
    assert examined(folders).faults == ("d.txt: it is binary, not text.",)


def test_the_same_file_twice_is_no_fault_but_noted(folders):
    folders.write({"d.txt": TEXTS["a.txt"]})
    folders.build()
    found = examined(folders)
    assert (found.well, found.notes) == (True, ("The same file: a.txt, d.txt.",))
    assert found.figures.near_duplicates == 2


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda f: vectors_file(f).unlink(), "is missing or damaged, so it is rebuilt at each start."),
        (cut_vectors, "is missing or damaged, so it is rebuilt at each start."),
        (exchange_vectors, "doesn't have the vectors of the store."),
        (
            execute("INSERT INTO texts VALUES (x'00', x'', '', x'', 'War.', x'')"),
            "1 damaged vectors of no chunk.",
        ),
        (execute("INSERT INTO chunks VALUES (99, 99, 0, 1, x'00')"), "1 chunks of no document."),
        (execute("INSERT INTO bands VALUES (1, 99)"), "1 bands of no document."),
        (execute("DELETE FROM bands WHERE document = 1"), "a.txt is not compared with the other documents"),
        (
            execute("INSERT INTO keywords (rowid, text) VALUES (99, 'war')"),
            "The keyword index does not match",
        ),
        (
            execute("INSERT INTO keywords (keywords) VALUES ('delete-all')"),
            "The keyword index does not match",
        ),
        (execute("UPDATE terms SET chunks = 2 WHERE term = 'war'"), "The table of terms does not match"),
        (execute("DELETE FROM keywords_data"), "The keyword index does not match the chunks."),
        (execute("DROP TABLE keywords"), "The keyword index does not match the chunks."),
        (leave_a_store, "store-0123456789ab.db is left over in"),
    ],
)
def test_what_the_store_itself_can_repair_is_repaired(folders, damage, fault):
    before = [folders.found(word) for word in ("war", "peace", "salt")]
    damage(folders)
    found = examined(folders)
    assert len(found.faults) == 1
    assert fault in found.faults[0]
    assert found.faults[0].endswith(REPAIR)
    folders.repair()
    assert examined(folders).well
    assert [folders.found(word) for word in ("war", "peace", "salt")] == before


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("DELETE FROM texts WHERE text LIKE 'War%'", "a.txt has chunks without vectors."),
        ("UPDATE texts SET vector = x'00' WHERE text LIKE 'War%'", "a.txt has damaged vectors."),
        (
            f"UPDATE texts SET vector = x'{NAN * 5}' WHERE text LIKE 'War%'",
            "a.txt has damaged vectors.",
        ),
        ("UPDATE texts SET sentences = x'00' WHERE text LIKE 'War%'", "a.txt has damaged sentences."),
        (
            "UPDATE texts SET text = 'Salt' WHERE text LIKE 'War%'",
            "a.txt has chunks that differ from its text.",
        ),
        (
            'UPDATE chunks SET "start" = 1 WHERE document = 1',
            "a.txt has chunks that differ from its text.",
        ),
        ("DELETE FROM chunks WHERE document = 1", "a.txt has no chunks."),
        (
            "UPDATE documents SET characters = 9 WHERE id = 1",
            "a.txt does not have the text that was indexed.",
        ),
    ],
)
def test_a_document_that_is_broken_is_removed_and_embedded_again(folders, sql, fault):
    before = folders.found("war")
    execute(sql)(folders)
    found = examined(folders)
    assert not found.well
    assert found.faults[0].startswith(fault)
    assert f"{REPAIR}, then rag build" in found.faults[0]
    folders.repair()
    assert examined(folders).faults == ("a.txt: not in the index. Update it: rag build",)
    assert folders.build().added == ("a.txt",)
    found = examined(folders)
    assert (found.well, found.notes) == (True, ())
    assert sorted(folders.found("war")) == sorted(before)


def test_characters_in_no_chunk_are_counted(folders):
    folders.write({"long.txt": "War. " * 300})
    folders.build()
    execute("DELETE FROM chunks WHERE id = (SELECT max(id) FROM chunks)")(folders)
    lost = [fault for fault in examined(folders).faults if "characters are in no chunk" in fault]
    assert len(lost) == 1
    assert lost[0].startswith("long.txt: ")


def test_a_text_that_is_not_the_files_is_reported(folders):
    execute("UPDATE documents SET text = text || ' And salt.' WHERE source = 'b.txt'")(folders)
    faults = examined(folders).faults
    assert "b.txt: its text in the index is not the file's. Rebuild it: rag build --rebuild" in faults


def test_damaged_pages_are_reported(folders):
    content = bytearray(folders.store().read_bytes())
    content[4096 * 3 : 4096 * 12] = b"\xff" * 4096 * 9
    folders.store().write_bytes(content)
    found = examined(folders)
    assert not found.well
    assert "Rebuild it: rag build --rebuild" in found.faults[0]


def test_a_store_that_is_not_named_is_put_in_force_again(folders):
    before = folders.found("war")
    (folders.index / "current").unlink()
    assert "Build it: rag build" in examined(folders).faults[0]
    folders.repair()
    assert examined(folders).well
    assert folders.found("war") == before


def test_another_embedder_is_a_fault_that_a_repair_does_not_touch(folders):
    other = dataclasses.replace(IDENTITY, name="other")
    found = folders.examine(other)
    assert found.figures is None
    assert "was built with words (5 dimensions); settings name other (5)" in found.faults[0]
    with pytest.raises(IndexFileError, match="was built with words"):
        folders.repair(other)
    assert examined(folders).well


def test_what_an_interrupted_build_has_kept_is_no_fault_and_stays(folders):
    folders.write({"d.txt": "Salt and war and salt."})

    class Interrupted(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        if done:
            raise Interrupted

    with pytest.raises(Interrupted):
        folders.build(progress=interrupt)
    found = examined(folders)
    assert found.notes == ("An interrupted build left 1 vector; the next build reuses it.",)
    assert found.faults == ("d.txt: not in the index. Update it: rag build",)
    folders.repair()
    folders.build()
    assert folders.embedder.embedded == []
    assert examined(folders).well


def test_lists_that_find_too_little_are_reported(folders, monkeypatch):
    chooser = random.Random(0)
    texts = {f"{n}.txt": " ".join(chooser.choices(VOCABULARY, k=15)) + "." for n in range(400)}
    folders.write(texts)
    monkeypatch.setattr("rag.index.disk.faiss_index.EXACT", 100)
    monkeypatch.setattr("rag.index.disk.faiss_index.PROBED", 0.1)
    folders.build(rebuild=True)
    found = examined(folders)
    (fault,) = found.faults
    assert re.fullmatch(
        r"Search finds \d+% of what exact search finds\. Repair it: rag doctor --repair", fault
    )
    monkeypatch.setattr("rag.index.disk.faiss_index.PROBED", 1_000)
    folders.repair()
    assert examined(folders).well


def test_a_repair_makes_no_index_where_there_is_none(folders, tmp_path):
    with pytest.raises(IndexFileError, match="No index in"):
        DiskBackend(tmp_path / "none").repair(IDENTITY)
    assert not (tmp_path / "none" / "current").exists()


def test_no_index_and_no_folder_are_reported(folders):
    shutil.rmtree(folders.index)
    (fault,) = examined(folders).faults
    assert fault.startswith("No index in ")
    folders.build()
    shutil.rmtree(folders.documents)
    (fault,) = examined(folders).faults
    assert fault.endswith("doesn't exist. Name another: --documents DIR")
