"""What the benchmarks share: a row of the table, and measuring other processes."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: what was measured on both sides, what was asked, and whether it is reached."""

    work: str
    ours: str
    other: str
    figure: str
    asked: str
    reached: bool


def share(timings: Sequence[float], part: float) -> float:
    """The timing that so large a part of them doesn't exceed, in milliseconds."""
    return 1000 * sorted(timings)[min(int(len(timings) * part), len(timings) - 1)]


def ran(code: str, *arguments: str | Path, python: str | Path = sys.executable) -> dict:
    """The JSON that a process of its own prints last, with the `seconds` it took and its `peak_mib`."""
    last = (
        f"{code}\nimport json as _json, re as _re\n"
        # Of this process alone: what getrusage tells counts the one that it was forked from.
        "_peak = int(_re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "print(_json.dumps((globals().get('result') or {}) | {'peak_mib': _peak}))"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [python, "-c", last, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": time.perf_counter() - began}
