"""Beyond one machine: what a passage costs in Milvus, and what a question waits for it, beside a folder.

The same made-up passages are in both; dense search alone is compared, which the server of the tests has.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.rows import Row, ran
from tests.benchmarks.searching import POOL
from tests.support.milvus_server import milvus_server

MOST = 100_000
"""So many passages at most: the server of the tests writes some hundreds a second on two cores."""

WRITE = """
import sys
from pathlib import Path
from tests.benchmarks import made_up
made_up.write(Path(sys.argv[3]), made_up.pool(Path(sys.argv[1]), Path(sys.argv[2])), int(sys.argv[4]))
"""
WRITE_MILVUS = """
import itertools, sys, time
from pathlib import Path
from rag.index.milvus.backend import MilvusBackend
from rag import wiring
from rag.index.base import EmbeddedDocument
from rag.retrieval.query import analyse
from rag.settings import resolve
from tests.benchmarks import made_up
bench, kept, chunks = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4])
place = resolve(index=sys.argv[3]).index
identity = wiring.identity_of(resolve())
made = made_up.documents(made_up.pool(bench, kept), chunks // made_up.CHUNKS)
upserting = 0.0
now = {}
began = time.perf_counter()
with MilvusBackend(place, keyword=False).write(identity, rebuild=False) as writer:
    while some := [EmbeddedDocument(d, tuple(p), tuple(e)) for d, p, e in itertools.islice(made, 50)]:
        now |= {one.document.source: one.document.sha256 for one in some}
        started = time.perf_counter()
        writer.upsert(some)
        upserting += time.perf_counter() - started
    started = time.perf_counter()
    writer.finish(now)
    result = {"upsert_s": upserting, "finish_s": time.perf_counter() - started}
"""
ASK = """
import random, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from rag import wiring
from rag.evaluation.datasets import read_dataset
from rag.retrieval.query import analyse
from rag.settings import resolve
from tests.benchmarks.rows import share
from tests.support import SEEDS
bench, place, kept = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
questions = [one.text for one in read_dataset("wikipedia490", bench, SEEDS).questions]
random.Random(0).shuffle(questions)
retriever = wiring.retriever(resolve(index=place, retrieval="dense"))
for question in questions[:300]:
    retriever.embedder.embed([question])
for question in questions[:50]:
    retriever.retrieve(analyse(question), 5)
def asked(question):
    began = time.perf_counter()
    found = retriever.retrieve(analyse(question), 5)
    return time.perf_counter() - began, [(one.source, one.start, one.end) for one in found.passages]
one_by_one = [asked(question) for question in questions[300:500]]
with retriever.index.open() as state:
    searching = []
    for vector in retriever.embedder.embed(questions[300:500]):
        began = time.perf_counter()
        state.dense_search(vector, 50)
        searching.append(time.perf_counter() - began)
began = time.perf_counter()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(asked, questions[500:900]))
result = {
    "retrieve_p50": share([t for t, _ in one_by_one], 0.5),
    "retrieve_p99": share([t for t, _ in one_by_one], 0.99),
    "search_p50": share(searching, 0.5),
    "a_second": 400 / (time.perf_counter() - began),
    "passages": [found for _, found in one_by_one],
}
"""


def measured(bench: Path, kept: Path, size: int) -> dict:
    """What was measured of so many passages in a folder and in Milvus."""
    ran(POOL, bench, kept)
    index = kept / "index"
    ran(WRITE, bench, kept, index, str(size))
    folder = ran(ASK, bench, index, kept)
    data = kept / "milvus"
    with milvus_server(data, kept / "programs") as server:
        place = f"milvus://127.0.0.1:{server.port}/passages"
        empty = server.resident_mib()
        wrote = ran(WRITE_MILVUS, bench, kept, place, str(size))
        milvus = ran(ASK, bench, place, kept)
        memory = server.resident_mib() - empty
        disk = sum(path.lstat().st_size for path in data.rglob("*") if path.is_file()) / 2**20
    same = [a == b for a, b in zip(folder.pop("passages"), milvus.pop("passages"), strict=True)]
    return {"size": size, "folder": folder, "milvus": milvus, "same": sum(same) / len(same)} | {
        "upsert_a_second": size / wrote["upsert_s"],
        "finish_s": wrote["finish_s"],
        "memory_mib": memory,
        "disk_mib": disk,
    }


def rows(bench: Path, sizes: Sequence[int]) -> list[Row]:
    """The comparison, at each of these sizes."""
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as kept:
            was = measured(bench, Path(kept), size)
        folder, milvus = was["folder"], was["milvus"]
        figures = {
            "question to passages, median / 99th in 100": (
                *(f"{one['retrieve_p50']:.0f} / {one['retrieve_p99']:.0f} ms" for one in (milvus, folder)),
                f"{milvus['retrieve_p50'] / folder['retrieve_p50']:.1f}x",
            ),
            "dense search alone, median": (
                *(f"{one['search_p50']:.1f} ms" for one in (milvus, folder)),
                f"{milvus['search_p50'] / folder['search_p50']:.1f}x",
            ),
            "questions a second, 8 at once": (
                *(f"{one['a_second']:.0f}" for one in (milvus, folder)),
                f"{milvus['a_second'] / folder['a_second']:.2f}x",
            ),
            "the same five passages of 200 questions": ("", "", f"{was['same']:.3f}"),
            "written": (
                f"{was['upsert_a_second']:.0f} passages/s, then {was['finish_s']:.0f} s until all is found",
                f"{was['memory_mib']:.0f} MiB of memory, {was['disk_mib']:.0f} MiB on disk",
                "",
            ),
        }
        for what, (ours, other, figure) in figures.items():
            found.append(Row(f"{size:,} in Milvus, in a folder: {what}", ours, other, figure, "-", True))
    return found
