"""The model's choices → quotes with exact offsets, one after the other.

The model writes a label, under a grammar of the labels that are left; the sentence after it is the evidence's
own, so that nothing but the documents' words can stand between the quotation marks. It isn't decoded but
given to the model as written: copied under a grammar of one sentence, it took twice the time of an answer.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rag.llm.grammar import NEXT, label_grammar
from rag.types import Citation, Passage, Sentence

SEPARATOR = "\n"
"""Between the lines of an answer."""


@dataclass(frozen=True, slots=True)
class Short:
    """The short answer, a part of the first quote."""

    text: str


def choose_quotes(
    reply: Callable[[str, str], str],
    evidence: Sequence[Sentence],
    passages: Sequence[Passage],
    *,
    max_quotes: int,
    max_chars: int,
    decided: float,
    may_refuse: bool,
    short: Callable[[Sentence], str | None],
) -> Iterator[str | Short | Citation]:
    """The answer's text as it is chosen, each quote followed by its `Citation`; nothing if none is chosen.

    `reply` gives how the model goes on after what it has written, under a grammar. It isn't asked where
    nothing is left to choose: one sentence alone, or one whose score is ahead of the others' by `decided`.
    All that there is room for is quoted, unless the model refuses at first: at most `max_quotes` different
    sentences, together of `max_chars` but for the first, whose short answer, if `short` finds one, comes
    before it on a line of its own. Where room is left, a quote takes in what it refers back to.
    """
    found: list[Sentence] = []
    told = 0
    separator = ""
    choices = _chosen(
        reply, evidence, max_quotes=max_quotes, max_chars=max_chars, decided=decided, may_refuse=may_refuse
    )
    for sentence in choices:
        found.append(sentence)
        if len(found) == 1 and (said := short(sentence)) is not None:
            separator = f"{said}{SEPARATOR}"
            yield Short(said)
        # Whether there is room for what a quote refers back to shows when all are chosen.
        while told < len(found) and not found[told].lead_in:
            yield from _quoted(found[told], passages, separator, told + 1)
            told, separator = told + 1, SEPARATOR
    for label, sentence in enumerate(with_lead_ins(found, max_chars=max_chars)[told:], told + 1):
        yield from _quoted(sentence, passages, separator, label)
        separator = SEPARATOR


def _quoted(
    sentence: Sentence, passages: Sequence[Passage], separator: str, label: int
) -> Iterator[str | Citation]:
    citation = citation_of(sentence, passages, label)
    yield f"{separator}“{citation.quote}” [{citation.label}]"
    yield citation


def with_lead_ins(chosen: Sequence[Sentence], *, max_chars: int) -> tuple[Sentence, ...]:
    """The sentences, each with what it refers back to, as far as `max_chars` for all of them leave room.

    First to last, and not where that is another of them.
    """
    room = max_chars - sum(len(sentence.text) for sentence in chosen)
    taken = {(sentence.passage, sentence.end) for sentence in chosen}
    found = []
    for sentence in chosen:
        lead_in = sentence.lead_in
        end = sentence.start - len(lead_in) + len(lead_in.rstrip())
        if lead_in and len(lead_in) <= room and (sentence.passage, end) not in taken:
            room -= len(lead_in)
            sentence = replace(
                sentence,
                start=sentence.start - len(lead_in),
                text=lead_in + sentence.text,
                lead_in="",
                page=sentence.led_page,
                copies=sentence.led_copies,
            )
        found.append(sentence)
    return tuple(found)


def wholes(sentences: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The sentences in their order, each as what it is quoted with; what several share comes once."""
    found: dict[tuple[int, int], Sentence] = {}
    for sentence in sentences:
        if (whole := sentence.whole) is not None:
            shift = sentence.start - whole.start
            reading = sentence.reading
            if reading is not None:
                reading = replace(reading, start=reading.start + shift, end=reading.end + shift)
            sentence = replace(
                sentence, start=whole.start, end=whole.end, text=whole.text, lead_in="", reading=reading
            )
        found.setdefault((sentence.passage, sentence.start), sentence)
    return tuple(found.values())


def _chosen(
    reply: Callable[[str, str], str],
    evidence: Sequence[Sentence],
    *,
    max_quotes: int,
    max_chars: int,
    decided: float,
    may_refuse: bool,
) -> Iterator[Sentence]:
    """The sentences that the model chooses, in its order; `evidence` stands best first."""
    count = 0
    written = "["
    left = dict(enumerate(evidence, 1))
    while left and count < max_quotes:
        lead, refusal = NEXT if count else "", may_refuse and not count
        number: int | None = next(iter(left))
        best, *others = left.values()
        if refusal or any(best.score - other.score < decided for other in others):
            number = _label(reply(written, label_grammar(left, lead=lead, refusal=refusal)), lead=lead)
        if number not in left:
            break
        sentence = left.pop(number)
        yield sentence
        count += 1
        written += f"{lead}{number}] {sentence.text}"
        max_chars -= len(sentence.text)
        left = {label: other for label, other in left.items() if len(other.text) <= max_chars}


def citation_of(sentence: Sentence, passages: Sequence[Passage], label: int) -> Citation:
    """The citation of a whole sentence, with this label."""
    return Citation(
        label=label,
        source=passages[sentence.passage].source,
        start=sentence.start,
        end=sentence.end,
        quote=sentence.text,
        page=sentence.page,
        copies=sentence.copies,
        context=sentence.context,
    )


def _label(reply: str, *, lead: str) -> int | None:
    """The number of the label that the reply is, after what leads to it."""
    found = re.fullmatch(re.escape(lead) + r"([0-9])\]", reply)
    return int(found[1]) if found else None
