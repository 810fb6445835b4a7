"""An index whose FAISS file stays while a few documents come and go: like one that is rebuilt each time."""

import random

import pytest

from rag.index.disk.index import DiskIndex
from rag.retrieval.query import analyse
from rag.retrieval.retriever import Retriever
from tests.support.fakes import WordEmbedder
from tests.support.folders import IDENTITY, Folders, mangle

WORDS = ("war", "peace", "bread", "salt", "river", "tall", "old", "green")


def text(chooser: random.Random) -> str:
    return " ".join(chooser.choices(WORDS, k=9)).capitalize() + "."


@pytest.fixture(params=[10, 1_000], ids=["lists", "all compared"])
def folders(tmp_path, monkeypatch, request) -> Folders:
    """Of which a few chunks are many."""
    monkeypatch.setattr("rag.index.disk.faiss_index.EXACT", request.param)
    monkeypatch.setattr("rag.index.disk.faiss_index.PROBED", 1_000)
    monkeypatch.setattr("rag.index.disk.index.CHANGES", 12)
    made = Folders(tmp_path)
    chooser = random.Random(0)
    made.write({f"{number:02}.txt": text(chooser) for number in range(40)})
    made.build()
    return made


def asked(retriever: Retriever) -> list[set[tuple[str, str, float, float]]]:
    """What each word finds, with its scores: every passage, since those of equal scores have no order."""
    return [
        {
            (one.source, one.text, round(one.score, 3), round(one.dense.score, 3))
            for one in retriever.retrieve(analyse(word), 100).passages
        }
        for word in WORDS[:5]
    ]


def rebuilt(folders: Folders) -> list[set[tuple[str, str, float, float]]]:
    """What an index finds that was built of the folder at once."""
    other = Folders(folders.index.parent / "other")
    other.index.parent.mkdir(exist_ok=True)
    other.documents = folders.documents
    other.build(rebuild=True)
    return asked(Retriever(DiskIndex(other.index, IDENTITY), WordEmbedder()))


@pytest.mark.slow
def test_what_a_large_index_finds_follows_its_folder(folders):
    reader = Retriever(DiskIndex(folders.index, IDENTITY), WordEmbedder())
    chooser = random.Random(1)
    files = [folders.vectors_file()]
    for step in range(12):
        there = sorted(path.name for path in folders.documents.iterdir())
        changed, removed = chooser.sample(there, 2)
        folders.write({changed: text(chooser), f"new{step:02}.txt": text(chooser)})
        if step % 2:
            (folders.documents / removed).unlink()
        folders.build()
        files.append(folders.vectors_file())
        expected = rebuilt(folders)
        assert asked(reader) == expected
        assert asked(Retriever(DiskIndex(folders.index, IDENTITY), WordEmbedder())) == expected
        found = folders.examine()
        assert (found.faults, found.figures.recall) == ((), 1.0)
    assert 1 < len(set(files)) < 6  # it stays as long as few chunks have changed, and is then rebuilt


def test_a_large_index_may_become_small_and_empty(folders):
    for path in sorted(folders.documents.iterdir())[5:]:
        path.unlink()
    folders.build()
    assert asked(Retriever(DiskIndex(folders.index, IDENTITY), WordEmbedder())) == rebuilt(folders)
    for path in folders.documents.iterdir():
        path.unlink()
    folders.build(may_be_empty=True)
    assert asked(Retriever(DiskIndex(folders.index, IDENTITY), WordEmbedder())) == [set()] * 5


def test_a_reader_that_found_the_file_damaged_follows_later_states(folders):
    chooser = random.Random(2)
    folders.write({"00.txt": text(chooser)})
    folders.build()
    mangle("overwritten", folders.vectors_file())
    reader = Retriever(DiskIndex(folders.index, IDENTITY), WordEmbedder())
    assert asked(reader) == rebuilt(folders)
    for name in ("00.txt", "00.txt", "01.txt"):
        folders.write({name: text(chooser)})
        folders.build()
        assert asked(reader) == rebuilt(folders)
