"""Scores of one search or answer against what is known to be right ("gold").

Spans are `(source, start, end)` in characters, end exclusive. Scores are from 0 to 1, but for
`quoted_chars`; a set's figure is the mean over the questions that a metric is defined for.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rag.types import Answer

Span = tuple[str, int, int]

MAX_QUOTED_CHARS = 400
"""An answer whose quotes are longer than this together counts as wrong."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class SpanScores:
    """How well passages cover the gold spans, by characters."""

    recall: float
    precision: float
    iou: float


def span_scores(passages: Sequence[Span], gold: Sequence[Span]) -> SpanScores:
    """The scores of these passages; without passages all are 0. `gold` needs at least one character.

    Recall is the share of the gold characters that lie in a passage. Precision divides these characters by
    the summed lengths of the passages (an overlap counts twice), IoU by that sum plus the missed characters.
    """
    gold_chars = _characters(gold)
    covered = len(gold_chars & _characters(passages))
    read = sum(end - start for _, start, end in passages)
    return SpanScores(
        recall=covered / len(gold_chars),
        precision=covered / read if read else 0.0,
        iou=covered / (read + len(gold_chars) - covered),
    )


def _characters(spans: Iterable[Span]) -> set[tuple[str, int]]:
    return {(source, offset) for source, start, end in spans for offset in range(start, end)}


def contains(passage: Span, span: Span) -> bool:
    """Whether the whole span lies in the passage."""
    return passage[0] == span[0] and passage[1] <= span[1] and span[2] <= passage[2]


def hit(right: Sequence[bool], k: int) -> float:
    """1 if one of the first k is right, else 0."""
    return float(any(right[:k]))


def reciprocal_rank(right: Sequence[bool], k: int) -> float:
    """1 / the rank of the first right one among the first k; 0 without one."""
    return next((1 / rank for rank, is_right in enumerate(right[:k], 1) if is_right), 0.0)


def normalised(text: str) -> str:
    """The text in lower case, without punctuation, the articles a, an and the, and extra white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answered_right(answer: Answer, golds: Sequence[str]) -> float:
    """1 if a quote contains a gold string (normalised) and the quotes aren't too long, else 0."""
    if quoted_chars(answer) > MAX_QUOTED_CHARS:
        return 0.0
    strings = [gold for gold in map(normalised, golds) if gold]
    quotes = [normalised(citation.quote) for citation in answer.citations]
    return float(any(gold in quote for gold in strings for quote in quotes))


def first_quote_right(answer: Answer, golds: Sequence[str]) -> float:
    """1 if the first quote alone contains a gold string (normalised) and isn't too long, else 0."""
    return answered_right(replace(answer, citations=answer.citations[:1]), golds)


def sentence_right(answer: Answer, golds: Sequence[Span]) -> float:
    """1 if a quote has at least half of a gold sentence and the quotes aren't too long, else 0."""
    if quoted_chars(answer) > MAX_QUOTED_CHARS:
        return 0.0
    return float(
        any(
            citation.source == source
            and 2 * (min(citation.end, end) - max(citation.start, start)) >= end - start
            for citation in answer.citations
            for source, start, end in golds
        )
    )


def quoted_chars(answer: Answer) -> int:
    """The length of all quotes together, in characters."""
    return sum(len(citation.quote) for citation in answer.citations)


def exact_match(short: str | None, golds: Sequence[str]) -> float:
    """1 if the short answer equals a gold string (both normalised), else 0."""
    return float(short is not None and normalised(short) in set(map(normalised, golds)))


def token_f1(short: str | None, golds: Sequence[str]) -> float:
    """F1 of the short answer's words against a gold string's, for the gold string that it matches best."""
    return max(
        (_f1(normalised(short or "").split(), normalised(gold).split()) for gold in golds), default=0.0
    )


def _f1(words: Sequence[str], gold: Sequence[str]) -> float:
    shared = (Counter(words) & Counter(gold)).total()
    return 2 * shared / (len(words) + len(gold)) if shared else 0.0
