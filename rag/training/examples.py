"""Evaluation sets → examples for the reader, in the form in which it reads at run time.

An example is a question with the sentences that retrieval brings for it, best first, and which of them
answer. Only sets with an open licence serve, and whole documents are held out, by title.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rag import parts
from rag.answer_type import asked_for
from rag.engine import PASSAGES
from rag.evaluation.datasets import Dataset, Question, read_dataset
from rag.evaluation.metrics import normalised
from rag.evaluation.run import indexed
from rag.evidence import ranked
from rag.settings import DEFAULTS, resolve
from rag.short_answer import short_answer
from rag.types import Passage, Sentence

SETS = {"squad2": None, "xquad": None, "wikipedia490": 6_000, "clapnq": None}
"""The sets whose licences let what is learnt from them be passed on, and how many questions of each."""

CANDIDATES = 20
"""How many sentences an example has."""

HELD_OUT = 5
"""One document title in so many is held out."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence, and what stands right before it."""

    text: str
    before: str


@dataclass(frozen=True, slots=True)
class Example:
    """A question and its candidates; `right` are the positions of those that answer it, often none.

    `answer` is the short answer as (start, end) in the first of these, or None where it isn't known.
    """

    dataset: str
    held_out: bool
    question: str
    candidates: tuple[Candidate, ...]
    right: tuple[int, ...]
    answer: tuple[int, int] | None = None


def is_held_out(source: str) -> bool:
    """Whether a document is one of those that nothing is learnt from; all parts of an article are alike."""
    title = source.removesuffix(".txt").split("#")[0]
    return blake2b(title.encode(), digest_size=4).digest()[0] % HELD_OUT == 0


def make(bench: Path, advance: Callable[[], None], *, limit: int | None = None) -> Iterator[Example]:
    """The examples of all sets, in order; `advance` is called after each question, `limit` is per set."""
    settings = resolve()
    for name, most in SETS.items():
        dataset = read_dataset(name, bench, Path(DEFAULTS["documents"]))
        retriever = parts.retriever(resolve(index=indexed(dataset, settings)))
        questions = list(dataset.questions)
        random.Random(0).shuffle(questions)
        for question in questions[: limit or most]:
            found = retriever.retrieve(question.text, PASSAGES)
            yield example(dataset, question, found.passages, ranked(found.sentences))
            advance()


def example(
    dataset: Dataset, question: Question, passages: Sequence[Passage], sentences: Sequence[Sentence]
) -> Example:
    """The question with its best sentences.

    A sentence that has the answer's words, but is of another document than the right one, may or may not
    answer: it is left out.
    """
    candidates: list[Candidate] = []
    right: list[int] = []
    answer = None
    for sentence in sentences[:CANDIDATES]:
        source = passages[sentence.passage].source
        answers = _answers(question, source, sentence)
        if answers and source not in question.sources:
            continue
        if answers:
            answer = answer or (None if right else _answer(question, sentence.text))
            right.append(len(candidates))
        candidates.append(Candidate(sentence.text, sentence.before))
    source = min(question.sources, default="")
    return Example(dataset.name, is_held_out(source), question.text, tuple(candidates), tuple(right), answer)


def _answers(question: Question, source: str, sentence: Sentence) -> bool:
    if question.answerable is False:
        return False
    if question.spans:
        return any(
            place == source and 2 * (min(end, sentence.end) - max(start, sentence.start)) >= end - start
            for place, start, end in question.spans
        )
    said = normalised(sentence.text)
    return any(f" {normalised(answer)} " in f" {said} " for answer in question.answers)


def _answer(question: Question, text: str) -> tuple[int, int] | None:
    """Where the sentence has the short answer: one that is known, else one that stands out by its kind."""
    known = [answer for answer in question.answers if answer in text]
    if not known and question.spans and asked_for(question.text) in ("time", "number"):
        known = [answer for answer in [short_answer(question.text, text)] if answer is not None]
    if not known:
        return None
    shortest = min(known, key=len)
    return text.index(shortest), text.index(shortest) + len(shortest)


def without_answers(given: Example) -> Example:
    """The example with the sentences that answer taken out: nothing is left that does."""
    kept = tuple(one for place, one in enumerate(given.candidates) if place not in given.right)
    return replace(given, candidates=kept, right=(), answer=None)


def write(examples: Iterator[Example], path: Path) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        for given in examples:
            file.write(json.dumps(asdict(given), ensure_ascii=False) + "\n")


def read(path: Path) -> list[Example]:
    """What `write` wrote."""
    with path.open(encoding="utf-8") as file:
        return [_example(json.loads(line)) for line in file]


def _example(row: dict[str, Any]) -> Example:
    row["candidates"] = tuple(Candidate(**one) for one in row["candidates"])
    row["right"] = tuple(row["right"])
    row["answer"] = tuple(row["answer"]) if row["answer"] else None
    return Example(**row)
