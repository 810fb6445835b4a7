"""Searching in 1,000 to 1,000,000 passages, and keeping an index of them.

Each size is measured in processes of its own: one writes the index, one asks it questions. What is embedded
is made up (see `tests.benchmarks.made_up`), the questions are real.
"""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tests.benchmarks.rows import Row, ran

POOL = """
import sys
from pathlib import Path
from tests.benchmarks import made_up
made_up.pool(Path(sys.argv[1]), Path(sys.argv[2]))
"""
WRITE = """
import sys, time
from pathlib import Path
from tests.benchmarks import made_up
bench, kept, index, chunks = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
pool = made_up.pool(bench, kept)
began = time.perf_counter()
made_up.write(index, pool, chunks)
result = {"build_s": time.perf_counter() - began}
timings = []
for seed in range(1, 6):
    began = time.perf_counter()
    made_up.change(index, pool, seed)
    timings.append(time.perf_counter() - began)
result["change_s"] = sorted(timings)[2]
"""
ASK = """
import random, sys, time
from pathlib import Path
import faiss, numpy as np
from rag import wiring
from rag.evaluation.datasets import read_dataset
from rag.retrieval.query import analyse
from rag.settings import resolve
from rag.text.analyzer import terms
from tests.benchmarks.rows import share
from tests.support import SEEDS
bench, index = Path(sys.argv[1]), Path(sys.argv[2])
questions = [one.text for one in read_dataset("wikipedia490", bench, SEEDS).questions]
random.Random(0).shuffle(questions)
retriever = wiring.retriever(resolve(index=index))
for question in questions[:300]:  # of each length there are some
    retriever.embedder.embed([question])
for question in questions[:100]:
    retriever.retrieve(analyse(question), 5)
timings = {"embed": [], "retrieve": [], "dense": [], "keyword": [], "flat": []}
def timed(name, work):
    began = time.perf_counter()
    found = work()
    timings[name].append(time.perf_counter() - began)
    return found
some = questions[300:700]
for question in some:
    timed("embed", lambda: retriever.embedder.embed([question]))
    timed("retrieve", lambda: retriever.retrieve(analyse(question), 5))
result = {"resident_mib": int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20}
with retriever.index.open() as snapshot:
    embedded = retriever.embedder.embed(some[:200])
    for question in some[:200]:
        timed("keyword", lambda: snapshot.keyword_search(terms(question), 50))
    near = [timed("dense", lambda: snapshot.dense_search(vector, 10)) for vector in embedded]
    flat = faiss.IndexIDMap2(faiss.IndexFlatIP(embedded.shape[1]))
    for ids, matrix in snapshot.vectors():
        flat.add_with_ids(matrix, ids)
    exact = [timed("flat", lambda: flat.search(vector[None], 10)[1][0].tolist()) for vector in embedded]
    result["chunks"] = snapshot.chunk_count()
result["recall"] = float(np.mean([len({i for i, _ in a} & {*b}) / 10 for a, b in zip(near, exact)]))
for name, found in timings.items():
    result[f"{name}_p50"], result[f"{name}_p99"] = share(found, 0.5), share(found, 0.99)
"""


def measured(bench: Path, kept: Path, sizes: Sequence[int]) -> list[dict]:
    """What was measured of an index of each size."""
    ran(POOL, bench, kept)
    found = []
    for size in sizes:
        index = kept / f"index-{size}"
        shutil.rmtree(index, ignore_errors=True)
        wrote = ran(WRITE, bench, kept, index, str(size))
        bytes_on_disk = sum(path.stat().st_size for path in index.iterdir())
        asked = ran(ASK, bench, index)
        found.append(
            {
                "size": size,
                "build_s": wrote["build_s"],
                "build_peak_mib": wrote["peak_mib"],
                "change_s": wrote["change_s"],
                "disk_mb": bytes_on_disk / 1e6,
                **asked,
            }
        )
        shutil.rmtree(index)
    return found


def rows(found: Sequence[dict]) -> list[Row]:
    """The rows for 100,000 and 1,000,000 passages, as far as they were measured."""
    made = []
    for one in found:
        if one["size"] == 100_000:
            for part in ("p50", "p99"):
                ratio = one[f"retrieve_{part}"] / one[f"embed_{part}"]
                made.append(
                    Row(
                        f"question to passages, 100,000 passages, {part}",
                        f"{one[f'retrieve_{part}']:.1f} ms",
                        f"{one[f'embed_{part}']:.1f} ms (embedding the question alone)",
                        f"{ratio:.2f} times",
                        "1.5 times",
                        ratio <= 1.5,
                    )
                )
        if one["size"] == 1_000_000:
            speed = one["flat_p50"] / one["dense_p50"]
            made += [
                Row(
                    "dense search, 1,000,000 passages",
                    f"{one['dense_p50']:.1f} ms, recall@10 {one['recall']:.3f}, built in "
                    f"{one['build_s']:.0f} s without embedding",
                    f"{one['flat_p50']:.0f} ms (FAISS Flat, on one core)",
                    f"{speed:.0f} times",
                    "10 times, recall 0.95",
                    speed >= 10 and one["recall"] >= 0.95,
                ),
                Row(
                    "memory, 1,000,000 passages",
                    f"{one['resident_mib'] / 1024:.2f} GiB resident",
                    "",
                    "",
                    "2.5 GB",
                    one["resident_mib"] * 2**20 <= 2.5e9,
                ),
                Row(
                    "keyword search, 1,000,000 passages",
                    f"{one['keyword_p50']:.1f} ms (p99 {one['keyword_p99']:.0f} ms)",
                    "",
                    "",
                    "30 ms",
                    one["keyword_p50"] <= 30,
                ),
            ]
    return made


GROWTH = {
    "build, without embedding": ("build_s", 1.0),
    "memory of a build, MiB": ("build_peak_mib", None),
    "question to passages": ("retrieve_p50", 1e-3),
    "memory of a search, MiB": ("resident_mib", None),
    "one document changed": ("change_s", 1.0),
}


def exponents(found: Sequence[dict]) -> dict[str, float]:
    """How each cost grows with the number of passages: the slope of a line through the logarithms."""
    sizes = [math.log(one["chunks"]) for one in found]
    return {
        name: float(np.polyfit(sizes, [math.log(one[key]) for one in found], 1)[0])
        for name, (key, _) in GROWTH.items()
    }


def plot(found: Sequence[dict], path: Path) -> None:
    """Seconds and memory by the number of passages."""
    slopes = exponents(found)
    figure, (time_axis, memory_axis) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, (key, unit) in GROWTH.items():
        axis = memory_axis if unit is None else time_axis
        values = [one[key] * (unit or 1.0) for one in found]
        label = f"{name.removesuffix(', MiB')} ({slopes[name]:+.2f})"
        axis.plot([one["chunks"] for one in found], values, "o-", label=label)
    for axis, what in ((time_axis, "seconds"), (memory_axis, "MiB")):
        axis.set(xscale="log", yscale="log", xlabel="passages", ylabel=what)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, title="(exponent)", title_fontsize=8)
    memory_axis.set_yticks([200, 500, 1_000, 2_000, 5_000], ["200", "500", "1,000", "2,000", "5,000"])
    memory_axis.minorticks_off()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
