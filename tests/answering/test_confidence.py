import math
from dataclasses import replace

import pytest

from rag.answering.confidence import confidence, features
from rag.types import Reading, Sentence, Signals

SIGNALS = Signals(cosine=0.9, covered=1.0, with_before=1.0, passage=0.9, of_the_kind=True, lacking=0.0)
SURE = Sentence(0, 0, 3, "He.", 1.0, SIGNALS)


def worth(question="Who?", text="He.", reading=None, **signals) -> float:
    changed = replace(SIGNALS, **signals)
    return confidence(question, [replace(SURE, text=text, signals=changed, reading=reading)])


def test_it_is_the_logistic_function_of_the_signals():
    # 1 / (1 + exp(-x)) is 0.5 at 0 and 0.731 at 1.
    none = {"cosine": 0.0, "covered": 0.0, "with_before": 0.0, "passage": 0.0, "of_the_kind": False}
    assert worth(**none) == pytest.approx(0.00488, abs=1e-4)
    assert worth() == pytest.approx(0.957, abs=0.02)


@pytest.mark.parametrize(
    "worse", [{"cosine": 0.5}, {"with_before": 0.2}, {"of_the_kind": False}, {"lacking": 6.0}]
)
def test_each_signal_counts(worse):
    assert worth(**worse) < worth() - 0.01


def test_a_negation_in_the_question_lowers_it_and_more_when_the_sentence_has_none():
    plain = worth("Who went?", "Rollo went.")
    negated = worth("Who didn't go?", "Rollo didn’t go.")
    mismatched = worth("Who didn't go?", "Rollo went.")
    assert mismatched < negated < plain
    assert worth("Who went?", "Rollo never went.") < plain


def test_what_the_reader_thinks_counts_where_it_read():
    good, bad = (worth(reading=Reading(odds, 0, 2, 0.9)) for odds in (4.0, -4.0))
    assert bad < 0.5 < good


def test_odds_beyond_all_bounds_are_a_confidence_too():
    assert [worth(reading=Reading(odds, 0, 2, 0.9)) for odds in (-1e30, 1e30)] == [pytest.approx(0), 1.0]


def test_it_counts_that_any_of_the_sentences_may_answer():
    unsure = replace(SURE, reading=Reading(0.0, 0, 2, 0.9))
    assert features("Who?", [unsure]) == pytest.approx((0.0, 0.0, 0.0))
    assert features("Who?", [unsure] * 3) == pytest.approx((math.log(3), 0.0, 0.0))
    assert features("Who?", [SURE]) == (0.9, 1.0, 1.0, 0.0, 0.0, 0.0)
