import math

import pytest

from rag.evidence import COVERAGE_WEIGHT, candidates, coverage, ranked, within_budget
from rag.types import Passage, Sentence

DOCUMENT = "  Bread rose. Salt fell!\nBREAD ROSE...\n---\nPeace came."


def passage(start: int, end: int, source: str = "a.txt") -> Passage:
    return Passage(source, start, end, DOCUMENT[start:end], 0.5)


def test_candidates_are_the_sentences_in_order_each_once():
    found = candidates([passage(2, 24), passage(25, len(DOCUMENT))])
    assert found == (
        Sentence(0, 2, 13, "Bread rose.", 0.0),
        Sentence(0, 14, 24, "Salt fell!", 0.0),
        Sentence(1, 43, 54, "Peace came.", 0.0),
    )
    assert [DOCUMENT[s.start : s.end] for s in found] == [s.text for s in found]


def test_candidates_of_nothing():
    assert candidates([]) == ()
    assert candidates([Passage("a.txt", 0, 3, "***", 0.5)]) == ()


def test_a_long_sentence_is_cut_after_a_word():
    text = " ".join(f"w{number:03}" for number in range(200))
    found = candidates([Passage("a.txt", 10, 10 + len(text), text, 0.5)])
    assert [(s.start, s.end) for s in found] == [(10, 409), (410, 809), (810, 1009)]
    assert [text[s.start - 10 : s.end - 10] for s in found] == [s.text for s in found]


def test_coverage_is_the_share_of_the_stems_by_rarity():
    rarity = {"bread": 3.0, "deni": 1.0}
    assert coverage(rarity, "He denies it.") == 0.25
    assert coverage(rarity, "Bread! BREAD!") == 0.75
    assert coverage(rarity, "He denied the bread.") == 1.0
    assert coverage(rarity, "breadth") == 0.0
    assert coverage({}, "bread") == 0.0


def test_ranked_adds_the_weighted_coverage_to_the_cosine():
    found = candidates([passage(2, 24), passage(43, 54)])
    best = ranked(found, [0.1, 0.3, 0.2], {"bread": 3.0, "peac": 1.0})
    assert [s.text for s in best] == ["Bread rose.", "Peace came.", "Salt fell!"]
    assert [s.score for s in best] == pytest.approx(
        [0.1 + COVERAGE_WEIGHT * 0.75, 0.2 + COVERAGE_WEIGHT * 0.25, 0.3]
    )


def test_sentences_with_the_same_score_keep_their_order():
    found = candidates([passage(2, 24)])
    assert [s.text for s in ranked(found, [0.5, 0.5], {})] == ["Bread rose.", "Salt fell!"]
    assert ranked((), [], {"bread": math.log(2)}) == ()


def test_within_budget_keeps_whole_sentences_best_first():
    found = candidates([passage(2, 24), passage(43, 54)])
    assert within_budget(found, [5, 4, 3], max_tokens=12) == found
    assert within_budget(found, [5, 4, 3], max_tokens=8) == (found[0], found[2])
    assert within_budget(found, [5, 4, 3], max_tokens=4) == (found[1],)
    assert within_budget(found, [5, 4, 3], max_tokens=2) == ()
    assert within_budget((), [], max_tokens=2) == ()
