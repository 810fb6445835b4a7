"""How well a text answers a question: meaning by cosine, words by rarity, word pairs by order.

A passage is as good as its best sentence (read in the passage's context), and better for having more of
the question's rare words and their order. The weights are fitted; see `tests/benchmarks/retrieval.py`.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rag.words import STOP_WORDS, stem, words

K = TypeVar("K")

SENTENCE_COVERAGE = 0.5
"""A sentence's score is its cosine with the question and this much of its coverage."""

PASSAGE_COVERAGE = 0.3
PASSAGE_PAIRS = 0.2
"""A passage's score is its best sentence's and these shares of its own coverage and word pairs."""

_BEST = 1 + SENTENCE_COVERAGE + PASSAGE_COVERAGE + PASSAGE_PAIRS


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a question's words are worth: the weight of each stem, and of each pair of stems in order."""

    rarity: Mapping[str, float]
    pairs: Mapping[tuple[str, str], float]


def wanted(question: str, rarity: Mapping[str, float]) -> Wanted:
    """The question's stems with their weights, and its pairs of neighbours, stop words passed over."""
    content = [stem(word) for word in words(question) if word not in STOP_WORDS]
    pairs = {pair: sum(rarity.get(part, 0.0) for part in pair) for pair in itertools.pairwise(content)}
    return Wanted(rarity, pairs)


def sentence_score(wanted: Wanted, stems: Sequence[str], cosine: float) -> float:
    """The score of a sentence with these stems: up to 1 + `SENTENCE_COVERAGE`."""
    return cosine + SENTENCE_COVERAGE * coverage(wanted, stems)


def passage_score(wanted: Wanted, stems: Sequence[str], best_sentence: float) -> float:
    """The score, 0 to 1, of a passage with these stems whose best sentence has this score."""
    score = (
        best_sentence
        + PASSAGE_COVERAGE * coverage(wanted, stems)
        + PASSAGE_PAIRS * pair_coverage(wanted, stems)
    )
    return max(score, 0.0) / _BEST


def coverage(wanted: Wanted, stems: Sequence[str]) -> float:
    """The share of the question's stems that are among these, weighted by rarity: 0 to 1."""
    return _share(wanted.rarity, set(stems))


def pair_coverage(wanted: Wanted, stems: Sequence[str]) -> float:
    """The share of the question's pairs that stand among these stems in order, by rarity: 0 to 1."""
    return _share(wanted.pairs, set(itertools.pairwise(stems)))


def _share(weights: Mapping[K, float], present: set[K]) -> float:
    total = sum(weights.values())
    return sum(weight for key, weight in weights.items() if key in present) / total if total else 0.0
