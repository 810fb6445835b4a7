"""What the benchmarks share: a row of the table, and measuring in other processes."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: what was measured on both sides, their ratio, the target, and whether it is reached."""

    work: str
    ours: str
    other: str
    ratio: str
    target: str
    reached: bool


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    """The time in milliseconds that this share of the times, 0 to 1, doesn't exceed."""
    return 1000 * sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)]


def run_code(code: str, *arguments: str | Path) -> dict:
    """Run a program in a process of its own, whose `sys.argv[1:]` are the arguments.

    What it leaves in its variable `result`, a dict, comes back, with the `seconds` that the process took and
    its `peak_mib` of memory.
    """
    report = (
        f"{code}\nimport json as _json, re as _re\n"
        # getrusage would count the memory of the process that this one was forked from.
        "_peak = int(_re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "print(_json.dumps((globals().get('result') or {}) | {'peak_mib': _peak}))"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", report, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": time.perf_counter() - began}


def run_function(function: Callable[..., dict | None], *arguments: str | Path) -> dict:
    """Call a module's function with these arguments, as texts, in a process of its own: see `run_code`."""
    name = function.__name__
    return run_code(
        f"import sys\nfrom {function.__module__} import {name}\nresult = {name}(*sys.argv[1:])", *arguments
    )
