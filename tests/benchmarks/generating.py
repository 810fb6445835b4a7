"""The first token of an answer, and tokens a second, beside the bare model on the same prompt."""

import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag import wiring
from rag.answering.engine import Engine
from rag.evaluation.datasets import read_dataset
from rag.evaluation.evaluate import indexed
from rag.llm.grammar import compose_grammar
from rag.llm.llama import LlamaModel
from rag.llm.prompts import read_templates, render
from rag.settings import resolve
from rag.types import Answer
from tests.benchmarks.rows import Row
from tests.support import SEEDS

QUESTIONS = 40
TOKENS = 48


def rows(bench: Path) -> list[Row]:
    """Medians over questions on Wikipedia that are answered."""
    dataset = read_dataset("squad2", bench, SEEDS)
    engine = wiring.engine(resolve(index=indexed(dataset, resolve())))
    questions = [one.text for one in dataset.questions if one.answerable]
    random.Random(0).shuffle(questions)
    templates = read_templates()
    engine.answer(questions[-1])  # the model is loaded
    model = engine._worker.model
    assert isinstance(model, LlamaModel), "it has answered"
    first: list[float] = []
    asked: list[float] = []
    short: list[float] = []
    long: list[float] = []
    bare_asked: list[float] = []
    speeds: dict[str, list[float]] = {"free": [], "grammar": []}
    for question in questions:
        if len(first) == QUESTIONS:
            break
        seconds, answer = _first_text(engine, question)
        if answer.abstained:
            continue
        shown = [one for one in answer.evidence if one.shown]
        evidence = [one.text for one in shown or answer.evidence[:3]]
        message = render(templates.quote, evidence=evidence, question=question)
        passages = render(templates.quote, evidence=[one.text for one in answer.passages], question=question)
        first.append(seconds)
        short.append(_prefill(model, message))
        long.append(_prefill(model, passages))
        if shown:
            asked.append(seconds)
            bare_asked.append(short[-1])
        if len(speeds["free"]) < QUESTIONS // 2:
            grammar = compose_grammar(evidence, max_quotes=3, max_chars=400, may_refuse=False)
            speeds["free"].append(_speed(_free(model, message)))
            speeds["grammar"].append(_speed(_under(model, message, grammar)))
    return [
        _row("first text of an answer, from the question on", first, short, "prefill of the evidence", 1.15),
        _row(
            f"the same, where the model was asked ({len(asked)} of {len(first)})",
            asked,
            bare_asked,
            "prefill of the evidence",
            1.15,
        ),
        _sooner(first, long),
        _tokens(speeds),
    ]


def _first_text(engine: Engine, question: str) -> tuple[float, Answer]:
    began = time.perf_counter()
    seconds = None
    for event in engine.stream(question):
        if isinstance(event, str) and seconds is None:
            seconds = time.perf_counter() - began
        if isinstance(event, Answer):
            return seconds or time.perf_counter() - began, event
    raise AssertionError("a stream ends with its Answer")


def _prefill(model: LlamaModel, message: str) -> float:
    """Seconds in which the bare model reads the message."""
    tokens = model._chat(message)
    model._llama.reset()
    began = time.perf_counter()
    model._llama.eval(tokens)
    return time.perf_counter() - began


def _free(model: LlamaModel, message: str) -> Iterator[Any]:
    yield from model._llama.create_completion(
        model._chat(message), max_tokens=TOKENS, temperature=0.0, stream=True
    )


def _under(model: LlamaModel, message: str, grammar: str) -> Iterator[Any]:
    yield from model.generate(
        message, opening="", grammar=grammar, bias={}, max_tokens=TOKENS, cancelled=lambda: False
    )


def _speed(pieces: Iterator[Any]) -> float:
    """Tokens a second after the first."""
    next(pieces)
    began = time.perf_counter()
    count = sum(1 for _ in pieces)
    return count / (time.perf_counter() - began)


def _row(work: str, ours: list[float], other: list[float], what: str, at_most: float) -> Row:
    mine, its = statistics.median(ours), statistics.median(other)
    return Row(
        work,
        f"{1000 * mine:.0f} ms",
        f"{1000 * its:.0f} ms ({what})",
        f"{mine / its:.2f} times",
        f"{at_most} times",
        mine <= at_most * its,
    )


def _sooner(first: list[float], long: list[float]) -> Row:
    mine, its = statistics.median(first), statistics.median(long)
    return Row(
        "the same",
        f"{1000 * mine:.0f} ms",
        f"{1000 * its:.0f} ms (prefill of five whole passages)",
        f"{its / mine:.1f} times sooner",
        "3 times",
        its >= 3 * mine,
    )


def _tokens(speeds: dict[str, list[float]]) -> Row:
    free, under = (statistics.median(speeds[name]) for name in ("free", "grammar"))
    return Row(
        "tokens a second under the grammar",
        f"{under:.0f}",
        f"{free:.0f} (bare model)",
        f"{under / free:.2f} times",
        "0.9 times",
        under >= 0.9 * free,
    )
