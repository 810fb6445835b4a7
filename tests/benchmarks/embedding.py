"""Embedding chunks, beside sentence-transformers on the same chunks."""

import random
import statistics
import time
from pathlib import Path
from typing import get_args

from sentence_transformers import SentenceTransformer

from rag import wiring
from rag.evaluation.evaluate import evaluate
from rag.models.hub import download
from rag.models.registry import find_embedder
from rag.settings import Precision, resolve
from rag.text.chunking import MAX_TOKENS, chunks
from rag.text.sentences import sentences
from rag.training.datasets import read_dataset
from tests.benchmarks.measuring import Row
from tests.support import SEEDS

CHUNKS = 1024
REPEATS = 3


def texts(bench: Path, count: int) -> list[str]:
    """So many chunks of Wikipedia articles, drawn at random."""
    dataset = read_dataset("wikipedia490", bench, SEEDS)
    names = sorted(dataset.documents)
    random.Random(0).shuffle(names)
    counter = wiring.embedder(resolve())
    found: list[str] = []
    for name in names:
        of_text = chunks(dataset.documents[name], count_tokens=counter.count_tokens, max_tokens=MAX_TOKENS)
        found += [chunk.text for chunk in of_text]
        if len(found) >= 4 * count:
            break
    random.Random(1).shuffle(found)
    return found[:count]


def rows(bench: Path) -> list[Row]:
    """Chunks a second on each side; ours also with the vectors of sentences, which the other doesn't make."""
    ours = wiring.embedder(resolve(precision="int8"))
    plain = SentenceTransformer(str(find_embedder("embedded", download).path.parent), device="cpu")
    drawn = texts(bench, CHUNKS)
    spans = [sentences(text) for text in drawn]
    works = {
        "plain": lambda: plain.encode(drawn, show_progress_bar=False),
        "ours": lambda: ours.embed(drawn),
        "ours with sentences": lambda: ours.embed_with_spans(drawn, spans),
    }
    timings: dict[str, list[float]] = {name: [] for name in works}
    ours.embed(drawn[:64])
    plain.encode(drawn[:64], show_progress_bar=False)
    for _ in range(REPEATS):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            timings[name].append(time.perf_counter() - began)
    speed = {name: CHUNKS / statistics.median(seconds) for name, seconds in timings.items()}
    return [
        *_quality(bench),
        *(
            Row(
                f"embedding {CHUNKS} chunks of Wikipedia"
                + (", and their sentences" if "with" in name else ""),
                f"{speed[name]:.0f} chunks/s (int8)",
                f"{speed['plain']:.0f} chunks/s (SentenceTransformer.encode, fp32)",
                f"{speed[name] / speed['plain']:.2f} times",
                "2.5 times",
                speed[name] >= 2.5 * speed["plain"],
            )
            for name in ("ours", "ours with sentences")
        ),
    ]


def _quality(bench: Path) -> list[Row]:
    """What search finds with weights in eight bits, beside the original weights."""
    rows = []
    for name, metric in (("chroma", "recall@5"), ("squad2", "hit@5")):
        dataset = read_dataset(name, bench, SEEDS)
        found: dict[Precision, float] = {}
        for precision in get_args(Precision):
            settings = resolve(precision=precision)
            report = evaluate(dataset, dataset.questions, settings, answers=False, advance=lambda: None)
            assert report.precision == precision
            found[precision] = report.metrics[metric]
        rows.append(
            Row(
                f"{metric} of {name}",
                f"{found['int8']:.3f} (int8)",
                f"{found['fp32']:.3f} (fp32)",
                f"{100 * (found['int8'] - found['fp32']):+.1f} points",
                "-0.5 points",
                found["int8"] >= found["fp32"] - 0.005,
            )
        )
    return rows
