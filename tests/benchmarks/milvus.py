"""What a passage costs in Milvus, and how long a question waits for it, beside an index in a folder.

Both have the same made-up passages. Dense search alone is compared: Milvus 2.3.5, which the tests run, has no
search by words.
"""

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rag import wiring
from rag.retrieval.query import analyse
from rag.settings import resolve
from tests.benchmarks import made_up
from tests.benchmarks.measuring import Row, percentile_ms, run_function
from tests.support.milvus_server import milvus_server

MOST = 100_000
"""The most passages that are measured: the server writes a few thousand a second on two cores."""


def write(bench: str, kept: str, index: str, chunks: str) -> dict:
    """Write an index of so many chunks: seconds for the rows, and until all are found."""
    return made_up.write(
        resolve(index=index, retrieval="dense"), made_up.pool(Path(bench), Path(kept)), int(chunks)
    )


def ask(bench: str, index: str) -> dict:
    """Ask an index questions: ms of a search and of its dense search, questions a second, the passages."""
    questions = made_up.questions(Path(bench))
    retriever = wiring.retriever(resolve(index=index, retrieval="dense"))
    for question in questions[:300]:
        retriever.embedder.embed([question])
    for question in questions[:50]:
        retriever.retrieve(analyse(question), 5)

    def asked(question: str) -> tuple[float, list[tuple[str, int, int]]]:
        began = time.perf_counter()
        passages = retriever.retrieve(analyse(question), 5).passages
        seconds = time.perf_counter() - began
        return seconds, [(passage.source, passage.start, passage.end) for passage in passages]

    one_by_one = [asked(question) for question in questions[300:500]]
    searching = []
    with retriever.index.open() as state:
        for vector in retriever.embedder.embed(questions[300:500]):
            began = time.perf_counter()
            state.dense_search(vector, 50)
            searching.append(time.perf_counter() - began)
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(asked, questions[500:900]))
    return {
        "retrieve_p50": percentile_ms([seconds for seconds, _ in one_by_one], 0.5),
        "retrieve_p99": percentile_ms([seconds for seconds, _ in one_by_one], 0.99),
        "search_p50": percentile_ms(searching, 0.5),
        "a_second": 400 / (time.perf_counter() - began),
        "passages": [passages for _, passages in one_by_one],
    }


def measured(bench: Path, kept: Path, size: int) -> dict:
    """What was measured of so many passages in a folder and in Milvus."""
    run_function(made_up.make_pool, bench, kept)
    index = kept / "index"
    run_function(write, bench, kept, index, str(size))
    folder = run_function(ask, bench, index)
    data = kept / "milvus"
    with milvus_server(data, kept / "programs") as server:
        address = f"milvus://127.0.0.1:{server.port}/passages"
        empty_mib = server.resident_mib()
        written = run_function(write, bench, kept, address, str(size))
        milvus = run_function(ask, bench, address)
        memory_mib = server.resident_mib() - empty_mib
        disk_mib = sum(path.lstat().st_size for path in data.rglob("*") if path.is_file()) / 2**20
    same = [a == b for a, b in zip(folder.pop("passages"), milvus.pop("passages"), strict=True)]
    return {
        "folder": folder,
        "milvus": milvus,
        "same": sum(same) / len(same),
        "upsert_a_second": size / written["upsert_s"],
        "finish_s": written["finish_s"],
        "memory_mib": memory_mib,
        "disk_mib": disk_mib,
    }


def rows(bench: Path, sizes: Sequence[int]) -> list[Row]:
    """The comparison at each of these sizes; those above `MOST` are left out."""
    return [row for size in sizes if size <= MOST for row in _rows(bench, size)]


def _rows(bench: Path, size: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as kept:
        result = measured(bench, Path(kept), size)
    folder, milvus = result["folder"], result["milvus"]
    figures = {
        "question to passages, median / 99th percentile": (
            *(f"{side['retrieve_p50']:.0f} / {side['retrieve_p99']:.0f} ms" for side in (milvus, folder)),
            f"{milvus['retrieve_p50'] / folder['retrieve_p50']:.1f} times",
        ),
        "dense search alone, median": (
            *(f"{side['search_p50']:.1f} ms" for side in (milvus, folder)),
            f"{milvus['search_p50'] / folder['search_p50']:.1f} times",
        ),
        "questions a second, 8 at once": (
            *(f"{side['a_second']:.0f}" for side in (milvus, folder)),
            f"{milvus['a_second'] / folder['a_second']:.2f} times",
        ),
        "the same five passages, share of 200 questions": ("", "", f"{result['same']:.3f}"),
        "writing": (
            f"{result['upsert_a_second']:.0f} passages/s, then {result['finish_s']:.0f} s until all is found",
            f"{result['memory_mib']:.0f} MiB of memory, {result['disk_mib']:.0f} MiB on disk (Milvus)",
            "",
        ),
    }
    return [
        Row(f"{size:,} passages in Milvus, beside a folder: {what}", ours, other, ratio, "-", True)
        for what, (ours, other, ratio) in figures.items()
    ]
