"""A trained reader, and examples of documents that it hasn't learnt from → its figures."""

import itertools
import random
from collections.abc import Sequence

import numpy as np

from rag.answering.sentence_reranking import read_as
from rag.evaluation.metrics import token_f1
from rag.models.reader import Reader
from rag.training.examples import Example

QUESTIONS = 400
"""The most questions of each set that are used with a right candidate, and the most unanswerable ones."""


def figures(reader: Reader, examples: Sequence[Example]) -> dict[str, float]:
    """Figures by name, three for each set, as far as its examples allow; all are from 0 to 1.

    `first`: how often a right candidate has the best score, where there is one. `auc`: the area under the
    curve that tells answerable from unanswerable questions by their best score. `f1`: the words of the short
    answer that the reader marks in the first right candidate, against the known one.
    """
    by_name: dict[str, float] = {}
    order = sorted(examples, key=lambda example: example.dataset)
    for name, of_set in itertools.groupby(order, key=lambda example: example.dataset):
        shuffled = list(of_set)
        random.Random(0).shuffle(shuffled)
        with_answer = [example for example in shuffled if example.right][:QUESTIONS]
        unanswerable = [example for example in shuffled if not example.answerable][:QUESTIONS]
        measured = _figures_of_set(reader, [*with_answer, *unanswerable])
        by_name |= {f"{name} {figure}": value for figure, value in measured.items()}
    return by_name


def _figures_of_set(reader: Reader, examples: Sequence[Example]) -> dict[str, float]:
    best: dict[bool, list[float]] = {True: [], False: []}
    first: list[bool] = []
    f1: list[float] = []
    for example in examples:
        if not example.candidates:
            continue
        texts = [read_as(candidate.text, candidate.before) for candidate in example.candidates]
        lengths = [len(candidate.text) for candidate in example.candidates]
        readings = reader.read(example.question, texts, lengths)
        odds = [reading.odds for reading in readings]
        best[example.answerable].append(max(odds))
        if example.right:
            first.append(int(np.argmax(odds)) in example.right)
        if example.answer is not None:
            text, reading = example.candidates[example.right[0]].text, readings[example.right[0]]
            f1.append(token_f1(text[reading.start : reading.end], [text[slice(*example.answer)]]))
    measured: dict[str, float] = {}
    if first:
        measured["first"] = float(np.mean(first))
    if f1:
        measured["f1"] = float(np.mean(f1))
    if best[True] and best[False]:
        differences = np.subtract.outer(best[True], best[False])
        measured["auc"] = float(np.mean((differences > 0) + 0.5 * (differences == 0)))
    return measured
