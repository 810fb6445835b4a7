"""Evaluation sets → examples for the reader, in the form in which it reads when it answers.

An example is a question with the sentences that retrieval finds for it, best first, and which of them answer
it. Only sets with an open licence are used, and whole documents are held out, by title.
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
from rag.evaluation.datasets import Dataset, Question
from rag.evaluation.evaluate import indexed
from rag.evaluation.metrics import normalised
from rag.retrieval.query import analyse
from rag.settings import resolve
from rag.text.answer_type import asked_for
from rag.training.datasets import read_dataset
from rag.types import Passage, Sentence

SETS = {
    "squad2": "CC BY-SA 4.0",
    "xquad": "CC BY-SA 4.0",
    "wikipedia490": "CC BY-SA 4.0",
    "clapnq": "Apache-2.0",
}
"""The sets to learn from, with their licences, which allow to pass on what is learnt from them."""

CANDIDATES = 20
"""How many sentences of a question an example has at most."""

HELD_OUT = 5
SALT = b"171"
"""One in `HELD_OUT` document titles is held out, by its hash with this salt.

With this salt the held-out questions are as hard for retrieval as all questions are: its best sentence
answers 0.855 of those of squad2 (all: 0.859), and 0.703 of those of wikipedia490 (all: 0.709).
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence, and the text right before it."""

    text: str
    before: str


@dataclass(frozen=True, slots=True)
class Example:
    """A question and its candidates; `right` are the positions of those that answer it, often none.

    `answerable` says whether the documents answer it, found or not. `answer` is the short answer as
    (start, end) in the first right candidate, or None where it isn't known.
    """

    dataset: str
    held_out: bool
    question: str
    answerable: bool
    candidates: tuple[Candidate, ...]
    right: tuple[int, ...]
    answer: tuple[int, int] | None = None


def is_held_out(dataset: Dataset, question: Question) -> bool:
    """Whether the reader learns from neither the question nor its document, so that figures may use it."""
    return dataset.name not in SETS or _source_is_held_out(min(question.sources, default=""))


def _source_is_held_out(source: str) -> bool:
    """Decide by the title, which the parts of an article (`title#part`) share."""
    title = source.removesuffix(".txt").split("#")[0]
    return blake2b(title.encode(), digest_size=4, salt=SALT).digest()[0] % HELD_OUT == 0


def make(bench: Path, advance: Callable[[], None], *, limit: int | None = None) -> Iterator[Example]:
    """The examples of all sets; `advance` is called after each question, `limit` is that of each set."""
    settings = resolve()
    for name in SETS:
        dataset = read_dataset(name, bench, settings.documents)
        retriever = wiring.retriever(resolve(index=indexed(dataset, settings)))
        questions = list(dataset.questions)
        random.Random(0).shuffle(questions)
        for question in questions[:limit]:
            retrieved = retriever.retrieve(analyse(question.text), PASSAGES)
            yield make_example(dataset, question, retrieved.passages, ranked(retrieved.sentences))
            advance()


def make_example(
    dataset: Dataset, question: Question, passages: Sequence[Passage], sentences: Sequence[Sentence]
) -> Example:
    """The question with its best sentences.

    Sentences that may or may not answer are left out: those with the answer's words in another document
    than the right one, and those with less than half of the right span. A question to learn from also does
    without the sentences of held-out documents.
    """
    held_out = is_held_out(dataset, question)
    candidates: list[Candidate] = []
    right: list[int] = []
    answer = None
    for sentence in sentences[:CANDIDATES]:
        source = passages[sentence.passage].source
        answers = _answers(question, source, sentence)
        if answers is None or (answers and source not in question.sources):
            continue
        if _source_is_held_out(source) and not held_out:
            continue
        if answers:
            answer = answer or (None if right else _short_answer(question, sentence.text))
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
            for span_source, start, end in question.spans
            if span_source == source
        ]
        largest = max(shares, default=0.0)
        return largest >= 0.5 or (None if largest > 0 else False)
    text = normalised(sentence.text)
    return any(f" {normalised(answer)} " in f" {text} " for answer in question.answers)


def _short_answer(question: Question, text: str) -> tuple[int, int] | None:
    """Where the short answer is in the sentence: a known one, else a time or number that is asked for."""
    answers = list(question.answers)
    if question.spans and not answers and asked_for(question.text) in ("time", "number"):
        answers = [answer for answer in [short_answer(question.text, text)] if answer is not None]
    matches = [re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) for answer in answers if answer]
    spans = [match.span() for match in matches if match is not None]
    return min(spans, key=lambda span: span[1] - span[0], default=None)


def without_answers(example: Example) -> Example:
    """The example without the candidates that answer."""
    kept = tuple(
        candidate for position, candidate in enumerate(example.candidates) if position not in example.right
    )
    return replace(example, candidates=kept, right=(), answer=None)


def write(examples: Iterator[Example], path: Path) -> None:
    """Write one JSON object a line; the file appears when it is complete."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(json.dumps(asdict(example), ensure_ascii=False) + "\n")
    part.replace(path)


def read(path: Path) -> list[Example]:
    """The examples of a file that `write` wrote; `FileNotFoundError` without one."""
    with path.open(encoding="utf-8") as file:
        return [_example(json.loads(line)) for line in file]


def _example(row: dict[str, Any]) -> Example:
    row["candidates"] = tuple(Candidate(**candidate) for candidate in row["candidates"])
    row["right"] = tuple(row["right"])
    row["answer"] = tuple(row["answer"]) if row["answer"] else None
    return Example(**row)
