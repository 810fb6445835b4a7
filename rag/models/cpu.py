"""How many processors this process may use."""

import os


def cpu_count() -> int:
    """The number of processors this process may use, at most `OMP_NUM_THREADS` where that is set."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(min(available, int(limit)), 1) if limit.isdecimal() else available
