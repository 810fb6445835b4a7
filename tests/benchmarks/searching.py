"""Searching in 1,000 to 1,000,000 passages, and keeping an index of them up to date.

Each size is measured in processes of its own: one writes the index, one asks it questions. The vectors are
made up (see `tests.benchmarks.made_up`), the questions are real.
"""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from rag import wiring
from rag.index.disk.index import DiskState
from rag.retrieval.query import analyse
from rag.settings import resolve
from rag.text.analyzer import terms
from tests.benchmarks import made_up
from tests.benchmarks.measuring import Row, percentile_ms, run_function

CHANGES = 5

Result = TypeVar("Result")


def write(bench: str, kept: str, index: str, chunks: str) -> dict:
    """Write an index of so many chunks, then change documents in it: seconds."""
    pool, settings = made_up.pool(Path(bench), Path(kept)), resolve(index=index)
    began = time.perf_counter()
    made_up.write(settings, pool, int(chunks))
    build_s = time.perf_counter() - began
    changes = []
    for seed in range(1, CHANGES + 1):
        began = time.perf_counter()
        made_up.change(settings, pool, seed)
        changes.append(time.perf_counter() - began)
    return {"build_s": build_s, "change_s": sorted(changes)[CHANGES // 2]}


def ask(bench: str, index: str) -> dict:
    """Ask an index questions: ms of each step of a search, memory, and the recall of dense search."""
    import faiss

    questions = made_up.questions(Path(bench))
    retriever = wiring.retriever(resolve(index=index))
    for question in questions[:300]:  # so many have every length, for which the embedder prepares
        retriever.embedder.embed([question])
    for question in questions[:100]:
        retriever.retrieve(analyse(question), 5)
    seconds: dict[str, list[float]] = {}

    def timed(step: str, work: Callable[..., Result], *arguments: object) -> Result:
        began = time.perf_counter()
        result = work(*arguments)
        seconds.setdefault(step, []).append(time.perf_counter() - began)
        return result

    measured = questions[300:700]
    for question in measured:
        timed("embed", retriever.embedder.embed, [question])
        timed("retrieve", lambda text: retriever.retrieve(analyse(text), 5), question)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    with retriever.index.open() as state:
        assert isinstance(state, DiskState)
        vectors = retriever.embedder.embed(measured[:200])
        for question in measured[:200]:
            timed("keyword", lambda text: state.keyword_search(terms(text), 50), question)
        near = [timed("dense", state.dense_search, vector, 10) for vector in vectors]
        flat = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
        for ids, matrix in state.vectors():
            flat.add_with_ids(matrix, ids)
        exact = [timed("flat", flat.search, vector[None], 10)[1][0].tolist() for vector in vectors]
        chunks = state.chunk_count()
    shared = [len({chunk for chunk, _ in found} & {*best}) for found, best in zip(near, exact, strict=True)]
    percentiles = {
        f"{step}_p{percent}": percentile_ms(of_step, percent / 100)
        for step, of_step in seconds.items()
        for percent in (50, 99)
    }
    resident_mib = pages * 4096 / 2**20
    return {
        "chunks": chunks,
        "resident_mib": resident_mib,
        "recall": float(np.mean(shared)) / 10,
    } | percentiles


def measured(bench: Path, kept: Path, sizes: Sequence[int]) -> list[dict]:
    """What was measured of an index of each size, all of them in the folder `kept`."""
    run_function(made_up.make_pool, bench, kept)
    results = []
    for size in sizes:
        index = kept / f"index-{size}"
        shutil.rmtree(index, ignore_errors=True)
        written = run_function(write, bench, kept, index, str(size))
        disk_mb = sum(path.stat().st_size for path in index.iterdir()) / 1e6
        asked = run_function(ask, bench, index)
        build = {key: written[key] for key in ("build_s", "change_s")}
        build |= {"build_peak_mib": written["peak_mib"], "disk_mb": disk_mb}
        results.append({"size": size} | build | asked)
        shutil.rmtree(index)
    return results


def rows(results: Sequence[dict]) -> list[Row]:
    """The rows for 100,000 and 1,000,000 passages, as far as they were measured."""
    made: list[Row] = []
    for result in results:
        if result["size"] == 100_000:
            made += [_beside_embedding(result, part) for part in ("p50", "p99")]
        if result["size"] == 1_000_000:
            made += _of_a_million(result)
    return made


def _beside_embedding(result: dict, part: str) -> Row:
    retrieve, embed = result[f"retrieve_{part}"], result[f"embed_{part}"]
    return Row(
        f"question to passages, 100,000 passages, {part}",
        f"{retrieve:.1f} ms",
        f"{embed:.1f} ms (embedding the question alone)",
        f"{retrieve / embed:.2f} times",
        "1.5 times",
        retrieve <= 1.5 * embed,
    )


def _of_a_million(result: dict) -> list[Row]:
    speed = result["flat_p50"] / result["dense_p50"]
    return [
        Row(
            "dense search, 1,000,000 passages",
            f"{result['dense_p50']:.1f} ms, recall@10 {result['recall']:.3f}, built in "
            f"{result['build_s']:.0f} s without embedding",
            f"{result['flat_p50']:.0f} ms (FAISS Flat, on one core)",
            f"{speed:.0f} times",
            "10 times, recall 0.95",
            speed >= 10 and result["recall"] >= 0.95,
        ),
        Row(
            "memory, 1,000,000 passages",
            f"{result['resident_mib'] / 1024:.2f} GiB resident",
            "",
            "",
            "2.5 GB",
            result["resident_mib"] * 2**20 <= 2.5e9,
        ),
        Row(
            "keyword search, 1,000,000 passages",
            f"{result['keyword_p50']:.1f} ms (p99 {result['keyword_p99']:.0f} ms)",
            "",
            "",
            "30 ms",
            result["keyword_p50"] <= 30,
        ),
    ]


GROWTH = {
    "build, without embedding": ("build_s", 1.0),
    "memory of a build, MiB": ("build_peak_mib", None),
    "question to passages": ("retrieve_p50", 1e-3),
    "memory of a search, MiB": ("resident_mib", None),
    "one document changed": ("change_s", 1.0),
}


def exponents(results: Sequence[dict]) -> dict[str, float]:
    """The power of the number of passages with which each cost grows: the slope of its log-log line."""
    sizes = [math.log(result["chunks"]) for result in results]
    return {
        name: float(np.polyfit(sizes, [math.log(result[key]) for result in results], 1)[0])
        for name, (key, _) in GROWTH.items()
    }


def plot(results: Sequence[dict], path: Path) -> None:
    """Draw seconds and memory by the number of passages."""
    import matplotlib.pyplot as plt

    slopes = exponents(results)
    figure, (time_axis, memory_axis) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, (key, unit) in GROWTH.items():
        axis = memory_axis if unit is None else time_axis
        values = [result[key] * (unit or 1.0) for result in results]
        label = f"{name.removesuffix(', MiB')} ({slopes[name]:+.2f})"
        axis.plot([result["chunks"] for result in results], values, "o-", label=label)
    for axis, unit_name in ((time_axis, "seconds"), (memory_axis, "MiB")):
        axis.set(xscale="log", yscale="log", xlabel="passages", ylabel=unit_name)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, title="(exponent)", title_fontsize=8)
    memory_axis.set_yticks([200, 500, 1_000, 2_000, 5_000], ["200", "500", "1,000", "2,000", "5,000"])
    memory_axis.minorticks_off()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
