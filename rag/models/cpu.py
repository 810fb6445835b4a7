"""How many processors there are to work with."""

import os


def cpu_count() -> int:
    """The processors this process may use: of those it has, as many as `OMP_NUM_THREADS` says, if it does."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(min(there, int(limit)), 1) if limit.isdecimal() else there
