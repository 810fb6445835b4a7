"""A trained reader on examples of documents that it hasn't learnt from → what it is worth."""

import itertools
import random
from collections.abc import Sequence

import numpy as np

from rag.answering.sentence_reranking import read_as
from rag.evaluation.metrics import token_f1
from rag.models.reader import Reader
from rag.training.examples import Example

QUESTIONS = 400
"""At most so many of each set and kind."""


def figures(reader: Reader, examples: Sequence[Example]) -> dict[str, float]:
    """For each set: how often what answers comes first, among the questions for which it is there.

    With it, as far as they are known: the area under the curve that separates what has an answer from what
    hasn't, by the best score, and the words of the short answer in the sentence that answers (F1).
    """
    found: dict[str, float] = {}
    order = sorted(examples, key=lambda one: one.dataset)
    for name, group in itertools.groupby(order, key=lambda one: one.dataset):
        shuffled = list(group)
        random.Random(0).shuffle(shuffled)
        some = [one for one in shuffled if one.right][:QUESTIONS]
        none = [one for one in shuffled if not one.answerable][:QUESTIONS]
        best: dict[bool, list[float]] = {True: [], False: []}
        first: list[bool] = []
        f1: list[float] = []
        for one in (*some, *none):
            if not one.candidates:
                continue
            texts = [read_as(given.text, given.before) for given in one.candidates]
            readings = reader.read(one.question, texts, [len(given.text) for given in one.candidates])
            odds = [reading.odds for reading in readings]
            best[one.answerable].append(max(odds))
            if one.right:
                first.append(int(np.argmax(odds)) in one.right)
            if one.answer is not None:
                given, reading = one.candidates[one.right[0]], readings[one.right[0]]
                said = given.text[reading.start : reading.end]
                f1.append(token_f1(said, [given.text[slice(*one.answer)]]))
        if first:
            found[f"{name} first"] = float(np.mean(first))
        if f1:
            found[f"{name} f1"] = float(np.mean(f1))
        if best[True] and best[False]:
            above = np.subtract.outer(best[True], best[False])
            found[f"{name} auc"] = float(np.mean((above > 0) + 0.5 * (above == 0)))
    return found
