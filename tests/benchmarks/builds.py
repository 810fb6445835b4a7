"""Building an index, and updating it when its folder changes.

Each build is a process of its own, as `rag build` is. Other systems build an index of the same folder in an
environment that has them (`--peers`, its Python; README.md names the packages).
"""

import json
import random
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rag.models.hub import download
from rag.models.registry import find_embedder
from rag.training.datasets import read_dataset
from tests.benchmarks.measuring import Row, run_code
from tests.support import ROOT, SEEDS

DOCUMENTS = 60
"""So many of Wikipedia's 490 articles, drawn at random, unless all are asked for."""

ARTICLES = 1000
"""So many news articles are in the folder that changes."""

REPEATS = 5
BUILD = """
import json, sys, time
began = time.perf_counter()
import rag
report = rag.build(sys.argv[1], index=sys.argv[2])
result = {"inside": time.perf_counter() - began, "added": len(report.added), "changed": len(report.changed)}
"""


def write(texts: Mapping[str, str], folder: Path, count: int) -> None:
    """Write so many of the texts, drawn at random, as files."""
    folder.mkdir()
    for name in random.Random(0).sample(sorted(texts), min(count, len(texts))):
        path = folder / f"{Path(name).stem}.txt"
        path.write_text(texts[name], "utf-8")


def rows(bench: Path, peers: Path | None, *, every_document: bool) -> list[Row]:
    """Our seconds and memory beside each other system's; no rows without `peers`."""
    if peers is None:
        return []
    dataset = read_dataset("wikipedia490", bench, SEEDS)
    count = len(dataset.documents) if every_document else DOCUMENTS
    model = find_embedder("embedded", download).path.parent
    made = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "documents")
        write(dataset.documents, folder, count)
        ours = run_code(BUILD, folder, Path(place, "index"))
        for program in ("llama_index_build", "haystack_build"):
            done = subprocess.run(
                [peers, ROOT / f"tests/benchmarks/peers/{program}.py", folder, Path(place, program), model],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                check=True,
            )
            other = json.loads(done.stdout.splitlines()[-1])
            ratio = other["seconds"] / ours["inside"]
            made.append(
                Row(
                    f"building {count} articles of Wikipedia",
                    f"{ours['inside']:.0f} s, {ours['peak_mib']:.0f} MiB",
                    f"{other['seconds']:.0f} s, {other['peak_mib']:.0f} MiB, {other['chunks']} chunks "
                    f"({program.removesuffix('_build')})",
                    f"{ratio:.2f} times",
                    "2.5 times, no more memory",
                    ratio >= 2.5 and ours["peak_mib"] <= other["peak_mib"],
                )
            )
    return made


def changes(bench: Path) -> list[Row]:
    """An update after no change and after one changed document, beside the full build."""
    dataset = read_dataset("news2025", bench, SEEDS)
    timings: dict[str, list[float]] = {"nothing changed": [], "one document changed": []}
    with tempfile.TemporaryDirectory() as place:
        folder, index = Path(place, "documents"), Path(place, "index")
        write(dataset.documents, folder, ARTICLES)
        full = run_code(BUILD, folder, index)["seconds"]
        for path in sorted(folder.iterdir())[:REPEATS]:
            timings["nothing changed"].append(run_code(BUILD, folder, index)["seconds"])
            path.write_text(path.read_text("utf-8") + "\nOne more line.", "utf-8")
            changed = run_code(BUILD, folder, index)
            assert changed["changed"] == 1
            timings["one document changed"].append(changed["seconds"])
    targets = {"nothing changed": 200, "one document changed": 50}
    return [
        Row(
            f"rebuilding {ARTICLES} news articles, {what}",
            f"{statistics.median(seconds):.2f} s",
            f"{full:.0f} s (full build)",
            f"{full / statistics.median(seconds):.0f} times",
            f"{targets[what]} times",
            full >= targets[what] * statistics.median(seconds),
        )
        for what, seconds in timings.items()
    ]
