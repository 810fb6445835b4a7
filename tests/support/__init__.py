"""What tests share, and no test is in."""

import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SEEDS = ROOT / "seeds"

PATIENCE_S = 600
"""How long a test waits for an event, or for a process to end, before it fails.

No test is to fail because a machine is slow: this is ten times what the slowest of these takes, and more.
"""


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Return once `happened()` is true; `AssertionError` that names `what` when patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S} s"
        time.sleep(0.05)
