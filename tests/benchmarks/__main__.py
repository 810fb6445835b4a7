"""How fast, beside what else does the same: python -m tests.benchmarks [WHAT ...] [--json FILE].

WHAT: embedding, builds, changes, starts, generating, searching, beyond (all but those left out). Takes two
hours on two cores with --peers and --sizes up to 1,000,000; nothing else should run meanwhile. The other
benchmarks, of what search and abstention are worth, are programs of their own in this folder.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.rows import Row

WHAT = ("embedding", "builds", "changes", "starts", "generating", "searching", "beyond")


def main() -> None:
    """Measure, print the table, and write what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {', '.join(WHAT)}")
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="the folder of the sets")
    parser.add_argument("--peers", type=Path, help="the Python that has the other systems")
    parser.add_argument("--every-document", action="store_true", help="build all of Wikipedia's articles")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--json", type=Path, help="where to write what was measured")
    parser.add_argument("--plot", type=Path, help="where to draw how costs grow")
    given = parser.parse_args()
    for what in given.what:
        if what not in WHAT:
            parser.error(f"{what} is none of {', '.join(WHAT)}")
    found: list[Row] = []
    growth: list[dict] = []
    for what in given.what or WHAT:
        made: list[Row] = []
        if what == "embedding":
            from tests.benchmarks import embedding

            made = embedding.rows(given.bench)
        elif what == "builds":
            from tests.benchmarks import builds

            made = builds.rows(given.bench, given.peers, every_document=given.every_document)
        elif what == "changes":
            from tests.benchmarks import builds

            made = builds.changes(given.bench)
        elif what == "starts":
            from tests.benchmarks import starts

            made = starts.rows()
        elif what == "generating":
            from tests.benchmarks import generating

            made = generating.rows(given.bench)
        elif what == "searching":
            from tests.benchmarks import searching

            with tempfile.TemporaryDirectory() as kept:
                growth = searching.measured(given.bench, Path(kept), given.sizes)
            made = searching.rows(growth)
        elif what == "beyond":
            from tests.benchmarks import beyond

            made = beyond.rows(given.bench, [size for size in given.sizes if size <= beyond.MOST])
        found += made
        for one in made:
            print(_line(one), flush=True)
        if given.json:
            measured = {"rows": [asdict(one) for one in found], "growth": growth}
            given.json.write_text(json.dumps(measured, indent=2), "utf-8")
    if growth:
        from tests.benchmarks import searching

        for name, slope in searching.exponents(growth).items():
            print(f"{name}: passages to the power of {slope:.2f}")
        if given.plot:
            searching.plot(growth, given.plot)


def _line(row: Row) -> str:
    return (
        f"| {row.work} | {row.ours} | {row.other} | {row.figure} | {row.asked} "
        f"| {'yes' if row.reached else 'no'} |"
    )


if __name__ == "__main__":
    main()
