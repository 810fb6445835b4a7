import math

import pytest

from rag.index import Index
from rag.indexing import build_index, embedder_identity
from rag.retrieval import Retriever, fuse, without_copies
from rag.types import Passage
from tests.conftest import WordEmbedder


def test_fuse_is_the_mean_of_the_cosine_and_the_relative_keyword_score():
    fused = fuse([(1, 0.9), (2, 0.5), (3, -0.2), (4, 0.3)], [(2, 8.0), (4, 2.0), (3, 1.0)])
    assert list(fused) == [2, 1, 4, 3]
    assert fused == pytest.approx({2: 0.75, 1: 0.45, 4: 0.275, 3: 0.0625})


def test_fuse_without_keywords_or_without_anything():
    assert fuse([(5, 0.4), (2, 0.8)], []) == pytest.approx({2: 0.4, 5: 0.2})
    assert fuse([], []) == {}


def test_fuse_orders_equal_scores_by_chunk():
    assert list(fuse([(9, 0.5), (3, 0.5), (6, 0.5)], [])) == [3, 6, 9]


def test_fuse_ignores_a_keyword_score_below_zero():
    assert fuse([(1, 0.5), (2, 0.5)], [(1, 2.0), (2, -1.0)]) == pytest.approx({1: 0.75, 2: 0.25})


def passage(source: str, text: str) -> Passage:
    return Passage(source, 0, len(text), text, 0.5)


def test_copies_are_collapsed_to_the_first():
    first = passage("a.txt", "The war ended and peace came to the river towns.")
    copy = passage("b.txt", "The war ended, and PEACE came to the river towns!")
    other = passage("c.txt", "The war ended and bread was dear in the river towns.")
    assert without_copies([first, copy, other]) == (first, other)
    assert without_copies([copy, first]) == (copy,)
    assert without_copies([]) == ()


def test_copies_of_one_word_are_collapsed():
    yes, no = passage("a.txt", "Yes."), passage("b.txt", "No.")
    assert without_copies([yes, passage("c.txt", "yes"), no]) == (yes, no)


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


def test_retrieve_gives_the_nearest_first_without_copies(retriever):
    found = retriever.retrieve("Who began the war?", 10)
    assert [p.source for p in found.passages] == ["a.txt", "b.txt", "c.txt"]
    assert found.passages[0].text == "The war began."
    assert found.passages[0].score == pytest.approx(1.0)
    assert found.passages[2].score == 0.0
    assert 0.5 * math.sqrt(0.5) < found.passages[1].score < 0.5 * math.sqrt(0.5) + 0.5
    assert found.vector.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_retrieve_tells_how_rare_the_words_are(retriever):
    assert retriever.retrieve("Bread for the wars of Rome?", 1).rarity == pytest.approx(
        {"bread": math.log(1 + 4 / 2), "war": math.log(1 + 4 / 4), "rome": math.log(1 + 4 / 1)}
    )


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
