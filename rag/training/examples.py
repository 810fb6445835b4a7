"""Evaluation sets → examples for the reader, in the form in which it reads at run time.

An example is a question with the sentences that retrieval brings for it, best first, and which of them
answer. Only sets with an open licence serve, and whole documents are held out, by title.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rag import wiring
from rag.answering.engine import PASSAGES
from rag.answering.evidence import ranked
from rag.answering.short_answer import short_answer
from rag.evaluation.datasets import Dataset, Question, read_dataset
from rag.evaluation.evaluate import indexed
from rag.evaluation.metrics import normalised
from rag.retrieval.query import analyse
from rag.settings import DEFAULTS, resolve
from rag.text.answer_type import asked_for
from rag.types import Passage, Sentence

SETS = {
    "squad2": "CC BY-SA 4.0",
    "xquad": "CC BY-SA 4.0",
    "wikipedia490": "CC BY-SA 4.0",
    "clapnq": "Apache-2.0",
}
"""The sets that serve, and their licences, which let what is learnt from them be passed on."""

CANDIDATES = 20
"""How many sentences an example has."""

HELD_OUT = 5
SALT = b"171"
"""One document title in so many is held out, by its hash with a salt.

The salt is one with which the questions held out are as hard for retrieval as all are: its best sentence
answers 0.855 of those of squad2 (all: 0.859), and 0.703 of those of wikipedia490 (all: 0.709).
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence, and what stands right before it."""

    text: str
    before: str


@dataclass(frozen=True, slots=True)
class Example:
    """A question and its candidates; `right` are the positions of those that answer it, often none.

    `answerable` says whether the documents answer it, found or not. `answer` is the short answer as
    (start, end) in the first of those that do, or None where it isn't known.
    """

    dataset: str
    held_out: bool
    question: str
    answerable: bool
    candidates: tuple[Candidate, ...]
    right: tuple[int, ...]
    answer: tuple[int, int] | None = None


def judges(dataset: Dataset, question: Question) -> bool:
    """Whether nothing is learnt from the question, and from the document that it is on."""
    return dataset.name not in SETS or _is_held_out(min(question.sources, default=""))


def _is_held_out(source: str) -> bool:
    """Whether a document judges; all parts of an article, which are named `title#part`, are alike."""
    title = source.removesuffix(".txt").split("#")[0]
    return blake2b(title.encode(), digest_size=4, salt=SALT).digest()[0] % HELD_OUT == 0


def make(bench: Path, advance: Callable[[], None], *, limit: int | None = None) -> Iterator[Example]:
    """The examples of all sets, in order; `advance` is called after each question, `limit` is per set."""
    settings = resolve()
    for name in SETS:
        dataset = read_dataset(name, bench, Path(DEFAULTS["documents"]))
        retriever = wiring.retriever(resolve(index=indexed(dataset, settings)))
        questions = list(dataset.questions)
        random.Random(0).shuffle(questions)
        for question in questions[:limit]:
            found = retriever.retrieve(analyse(question.text), PASSAGES)
            yield example(dataset, question, found.passages, ranked(found.sentences))
            advance()


def example(
    dataset: Dataset, question: Question, passages: Sequence[Passage], sentences: Sequence[Sentence]
) -> Example:
    """The question with its best sentences.

    A sentence that has the answer's words, but is of another document than the right one, may or may not
    answer, and neither may one with a small part of the right span: they are left out, and for questions that
    are learnt from so are the documents that judge.
    """
    held_out = judges(dataset, question)
    candidates: list[Candidate] = []
    right: list[int] = []
    answer = None
    for sentence in sentences[:CANDIDATES]:
        source = passages[sentence.passage].source
        answers = _answers(question, source, sentence)
        if answers is None or (answers and source not in question.sources):
            continue
        if _is_held_out(source) and not held_out:
            continue
        if answers:
            answer = answer or (None if right else _answer(question, sentence.text))
            right.append(len(candidates))
        candidates.append(Candidate(sentence.text, sentence.before))
    answerable = question.answerable is not False
    return Example(dataset.name, held_out, question.text, answerable, tuple(candidates), tuple(right), answer)


def _answers(question: Question, source: str, sentence: Sentence) -> bool | None:
    """Whether the sentence answers the question; None where that isn't clear."""
    if question.answerable is False:
        return False
    if question.spans:
        shares = [
            (min(end, sentence.end) - max(start, sentence.start)) / (end - start)
            for place, start, end in question.spans
            if place == source
        ]
        most = max(shares, default=0.0)
        return most >= 0.5 or (None if most > 0 else False)
    said = normalised(sentence.text)
    return any(f" {normalised(answer)} " in f" {said} " for answer in question.answers)


def _answer(question: Question, text: str) -> tuple[int, int] | None:
    """Where the sentence has the short answer: one that is known, else one that stands out by its kind."""
    known = list(question.answers)
    if question.spans and not known and asked_for(question.text) in ("time", "number"):
        known = [answer for answer in [short_answer(question.text, text)] if answer is not None]
    found = [re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) for answer in known if answer]
    places = [place.span() for place in found if place is not None]
    return min(places, key=lambda place: place[1] - place[0], default=None)


def without_answers(given: Example) -> Example:
    """The example with the sentences that answer taken out: nothing is left that does."""
    kept = tuple(one for place, one in enumerate(given.candidates) if place not in given.right)
    return replace(given, candidates=kept, right=(), answer=None)


def write(examples: Iterator[Example], path: Path) -> None:
    """One JSON object a line; the file is there when it is whole."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for given in examples:
            file.write(json.dumps(asdict(given), ensure_ascii=False) + "\n")
    part.replace(path)


def read(path: Path) -> list[Example]:
    """What `write` wrote."""
    with path.open(encoding="utf-8") as file:
        return [_example(json.loads(line)) for line in file]


def _example(row: dict[str, Any]) -> Example:
    row["candidates"] = tuple(Candidate(**one) for one in row["candidates"])
    row["right"] = tuple(row["right"])
    row["answer"] = tuple(row["answer"]) if row["answer"] else None
    return Example(**row)
