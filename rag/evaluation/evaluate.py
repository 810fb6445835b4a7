"""A `Dataset` → its figures: index the documents and ask the questions through the public interface."""

import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import platformdirs

import rag
from rag import wiring
from rag.answering.engine import Engine
from rag.answering.engine import search as search_with
from rag.errors import EvaluationError, IndexFileError
from rag.evaluation import metrics
from rag.evaluation.datasets import Dataset, Question
from rag.index.codec import text_hash
from rag.settings import Settings
from rag.types import Passage

PASSAGES = 10
"""How many passages to search for: as many as any metric looks at."""

Score = tuple[str, float]
"""The name of a metric and its value for one question or citation."""

Search = Callable[..., tuple[Passage, ...]]


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a set.

    `metrics` has each metric's mean over the questions that it is defined for (times in ms: the median),
    `counts` the number of values behind it. `precision` is that of the embedder's weights.
    """

    name: str
    documents: int
    questions: int
    precision: str
    metrics: Mapping[str, float]
    counts: Mapping[str, int]


def sample(
    questions: Sequence[Question], limit: int | None, seed: int, *, each: int | None = None
) -> tuple[Question, ...]:
    """`limit` questions drawn at random with this seed; all, in order, without a limit.

    With `each`: that many questions that the documents answer, and as many that they don't.
    """
    if each is not None:
        kinds = [
            [question for question in questions if question.answerable is kind] for kind in (True, False)
        ]
        return tuple(itertools.chain(*(sample(kind, each, seed) for kind in kinds)))
    if limit is None or limit >= len(questions):
        return tuple(questions)
    return tuple(random.Random(seed).sample(questions, limit))


def evaluate(
    dataset: Dataset,
    questions: Sequence[Question],
    settings: Settings,
    *,
    answers: bool,
    advance: Callable[[], None],
) -> Report:
    """Index the set's documents, ask the questions, average the scores.

    Without `answers` only search is measured. `advance` is called after each question. The index of a set
    is kept in the user's cache folder; a user's own questions are asked of the index that `settings` name.
    """
    asked = settings if dataset.own else replace(settings, index=indexed(dataset, settings))
    search = partial(search_with, wiring.retriever(asked))
    engine = wiring.engine(asked) if answers else None
    scores: list[Score] = []
    for question in questions:
        scores.extend(_search_scores(question, dataset, search))
        if engine is not None:
            scores.extend(_answer_scores(question, dataset, engine))
        advance()
    with wiring.open_index(asked).open() as state:
        precision = state.identity.precision
    return _report(dataset, len(questions), precision, scores)


def indexed(dataset: Dataset, settings: Settings) -> Path:
    """The folder of an up-to-date index of the set's documents, built where needed.

    `EvaluationError` when the cache folder can't be written.
    """
    # Each combination of documents, embedder and precision has an index of its own.
    key = "\0".join([settings.embedder, settings.precision, *dataset.documents])
    folder = platformdirs.user_cache_path("rag") / "eval" / f"{dataset.name}-{text_hash(key).hex()[:8]}"
    documents = dataset.folder or folder / "documents"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if dataset.folder is None:
            _write(dataset.documents, documents)
    except OSError as error:
        raise EvaluationError(
            f"The documents of {dataset.name} can't be copied to {folder}: {error}."
        ) from error
    build = partial(
        rag.build,
        documents,
        index=folder / "index",
        embedder=settings.embedder,
        precision=settings.precision,
    )
    try:
        build()
    except IndexFileError:
        build(rebuild=True)  # of another version, or damaged; it is only a copy
    return folder / "index"


def _write(texts: Mapping[str, str], folder: Path) -> None:
    """Write these texts as files, and remove every other file of the folder."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in texts:
            path.unlink()
    for source, text in texts.items():
        content = text.encode("utf-8", "replace")
        path = folder / source
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def _search_scores(question: Question, dataset: Dataset, search: Search) -> Iterator[Score]:
    """The scores of a search; its time alone where no passage is known to be right."""
    began = time.perf_counter()
    passages = search(question.text, history=question.history, k=PASSAGES)
    yield "search_ms", 1000 * (time.perf_counter() - began)
    if question.answerable is False or not question.sources:
        return
    if question.spans and not dataset.sentences:
        # Passages are widened as far as there is room: 5 of a search for 10 differ from a search for 5.
        passages = search(question.text, history=question.history, k=5)
        scores = metrics.span_scores([_span(passage) for passage in passages], question.spans)
        yield from (("recall@5", scores.recall), ("precision@5", scores.precision), ("iou@5", scores.iou))
        return
    right = _right(passages, question, dataset)
    for k in (1, 5, 10):
        yield f"hit@{k}", metrics.hit(right, k)
    yield "mrr@10", metrics.reciprocal_rank(right, 10)
    if dataset.conversations:
        alone = _right(search(question.text, k=PASSAGES), question, dataset)
        yield "hit@5_last_turn", metrics.hit(alone, 5)
        yield "hit@5_history", metrics.hit(right, 5)
        yield "multi_turn_gain", metrics.hit(right, 5) - metrics.hit(alone, 5)
        if question.rewrite is not None:
            rewritten = _right(search(question.rewrite, k=PASSAGES), question, dataset)
            yield "hit@5_rewrite", metrics.hit(rewritten, 5)


def _right(passages: Sequence[Passage], question: Question, dataset: Dataset) -> list[bool]:
    """For each passage, whether it has the sentence that answers, or is of a document that answers."""
    if not dataset.sentences:
        return [passage.source in question.sources for passage in passages]
    return [any(metrics.contains(_span(passage), span) for span in question.spans) for passage in passages]


def _span(passage: Passage) -> metrics.Span:
    return passage.source, passage.start, passage.end


def _answer_scores(question: Question, dataset: Dataset, engine: Engine) -> Iterator[Score]:
    began = time.perf_counter()
    answer = engine.answer(question.text, history=question.history)
    yield "answer_ms", 1000 * (time.perf_counter() - began)
    for citation in answer.citations:
        if citation.source in dataset.documents:
            text = dataset.documents[citation.source]
            yield "quote_exactness", float(text[citation.start : citation.end] == citation.quote)
    if question.answerable is False:
        yield "refused_right", float(answer.abstained is not None)
    if not question.answerable:
        return
    yield "answered", float(answer.abstained is None)
    if question.answers:
        yield "answered_right", metrics.answered_right(answer, question.answers)
        yield "first_quote_right", metrics.first_quote_right(answer, question.answers)
        yield "exact_match", metrics.exact_match(answer.short, question.answers)
        yield "f1", metrics.token_f1(answer.short, question.answers)
    if dataset.sentences:
        yield "sentence_right", metrics.sentence_right(answer, question.spans)
    if answer.citations:
        yield "quoted_chars", metrics.quoted_chars(answer)
        if question.sources:
            yield "cited_file_right", float(answer.citations[0].source in question.sources)


def _report(dataset: Dataset, questions: int, precision: str, scores: Sequence[Score]) -> Report:
    values: dict[str, list[float]] = {}
    for name, value in scores:
        values.setdefault(name, []).append(value)
    figures = {
        name: statistics.median(of_metric) if name.endswith("_ms") else statistics.fmean(of_metric)
        for name, of_metric in values.items()
    }
    counts = {name: len(of_metric) for name, of_metric in values.items()}
    right = next((name for name in ("answered_right", "sentence_right") if name in figures), None)
    if right and "refused_right" in figures:
        figures["balanced"] = (figures[right] + figures["refused_right"]) / 2
        counts["balanced"] = counts[right] + counts["refused_right"]
    return Report(dataset.name, len(dataset.documents), questions, precision, figures, counts)
