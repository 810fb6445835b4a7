"""How likely it is that the best sentence answers the question: what an abstention is decided by.

Logistic regression on what speaks for the sentence, by weights of its own where a reader read it.
`tests/benchmarks/abstention.py` fits the weights, and draws the curve along which a threshold moves.
"""

import math
import operator
import re
from collections.abc import Sequence

import numpy as np

from rag.types import Sentence

_UNREAD = (-5.317, 6.651, 1.388, 1.065, -0.202, -1.545, -0.558)
_READ = (0.173, 0.859, -1.29, -0.828)
"""The intercept, and a weight for each feature."""

_NEGATION = re.compile(r"\b(?:not|never|no|without|cannot|nor|neither|none)\b|n['’]t\b", re.I)


def confidence(question: str, sentences: Sequence[Sentence]) -> float:
    """The probability, 0 to 1, that the first of the sentences, the best one, answers the question."""
    found = features(question, sentences)
    intercept, *weights = _UNREAD if sentences[0].reading is None else _READ
    total = intercept + sum(map(operator.mul, weights, found))
    return 1 / (1 + math.exp(min(-total, 700)))  # beyond, the power is too large for a float


def features(question: str, sentences: Sequence[Sentence]) -> tuple[float, ...]:
    """What the confidence is made of: what speaks for the best sentence, and two features of negation.

    Where a reader read the sentences, its log-odds speak that any of them answers, as it was taught to give
    them; else four signals of the best one. A negation in the question, and one in only one of question and
    sentence, lower it: words and meaning by embedding find what isn't so as near as what is.
    """
    best = sentences[0]
    asked = _NEGATION.search(question) is not None
    negation = (float(asked), float(asked != (_NEGATION.search(best.text) is not None)))
    odds = [sentence.reading.odds for sentence in sentences if sentence.reading is not None]
    if odds:
        return (float(np.logaddexp.reduce(odds)), *negation)
    signals = best.signals
    return (signals.cosine, signals.with_before, float(signals.of_the_kind), signals.lacking, *negation)
