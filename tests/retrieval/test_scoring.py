from dataclasses import replace

import pytest

from rag.retrieval.scoring import coverage, mixed, pair_coverage, passage_score, quote_score, wanted
from rag.text.analyzer import joined, line
from rag.types import Signals

RARITY = {"bread": 3.0, "war": 1.0}


def test_wanted_pairs_neighbours_and_passes_over_stop_words():
    found = wanted("Was there bread in the wars of bread?", RARITY)
    assert found.rarity == {" bread ": 3.0, " war ": 1.0}
    assert found.pairs == {" bread war ": 4.0, " war bread ": 4.0}
    assert wanted("War?", RARITY).pairs == {}
    assert wanted("War of Rome", RARITY).pairs == {" war rome ": 1.0}


def test_coverage_is_the_share_of_the_stems_by_rarity():
    found = wanted("bread war", RARITY)
    assert coverage(found, line(["the", "war", "war"])) == 0.25
    assert coverage(found, line(["bread"])) == 0.75
    assert coverage(found, line(["war", "bread"])) == 1.0
    assert coverage(found, line([])) == 0.0
    assert coverage(wanted("", {}), line(["bread"])) == 0.0


def test_pair_coverage_is_the_share_of_the_pairs_in_order():
    found = wanted("bread war bread rome", RARITY)  # pairs of 4, 4 and 3
    assert pair_coverage(found, line(["war", "bread", "rome"])) == pytest.approx(7 / 11)
    assert pair_coverage(found, line(["bread", "of", "war"])) == 0.0
    assert pair_coverage(found, line([])) == 0.0


@pytest.mark.parametrize(
    "sentences",
    [
        [],
        [[]],
        [["peace"], []],
        [["walla"], ["walla", "peace"]],
        [["war"], ["bread", "of", "war"]],
        [["war", "walla"], [], ["walla", "walla", "bread"]],
    ],
)
def test_the_shares_of_lines_are_their_coverage_and_that_of_all_of_them(sentences):
    sought = wanted("Walla Walla: war, bread?", {"walla": 3.0, "war": 1.0, "bread": 2.0})
    lines = [line(stems) for stems in sentences]

    found = sought.shares(lines)

    assert found.lines == [coverage(sought, stems) for stems in lines]
    assert found.covered == coverage(sought, joined(lines))
    assert found.in_order == pair_coverage(sought, joined(lines))


def test_a_quote_scores_its_cosine_its_words_its_context_its_passage_and_its_kind():
    signals = Signals(cosine=0.3, covered=0.5, with_before=0.75, passage=0.6, of_the_kind=True, lacking=5.0)
    assert quote_score(signals) == pytest.approx(0.3 + 0.4 * 0.5 + 0.5 * 0.75 + 0.6 + 0.2)
    other = replace(signals, of_the_kind=False)
    assert quote_score(other) == pytest.approx(0.3 + 0.2 + 0.375 + 0.6)
    assert quote_score(Signals(1.0, 1, 1, 1, True, 0)) == pytest.approx(3.1)


def test_a_topic_weighs_as_a_share_of_the_question():
    question = wanted("bread war", {"bread": 3.0, "war": 1.0})
    topic = wanted("war salt", {"war": 2.0, "salt": 8.0})
    found = mixed(question, topic, 0.5)
    assert found.rarity == pytest.approx({" bread ": 0.75, " war ": 0.25 + 0.5 * 0.2, " salt ": 0.5 * 0.8})
    assert found.pairs == pytest.approx({" bread war ": 1.0, " war salt ": 0.5})
    assert mixed(wanted("", {}), topic, 1.0).rarity == pytest.approx({" war ": 0.2, " salt ": 0.8})


def test_a_passage_scores_its_best_sentence_its_coverage_and_its_pairs():
    # The best there is, a cosine of 1 and every word in order, is 1 + 0.25 + 0.4 + 0.2.
    assert passage_score([(1.0, 1.0), (0.2, 0.0)], 1.0, 1.0) == pytest.approx(1.0)
    assert passage_score([(0.2, 1.0), (0.4, 0.5)], 0.5, 0.0) == pytest.approx(
        (0.4 + 0.25 * 0.5 + 0.4 * 0.5) / 1.85
    )
    assert passage_score([(-0.4, 0.0)], 0.0, 0.0) == 0.0
    assert passage_score([], 0.0, 0.0) == 0.0
