import pytest

from rag.relevance import coverage, pair_coverage, passage_score, quote_score, wanted

RARITY = {"bread": 3.0, "war": 1.0}


def test_wanted_pairs_neighbours_and_passes_over_stop_words():
    found = wanted("Was there bread in the wars of bread?", RARITY)
    assert found.rarity == RARITY
    assert found.pairs == {("bread", "war"): 4.0, ("war", "bread"): 4.0}
    assert wanted("War?", RARITY).pairs == {}
    assert wanted("War of Rome", RARITY).pairs == {("war", "rome"): 1.0}


def test_coverage_is_the_share_of_the_stems_by_rarity():
    found = wanted("bread war", RARITY)
    assert coverage(found, ["the", "war", "war"]) == 0.25
    assert coverage(found, ["bread"]) == 0.75
    assert coverage(found, ["war", "bread"]) == 1.0
    assert coverage(found, []) == 0.0
    assert coverage(wanted("", {}), ["bread"]) == 0.0


def test_pair_coverage_is_the_share_of_the_pairs_in_order():
    found = wanted("bread war bread rome", RARITY)  # pairs of 4, 4 and 3
    assert pair_coverage(found, ["war", "bread", "rome"]) == pytest.approx(7 / 11)
    assert pair_coverage(found, ["bread", "of", "war"]) == 0.0
    assert pair_coverage(found, []) == 0.0


def test_a_quote_scores_its_cosine_its_words_its_context_its_passage_and_its_kind():
    parts = {"covered": 0.5, "with_before": 0.75, "passage": 0.6, "of_the_kind": True}
    assert quote_score(0.3, **parts) == pytest.approx(0.3 + 0.4 * 0.5 + 0.5 * 0.75 + 0.6 + 0.2)
    assert quote_score(0.3, **{**parts, "of_the_kind": False}) == pytest.approx(0.3 + 0.2 + 0.375 + 0.6)
    assert quote_score(1.0, covered=1, with_before=1, passage=1, of_the_kind=True) == pytest.approx(3.1)


def test_a_passage_scores_its_best_sentence_its_coverage_and_its_pairs():
    # The best there is, a cosine of 1 and every word in order, is 1 + 0.25 + 0.4 + 0.2.
    assert passage_score([(1.0, 1.0), (0.2, 0.0)], 1.0, 1.0) == pytest.approx(1.0)
    assert passage_score([(0.2, 1.0), (0.4, 0.5)], 0.5, 0.0) == pytest.approx(
        (0.4 + 0.25 * 0.5 + 0.4 * 0.5) / 1.85
    )
    assert passage_score([(-0.4, 0.0)], 0.0, 0.0) == 0.0
    assert passage_score([], 0.0, 0.0) == 0.0
