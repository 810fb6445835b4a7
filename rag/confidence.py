"""How likely it is that the best sentence answers the question: what an abstention is decided by.

Logistic regression on what speaks for the sentence, by weights of its own where a reader read it.
`tests/benchmarks/abstention.py` fits the weights, and draws the curve along which a threshold moves.
"""

import math
import re

from rag.types import Sentence

_UNREAD = (-5.317, 6.651, 1.388, 1.065, -0.202, -1.545, -0.558)
_READ = (-5.317, 6.651, 1.388, 1.065, -0.202, -1.545, -0.558, 0.0)
"""The intercept, and a weight for each feature."""

_NEGATION = re.compile(r"\b(?:not|never|no|without|cannot|nor|neither|none)\b|n['’]t\b", re.I)


def confidence(question: str, sentence: Sentence) -> float:
    """The probability, 0 to 1, that this sentence, the best one, answers the question."""
    intercept, *weights = _UNREAD if sentence.reading is None else _READ
    found = zip(weights, features(question, sentence), strict=True)
    return 1 / (1 + math.exp(-intercept - sum(weight * value for weight, value in found)))


def features(question: str, sentence: Sentence) -> tuple[float, ...]:
    """What the confidence is made of: four signals, a negation in the question, one in only one of the two.

    A negation lowers it: words and meaning by embedding find what isn't so as near as what is. Where a reader
    read the sentence, its log-odds come last.
    """
    signals = sentence.signals
    negated = _NEGATION.search(question) is not None
    found = (
        signals.cosine,
        signals.with_before,
        float(signals.of_the_kind),
        signals.lacking,
        float(negated),
        float(negated != (_NEGATION.search(sentence.text) is not None)),
    )
    return found if sentence.reading is None else (*found, sentence.reading.odds)
