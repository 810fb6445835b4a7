"""What it takes to keep an index in step with a folder, beside a full build of it.

    python -m tests.benchmarks.builds [--documents 1000] [--json]

The documents are made of the seed articles' sentences. Each build is a process of its own, as `rag build` is
one; the median of five is taken, but for the full build. Prints seconds, the ratio to the full build, and
whether the build imported torch, which it need not where nothing is new.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rag.documents import files
from rag.sentences import sentences
from tests.conftest import SEEDS

SENTENCES = 8
REPEATS = 5
BUILD = """
import json, sys, time
began = time.perf_counter()
import rag
report = rag.build(sys.argv[1], index=sys.argv[2])
print(json.dumps({"seconds": time.perf_counter() - began, "torch": "torch" in sys.modules,
                  "added": len(report.added), "removed": len(report.removed)}))
"""


def built(documents: Path, index: Path) -> dict:
    """What a build says, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, documents, index], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def write(folder: Path, count: int) -> None:
    """So many documents, no two of them alike."""
    found = []
    for path in sorted(SEEDS.glob("*.txt")):
        text = path.read_text("utf-8")
        found += [text[start:end] for start, end in sentences(text)]
    chooser = random.Random(0)
    for number in range(count):
        said = " ".join(chooser.sample(found, SENTENCES))
        (folder / f"{number:04}.txt").write_text(f"Report {number}. {said}", "utf-8")


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description="Time the builds of a folder.")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as place:
        folder, index = Path(place, "documents"), Path(place, "index")
        folder.mkdir()
        write(folder, given.documents)
        rows["full"] = built(folder, index)
        kept: dict[str, list[dict]] = {"unchanged": [], "one removed": []}
        for number in range(REPEATS):
            kept["unchanged"].append(built(folder, index))
            (folder / f"{number:04}.txt").unlink()
            kept["one removed"].append(built(folder, index))
        for name, found in kept.items():
            rows[name] = found[0] | {"seconds": statistics.median(one["seconds"] for one in found)}
        assert sum(1 for _ in files(folder)) == given.documents - REPEATS
    full = rows["full"]["seconds"]
    if given.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        torch = "torch" if row["torch"] else "no torch"
        print(f"{name:12} {row['seconds']:7.2f} s  {full / row['seconds']:6.0f} times faster  {torch}")


if __name__ == "__main__":
    main()
