"""How likely it is that the best sentence answers the question: what an abstention is decided by.

Logistic regression on what speaks for the sentence. `tests/benchmarks/abstention.py` fits the weights, and
draws the curve along which a threshold moves.
"""

import math
import re

from rag.types import Signals

_INTERCEPT = -5.317
_WEIGHTS = (6.651, 1.388, 1.065, -0.202, -1.545, -0.558)
_NEGATION = re.compile(r"\b(?:not|never|no|without|cannot|nor|neither|none)\b|n['’]t\b", re.I)


def confidence(question: str, sentence: str, signals: Signals) -> float:
    """The probability, 0 to 1, that this sentence, the best one, answers the question."""
    found = zip(_WEIGHTS, features(question, sentence, signals), strict=True)
    return 1 / (1 + math.exp(-_INTERCEPT - sum(weight * value for weight, value in found)))


def features(question: str, sentence: str, signals: Signals) -> tuple[float, ...]:
    """What the confidence is made of: four signals, a negation in the question, one in only one of the two.

    A negation lowers it: words and meaning by embedding find what isn't so as near as what is.
    """
    negated = _NEGATION.search(question) is not None
    return (
        signals.cosine,
        signals.with_before,
        float(signals.of_the_kind),
        signals.lacking,
        float(negated),
        float(negated != (_NEGATION.search(sentence) is not None)),
    )
