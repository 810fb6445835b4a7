"""The first text of an answer, and tokens a second, beside the bare model on the same prompt."""

import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag import wiring
from rag.answering.engine import Engine
from rag.evaluation.evaluate import indexed
from rag.llm.grammar import compose_grammar
from rag.llm.llama import LlamaModel
from rag.llm.prompts import read_templates, render
from rag.settings import resolve
from rag.training.datasets import read_dataset
from rag.types import Answer
from tests.benchmarks.measuring import Row
from tests.support import SEEDS

QUESTIONS = 40
TOKENS = 48


@dataclass(frozen=True, slots=True)
class Timing:
    """One answer: seconds to its first text, and in which the bare model reads its evidence and its passages.

    `asked`: whether the language model was asked; `message` and `grammar` are what it is asked with.
    """

    first_text_s: float
    evidence_s: float
    passages_s: float
    asked: bool
    message: str
    grammar: str


def rows(bench: Path) -> list[Row]:
    """Medians over questions on Wikipedia that are answered."""
    dataset = read_dataset("squad2", bench, SEEDS)
    engine = wiring.engine(resolve(index=indexed(dataset, resolve())))
    questions = [question.text for question in dataset.questions if question.answerable]
    random.Random(0).shuffle(questions)
    engine.answer(questions.pop())  # loads the model
    model = engine._worker.model
    assert isinstance(model, LlamaModel), "the engine has answered with it"
    timings: list[Timing] = []
    while len(timings) < QUESTIONS:
        if (timing := _timing(engine, model, questions.pop())) is not None:
            timings.append(timing)
    free = [_tokens_a_second(_freely(model, timing)) for timing in timings[: QUESTIONS // 2]]
    under = [_tokens_a_second(_under_grammar(model, timing)) for timing in timings[: QUESTIONS // 2]]
    asked = [timing for timing in timings if timing.asked]
    return [
        _first_text("first text of an answer, from the question on", timings),
        _first_text(f"the same, where the model was asked ({len(asked)} of {len(timings)})", asked),
        _sooner(timings),
        _tokens(statistics.median(free), statistics.median(under)),
    ]


def _timing(engine: Engine, model: LlamaModel, question: str) -> Timing | None:
    """What one question takes; None if it isn't answered."""
    first_text_s, answer = _answer(engine, question)
    if answer.abstained:
        return None
    shown = [sentence for sentence in answer.evidence if sentence.shown]
    evidence = [sentence.text for sentence in shown or answer.evidence[:3]]
    template = read_templates().quote
    message = render(template, evidence=evidence, question=question)
    passages = render(template, evidence=[passage.text for passage in answer.passages], question=question)
    return Timing(
        first_text_s,
        _reading_s(model, message),
        _reading_s(model, passages),
        bool(shown),
        message,
        compose_grammar(evidence, max_quotes=3, max_chars=400, may_refuse=False),
    )


def _answer(engine: Engine, question: str) -> tuple[float, Answer]:
    """Seconds to the first text of the answer, and the answer."""
    began = time.perf_counter()
    seconds = None
    for event in engine.stream(question):
        if isinstance(event, str) and seconds is None:
            seconds = time.perf_counter() - began
        if isinstance(event, Answer):
            return seconds or time.perf_counter() - began, event
    raise AssertionError("a stream ends with its Answer")


def _reading_s(model: LlamaModel, message: str) -> float:
    """Seconds in which the bare model reads the message."""
    tokens = model._chat(message)
    model._llama.reset()
    began = time.perf_counter()
    model._llama.eval(tokens)
    return time.perf_counter() - began


def _freely(model: LlamaModel, timing: Timing) -> Iterator[Any]:
    tokens = model._chat(timing.message)
    return iter(model._llama.create_completion(tokens, max_tokens=TOKENS, temperature=0.0, stream=True))


def _under_grammar(model: LlamaModel, timing: Timing) -> Iterator[Any]:
    return model.generate(
        timing.message,
        opening="",
        grammar=timing.grammar,
        bias={},
        max_tokens=TOKENS,
        cancelled=lambda: False,
    )


def _tokens_a_second(pieces: Iterator[Any]) -> float:
    """Tokens a second after the first token."""
    next(pieces)
    began = time.perf_counter()
    count = sum(1 for _ in pieces)
    return count / (time.perf_counter() - began)


def _first_text(work: str, timings: list[Timing]) -> Row:
    ours = statistics.median([timing.first_text_s for timing in timings])
    other = statistics.median([timing.evidence_s for timing in timings])
    return Row(
        work,
        f"{1000 * ours:.0f} ms",
        f"{1000 * other:.0f} ms (the bare model reads the evidence)",
        f"{ours / other:.2f} times",
        "1.15 times",
        ours <= 1.15 * other,
    )


def _sooner(timings: list[Timing]) -> Row:
    ours = statistics.median([timing.first_text_s for timing in timings])
    other = statistics.median([timing.passages_s for timing in timings])
    return Row(
        "the first text of all of them",
        f"{1000 * ours:.0f} ms",
        f"{1000 * other:.0f} ms (the bare model reads five whole passages)",
        f"{other / ours:.1f} times sooner",
        "3 times",
        other >= 3 * ours,
    )


def _tokens(free: float, under: float) -> Row:
    return Row(
        "tokens a second under the grammar",
        f"{under:.0f}",
        f"{free:.0f} (bare model)",
        f"{under / free:.2f} times",
        "0.9 times",
        under >= 0.9 * free,
    )
