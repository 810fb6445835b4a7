import pytest

from rag.relevance import coverage, passage_score, sentence_score, wanted

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


def test_a_sentence_scores_its_cosine_and_half_its_coverage():
    assert sentence_score(wanted("bread war", RARITY), ["bread"], 0.4) == pytest.approx(0.4 + 0.5 * 0.75)


def test_a_passage_scores_its_best_sentence_its_coverage_and_its_pairs():
    found = wanted("bread war", RARITY)
    # The best there is, a cosine of 1 and every word in order, is 1 + 0.5 + 0.3 + 0.2.
    assert passage_score(found, ["bread", "war"], 1.5) == pytest.approx(1.0)
    assert passage_score(found, ["war", "bread"], 1.2) == pytest.approx((1.2 + 0.3) / 2)
    assert passage_score(found, ["bread"], 0.2) == pytest.approx((0.2 + 0.3 * 0.75) / 2)
    assert passage_score(found, [], -0.4) == 0.0
