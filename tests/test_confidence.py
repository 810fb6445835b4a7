from dataclasses import replace

import pytest

from rag.confidence import confidence
from rag.types import Signals

SURE = Signals(cosine=0.9, covered=1.0, with_before=1.0, passage=0.9, of_the_kind=True, lacking=0.0)


def test_it_is_the_logistic_function_of_the_signals():
    # 1 / (1 + exp(-x)) is 0.5 at 0 and 0.731 at 1.
    none = Signals(0.0, 0.0, 0.0, 0.0, False, 0.0)
    assert confidence("Who?", "He.", none) == pytest.approx(0.00488, abs=1e-4)
    assert confidence("Who?", "He.", SURE) == pytest.approx(0.957, abs=0.02)


@pytest.mark.parametrize(
    "worse", [{"cosine": 0.5}, {"with_before": 0.2}, {"of_the_kind": False}, {"lacking": 6.0}]
)
def test_each_signal_counts(worse):
    assert confidence("Who?", "He.", replace(SURE, **worse)) < confidence("Who?", "He.", SURE) - 0.01


def test_a_negation_in_the_question_lowers_it_and_more_when_the_sentence_has_none():
    plain = confidence("Who went?", "Rollo went.", SURE)
    negated = confidence("Who didn't go?", "Rollo didn’t go.", SURE)
    mismatched = confidence("Who didn't go?", "Rollo went.", SURE)
    assert mismatched < negated < plain
    assert confidence("Who went?", "Rollo never went.", SURE) < plain
