"""What each part of retrieval adds, on which set, at what cost; and the fit of its weights.

    python -m tests.benchmarks.retrieval [SET ...] [--bench DIR] [--limit N] [--seed N] [--max-chars N]
    python -m tests.benchmarks.retrieval --fit

A row of the table is one way to score the same candidates, and what it is worth: recall@5 and IoU@5 where
the gold is spans of characters, else hit@1 and hit@5. `ms` is the mean time of its parts for a question,
its embedding not counted. The fit maximises the likelihood that a softmax over a question's candidates
gives to those that are right, each set counting as much as another, on half of the questions; the figures
beside the weights are of the other half.
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
from rag.evaluation.datasets import AbsentSetError, Dataset, Question, read_dataset
from rag.evaluation.evaluate import indexed, sample
from rag.evaluation.metrics import Span
from rag.index.base import State, sentence_cosines
from rag.indexing import build as build_module
from rag.retrieval import scoring
from rag.retrieval.query import analyse
from rag.retrieval.retriever import CANDIDATES, Retriever
from rag.retrieval.scoring import Wanted, coverage, pair_coverage, weighed
from rag.settings import resolve
from rag.text import chunking
from rag.text.analyzer import STOP_WORDS, joined, line, stem, terms, words

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
"""The features, and what has to be done for each."""

FEATURES = tuple(STAGES)


@dataclass(frozen=True)
class Candidates:
    """What both searches bring: (source, start, end), features of shape (n, features), seconds by stage."""

    question: Question
    spans: list[Span]
    features: np.ndarray
    seconds: Mapping[str, float]


Measured = tuple[Dataset, list[Candidates]]


def candidates(question: Question, retriever: Retriever) -> Candidates:
    """Score what both searches bring for the question, as `retriever` does, and in other ways."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[stage] = time.perf_counter() - began

    vector = retriever.embedder.embed([question.text])[0]
    with retriever.index.open() as snapshot:
        with timed("dense"):
            dense = [chunk for chunk, _ in snapshot.dense_search(vector, CANDIDATES)]
        with timed("keyword"):
            keyword = dict(snapshot.keyword_search(terms(question.text), CANDIDATES))
            sought = retriever.wanted(question.text, snapshot)
        with timed("load"):
            found = snapshot.chunks([*dict.fromkeys([*dense, *keyword])])
        with timed("lead"):
            leads = {chunk.source: snapshot.chunks_between(chunk.document, 0, 400)[0] for chunk in found}
        near = snapshot.cosines(vector, [chunk.id for chunk in found])
        unstemmed, everything = _other_words(question.text, snapshot)
        with timed("cosines"):
            cosines = sentence_cosines(snapshot, found, vector)
        of_leads = sentence_cosines(snapshot, [leads[chunk.source] for chunk in found], vector)
    with timed("words"):
        texts = [joined(chunk.stems) for chunk in found]
        shares = [[coverage(sought, sentence) for sentence in chunk.stems] for chunk in found]
    most = max(keyword.values(), default=0.0) or 1.0
    by_words = list(keyword)
    features = [
        {
            "cosine": cosine,
            "cosine rank": 1 / (60 + dense.index(chunk.id)) if chunk.id in dense else 0.0,
            "keyword": keyword.get(chunk.id, 0.0) / most,
            "keyword rank": 1 / (60 + by_words.index(chunk.id)) if chunk.id in keyword else 0.0,
            "best": max(inside),
            "best 0.25": max(one + 0.25 * share for one, share in zip(inside, covered, strict=True)),
            "best 0.5": max(one + 0.5 * share for one, share in zip(inside, covered, strict=True)),
            "coverage": coverage(sought, text),
            "pairs": pair_coverage(sought, text),
            "unstemmed": coverage(unstemmed, line(words(chunk.text))),
            "all words": coverage(everything, text),
            "lead": max(lead),
            "lead coverage": coverage(sought, text + joined(leads[chunk.source].stems)),
        }
        for chunk, cosine, inside, covered, text, lead in zip(
            found, near, cosines, shares, texts, of_leads, strict=True
        )
    ]
    spans = [(chunk.source, chunk.start, chunk.end) for chunk in found]
    matrix = np.array([[one[name] for name in FEATURES] for one in features], dtype=np.float32)
    return Candidates(question, spans, matrix, seconds)


def _other_words(question: str, state: State) -> tuple[Wanted, Wanted]:
    """What the words are worth when they aren't stemmed, and when stop words are content too."""
    count = state.chunk_count()
    rarity = {
        word: np.log1p(count / (1 + having))
        for word, having in state.chunks_with([*dict.fromkeys(words(question))]).items()
    }
    content = {line([word]): weight for word, weight in rarity.items() if word not in STOP_WORDS}
    return weighed(content, {}), weighed({line([stem(word)]): weight for word, weight in rarity.items()}, {})


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


def row(name: str, weights: Mapping[str, float], measured: Sequence[Measured]) -> str:
    """The figures of one way to score."""
    vector = np.array([weights.get(feature, 0.0) for feature in FEATURES], dtype=np.float32)
    stages = {stage for feature in weights for stage in STAGES[feature]}
    columns, milliseconds = [], []
    for dataset, found in measured:
        pairs = []
        for one in found:
            order = np.argsort(-(one.features @ vector), kind="stable")
            pairs.append(figures(dataset, one.question, [one.spans[i] for i in order]))
            milliseconds.append(1000 * sum(one.seconds[stage] for stage in stages))
        columns.append("{:.3f} {:.3f}".format(*np.mean(pairs, axis=0)))
    return printed(name, columns, f"{np.mean(milliseconds):.1f}")


def shipped(name: str, measured: Sequence[Measured], retrievers: Sequence[Retriever]) -> str:
    """The figures of what the product gives: passages widened, copies left out."""
    columns, milliseconds = [], []
    for (dataset, found), retriever in zip(measured, retrievers, strict=True):
        pairs = []
        for one in tqdm(found, desc=dataset.name, leave=False):
            began = time.perf_counter()
            retriever.embedder.embed([one.question.text])
            embedding = time.perf_counter() - began
            began = time.perf_counter()
            passages = retriever.retrieve(analyse(one.question.text), 5).passages
            milliseconds.append(1000 * (time.perf_counter() - began - embedding))
            spans = [(passage.source, passage.start, passage.end) for passage in passages]
            pairs.append(figures(dataset, one.question, spans))
        columns.append("{:.3f} {:.3f}".format(*np.mean(pairs, axis=0)))
    return printed(name, columns, f"{np.mean(milliseconds):.1f}")


def printed(name: str, columns: Sequence[str], milliseconds: str) -> str:
    """A line of the table."""
    return f"{name:40}" + "".join(f"{column:>14}" for column in columns) + f"{milliseconds:>7}"


def fit(measured: Sequence[Measured], features: Sequence[str]) -> dict[str, float]:
    """The weights of these features, the first one's 1."""
    places = [FEATURES.index(feature) for feature in features]
    groups = [
        (
            torch.tensor(one.features[:, places]),
            torch.tensor(right(dataset, one.question, one.spans)),
            1 / len(found),
        )
        for dataset, found in measured
        for one in found
    ]
    weights = torch.zeros(len(features), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = 1e-5 * (weights**2).sum()
        for values, is_right, share in groups:
            if is_right.any():
                scores = values @ weights
                total = total + share * (scores.logsumexp(0) - scores[is_right].logsumexp(0)) / len(measured)
        total.backward()
        return total

    optimizer.step(loss)
    found = weights.tolist()
    return {feature: round(weight / found[0], 2) for feature, weight in zip(features, found, strict=True)}


def main() -> None:
    """Print the table, or the fitted weights with what they are worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--bench", default="../shared/bench")
    parser.add_argument("--limit", type=int, default=LIMIT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--max-chars", type=int, default=chunking.MAX_CHARS, help="another size of the chunks"
    )
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    if arguments.max_chars != chunking.MAX_CHARS:
        chunking.MAX_CHARS = arguments.max_chars
        build_module.CHUNKING = f"recursive-{arguments.max_chars}"  # type: ignore[attr-defined]  # as the build reads it

    measured: list[Measured] = []
    retrievers: list[Retriever] = []
    for name in arguments.sets:
        try:
            dataset = read_dataset(name, Path(arguments.bench), resolve().documents)
        except AbsentSetError as error:
            print(f"{name} skipped: {error}", file=sys.stderr)
            continue
        retriever = wiring.retriever(resolve(index=indexed(dataset, resolve())))
        asked = [one for one in dataset.questions if one.sources and one.answerable is not False]
        drawn = tqdm(sample(asked, arguments.limit, arguments.seed), desc=name, leave=False)
        measured.append((dataset, [candidates(question, retriever) for question in drawn]))
        retrievers.append(retriever)

    print(printed("", [dataset.name for dataset, _ in measured], "ms"))
    if arguments.fit:
        half = [(dataset, found[::2]) for dataset, found in measured]
        other = [(dataset, found[1::2]) for dataset, found in measured]
        print(row("as shipped", SHIPPED, other))
        for best in ("best", "best 0.25", "best 0.5"):
            weights = fit(half, (best, "coverage", "pairs"))
            print(row(f"fitted {[*weights.values()]}, {best}", weights, other))
    else:
        for name, given in ROWS.items():
            print(row(name, given, measured))
        print(shipped("as shipped, widened, no copies", measured, retrievers))


if __name__ == "__main__":
    main()
