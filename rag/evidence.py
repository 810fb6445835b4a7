"""The sentences of the passages → evidence: the best ones, each once, within a token budget."""

from collections.abc import Sequence

from rag.types import Sentence


def ranked(found: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The sentences that have a letter or a digit, each once, best first."""
    distinct: dict[str, Sentence] = {}
    for sentence in found:
        key = "".join(character for character in sentence.text.casefold() if character.isalnum())
        if key:
            distinct.setdefault(key, sentence)
    return tuple(sorted(distinct.values(), key=lambda sentence: -sentence.score))


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
