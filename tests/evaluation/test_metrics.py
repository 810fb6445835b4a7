"""Each expected figure is worked by hand."""

import pytest

from rag.evaluation import metrics
from rag.evaluation.metrics import SpanScores
from rag.types import Answer, Citation


def answered(*quotes: tuple[str, int, str]) -> Answer:
    """An answer with quotes of (source, start, quote)."""
    citations = tuple(
        Citation(number, source, start, start + len(quote), quote)
        for number, (source, start, quote) in enumerate(quotes, 1)
    )
    return Answer("?", "", None, citations, (), None, "model", {}, 0.9)


def test_span_scores_of_a_passage_that_has_half_of_the_gold():
    # Gold 100..200 and 300..320 (120 characters); the passage has 50 of them in 80.
    scores = metrics.span_scores([("a", 150, 230)], [("a", 100, 200), ("a", 300, 320)])
    assert scores == SpanScores(recall=50 / 120, precision=50 / 80, iou=50 / (80 + 70))


def test_span_scores_count_an_overlap_once_in_what_is_found_and_twice_in_what_is_read():
    # 0..60 and 40..100 read 120 characters; of gold 50..70 all 20 are found.
    scores = metrics.span_scores([("a", 0, 60), ("a", 40, 100)], [("a", 50, 70)])
    assert scores == SpanScores(recall=1.0, precision=20 / 120, iou=20 / 120)


def test_span_scores_count_gold_spans_that_overlap_once():
    scores = metrics.span_scores([("a", 0, 10)], [("a", 0, 10), ("a", 5, 20)])
    assert scores == SpanScores(recall=10 / 20, precision=1.0, iou=10 / 20)


def test_span_scores_of_another_document_and_of_nothing():
    assert metrics.span_scores([("b", 0, 50)], [("a", 0, 50)]) == SpanScores(0.0, 0.0, 0.0)
    assert metrics.span_scores([], [("a", 0, 50)]) == SpanScores(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("passage", "has"),
    [(("a", 10, 20), True), (("a", 0, 30), True), (("a", 11, 30), False), (("b", 0, 30), False)],
)
def test_a_passage_contains_a_span_when_it_has_all_of_it(passage, has):
    assert metrics.contains(passage, ("a", 10, 20)) is has


def test_hit_and_reciprocal_rank():
    right = [False, False, True, False, True]
    assert [metrics.hit(right, k) for k in (1, 2, 3, 10)] == [0, 0, 1, 1]
    assert metrics.reciprocal_rank(right, 10) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(right, 2) == 0
    assert metrics.reciprocal_rank([], 10) == 0


def test_normalised_drops_case_punctuation_articles_and_extra_space():
    assert metrics.normalised("The  10th, and\nan 11th: A “Theatre”!") == "10th and 11th “theatre”"
    assert metrics.normalised("U.S.") == "us"


def test_answered_right_needs_a_gold_string_inside_a_quote():
    answer = answered(("a", 0, "It rained."), ("b", 5, "The treaty was signed in the Hague, in 1907."))
    assert metrics.answered_right(answer, ["Paris", "The Hague"]) == 1
    assert metrics.answered_right(answer, ["Paris"]) == 0
    assert metrics.answered_right(answer, ["It rained. The treaty"]) == 0  # in no one quote
    assert metrics.answered_right(answer, ["the"]) == 0  # nothing is left of it
    assert metrics.answered_right(answered(), ["Paris"]) == 0


def test_answered_right_counts_more_than_400_quoted_characters_as_wrong():
    assert metrics.answered_right(answered(("a", 0, "Paris" + "x" * 395)), ["Paris"]) == 1
    assert metrics.answered_right(answered(("a", 0, "Paris" + "x" * 394), ("a", 0, "yy")), ["Paris"]) == 0


def test_sentence_right_needs_half_of_the_gold_sentence():
    gold = [("a", 100, 200)]
    assert metrics.sentence_right(answered(("a", 50, "x" * 100)), gold) == 1  # 100..150
    assert metrics.sentence_right(answered(("a", 50, "x" * 99)), gold) == 0
    assert metrics.sentence_right(answered(("b", 100, "x" * 100)), gold) == 0
    assert metrics.sentence_right(answered(("a", 0, "x" * 401)), gold) == 0


def test_exact_match():
    assert metrics.exact_match("the Hague.", ["Paris", "Hague"]) == 1
    assert metrics.exact_match("in the Hague", ["Hague"]) == 0
    assert metrics.exact_match(None, ["Hague"]) == 0


def test_token_f1_is_the_best_over_the_golds():
    # "in 10th century" against "10th and 11th centuries": 1 shared, 3 and 4 words: 2/7.
    assert metrics.token_f1("in the 10th century", ["10th and 11th centuries"]) == pytest.approx(2 / 7)
    assert metrics.token_f1("in the 10th century", ["Rollo", "the 10th century"]) == pytest.approx(4 / 5)
    assert metrics.token_f1(None, ["Rollo"]) == 0
    assert metrics.token_f1("the", ["Rollo"]) == 0
