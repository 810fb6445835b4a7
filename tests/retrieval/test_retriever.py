import itertools
import math
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import QuestionError
from rag.index.disk.index import DiskIndex
from rag.indexing.build import embedder_identity
from rag.retrieval.filters import scope
from rag.retrieval.query import analyse
from rag.retrieval.retriever import Retriever
from rag.types import Match
from tests.support.fakes import WordEmbedder
from tests.support.folders import built


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
    built(
        folder,
        tmp_path / "index",
        identity=identity,
        load_embedder=lambda: embedder,
    )
    return Retriever(DiskIndex(tmp_path / "index", identity), embedder)


def rarity(chunks_with: int) -> float:
    return math.log(1 + 4 / (1 + chunks_with))


def test_retrieve_gives_the_best_first_without_copies(retriever):
    passages = retriever.retrieve(analyse("Who began the war?"), 10).passages
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
    first, second, third = retriever.retrieve(analyse("Who began the war?"), 10).passages
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
    found = retriever_over(documents, word_embedder).retrieve(analyse("war"), 2).sentences
    assert [(s.passage, s.start, s.end, s.text) for s in found] == [
        (0, 0, 10, "Salt fell."),
        (0, 12, 26, "The war began!"),
        (0, 27, 33, "Peace."),
        (1, 0, 6, "Bread."),
    ]
    # The war is all that is wanted; any sentence may answer. The first passage scores 1.65 of 1.85.
    passage = 1.65 / 1.85
    assert [s.score for s in found] == pytest.approx(
        [passage + 0.2, 1 + 0.4 + 0.5 + passage + 0.2, 0.5 + passage + 0.2, 0.2]
    )


def test_a_passage_is_widened_by_the_sentences_around_it(tmp_path, word_embedder):
    documents = tmp_path / "documents"
    documents.mkdir()
    lines = [f"Number {number} is bread {'x' * 180}." for number in range(12)]
    lines[6] = f"Number 6 is war {'x' * 180}."
    text = "\n".join(lines)
    (documents / "a.txt").write_text(text, "utf-8")
    word_embedder.max_tokens = 10  # a line a chunk, and a little more
    passage, *_ = retriever_over(documents, word_embedder).retrieve(analyse("war"), 1).passages
    assert passage.text == text[passage.start : passage.end] == "\n".join(lines[5:9])


def test_retrieve_gives_at_most_k(retriever):
    assert [p.source for p in retriever.retrieve(analyse("war"), 1).passages] == ["a.txt"]
    assert [p.source for p in retriever.retrieve(analyse("war"), 2).passages] == ["a.txt", "b.txt"]


@pytest.mark.parametrize("question", ['"', "a AND NOT (", "text:war*", "?!", "\0", "NEAR(war, 2) ^ - +"])
def test_no_question_is_read_as_search_syntax(retriever, question):
    assert {p.source for p in retriever.retrieve(analyse(question), 10).passages} >= {"b.txt", "c.txt"}


def retriever_over(documents, embedder):
    identity = embedder_identity("five words", "0" * 64, embedder.dimension)
    built(
        documents,
        documents.parent / "index",
        identity=identity,
        load_embedder=lambda: embedder,
    )
    return Retriever(DiskIndex(documents.parent / "index", identity), embedder)


def test_more_passages_than_there_are_can_be_asked_for(retriever):
    everything = retriever.retrieve(analyse("war"), 100).passages
    assert retriever.retrieve(analyse("war"), 2**62).passages == everything
    assert len(everything) > 1


def test_copies_do_not_crowd_out_the_passage_that_answers(tmp_path, word_embedder):
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(120):
        (documents / f"copy{number:03}.txt").write_text("The bread, the bread of war.", "utf-8")
    (documents / "river.txt").write_text("The bread came over the river.", "utf-8")
    found = retriever_over(documents, word_embedder).retrieve(analyse("bread"), 5).passages

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
    found = retriever_over(documents, word_embedder).retrieve(analyse("salt"), 70).passages

    assert len({passage.source for passage in found}) == 70


def folder_of(tmp_path, texts: dict[str, str]):
    documents = tmp_path / "documents"
    documents.mkdir()
    for source, text in texts.items():
        (documents / source).write_text(text, "utf-8")
    return documents


def test_a_passage_beyond_the_ranks_still_has_its_scores(tmp_path, word_embedder):
    # Sixty are nearer by meaning; the words alone bring the last, and the other way round.
    near = {f"near{number:02}.txt": f"Salt, salt! {'x' * number}" for number in range(60)}
    documents = folder_of(tmp_path, {**near, "words.txt": "Mine mine of peace, salt and bread."})
    found = {
        p.source: p
        for p in retriever_over(documents, word_embedder).retrieve(analyse("salt mine"), 3).passages
    }
    assert found["words.txt"].keyword.rank == 1
    assert found["words.txt"].dense == Match(None, pytest.approx(math.sqrt(1 / 3)))


def test_a_passage_with_a_word_has_its_keyword_score_however_many_have_it(tmp_path, word_embedder):
    documents = folder_of(tmp_path, {f"{n:03}.txt": f"Salt w{n} x{n}." for n in range(130)})
    passages = retriever_over(documents, word_embedder).retrieve(analyse("salt"), 40).passages
    assert len(passages) == 40
    assert all(passage.keyword.score > 0 for passage in passages)


def test_words_in_order_count(tmp_path, word_embedder):
    documents = folder_of(
        tmp_path, {"a.txt": "The trade of salt river.", "b.txt": "The river of salt trade."}
    )
    found = retriever_over(documents, word_embedder).retrieve(analyse("salt trade?"), 2).passages
    assert [passage.source for passage in found] == ["b.txt", "a.txt"]
    assert found[0].score - found[1].score == pytest.approx(0.2 / 1.85)


def test_a_word_is_found_with_and_without_its_accents(tmp_path, word_embedder):
    texts = {"a.txt": "Un café à Béziers.", "b.txt": unicodedata.normalize("NFD", "Un thé à Béziers.")}
    documents = folder_of(tmp_path, {**texts, "c.txt": "Bread."})
    found = retriever_over(documents, word_embedder)
    plain, accented = (
        found.retrieve(analyse(query), 2).passages for query in ("cafe Beziers", "café Béziers")
    )
    assert [(p.source, p.score) for p in plain] == [(p.source, p.score) for p in accented]
    assert [p.source for p in plain] == ["a.txt", "b.txt"]


class LastFirst:
    """A reranker that likes the texts in the opposite order, and records them."""

    def scores(self, question, texts):
        self.texts = list(texts)
        return [number / len(texts) for number in range(len(texts))]


def test_a_reranker_reorders_twenty_and_gives_its_scores(tmp_path, word_embedder):
    documents = folder_of(tmp_path, {f"{n:02}.txt": f"Salt w{n} x{n}." for n in range(30)})
    plain = retriever_over(documents, word_embedder)
    first_twenty = [passage.text for passage in plain.retrieve(analyse("salt"), 20).passages]
    reranker = LastFirst()
    found = Retriever(plain.index, word_embedder, reranker).retrieve(analyse("salt"), 3).passages
    assert reranker.texts == first_twenty
    assert [passage.text for passage in found] == first_twenty[:-4:-1]
    assert [passage.score for passage in found] == [19 / 20, 18 / 20, 17 / 20]


def test_a_passage_that_would_be_too_many_tokens_is_not_widened(tmp_path, word_embedder):
    lines = [f"{'w ' * 90}bread {number}." for number in range(6)]
    lines[3] = f"{'w ' * 90}war 3."
    documents = folder_of(tmp_path, {"a.txt": "\n".join(lines)})
    word_embedder.max_tokens = 100
    passage, *_ = retriever_over(documents, word_embedder).retrieve(analyse("war"), 1).passages
    assert passage.text == lines[3]  # two lines would be 372 characters, but with a third 279 tokens


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.text(alphabet="war salt.\r\n\t bread,é🌊\u0301\u2028", min_size=1, max_size=1500),
        min_size=1,
        max_size=4,
    )
)
def test_passages_are_slices_that_do_not_overlap(texts):
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents"
        documents.mkdir()
        for number, text in enumerate([*texts, "war"]):
            (documents / f"{number}.txt").write_bytes(text.encode())
        embedder = WordEmbedder()
        found = retriever_over(documents, embedder).retrieve(analyse("salt and war"), 10)
    taken: dict[str, set[int]] = {}
    for passage in found.passages:
        text = [*texts, "war"][int(passage.source.removesuffix(".txt"))]
        assert text[passage.start : passage.end] == passage.text
        assert len(passage.text) <= 800
        place = set(range(passage.start, passage.end))
        assert not place & taken.setdefault(passage.source, set())
        taken[passage.source] |= place
    for sentence in found.sentences:
        passage = found.passages[sentence.passage]
        assert passage.start <= sentence.start < sentence.end <= passage.end
        assert passage.text[sentence.start - passage.start : sentence.end - passage.start] == sentence.text


def test_only_documents_of_the_scope_are_asked(tmp_path, word_embedder):
    texts = {
        "2015-12-31.txt": "War.",
        "2016-01-01.txt": "War, war and salt.",
        "undated.txt": "War and bread.",
    }
    retriever = retriever_over(folder_of(tmp_path, texts), word_embedder)
    found = {
        years: [p.source for p in retriever.retrieve(analyse("war", scope=scope(*years)), 5).passages]
        for years in ((None, None), ("2016", None), (None, "2015"), ("2015", "2016"), ("2017", None))
    }
    assert sorted(found[None, None]) == sorted(texts)
    assert found["2016", None] == ["2016-01-01.txt"]
    assert found[None, "2015"] == ["2015-12-31.txt"]
    assert sorted(found["2015", "2016"]) == ["2015-12-31.txt", "2016-01-01.txt"]
    assert found["2017", None] == []


def test_only_the_chosen_documents_are_asked_and_named_as_copies(tmp_path, word_embedder):
    texts = {
        "2016-05-01.txt": "War and salt by the river.",
        "2017-05-01.txt": "War and salt by the river.",
        "it's é.txt": "War and salt by the river.",
        "undated.txt": "Peace and bread.",
    }
    retriever = retriever_over(folder_of(tmp_path, texts), word_embedder)

    def asked(*chosen: str, since=None) -> list[tuple[str, tuple[str, ...]]]:
        found = retriever.retrieve(analyse("war and salt", scope=scope(since, None, chosen)), 5).passages
        return [(passage.source, passage.copies) for passage in found]

    assert asked("undated.txt") == [("undated.txt", ())]
    assert asked("undated.txt", "2017-05-01.txt") == [("2017-05-01.txt", ()), ("undated.txt", ())]
    assert asked("it's é.txt", "2016-05-01.txt") == [("2016-05-01.txt", ("it's é.txt",))]
    assert asked("2016-05-01.txt", "2017-05-01.txt", since="2017") == [("2017-05-01.txt", ())]
    assert asked("2016-05-01.txt", "undated.txt", since="2017") == []


@pytest.mark.parametrize("unknown", ["War.txt", "../war.txt", "", "%", "a\0b", "\udc80.txt"])
def test_a_source_that_the_index_does_not_have_is_named(tmp_path, word_embedder, unknown):
    retriever = retriever_over(folder_of(tmp_path, {"war.txt": "War."}), word_embedder)
    with pytest.raises(QuestionError) as raised:
        retriever.retrieve(analyse("war", scope=scope(None, None, ["war.txt", unknown])), 5)
    assert f"/ has no document {unknown}. Choose another, or index it" in str(raised.value)


def story(opening: str, sentences: int = 40) -> str:
    """A wire story under an opening of the paper's own."""
    wire = [f"The war of number {number} ended by the river {number + 1}." for number in range(sentences)]
    return f"{opening}\n\n" + " ".join(wire)


def test_copies_of_a_story_count_once_and_are_named(tmp_path, word_embedder):
    texts = {f"{paper}.txt": story(f"{paper} Reporting from somewhere.") for paper in ("ann", "bob", "cyd")}
    documents = folder_of(tmp_path, {**texts, "other.txt": "The war of number 99 went on and on."})
    passages = retriever_over(documents, word_embedder).retrieve(analyse("war number 7 ended"), 5).passages
    of_the_story = [passage for passage in passages if passage.source in texts]
    assert of_the_story
    of_the_wire = [p for p in of_the_story if "Reporting" not in p.text]
    assert of_the_wire
    for passage in of_the_wire:
        assert {passage.source, *passage.copies} == {*texts}
    spans = sorted((passage.start, passage.end) for passage in of_the_story)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    (other,) = (passage for passage in passages if passage.source == "other.txt")
    assert other.copies == ()


def test_what_only_one_copy_adds_is_found(tmp_path, word_embedder):
    update = "Salt came at last, and salt it was."
    documents = folder_of(
        tmp_path, {"early.txt": story("Early."), "late.txt": f"{story('Late.')}\n\n{update}"}
    )
    (first, *_) = retriever_over(documents, word_embedder).retrieve(analyse("salt came"), 5).passages
    assert first.source == "late.txt"
    assert update in first.text
    # What only one of them says is not said to be in the other.
    sentences = retriever_over(documents, word_embedder).retrieve(analyse("salt came"), 5).sentences
    assert {s.copies for s in sentences if s.text == update} == {()}
    assert {s.copies for s in sentences if s.text.startswith("The war of number 39")} == {("early.txt",)}


def test_a_sentence_with_what_it_refers_to_has_the_copies_that_say_both(tmp_path, word_embedder):
    ends = {
        "early.txt": "Bread came at last. He left it there.",
        "late.txt": "Salt came first. He left it there.",
    }
    documents = folder_of(tmp_path, {name: f"{story('It began.')} {end}" for name, end in ends.items()})
    found = retriever_over(documents, word_embedder).retrieve(analyse("salt came first"), 5).sentences
    (he,) = (s for s in found if s.text == "He left it there." and s.lead_in.startswith("Salt"))
    assert (he.copies, he.led_copies) == (("early.txt",), ())
    assert {(s.led_page, s.led_copies) for s in found if not s.lead_in} == {(None, ())}
