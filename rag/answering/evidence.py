"""The sentences of the passages → evidence: the best ones, each once, within a token budget."""

from collections.abc import Sequence

from rag.types import Evidence, Passage, Sentence


def ranked(found: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The sentences that have a letter or a digit, each once, best first."""
    distinct: dict[str, Sentence] = {}
    for sentence in sorted(found, key=lambda sentence: -sentence.score):
        key = "".join(character for character in sentence.text.casefold() if character.isalnum())
        if key:
            distinct.setdefault(key, sentence)
    return tuple(distinct.values())


def considered(
    sentences: Sequence[Sentence], passages: Sequence[Passage], shown: Sequence[Sentence]
) -> tuple[Evidence, ...]:
    """The sentences in their order, as an answer tells of them; `shown` are those that the model read."""
    return tuple(
        Evidence(
            label=sentence.passage + 1,
            source=passages[sentence.passage].source,
            start=sentence.start,
            end=sentence.end,
            text=sentence.text,
            score=sentence.score,
            odds=None if sentence.reading is None else sentence.reading.odds,
            shown=sentence in shown,
        )
        for sentence in sentences
    )


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
