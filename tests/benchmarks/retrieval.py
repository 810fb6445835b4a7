"""What each part of retrieval adds, on which set, at what cost; and the fit of its weights.

    python -m tests.benchmarks.retrieval [SET ...] [--bench DIR] [--limit N] [--seed N]
    python -m tests.benchmarks.retrieval --fit

A row of the table is one way to score the same candidates, and what it is worth: recall@5 and IoU@5 where
the gold is spans of characters, else hit@1 and hit@5. `ms` is the mean time of its parts for a question,
its embedding not counted. The fit maximises the likelihood that a softmax over a question's candidates
gives to those that are right, each set counting as much as another; half of the questions of each set are
fitted, the table is of the other half.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from rag import parts, relevance
from rag.evaluation import metrics
from rag.evaluation.datasets import AbsentSetError, Dataset, Question, read_dataset
from rag.evaluation.metrics import Span
from rag.evaluation.run import indexed, sample
from rag.relevance import coverage, pair_coverage, sentence_score
from rag.retrieval import CANDIDATES, Retriever, sought_by
from rag.settings import resolve
from rag.words import stems, terms

SETS = ("chroma", "squad2", "wikipedia490", "news2025")
LIMIT = 400

FEATURES = ("cosine", "keyword", "best cosine", "best", "quote", "coverage", "pairs")
SHIPPED = {"best": 1, "coverage": relevance.PASSAGE_COVERAGE, "pairs": relevance.PASSAGE_PAIRS}
ROWS: Mapping[str, Mapping[str, float]] = {
    "cosine of the chunk": {"cosine": 1},
    "BM25": {"keyword": 1},
    "mean of both, BM25 by its best": {"cosine": 0.5, "keyword": 0.5},
    "cosine of the best sentence": {"best cosine": 1},
    "  + 0.25 of its coverage": {"best": 1},
    "  + 0.5 of its coverage": {"quote": 1},
    "  0.25, + coverage of the chunk": {key: SHIPPED[key] for key in ("best", "coverage")},
    "  + pairs of words: as shipped": SHIPPED,
    "as shipped + 0.2 cosine of the chunk": {**SHIPPED, "cosine": 0.2},
    "as shipped + 0.2 BM25 by its best": {**SHIPPED, "keyword": 0.2},
    "chunk for sentence": {**SHIPPED, "best": 0, "cosine": 1, "coverage": 0.65},
}
_CHUNKS = ("dense", "keyword", "load")
STAGES = {
    "cosine": ("dense",),
    "keyword": ("keyword",),
    "best cosine": (*_CHUNKS, "cosines"),
    "best": (*_CHUNKS, "cosines", "words"),
    "quote": (*_CHUNKS, "cosines", "words"),
    "coverage": (*_CHUNKS, "words"),
    "pairs": (*_CHUNKS, "words"),
}
"""What has to be done for a feature."""


@dataclass(frozen=True)
class Candidates:
    """What both searches bring: (source, start, end), features of shape (n, 7), seconds by stage."""

    question: Question
    spans: list[Span]
    features: np.ndarray
    seconds: Mapping[str, float]


Measured = tuple[Dataset, list[Candidates]]


def candidates(question: Question, retriever: Retriever) -> Candidates:
    """Score what both searches bring for the question, as `rag.retrieval` does."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[stage] = time.perf_counter() - began

    vector = retriever.embedder.embed([question.text])[0]
    with retriever.index.open() as (snapshot, vectors):
        with timed("dense"):
            dense = dict(vectors.search(vector, CANDIDATES))
        with timed("keyword"):
            keyword = dict(snapshot.keyword_search(terms(question.text), CANDIDATES))
            sought = sought_by(question.text, snapshot)
        with timed("load"):
            chunks = snapshot.chunks([*{**dense, **keyword}])
        beyond = [chunk.id for chunk in chunks if chunk.id not in dense]
        dense |= dict(zip(beyond, vectors.cosines(vector, beyond), strict=True))
    with timed("cosines"):
        cosines = [chunk.sentence_vectors @ vector for chunk in chunks]
    with timed("words"):
        found = [
            [stems(chunk.text[start - chunk.start : end - chunk.start]) for start, end in chunk.sentences]
            for chunk in chunks
        ]
        texts = [list(itertools.chain(*sentences)) for sentences in found]
    best = max(keyword.values(), default=0.0) or 1.0
    features = []
    for chunk, near, sentences, text in zip(chunks, cosines, found, texts, strict=True):
        shares = [coverage(sought, sentence) for sentence in sentences]
        quotes = [sentence_score(cosine, share) for cosine, share in zip(near, shares, strict=True)]
        bests = [cosine + relevance.BEST_COVERAGE * share for cosine, share in zip(near, shares, strict=True)]
        features.append(
            (
                dense[chunk.id],
                keyword.get(chunk.id, 0.0) / best,
                max(near),
                max(bests),
                max(quotes),
                coverage(sought, text),
                pair_coverage(sought, text),
            )
        )
    spans = [(chunk.source, chunk.start, chunk.end) for chunk in chunks]
    return Candidates(question, spans, np.array(features, dtype=np.float32), seconds)


def figures(dataset: Dataset, question: Question, spans: Sequence[Span]) -> tuple[float, float]:
    """Recall and IoU at 5, or hits at 1 and 5, of passages in order."""
    if question.spans and not dataset.sentences:
        scores = metrics.span_scores(spans[:5], question.spans)
        return scores.recall, scores.iou
    found = right(dataset, question, spans)
    return metrics.hit(found, 1), metrics.hit(found, 5)


def right(dataset: Dataset, question: Question, spans: Sequence[Span]) -> list[bool]:
    """Whether each passage is right; where the gold is spans, whether it has half of one."""
    if dataset.sentences:
        return [any(metrics.contains(span, gold) for gold in question.spans) for span in spans]
    if not question.spans:
        return [span[0] in question.sources for span in spans]
    return [
        any(
            span[0] == gold[0] and 2 * (min(span[2], gold[2]) - max(span[1], gold[1])) >= gold[2] - gold[1]
            for gold in question.spans
        )
        for span in spans
    ]


def row(name: str, weights: Mapping[str, float], found: Sequence[Measured]) -> str:
    """The figures of one way to score."""
    vector = np.array([weights.get(feature, 0.0) for feature in FEATURES], dtype=np.float32)
    stages = {stage for feature in weights for stage in STAGES[feature]}
    columns, milliseconds = [], []
    for dataset, all_candidates in found:
        pairs = [
            figures(
                dataset,
                one.question,
                [one.spans[i] for i in np.argsort(-(one.features @ vector), kind="stable")],
            )
            for one in all_candidates
        ]
        columns.append("{:.3f} {:.3f}".format(*np.mean(pairs, axis=0)))
        milliseconds += [1000 * sum(one.seconds[stage] for stage in stages) for one in all_candidates]
    return line(name, columns, f"{np.mean(milliseconds):.1f}")


def line(name: str, columns: Sequence[str], milliseconds: str) -> str:
    """A line of the table."""
    return f"{name:36}" + "".join(f"{column:>14}" for column in columns) + f"{milliseconds:>8}"


def fit(found: Sequence[Measured]) -> dict[str, float]:
    """The weights of the features, such that those of the best sentence are 1 together."""
    groups = [
        (torch.tensor(one.features), torch.tensor(right(dataset, one.question, one.spans)), 1 / len(half))
        for dataset, half in found
        for one in half
    ]
    groups = [group for group in groups if group[1].any()]
    weights = torch.zeros(len(FEATURES), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = 1e-4 * (weights**2).sum()
        for features, is_right, share in groups:
            scores = features @ weights
            total = total + share * (scores.logsumexp(0) - scores[is_right].logsumexp(0)) / len(found)
        total.backward()
        return total

    optimizer.step(loss)
    values = dict(zip(FEATURES, weights.tolist(), strict=True))
    unit = values["best cosine"] + values["best"] + values["quote"]
    return {feature: round(value / unit, 2) for feature, value in values.items()}


def main() -> None:
    """Print the table, or the fitted weights with what they are worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--bench", default="../shared/bench")
    parser.add_argument("--limit", type=int, default=LIMIT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()

    found: list[Measured] = []
    retrievers: list[Retriever] = []
    for name in arguments.sets:
        try:
            dataset = read_dataset(name, Path(arguments.bench), resolve().documents)
        except AbsentSetError as error:
            print(f"{name} skipped: {error}", file=sys.stderr)
            continue
        retriever = parts.retriever(resolve(index=indexed(dataset, resolve())))
        asked = [
            question
            for question in dataset.questions
            if question.sources and question.answerable is not False
        ]
        drawn = tqdm(sample(asked, arguments.limit, arguments.seed), desc=name)
        found.append((dataset, [candidates(question, retriever) for question in drawn]))
        retrievers.append(retriever)

    print(line("", [dataset.name for dataset, _ in found], "ms"))
    if arguments.fit:
        rest = [(dataset, all_candidates[1::2]) for dataset, all_candidates in found]
        weights = fit([(dataset, all_candidates[::2]) for dataset, all_candidates in found])
        print(row("as shipped", SHIPPED, rest))
        print(row("as fitted", weights, rest))
        print(weights)
    else:
        for name, weights in ROWS.items():
            print(row(name, weights, found))
        print(shipped(found, retrievers))


def shipped(found: Sequence[Measured], retrievers: Sequence[Retriever]) -> str:
    """The row of what the product gives: passages widened, copies left out."""
    columns, milliseconds = [], []
    for (dataset, all_candidates), retriever in zip(found, retrievers, strict=True):
        pairs = []
        for one in tqdm(all_candidates, desc=dataset.name):
            began = time.perf_counter()
            retriever.embedder.embed([one.question.text])
            embedded = time.perf_counter()
            passages = retriever.retrieve(one.question.text, 10).passages
            milliseconds.append(1000 * (time.perf_counter() - embedded - (embedded - began)))
            spans = [(passage.source, passage.start, passage.end) for passage in passages]
            pairs.append(figures(dataset, one.question, spans))
        columns.append("{:.3f} {:.3f}".format(*np.mean(pairs, axis=0)))
    return line("as shipped, widened, no copies", columns, f"{np.mean(milliseconds):.1f}")


if __name__ == "__main__":
    main()
