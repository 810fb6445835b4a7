"""What each part of retrieval adds, on which set, at what cost; and the fit of its weights.

A row of the table is one way to score the same candidates, with two figures for each set: recall@5 and IoU@5
where spans of characters are known to be right, else hit@1 and hit@5. `ms` is the mean time of its parts for
a question, without embedding it. The fit maximises the likelihood that a softmax over a question's candidates
gives to the right ones, with the same weight for each set, on half of the questions; the figures beside the
weights are those of the other half.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from rag import wiring
from rag.evaluation import metrics
from rag.evaluation.datasets import AbsentSetError, Dataset, Question
from rag.evaluation.evaluate import indexed, sample
from rag.evaluation.metrics import Span
from rag.index.base import State, StoredChunk, sentence_cosines
from rag.indexing import build as build_module
from rag.retrieval import scoring
from rag.retrieval.query import analyse
from rag.retrieval.retriever import CANDIDATES, Retriever
from rag.retrieval.scoring import Wanted, coverage, pair_coverage, weighed
from rag.settings import resolve
from rag.text import chunking
from rag.text.analyzer import STOP_WORDS, joined, line, stem, terms, words
from rag.training.datasets import read_dataset

SETS = ("chroma", "squad2", "wikipedia490", "news2025")
LIMIT = 400

SHIPPED = {"best 0.25": 1, "coverage": scoring.PASSAGE_COVERAGE, "pairs": scoring.PASSAGE_PAIRS}
ROWS: Mapping[str, Mapping[str, float]] = {
    "cosine of the chunk": {"cosine": 1},
    "BM25": {"keyword": 1},
    "reciprocal ranks of both": {"cosine rank": 1, "keyword rank": 1},
    "mean of both, BM25 by its best": {"cosine": 0.5, "keyword": 0.5},
    "cosine of the best sentence": {"best": 1},
    "  with 0.25 of its coverage": {"best 0.25": 1},
    "  with 0.5 of its coverage": {"best 0.5": 1},
    "  0.25, + coverage of the chunk": {key: SHIPPED[key] for key in ("best 0.25", "coverage")},
    "  + pairs of words: as shipped": SHIPPED,
    "as shipped, chunk for sentence": {"cosine": 1, "coverage": 0.65, "pairs": SHIPPED["pairs"]},
    "as shipped, words not stemmed": {"best 0.25": 1, "unstemmed": SHIPPED["coverage"]},
    "as shipped, stop words count": {"best 0.25": 1, "all words": SHIPPED["coverage"]},
    "as shipped + 0.2 cosine of the chunk": {**SHIPPED, "cosine": 0.2},
    "as shipped + 0.2 BM25 by its best": {**SHIPPED, "keyword": 0.2},
    "as shipped + 0.2 cosine of the lead": {**SHIPPED, "lead": 0.2},
    "as shipped + 0.2 coverage with the lead": {**SHIPPED, "lead coverage": 0.2},
}
_CHUNKS = ("dense", "keyword", "load")
STAGES = {
    "cosine": ("dense",),
    "cosine rank": ("dense",),
    "keyword": ("keyword",),
    "keyword rank": ("keyword",),
    "best": (*_CHUNKS, "cosines"),
    "best 0.25": (*_CHUNKS, "cosines", "words"),
    "best 0.5": (*_CHUNKS, "cosines", "words"),
    "coverage": (*_CHUNKS, "words"),
    "pairs": (*_CHUNKS, "words"),
    "unstemmed": (*_CHUNKS, "words"),
    "all words": (*_CHUNKS, "words"),
    "lead": (*_CHUNKS, "lead"),
    "lead coverage": (*_CHUNKS, "lead", "words"),
}
"""The features, and the steps that each needs."""

FEATURES = tuple(STAGES)


@dataclass(frozen=True)
class Candidates:
    """The chunks that both searches find: their spans, features of shape (n, features), seconds by stage."""

    question: Question
    spans: list[Span]
    features: np.ndarray
    seconds: Mapping[str, float]


Measured = tuple[Dataset, list[Candidates]]


def candidates(question: Question, retriever: Retriever) -> Candidates:
    """Score what both searches find for the question, as `retriever` does, and in other ways."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[stage] = time.perf_counter() - began

    vector = retriever.embedder.embed([question.text])[0]
    with retriever.index.open() as state:
        with timed("dense"):
            dense = [chunk for chunk, _ in state.dense_search(vector, CANDIDATES)]
        with timed("keyword"):
            keyword = dict(state.keyword_search(terms(question.text), CANDIDATES))
            wanted = retriever.wanted(question.text, state)
        with timed("load"):
            chunks = state.chunks([*dict.fromkeys([*dense, *keyword])])
        with timed("lead"):
            leads = {chunk.source: state.chunks_between(chunk.document, 0, 400)[0] for chunk in chunks}
        with timed("cosines"):
            cosines = sentence_cosines(state, chunks, vector)
        near = state.cosines(vector, [chunk.id for chunk in chunks])
        of_leads = sentence_cosines(state, [leads[chunk.source] for chunk in chunks], vector)
        unstemmed, with_stop_words = _other_words(question.text, state)
    with timed("words"):
        texts = [joined(chunk.stems) for chunk in chunks]
        shares = [[coverage(wanted, sentence) for sentence in chunk.stems] for chunk in chunks]
    columns = {
        "cosine": near,
        "cosine rank": _reciprocal_ranks(dense, chunks),
        "keyword": _by_best(keyword, chunks),
        "keyword rank": _reciprocal_ranks([*keyword], chunks),
        "best": [max(of_chunk) for of_chunk in cosines],
        "best 0.25": _best(cosines, shares, 0.25),
        "best 0.5": _best(cosines, shares, 0.5),
        "coverage": [coverage(wanted, text) for text in texts],
        "pairs": [pair_coverage(wanted, text) for text in texts],
        "unstemmed": [coverage(unstemmed, line(words(chunk.text))) for chunk in chunks],
        "all words": [coverage(with_stop_words, text) for text in texts],
        "lead": [max(of_lead) for of_lead in of_leads],
        "lead coverage": [
            coverage(wanted, text + joined(leads[chunk.source].stems))
            for chunk, text in zip(chunks, texts, strict=True)
        ],
    }
    spans = [(chunk.source, chunk.start, chunk.end) for chunk in chunks]
    features = np.array([columns[name] for name in FEATURES], dtype=np.float32).T
    return Candidates(question, spans, features, seconds)


def _reciprocal_ranks(ids: Sequence[int], chunks: Sequence[StoredChunk]) -> list[float]:
    """For each chunk 1 / (60 + its rank among the ids), 0 if it isn't there."""
    ranks = {chunk: rank for rank, chunk in enumerate(ids)}
    return [1 / (60 + ranks[chunk.id]) if chunk.id in ranks else 0.0 for chunk in chunks]


def _by_best(scores: Mapping[int, float], chunks: Sequence[StoredChunk]) -> list[float]:
    """For each chunk its score divided by the best one, 0 without a score."""
    best = max(scores.values(), default=0.0) or 1.0
    return [scores.get(chunk.id, 0.0) / best for chunk in chunks]


def _best(
    cosines: Sequence[Sequence[float]], shares: Sequence[Sequence[float]], weight: float
) -> list[float]:
    """For each chunk the score of its best sentence: its cosine and, by this weight, its coverage."""
    return [
        max(cosine + weight * share for cosine, share in zip(*of_chunk, strict=True))
        for of_chunk in zip(cosines, shares, strict=True)
    ]


def _other_words(question: str, state: State) -> tuple[Wanted, Wanted]:
    """The question's words when they aren't stemmed, and its stems with those of stop words."""
    count = state.chunk_count()
    rarity = {
        word: np.log1p(count / (1 + with_word))
        for word, with_word in state.chunks_with([*dict.fromkeys(words(question))]).items()
    }
    content = {line([word]): weight for word, weight in rarity.items() if word not in STOP_WORDS}
    return weighed(content, {}), weighed({line([stem(word)]): weight for word, weight in rarity.items()}, {})


def figures(dataset: Dataset, question: Question, spans: Sequence[Span]) -> tuple[float, float]:
    """Recall and IoU of the first 5 passages, or the hits at 1 and at 5."""
    if question.spans and not dataset.sentences:
        scores = metrics.span_scores(spans[:5], question.spans)
        return scores.recall, scores.iou
    are_right = right(dataset, question, spans)
    return metrics.hit(are_right, 1), metrics.hit(are_right, 5)


def right(dataset: Dataset, question: Question, spans: Sequence[Span]) -> list[bool]:
    """For each passage whether it is right; where right spans are known, whether it has half of one."""
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


def row(name: str, weights: Mapping[str, float], measured: Sequence[Measured]) -> str:
    """The line of one way to score."""
    vector = np.array([weights.get(feature, 0.0) for feature in FEATURES], dtype=np.float32)
    stages = {stage for feature in weights for stage in STAGES[feature]}
    columns, milliseconds = [], []
    for dataset, of_set in measured:
        pairs = []
        for found in of_set:
            order = np.argsort(-(found.features @ vector), kind="stable")
            pairs.append(figures(dataset, found.question, [found.spans[position] for position in order]))
            milliseconds.append(1000 * sum(found.seconds[stage] for stage in stages))
        columns.append("{:.3f} {:.3f}".format(*np.mean(pairs, axis=0)))
    return printed(name, columns, f"{np.mean(milliseconds):.1f}")


def shipped(name: str, measured: Sequence[Measured], retrievers: Sequence[Retriever]) -> str:
    """The line of what the product finds: passages widened, near-duplicates left out."""
    columns, milliseconds = [], []
    for (dataset, of_set), retriever in zip(measured, retrievers, strict=True):
        pairs = []
        for found in tqdm(of_set, desc=dataset.name, leave=False):
            began = time.perf_counter()
            retriever.embedder.embed([found.question.text])
            embedding = time.perf_counter() - began
            began = time.perf_counter()
            passages = retriever.retrieve(analyse(found.question.text), 5).passages
            milliseconds.append(1000 * (time.perf_counter() - began - embedding))
            spans = [(passage.source, passage.start, passage.end) for passage in passages]
            pairs.append(figures(dataset, found.question, spans))
        columns.append("{:.3f} {:.3f}".format(*np.mean(pairs, axis=0)))
    return printed(name, columns, f"{np.mean(milliseconds):.1f}")


def printed(name: str, columns: Sequence[str], milliseconds: str) -> str:
    """A line of the table."""
    return f"{name:40}" + "".join(f"{column:>14}" for column in columns) + f"{milliseconds:>7}"


def fit(measured: Sequence[Measured], features: Sequence[str]) -> dict[str, float]:
    """The weights of these features, relative to the first one's."""
    positions = [FEATURES.index(feature) for feature in features]
    questions = [
        (
            torch.tensor(found.features[:, positions]),
            torch.tensor(right(dataset, found.question, found.spans)),
            1 / len(of_set),
        )
        for dataset, of_set in measured
        for found in of_set
    ]
    weights = torch.zeros(len(features), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = 1e-5 * (weights**2).sum()
        for values, is_right, share in questions:
            if is_right.any():
                scores = values @ weights
                total = total + share * (scores.logsumexp(0) - scores[is_right].logsumexp(0)) / len(measured)
        total.backward()
        return total

    optimizer.step(loss)
    first, *_ = fitted = weights.tolist()
    return {feature: round(weight / first, 2) for feature, weight in zip(features, fitted, strict=True)}


def measure(
    names: Sequence[str], bench: Path, *, limit: int, seed: int
) -> tuple[list[Measured], list[Retriever]]:
    """The candidates for the questions of each set that is there, and the retrievers of the sets."""
    measured: list[Measured] = []
    retrievers: list[Retriever] = []
    for name in names:
        try:
            dataset = read_dataset(name, bench, resolve().documents)
        except AbsentSetError as error:
            print(f"{name} skipped: {error}", file=sys.stderr)
            continue
        retriever = wiring.retriever(resolve(index=indexed(dataset, resolve())))
        usable = [
            question
            for question in dataset.questions
            if question.sources and question.answerable is not False
        ]
        drawn = tqdm(sample(usable, limit, seed), desc=name, leave=False)
        measured.append((dataset, [candidates(question, retriever) for question in drawn]))
        retrievers.append(retriever)
    return measured, retrievers


def main() -> None:
    """Print the table, or the fitted weights with their figures."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.retrieval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sets", nargs="*", default=SETS, metavar="SET", help=f"default: {' '.join(SETS)}")
    parser.add_argument("--bench", type=Path, required=True, help="the folder of the evaluation sets")
    parser.add_argument(
        "--limit", type=int, default=LIMIT, help="questions of each set (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="the seed of their draw (default %(default)s)")
    parser.add_argument(
        "--max-chars", type=int, default=chunking.MAX_CHARS, help="the size of chunks (default %(default)s)"
    )
    parser.add_argument("--fit", action="store_true", help="fit the weights")
    given = parser.parse_args()
    if given.max_chars != chunking.MAX_CHARS:
        chunking.MAX_CHARS = given.max_chars
        build_module.CHUNKING = f"recursive-{given.max_chars}"  # type: ignore[attr-defined]  # as the build reads it
    measured, retrievers = measure(given.sets, given.bench, limit=given.limit, seed=given.seed)
    print(printed("", [dataset.name for dataset, _ in measured], "ms"))
    if given.fit:
        half = [(dataset, of_set[::2]) for dataset, of_set in measured]
        other_half = [(dataset, of_set[1::2]) for dataset, of_set in measured]
        print(row("as shipped", SHIPPED, other_half))
        for best in ("best", "best 0.25", "best 0.5"):
            weights = fit(half, (best, "coverage", "pairs"))
            print(row(f"fitted {[*weights.values()]}, {best}", weights, other_half))
    else:
        for name, row_weights in ROWS.items():
            print(row(name, row_weights, measured))
        print(shipped("as shipped, widened, no copies", measured, retrievers))


if __name__ == "__main__":
    main()
