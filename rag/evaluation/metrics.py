"""What a search or an answer is worth, against what is known to be right.

Spans are `(source, start, end)`, characters, end exclusive. Every metric of one question is a number
from 0 to 1; a set's figure is the mean over the questions that it is defined for.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rag.types import Answer

Span = tuple[str, int, int]

MAX_QUOTED_CHARS = 400
"""Quoting more than this, in all quotes together, is not an answer."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class SpanScores:
    """How well passages cover the gold spans, by characters."""

    recall: float
    precision: float
    iou: float


def span_scores(passages: Sequence[Span], gold: Sequence[Span]) -> SpanScores:
    """The scores of these passages; no passages score 0. `gold` must have a character.

    Recall is the share of the gold characters that a passage has. Precision divides the same
    characters by the lengths of all passages, what two of them share counted twice; IoU divides them
    by those lengths plus the gold characters missed.
    """
    wanted = _characters(gold)
    found = len(wanted & _characters(passages))
    read = sum(end - start for _, start, end in passages)
    return SpanScores(
        recall=found / len(wanted),
        precision=found / read if read else 0.0,
        iou=found / (read + len(wanted) - found),
    )


def _characters(spans: Iterable[Span]) -> set[tuple[str, int]]:
    return {(source, place) for source, start, end in spans for place in range(start, end)}


def contains(passage: Span, span: Span) -> bool:
    """Whether the passage has the whole span."""
    return passage[0] == span[0] and passage[1] <= span[1] and span[2] <= passage[2]


def hit(right: Sequence[bool], k: int) -> float:
    """1 when one of the first k is right, else 0."""
    return float(any(right[:k]))


def reciprocal_rank(right: Sequence[bool], k: int) -> float:
    """1 / the rank of the first that is right, 0 when it is beyond k or there is none."""
    return next((1 / rank for rank, is_right in enumerate(right[:k], 1) if is_right), 0.0)


def normalised(text: str) -> str:
    """The text in lower case without punctuation, the articles a, an, the, and extra white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answered_right(answer: Answer, golds: Sequence[str]) -> float:
    """1 when a quote has one of the gold strings, normalised, and the quotes aren't too long."""
    if quoted_chars(answer) > MAX_QUOTED_CHARS:
        return 0.0
    wanted = [gold for gold in map(normalised, golds) if gold]
    quotes = [normalised(citation.quote) for citation in answer.citations]
    return float(any(gold in quote for gold in wanted for quote in quotes))


def first_quote_right(answer: Answer, golds: Sequence[str]) -> float:
    """1 when the first quote alone contains a gold string, normalised, and isn't too long."""
    return answered_right(replace(answer, citations=answer.citations[:1]), golds)


def sentence_right(answer: Answer, golds: Sequence[Span]) -> float:
    """1 when a quote has at least half of a gold sentence, and the quotes aren't too long."""
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
    """The characters of all quotes together."""
    return sum(len(citation.quote) for citation in answer.citations)


def exact_match(short: str | None, golds: Sequence[str]) -> float:
    """1 when the short answer is one of the gold strings, normalised."""
    return float(short is not None and normalised(short) in set(map(normalised, golds)))


def token_f1(short: str | None, golds: Sequence[str]) -> float:
    """The best harmonic mean of precision and recall of the short answer's words, over the golds."""
    return max(
        (_f1(normalised(short or "").split(), normalised(gold).split()) for gold in golds), default=0.0
    )


def _f1(found: Sequence[str], wanted: Sequence[str]) -> float:
    shared = (Counter(found) & Counter(wanted)).total()
    return 2 * shared / (len(found) + len(wanted)) if shared else 0.0
