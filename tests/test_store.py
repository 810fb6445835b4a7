import contextlib
import hashlib
import math
import sqlite3

import numpy as np
import pytest

from rag import store
from rag.errors import IndexFileError
from rag.indexing import embedder_identity
from rag.types import Chunk, Document, Passage

IDENTITY = embedder_identity("words", "ab" * 32, 2)


def document(source: str, text: str) -> Document:
    return Document(source, text, hashlib.sha256(text.encode()).hexdigest())


def write(folder, texts: dict[str, str], removed=()) -> None:
    """Documents of one chunk each, whose vector is (length, 1)."""
    with store.writing(folder, IDENTITY, rebuild=False) as writer:
        added = [
            (document(source, text), [Chunk(0, len(text), text)] if text else [])
            for source, text in texts.items()
        ]
        for text in texts.values():
            writer.keep_vectors([store.text_hash(text)], np.array([[len(text), 1]], dtype=np.float32))
        with writer.swap(removed, added):
            pass


TEXTS = {
    "a.txt": "The war went on and on: war in the north, war in the south.",
    "b.txt": "After the war came peace.",
    "c.txt": "Bread and salt, by the river. Nobody spoke, for nobody knew what to say of it.",
    "d.txt": "Schöne Ströme 🌊 flow.",
}


def bm25(term: str, source: str) -> float:
    """BM25 as SQLite's documentation of FTS5 gives it: k1 = 1.2, b = 0.75."""
    tokens = {
        name: "".join(c if c.isalnum() else " " for c in text.lower()).split() for name, text in TEXTS.items()
    }
    having = sum(term in words for words in tokens.values())
    rarity = max(math.log((len(tokens) - having + 0.5) / (having + 0.5)), 1e-6)
    frequency = tokens[source].count(term)
    relative = len(tokens[source]) / (sum(map(len, tokens.values())) / len(tokens))
    return rarity * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * relative))


def test_keyword_scores_are_bm25_best_first(tmp_path):
    write(tmp_path, TEXTS)

    with store.reading(tmp_path) as snapshot:
        found = snapshot.keyword_search(["peace", "salt"], 10)
        passages = snapshot.passages(dict(found))

    expected = {"b.txt": bm25("peace", "b.txt"), "c.txt": bm25("salt", "c.txt")}
    assert [passage.source for passage in passages] == sorted(expected, key=expected.get, reverse=True)
    assert {passage.source: passage.score for passage in passages} == pytest.approx(expected)


def test_keyword_search_ignores_case_marks_and_endings(tmp_path):
    write(tmp_path, TEXTS)

    with store.reading(tmp_path) as snapshot:
        assert [i for i, _ in snapshot.keyword_search(["SCHONE"], 5)] == [4]
        assert [i for i, _ in snapshot.keyword_search(["wars"], 5)] == [1, 2]
        assert [i for i, _ in snapshot.keyword_search(["wars"], 1)] == [1]
        assert snapshot.keyword_search(["absent"], 5) == []
        assert snapshot.keyword_search([], 5) == []
        assert [snapshot.chunks_with(term) for term in ("wars", "peace", "absent")] == [2, 1, 0]


def test_passages_come_in_the_order_of_the_scores(tmp_path):
    write(tmp_path, TEXTS)

    with store.reading(tmp_path) as snapshot:
        assert snapshot.passages({4: 0.5, 2: 0.9}) == (
            Passage("d.txt", 0, 21, TEXTS["d.txt"], 0.5),
            Passage("b.txt", 0, 25, TEXTS["b.txt"], 0.9),
        )
        assert snapshot.passages({}) == ()


def test_offsets_are_characters_whatever_the_text(tmp_path):
    text = "🌊🌊 é\r\ncafé 和平"
    with store.writing(tmp_path, IDENTITY, rebuild=False) as writer:
        pieces = [Chunk(0, 4, text[0:4]), Chunk(6, 13, text[6:13])]
        for piece in pieces:
            writer.keep_vectors([store.text_hash(piece.text)], np.ones((1, 2), dtype=np.float32))
        with writer.swap([], [(document("a.txt", text), pieces)]):
            pass

    with store.reading(tmp_path) as snapshot:
        found = snapshot.passages({2: 1.0, 1: 0.5})
        assert snapshot.document_text("a.txt") == text
    assert found == (Passage("a.txt", 6, 13, "café 和平", 1.0), Passage("a.txt", 0, 4, "🌊🌊 é", 0.5))


def test_vectors_and_hashes_round_trip(tmp_path):
    write(tmp_path, TEXTS)

    with store.reading(tmp_path) as snapshot:
        ids, vectors = snapshot.vectors()
        hashes = snapshot.hashes()

    assert ids.tolist() == [1, 2, 3, 4]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[len(text), 1] for text in TEXTS.values()]
    assert hashes == {source: hashlib.sha256(text.encode()).hexdigest() for source, text in TEXTS.items()}


def test_an_index_of_nothing_has_no_vectors(tmp_path):
    write(tmp_path, {})

    with store.reading(tmp_path) as snapshot:
        ids, vectors = snapshot.vectors()
        assert ids.shape == (0,)
        assert vectors.shape == (0, 2)
        assert snapshot.chunk_count() == 0


def test_ids_are_never_used_again(tmp_path):
    write(tmp_path, TEXTS)
    write(tmp_path, {"e.txt": "War."}, removed=["d.txt"])

    with store.reading(tmp_path) as snapshot:
        assert snapshot.vectors()[0].tolist() == [1, 2, 3, 5]
        assert sorted(chunk for chunk, _ in snapshot.keyword_search(["war"], 5)) == [1, 2, 5]


def test_a_swap_that_fails_changes_nothing(tmp_path):
    write(tmp_path, TEXTS)
    with store.reading(tmp_path) as snapshot:
        generation = snapshot.generation

    with (
        contextlib.suppress(ZeroDivisionError),
        store.writing(tmp_path, IDENTITY, rebuild=False) as writer,
        writer.swap(["a.txt", "b.txt"], [(document("e.txt", "Salt."), [])]) as state,
    ):
        assert [*state.hashes()] == ["c.txt", "d.txt", "e.txt"]
        raise ZeroDivisionError

    with store.reading(tmp_path) as snapshot:
        assert snapshot.generation == generation
        assert [*snapshot.hashes()] == ["a.txt", "b.txt", "c.txt", "d.txt"]
        assert [i for i, _ in snapshot.keyword_search(["war"], 5)] == [1, 2]


def test_each_state_has_its_own_generation(tmp_path):
    write(tmp_path, TEXTS)
    with store.reading(tmp_path) as snapshot:
        before = snapshot.vectors_path
    write(tmp_path, {}, removed=["a.txt"])

    with store.reading(tmp_path) as snapshot:
        assert snapshot.vectors_path != before


def test_a_vector_is_kept_for_good_before_the_swap(tmp_path):
    key = store.text_hash("war")
    write(tmp_path, {})
    with contextlib.suppress(ZeroDivisionError), store.writing(tmp_path, IDENTITY, rebuild=False) as writer:
        assert writer.lacks_vector(key)
        writer.keep_vectors([key], np.ones((1, 2), dtype=np.float32))
        raise ZeroDivisionError

    with store.writing(tmp_path, IDENTITY, rebuild=False) as writer:
        assert not writer.lacks_vector(key)
        with writer.swap([], []):
            pass
        assert writer.lacks_vector(key)  # no chunk has it


def change(folder, sql: str) -> None:
    connection = sqlite3.connect(folder / (folder / "current").read_text())
    with connection:
        connection.execute(sql)
    connection.close()


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE meta SET value = '0' WHERE key = 'schema'", "has schema 0; this version reads schema 1."),
        ("UPDATE meta SET value = '2' WHERE key = 'schema'", "has schema 2; this version reads schema 1."),
        ("DELETE FROM meta WHERE key = 'embedder'", "is damaged (its embedder's name is lost)."),
        ("UPDATE meta SET value = '{}' WHERE key = 'embedder'", "is damaged (its embedder's name is lost)."),
        ("UPDATE meta SET value = '[]' WHERE key = 'embedder'", "is damaged (its embedder's name is lost)."),
        ("DELETE FROM vectors WHERE rowid = 1", "lacks vectors."),
        ("UPDATE vectors SET vector = x'00' WHERE rowid = 1", "lacks vectors."),
        ("DELETE FROM documents WHERE source = 'a.txt'", "lacks chunks."),
        ("DROP TABLE chunks", "is damaged (no such table: chunks)."),
    ],
)
def test_damage_is_told_of_with_the_command_that_mends_it(tmp_path, sql, what):
    write(tmp_path, TEXTS)
    change(tmp_path, sql)

    with pytest.raises(IndexFileError) as raised, store.reading(tmp_path) as snapshot:
        snapshot.passages(dict.fromkeys(snapshot.vectors()[0].tolist(), 1.0))
    assert str(raised.value) == f"{tmp_path}/ {what} Rebuild it: rag build --rebuild"


def test_a_reader_cannot_write(tmp_path):
    write(tmp_path, TEXTS)

    with pytest.raises(IndexFileError), store.reading(tmp_path) as snapshot:
        snapshot._rows("DELETE FROM documents")
    with store.reading(tmp_path) as snapshot:
        assert len(snapshot.hashes()) == 4


def test_no_index_names_the_command_that_builds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(IndexFileError) as raised, store.reading(tmp_path / "index"):
        pass
    assert str(raised.value) == "No index in index/. Build it: rag build"


def test_a_current_that_cannot_be_read_names_the_flag(tmp_path):
    (tmp_path / "current").mkdir()

    with pytest.raises(IndexFileError) as raised, store.reading(tmp_path):
        pass
    assert str(raised.value).startswith(f"{tmp_path / 'current'} can't be read: ")
    assert str(raised.value).endswith("Check its permissions, or name another: --index DIR")
