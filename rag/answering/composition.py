"""The text of a model that composes → its sentences that a quote supports, each with that quote.

A line is a sentence of the model's with the quote that stands after it. Nothing is passed on before its quote
is complete, and a sentence that the quote doesn't support (see `rag.answering.faithfulness`) is dropped.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag.answering.quotes import SEPARATOR, Short, citation_of
from rag.llm.grammar import NOT_IN_PROSE
from rag.text.sentences import sentences
from rag.types import Citation, Passage, Sentence


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sentence of the model's that was left out, and why."""

    text: str
    reason: str


def read_composition(
    pieces: Iterable[str],
    evidence: Sequence[Sentence],
    passages: Sequence[Passage],
    *,
    unsupported: Callable[[str, str], str | None],
    short: Callable[[Sentence], str | None],
) -> Iterator[str | Short | Citation | Dropped]:
    """The answer's text line by line, each followed by its `Citation`, and what was left out of it.

    `pieces` is the model's text (see `rag.llm.grammar`). `unsupported` says why a quote doesn't support a
    sentence, or None; one that was said already is not said again. A line without a whole quote of the
    evidence, and what follows it, is dropped. What `short` finds in the first quote comes after that as
    `Short`.
    """
    characters = (character for piece in pieces for character in piece)
    said: set[str] = set()
    quoted: set[tuple[int, int]] = set()
    while (line := _line(characters, evidence)) is not None:
        prose, sentence = line
        place = sentence.passage, sentence.start
        if place in quoted:  # a server that took over in mid-answer may quote it again
            if next(characters, "") != "\n":
                return
            continue
        claims = dict.fromkeys(prose[start:end] for start, end in sentences(prose))
        new = [claim for claim in claims if claim not in said]
        said.update(new)
        yield from line_of(
            sentence, new, passages, label=len(quoted) + 1, unsupported=unsupported, short=short
        )
        quoted.add(place)
        if next(characters, "") != "\n":
            return


def line_of(
    sentence: Sentence,
    claims: Iterable[str],
    passages: Sequence[Passage],
    *,
    label: int,
    unsupported: Callable[[str, str], str | None],
    short: Callable[[Sentence], str | None],
) -> Iterator[str | Short | Citation | Dropped]:
    """The line of a quote, after the claims that it supports; what it doesn't support comes before.

    As in `read_composition`; the first line of an answer, which has the label 1, is followed by what `short`
    finds in the quote.
    """
    kept: list[str] = []
    for claim in claims:
        reason = unsupported(claim, sentence.text)
        if reason is None:
            kept.append(claim)
        else:
            yield Dropped(claim, reason)
    citation = citation_of(sentence, passages, label)
    yield ("" if label == 1 else SEPARATOR) + " ".join([*kept, f"“{citation.quote}” [{citation.label}]"])
    yield citation
    if label == 1 and (found := short(sentence)) is not None:
        yield Short(found)


def _line(characters: Iterator[str], evidence: Sequence[Sentence]) -> tuple[str, Sentence] | None:
    """The next line: its prose, and the sentence that is quoted after it; None if it isn't one."""
    prose = ""
    for character in characters:
        if character == "“":
            break
        if character in NOT_IN_PROSE:
            return None
        prose += character
    else:
        return None
    wholes = {f"{sentence.text}” [{number}]": sentence for number, sentence in enumerate(evidence, 1)}
    read = ""
    for character in characters:
        read += character
        if read in wholes:
            return prose.strip(), wholes[read]
        if not any(whole.startswith(read) for whole in wholes):
            return None
    return None
