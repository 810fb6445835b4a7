"""How well a text answers a question: meaning by cosine, words by rarity, word pairs by order.

A passage is as good as its best sentence (read in the passage's context), and better for having more of
the question's rare words and their order. `tests/benchmarks/retrieval.py` fits the weights (with --fit) and
shows what each part adds.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rag.text.analyzer import STOP_WORDS, joined, line, stem, words
from rag.types import Signals

BEST_COVERAGE = 0.25
"""How much the question's words count against the cosine in the best sentence of a passage."""

PASSAGE_COVERAGE = 0.4
PASSAGE_PAIRS = 0.2
_BEST = 1 + BEST_COVERAGE + PASSAGE_COVERAGE + PASSAGE_PAIRS

QUOTE_COVERAGE = 0.4
QUOTE_CONTEXT = 0.5
QUOTE_PASSAGE = 1.0
QUOTE_TYPE = 0.2
QUOTE_SECTION = 0.4
QUOTE_NEWEST = 0.15
METADATA = 0.5
"""What a line of metadata counts less than a sentence: it is quoted where no sentence answers as well."""
"""What a sentence's own words, those that it has together with the sentence before, its passage, and an
answer of the kind that is asked for count against its cosine. On 700 questions of SQuAD 2 the best
sentence holds the answer in 0.85, without the last three in 0.82."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a question's words are worth: the weight of each stem, and of each pair of stems in order.

    Stems and pairs are lines (see `rag.text.analyzer`).
    """

    rarity: Mapping[str, float]
    pairs: Mapping[str, float]
    totals: tuple[float, float]
    """What all stems are worth, and all pairs."""

    def shares(self, lines: Sequence[str]) -> "Shares":
        """How much of it is in these lines."""
        said = "".join(lines)
        there = [(key, weight) for key, weight in self.rarity.items() if key in said]
        if not there:
            return Shares([0.0] * len(lines), 0.0, 0.0)
        total = self.totals[0] or 1.0
        each = [sum([weight for key, weight in there if key in stems]) / total for stems in lines]
        return Shares(each, sum([weight for _, weight in there]) / total, pair_coverage(self, joined(lines)))


class Shares(NamedTuple):
    """How much of what is wanted some lines have: 0 to 1."""

    lines: Sequence[float]
    """The `coverage` of each."""
    covered: float
    """The `coverage` of all of them as one line."""
    in_order: float
    """The `pair_coverage` of all of them as one line."""


def wanted(question: str, rarity: Mapping[str, float]) -> Wanted:
    """The question's stems with their weights, and its pairs of neighbours, stop words passed over."""
    content = [stem(word) for word in words(question) if word not in STOP_WORDS]
    pairs = {line(pair): sum(rarity.get(part, 0.0) for part in pair) for pair in itertools.pairwise(content)}
    return weighed({line([part]): weight for part, weight in rarity.items()}, pairs)


def weighed(rarity: Mapping[str, float], pairs: Mapping[str, float]) -> Wanted:
    """These stems and pairs with their weights."""
    return Wanted(rarity, pairs, (sum(rarity.values()), sum(pairs.values())))


def mixed(question: Wanted, topic: Wanted, weight: float) -> Wanted:
    """What the words of both are worth, those of the topic `weight` times as much as the question's."""
    return weighed(
        _sum_of_shares(question.rarity, topic.rarity, weight),
        _sum_of_shares(question.pairs, topic.pairs, weight),
    )


def quote_score(signals: Signals) -> float:
    """What a sentence is worth as a quote: at most 3.65."""
    return (
        signals.cosine
        + QUOTE_COVERAGE * signals.covered
        + QUOTE_CONTEXT * signals.with_before
        + QUOTE_PASSAGE * signals.passage
        + QUOTE_TYPE * signals.of_the_kind
        + QUOTE_SECTION * signals.section
        + QUOTE_NEWEST * signals.newest
    )


def passage_score(sentences: Sequence[tuple[float, float]], covered: float, in_order: float) -> float:
    """What a passage is worth, 0 to 1, by its sentences' (cosine, coverage), its coverage and its pairs'."""
    best = max((cosine + BEST_COVERAGE * share for cosine, share in sentences), default=0.0)
    return max(best + PASSAGE_COVERAGE * covered + PASSAGE_PAIRS * in_order, 0.0) / _BEST


def coverage(wanted: Wanted, text: str) -> float:
    """The share of the question's stems that are in this line, weighted by rarity: 0 to 1."""
    return _share(wanted.rarity, wanted.totals[0], text)


def pair_coverage(wanted: Wanted, text: str) -> float:
    """The share of the question's pairs that stand in this line in order, by rarity: 0 to 1."""
    return _share(wanted.pairs, wanted.totals[1], text)


def _share(weights: Mapping[str, float], total: float, text: str) -> float:
    return sum([weight for key, weight in weights.items() if key in text]) / total if total else 0.0


def _sum_of_shares(
    first: Mapping[str, float], second: Mapping[str, float], weight: float
) -> dict[str, float]:
    """Each key's share of the first, and `weight` times its share of the second."""
    totals = sum(first.values()) or 1.0, sum(second.values()) or 1.0
    return {
        key: first.get(key, 0.0) / totals[0] + weight * second.get(key, 0.0) / totals[1]
        for key in [*first, *(key for key in second if key not in first)]
    }
