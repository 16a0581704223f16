"""Number of CPU cores that this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """CPU cores that this process may run on: under taskset or a batch system, maybe not all of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
