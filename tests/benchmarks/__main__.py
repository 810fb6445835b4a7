"""How fast the product is, beside what else does the same work.

Without a WHAT everything is measured, which takes two hours on two cores with --peers and sizes up to
1,000,000; nothing else should run meanwhile. README.md beside this file says more.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import builds, embedding, generating, milvus, searching, starts
from tests.benchmarks.measuring import Row

Given = argparse.Namespace

WHAT: dict[str, Callable[[Given], list[Row]]] = {
    "embedding": lambda given: embedding.rows(given.bench),
    "builds": lambda given: builds.rows(given.bench, given.peers, every_document=given.every_document),
    "changes": lambda given: builds.changes(given.bench),
    "starts": lambda given: starts.rows(),
    "generating": lambda given: generating.rows(given.bench),
    "searching": lambda given: searching.rows(_growth(given)),
    "milvus": lambda given: milvus.rows(given.bench, given.sizes),
}


def main() -> None:
    """Measure, print the table, and write what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {', '.join(WHAT)}")
    parser.add_argument(
        "--bench", type=Path, help="the folder of the evaluation sets; only starts needs none"
    )
    parser.add_argument("--peers", type=Path, help="the Python of an environment that has the other systems")
    parser.add_argument("--every-document", action="store_true", help="build all of Wikipedia's articles")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[1_000, 10_000, 100_000, 1_000_000],
        help="how many passages searching and milvus have",
    )
    parser.add_argument("--json", type=Path, help="the file to write what was measured to")
    parser.add_argument("--plot", type=Path, help="the file to draw to how the costs of searching grow")
    given = parser.parse_args()
    given.growth = []
    names = given.what or [*WHAT]
    if unknown := {*names} - {*WHAT}:
        parser.error(f"{', '.join(sorted(unknown))}: name some of {', '.join(WHAT)}")
    if given.bench is None and names != ["starts"]:
        parser.error("name the folder of the evaluation sets: --bench DIR")
    rows: list[Row] = []
    for name in names:
        measured = WHAT[name](given)
        rows += measured
        print("\n".join(map(_line, measured)), flush=True)
        if given.json:
            results = {"rows": [asdict(row) for row in rows], "growth": given.growth}
            given.json.write_text(json.dumps(results, indent=2), "utf-8")
    if given.growth and len(given.sizes) > 1:
        for name, slope in searching.exponents(given.growth).items():
            print(f"{name}: passages to the power of {slope:.2f}")
        if given.plot:
            searching.plot(given.growth, given.plot)


def _growth(given: Given) -> list[dict]:
    """What was measured at each size, which the plot needs too."""
    with tempfile.TemporaryDirectory() as kept:
        given.growth = searching.measured(given.bench, Path(kept), given.sizes)
    return given.growth


def _line(row: Row) -> str:
    reached = "yes" if row.reached else "no"
    return f"| {row.work} | {row.ours} | {row.other} | {row.ratio} | {row.target} | {reached} |"


if __name__ == "__main__":
    main()
