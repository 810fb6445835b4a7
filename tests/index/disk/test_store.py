import contextlib
import hashlib
import math
import sqlite3

import numpy as np
import pytest

from rag.errors import IndexFileError
from rag.index.base import sentence_cosines
from rag.index.codec import EmbeddedText, text_hash
from rag.index.disk import store
from rag.indexing.build import embedder_identity
from rag.types import Chunk, Document, Scope

IDENTITY = embedder_identity("words", "ab" * 32, 2)


def document(source: str, text: str) -> Document:
    return Document(source, text, hashlib.sha256(text.encode()).hexdigest())


def embedded(text: str, vector: list[float]) -> EmbeddedText:
    """A text that is one sentence."""
    found = np.array(vector, dtype=np.float32)
    return EmbeddedText(text, found, ((0, len(text)),), found[np.newaxis])


def piece(text: str, start: int = 0) -> Chunk:
    """A chunk that is one sentence."""
    end = start + len(text)
    return Chunk(start, end, text, ((start, end),))


def write(folder, texts: dict[str, str], removed=()) -> None:
    """Documents of one chunk each, whose vector is (length, 1)."""
    with store.writing(folder, IDENTITY, rebuild=False) as writer:
        added = [(document(source, text), [piece(text)] if text else []) for source, text in texts.items()]
        for text in texts.values():
            writer.keep([embedded(text, [len(text), 1])])
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
        sources = [chunk.source for chunk in snapshot.chunks([chunk for chunk, _ in found])]

    expected = {"b.txt": bm25("peace", "b.txt"), "c.txt": bm25("salt", "c.txt")}
    assert sources == sorted(expected, key=expected.get, reverse=True)
    assert [score for _, score in found] == pytest.approx([expected[source] for source in sources])


def test_keyword_search_ignores_case_marks_and_endings(tmp_path):
    write(tmp_path, TEXTS)

    with store.reading(tmp_path) as snapshot:
        assert [i for i, _ in snapshot.keyword_search(["schone"], 5)] == [4]
        assert [i for i, _ in snapshot.keyword_search(["wars"], 5)] == [1, 2]
        assert [i for i, _ in snapshot.keyword_search(["wars"], 1)] == [1]
        assert snapshot.keyword_search(["absent"], 5) == []
        assert snapshot.keyword_search([], 5) == []
        assert snapshot.chunks_with(["wars", "peace", "absent"]) == {"wars": 2, "peace": 1, "absent": 0}


def places(chunks) -> list[tuple[int, str, int, int, str]]:
    return [(chunk.id, chunk.source, chunk.start, chunk.end, chunk.text) for chunk in chunks]


def test_chunks_come_in_the_order_in_which_they_are_named(tmp_path):
    write(tmp_path, TEXTS)

    with store.reading(tmp_path) as snapshot:
        assert places(snapshot.chunks([4, 2])) == [
            (4, "d.txt", 0, 21, TEXTS["d.txt"]),
            (2, "b.txt", 0, 25, TEXTS["b.txt"]),
        ]
        assert snapshot.chunks([]) == ()


def test_sentences_come_with_their_places_in_the_document_and_their_vectors(tmp_path):
    text, part = "Salt. War began. War ended.", "War began. War ended."
    vectors = np.array([[0.6, 0.8], [-0.28, 0.96]], dtype=np.float32)
    with store.writing(tmp_path, IDENTITY, rebuild=False) as writer:
        writer.keep([EmbeddedText(part, vectors[0], ((0, 10), (11, 21)), vectors)])
        with writer.swap([], [(document("a.txt", text), [Chunk(6, 27, part, ((6, 16), (17, 27)))])]):
            pass

    with store.reading(tmp_path) as snapshot:
        (chunk,) = snapshot.chunks([1])
        (found,) = sentence_cosines(snapshot, [chunk], np.array([1, 0], dtype=np.float32))
    assert [text[start:end] for start, end in chunk.sentences] == ["War began.", "War ended."]
    assert found == pytest.approx([0.6, -0.28], abs=1 / 127)
    assert chunk.stems == (" war began ", " war end ")


def test_chunks_between_are_those_with_a_character_there(tmp_path):
    text = "War. Peace. Salt."
    pieces = [piece("War."), piece("Peace.", 5), piece("Salt.", 12)]
    with store.writing(tmp_path, IDENTITY, rebuild=False) as writer:
        writer.keep([embedded(one.text, [1, 0]) for one in pieces])
        with writer.swap([], [(document("a.txt", text), pieces), (document("b.txt", text), pieces)]):
            pass

    with store.reading(tmp_path) as snapshot:
        found = [
            [
                (chunk.source, chunk.text)
                for chunk in snapshot.chunks_between(snapshot.document("a.txt"), start, end)
            ]
            for start, end in ((0, 17), (4, 12), (3, 6), (-9, 1))
        ]
    war, peace, salt = ("a.txt", "War."), ("a.txt", "Peace."), ("a.txt", "Salt.")
    assert found == [[war, peace, salt], [peace], [war, peace], [war]]


def test_offsets_are_characters_whatever_the_text(tmp_path):
    text = "🌊🌊 é\r\ncafé 和平"
    with store.writing(tmp_path, IDENTITY, rebuild=False) as writer:
        pieces = [piece(text[0:4]), piece(text[6:13], 6)]
        writer.keep([embedded(one.text, [1, 1]) for one in pieces])
        with writer.swap([], [(document("a.txt", text), pieces)]):
            pass

    with store.reading(tmp_path) as snapshot:
        found = snapshot.chunks([2, 1])
        assert snapshot.text(snapshot.document("a.txt"), 1, 13) == text[1:13]
    assert places(found) == [(2, "a.txt", 6, 13, "café 和平"), (1, "a.txt", 0, 4, "🌊🌊 é")]


def test_vectors_and_hashes_round_trip(tmp_path):
    write(tmp_path, TEXTS)

    with store.reading(tmp_path) as snapshot:
        ((ids, vectors),) = snapshot.vectors()
        hashes = snapshot.hashes()

    assert ids.tolist() == [1, 2, 3, 4]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[len(text), 1] for text in TEXTS.values()]
    assert hashes == {source: hashlib.sha256(text.encode()).hexdigest() for source, text in TEXTS.items()}


def test_an_index_of_nothing_has_no_vectors(tmp_path):
    write(tmp_path, {})

    with store.reading(tmp_path) as snapshot:
        assert list(snapshot.vectors()) == []
        assert snapshot.chunk_count() == 0


def test_ids_are_never_used_again(tmp_path):
    write(tmp_path, TEXTS)
    write(tmp_path, {"e.txt": "War."}, removed=["d.txt"])

    with store.reading(tmp_path) as snapshot:
        assert next(snapshot.vectors())[0].tolist() == [1, 2, 3, 5]
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
        before = snapshot.generation
    write(tmp_path, {}, removed=["a.txt"])

    with store.reading(tmp_path) as snapshot:
        assert snapshot.generation != before


def test_a_vector_is_kept_for_good_before_the_swap(tmp_path):
    key = text_hash("war", ((0, 3),))
    write(tmp_path, {})
    with contextlib.suppress(ZeroDivisionError), store.writing(tmp_path, IDENTITY, rebuild=False) as writer:
        assert writer.lacks(key)
        writer.keep([embedded("war", [1, 1])])
        raise ZeroDivisionError

    with store.writing(tmp_path, IDENTITY, rebuild=False) as writer:
        assert not writer.lacks(key)
        with writer.swap([], []):
            pass
        assert writer.lacks(key)  # no chunk has it


def change(folder, sql: str) -> None:
    connection = sqlite3.connect(folder / (folder / "current").read_text())
    with connection:
        connection.execute(sql)
    connection.close()


def test_of_common_terms_the_rarest_are_searched_for(tmp_path, monkeypatch):
    monkeypatch.setattr("rag.index.disk.snapshot._POSTINGS", 3)
    write(tmp_path, TEXTS | {"e.txt": "Salt and salt and war."})
    with store.reading(tmp_path) as snapshot:

        def found(*terms: str, scope=None) -> list[str]:
            ids = [chunk for chunk, _ in snapshot.keyword_search(terms, 10, scope)]
            return sorted(chunk.source for chunk in snapshot.chunks(ids))

        assert found("war", "peace", "salt") == ["b.txt", "c.txt", "e.txt"]
        assert found("war") == ["a.txt", "b.txt", "e.txt"]
        monkeypatch.setattr("rag.index.disk.snapshot._POSTINGS", 0)
        assert found("war", "salt") == ["c.txt", "e.txt"]
        assert found("war", "absent") == ["a.txt", "b.txt", "e.txt"]
        assert found("war", "salt", scope=Scope(sources=("a.txt", "b.txt"))) == ["a.txt", "b.txt"]


def read_all(snapshot) -> None:
    chunks = snapshot.chunks([int(i) for ids, _ in snapshot.vectors() for i in ids])
    sentence_cosines(snapshot, chunks, np.array([1, 0], dtype=np.float32))


def test_what_a_chunk_is_weighed_by_is_that_of_the_chunk(tmp_path):
    write(tmp_path, TEXTS)
    vector = np.array([1, 0], dtype=np.float32)
    with store.reading(tmp_path) as snapshot:
        ids = [int(i) for some, _ in snapshot.vectors() for i in some]
        chunks = sorted(snapshot.chunks(ids), key=lambda chunk: chunk.id)
        found = snapshot.weighables(ids[::-1])
        assert [(one.id, one.sentence_vectors, one.stems) for one in found] == [
            (chunk.id, chunk.sentence_vectors, chunk.stems) for chunk in chunks
        ]
        assert sentence_cosines(snapshot, found, vector) == sentence_cosines(snapshot, chunks, vector)
        with pytest.raises(IndexFileError, match="lacks chunks"):
            snapshot.weighables([*ids, 999])
    change(tmp_path, "UPDATE texts SET stems = '' WHERE rowid = 1")
    with pytest.raises(IndexFileError, match="has damaged vectors"), store.reading(tmp_path) as snapshot:
        sentence_cosines(snapshot, snapshot.weighables(ids), vector)


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE meta SET value = '0' WHERE key = 'schema'", "has schema 0; this version reads schema 6."),
        ("UPDATE meta SET value = '7' WHERE key = 'schema'", "has schema 7; this version reads schema 6."),
        ("DELETE FROM meta WHERE key = 'embedder'", "is damaged (its embedder's name is lost)."),
        ("UPDATE meta SET value = '{}' WHERE key = 'embedder'", "is damaged (its embedder's name is lost)."),
        ("UPDATE meta SET value = '[]' WHERE key = 'embedder'", "is damaged (its embedder's name is lost)."),
        ("DELETE FROM texts WHERE rowid = 1", "lacks vectors."),
        ("UPDATE texts SET vector = x'00' WHERE rowid = 1", "lacks vectors."),
        ("UPDATE texts SET sentence_vectors = x'00' WHERE rowid = 1", "has damaged vectors."),
        ("UPDATE texts SET sentences = x'0000' WHERE rowid = 1", "has damaged vectors."),
        ("DELETE FROM documents WHERE source = 'a.txt'", "lacks chunks."),
        ("DROP TABLE chunks", "is damaged (no such table: chunks)."),
    ],
)
def test_damage_is_reported_with_the_command_that_repairs_it(tmp_path, sql, what):
    write(tmp_path, TEXTS)
    change(tmp_path, sql)

    with pytest.raises(IndexFileError) as raised, store.reading(tmp_path) as snapshot:
        read_all(snapshot)
    assert str(raised.value) == f"{tmp_path}/ {what} Rebuild it: rag build --rebuild"


def test_a_damaged_vector_is_reported_where_only_some_are_read(tmp_path):
    write(tmp_path, TEXTS)
    change(tmp_path, "UPDATE texts SET vector = x'00' WHERE rowid = 1")
    with pytest.raises(IndexFileError, match="has damaged vectors"), store.reading(tmp_path) as snapshot:
        snapshot.cosines(np.array([1, 0], dtype=np.float32), [1, 2])


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
