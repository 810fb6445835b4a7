"""A text of a model that no grammar held → its sentences that a quote supports, each with that quote.

Not every server takes a grammar. What such a model puts between quotation marks is looked for in the
evidence, and counts only as far as it stands there; everything else is as in `rag.answering.composition`.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rag.answering.composition import Dropped, line_of
from rag.answering.quotes import Short
from rag.llm.grammar import NOT_IN_PROSE
from rag.text.sentences import sentences
from rag.types import Citation, Passage, Sentence

_OPENING, _CLOSING = '“"«„', '”"»“'
_LABEL = re.compile(r"\s*\[(\d{1,2})\]")
_IN_PROSE = re.compile(r"\s*\[\d{1,2}\](?=[\s.,;:]|$)")
_MARKS = frozenset(NOT_IN_PROSE)
_LEAST_BYTES = 12
"""A shorter run of characters stands somewhere by chance, unless it is the whole sentence."""


@dataclass(frozen=True, slots=True)
class _Quoted:
    """A quote that stands in the evidence, and where it ends in the model's text, its label included."""

    sentence: Sentence
    end: int


def read_located(
    pieces: Iterable[str],
    evidence: Sequence[Sentence],
    passages: Sequence[Passage],
    *,
    max_quotes: int,
    unsupported: Callable[[str, str], str | None] | None,
    short: Callable[[Sentence], str | None],
) -> Iterator[str | Short | Citation | Dropped]:
    """The answer's lines, each followed by its `Citation`, and what was left out of it.

    A quote is a part of one sentence of the evidence, but for its white space; at most `max_quotes`, each
    once. Sentences of the model's come with the quote that stands after them: those without one are left out,
    and what is between quotation marks and stands nowhere is a part of them. `unsupported` and `short` as in
    `rag.answering.composition.read_composition`; without `unsupported` quotes alone are wanted.
    """
    told: set[tuple[int, int, int]] = set()
    text = "".join(pieces)
    place = 0
    for at in range(len(text)):
        if at < place or text[at] not in _OPENING:
            continue
        quoted = _quoted(text, at, evidence)
        if quoted is None:
            continue
        prose, place = text[place:at], quoted.end
        found = quoted.sentence
        key = (found.passage, found.start, found.end)
        claims = _claims(prose) if unsupported is not None else []
        if key in told or len(told) == max_quotes:
            yield from (Dropped(claim, "no other quote supports it") for claim in claims)
            continue
        reason = functools.partial(_unsaid, unsupported=unsupported)
        yield from line_of(found, claims, passages, label=len(told) + 1, unsupported=reason, short=short)
        told.add(key)
    if unsupported is not None and text.strip() != "[0]":
        for claim in _claims(text[place:]):
            yield Dropped(claim, "no quote that stands in the evidence follows it")


def _claims(prose: str) -> list[str]:
    """The model's own sentences, without labels."""
    plain = _IN_PROSE.sub("", prose)
    found = [plain[start:end] for start, end in sentences(plain)]
    return [claim for claim in found if any(map(str.isalnum, claim))]


def _unsaid(claim: str, quote: str, unsupported: Callable[[str, str], str | None] | None) -> str | None:
    """Why the claim can't be passed on; None if it can."""
    if _MARKS & {*claim}:
        return "it has marks of quotation, or brackets"
    return None if unsupported is None else unsupported(claim, quote)


def _quoted(text: str, opening: int, evidence: Sequence[Sentence]) -> _Quoted | None:
    """The longest quote that begins with this mark and stands in the evidence; None if none does.

    Documents have quotation marks of their own, so that which one closes a quote shows by what stands there.
    """
    longest = opening + 2 + max((2 * len(one.lead_in + one.text) for one in evidence), default=0)
    closings = [at for at in range(opening + 1, min(longest, len(text))) if text[at] in _CLOSING]
    for closing in reversed(closings):
        label = _LABEL.match(text, closing + 1)
        found = _located(text[opening + 1 : closing], int(label[1]) if label else 0, evidence)
        if found is not None:
            return _Quoted(found, label.end() if label else closing + 1)
    return None


def _located(quote: str, label: int, evidence: Sequence[Sentence]) -> Sentence | None:
    """The part of a sentence that the quote is, of the labelled one if it has it; None if none has."""
    words = quote.split()
    if not words:
        return None
    pattern = re.compile(r"\s+".join(map(re.escape, words)))
    order = sorted(range(len(evidence)), key=lambda place: place + 1 != label)
    for sentence in (evidence[place] for place in order):
        # As the prompt showed it.
        text, offset = sentence.lead_in + sentence.text, sentence.start - len(sentence.lead_in)
        for there in pattern.finditer(text):
            start, end = there.span()
            if _splits_word(text, start) or _splits_word(text, end):
                continue
            if len(text[start:end].encode()) < _LEAST_BYTES and text[start:end] != sentence.text:
                continue
            part = replace(sentence, start=offset + start, end=offset + end, text=text[start:end], lead_in="")
            if part.start < sentence.start:
                part = replace(part, page=sentence.led_page, copies=sentence.led_copies)
            # What a reader marked stands elsewhere in a part.
            return part if part.text == sentence.text else replace(part, reading=None)
    return None


def _splits_word(text: str, place: int) -> bool:
    """Whether a word is cut there, of a script that has letters of two cases, or a number."""
    around = text[max(place - 1, 0) : place + 1]
    return 0 < place < len(text) and all(
        letter.isdigit() or letter.lower() != letter.upper() for letter in around
    )
