"""A text of a model that no grammar held → its sentences that a quote bears out, each with that quote.

Not every server takes a grammar. What such a model puts between quotation marks is looked for in the
evidence, and counts only as far as it stands there; everything else is as in `rag.composition`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from rag.composition import Dropped
from rag.grammar import NOT_IN_PROSE
from rag.quotes import SEPARATOR, Short, citation_of
from rag.sentences import sentences
from rag.types import Citation, Passage, Sentence

_QUOTED = re.compile(r"[“\"«„]([^“”\"«»„]+)[”\"»“]\s*(?:\[(\d+)\])?\.?")
_LABELS = re.compile(r"\s*\[\d+\](?=[\s.,;:]|$)")
_MARKS = frozenset(NOT_IN_PROSE)
_LEAST_CHARS = 12
"""A shorter run of characters stands somewhere by chance."""


def read_located(
    pieces: Iterable[str],
    evidence: Sequence[Sentence],
    passages: Sequence[Passage],
    *,
    max_quotes: int,
    unsupported: Callable[[str, str], str | None],
    short: Callable[[Sentence], str | None],
) -> Iterator[str | Short | Citation | Dropped]:
    """The answer's lines, each followed by its `Citation`, and what was left out of it.

    A quote is a part of one sentence of the evidence, but for its white space; at most `max_quotes`, each
    once. Sentences of the model's come with the quote that stands after them; without one they are left out.
    `unsupported` and `short` as in `rag.composition.read_composition`.
    """
    separator = ""
    told: set[tuple[int, int, int]] = set()
    text = "".join(pieces)
    place = 0
    for quoted in _QUOTED.finditer(text):
        prose, place = _LABELS.sub("", text[place : quoted.start()]), quoted.end()
        found = _located(quoted[1], int(quoted[2] or 0), evidence)
        if found is None:
            yield Dropped(quoted[0], "it stands in no document")
            continue
        key = (found.passage, found.start, found.end)
        if key in told or len(told) == max_quotes:
            continue
        told.add(key)
        kept = []
        for start, end in sentences(prose):
            claim = prose[start:end]
            reason = "it has marks of quotation" if _MARKS & {*claim} else unsupported(claim, found.text)
            if reason is None:
                kept.append(claim)
            else:
                yield Dropped(claim, reason)
        citation = citation_of(found, passages)
        yield separator + " ".join([*kept, f"“{citation.quote}” [{citation.label}]"])
        yield citation
        if not separator and (said := short(found)) is not None:
            yield Short(said)
        separator = SEPARATOR


def _located(quote: str, label: int, evidence: Sequence[Sentence]) -> Sentence | None:
    """The part of a sentence that the quote is, of the labelled one if it has it; None if none has."""
    words = quote.split()
    if len(" ".join(words)) < _LEAST_CHARS:
        return None
    pattern = re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)")
    order = sorted(range(len(evidence)), key=lambda place: place + 1 != label)
    for sentence in (evidence[place] for place in order):
        if (there := pattern.search(sentence.text)) is not None:
            start, end = there.span()
            return replace(
                sentence,
                start=sentence.start + start,
                end=sentence.start + end,
                text=sentence.text[start:end],
                lead_in="",
            )
    return None
