import math

import pytest

from rag.index import Index
from rag.indexing import build_index, embedder_identity
from rag.retrieval import Retriever
from rag.types import Match
from tests.conftest import WordEmbedder


@pytest.fixture
def retriever(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("The war began.", "utf-8")
    (folder / "b.txt").write_text("Peace and war.", "utf-8")
    (folder / "c.txt").write_text("Bread and salt.", "utf-8")
    (folder / "d.txt").write_text("the WAR began", "utf-8")
    embedder = WordEmbedder()
    identity = embedder_identity("words", "0" * 64, embedder.dimension)
    build_index(
        folder,
        tmp_path / "index",
        identity=identity,
        load_embedder=lambda: embedder,
        progress=lambda done, total: None,
    )
    return Retriever(Index(tmp_path / "index", identity), embedder)


def rarity(chunks_with: int) -> float:
    return math.log(1 + 4 / (1 + chunks_with))


def test_retrieve_gives_the_best_first_without_copies(retriever):
    passages = retriever.retrieve("Who began the war?", 10).passages
    assert [(p.source, p.start, p.end, p.text) for p in passages] == [
        ("a.txt", 0, 14, "The war began."),
        ("b.txt", 0, 14, "Peace and war."),
        ("c.txt", 0, 15, "Bread and salt."),
    ]
    war = rarity(3) / (rarity(3) + rarity(2))
    # The cosine, and the coverage of the sentence and of the passage; none has "began war" in this order.
    assert [p.score for p in passages] == pytest.approx(
        [(1 + 0.25 + 0.4) / 1.85, (math.sqrt(0.5) + 0.25 * war + 0.4 * war) / 1.85, 0.0], abs=0.01
    )


def test_each_passage_tells_how_it_was_found(retriever):
    first, second, third = retriever.retrieve("Who began the war?", 10).passages
    assert first.dense == Match(1, pytest.approx(1.0))
    assert second.dense == Match(3, pytest.approx(math.sqrt(0.5)))
    assert third.dense == Match(4, 0.0)
    assert [first.keyword.rank, second.keyword.rank, third.keyword] == [1, 3, None]
    assert first.keyword.score > second.keyword.score > 0


def test_the_sentences_of_the_passages_come_with_their_scores(tmp_path, word_embedder):
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.txt").write_text("Salt fell.  The war began! Peace.", "utf-8")
    (documents / "b.txt").write_text("Bread.", "utf-8")
    found = retriever_over(documents, word_embedder).retrieve("war", 2).sentences
    assert [(s.passage, s.start, s.end, s.text) for s in found] == [
        (0, 0, 10, "Salt fell."),
        (0, 12, 26, "The war began!"),
        (0, 27, 33, "Peace."),
        (1, 0, 6, "Bread."),
    ]
    assert [s.score for s in found] == pytest.approx([0.0, 1.5, 0.0, 0.0])


def test_a_passage_is_widened_by_the_sentences_around_it(tmp_path, word_embedder):
    documents = tmp_path / "documents"
    documents.mkdir()
    lines = [f"Number {number} is bread {'x' * 180}." for number in range(12)]
    lines[6] = f"Number 6 is war {'x' * 180}."
    text = "\n".join(lines)
    (documents / "a.txt").write_text(text, "utf-8")
    word_embedder.max_tokens = 10  # a line a chunk, and a little more
    passage, *_ = retriever_over(documents, word_embedder).retrieve("war", 1).passages
    assert passage.text == text[passage.start : passage.end] == "\n".join(lines[5:8])


def test_retrieve_gives_at_most_k(retriever):
    assert [p.source for p in retriever.retrieve("war", 1).passages] == ["a.txt"]
    assert [p.source for p in retriever.retrieve("war", 2).passages] == ["a.txt", "b.txt"]


@pytest.mark.parametrize("question", ['"', "a AND NOT (", "text:war*", "?!", "\0", "NEAR(war, 2) ^ - +"])
def test_no_question_is_read_as_search_syntax(retriever, question):
    assert {p.source for p in retriever.retrieve(question, 10).passages} >= {"b.txt", "c.txt"}


def retriever_over(documents, embedder):
    identity = embedder_identity("five words", "0" * 64, embedder.dimension)
    build_index(
        documents,
        documents.parent / "index",
        identity=identity,
        load_embedder=lambda: embedder,
        progress=lambda done, total: None,
    )
    return Retriever(Index(documents.parent / "index", identity), embedder)


def test_copies_do_not_crowd_out_the_passage_that_answers(tmp_path, word_embedder):
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(120):
        (documents / f"copy{number:03}.txt").write_text("The bread, the bread of war.", "utf-8")
    (documents / "river.txt").write_text("The bread came over the river.", "utf-8")
    found = retriever_over(documents, word_embedder).retrieve("bread", 5).passages

    assert {passage.text for passage in found} == {
        "The bread, the bread of war.",
        "The bread came over the river.",
    }
    assert len(found) == 2


def test_more_passages_than_candidates_can_be_had(tmp_path, word_embedder):
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(80):
        (documents / f"{number:03}.txt").write_text(f"Salt {number} of mine {number}.", "utf-8")
    found = retriever_over(documents, word_embedder).retrieve("salt", 70).passages

    assert len({passage.source for passage in found}) == 70
