"""CPU cores that this process may use, and the memory that it keeps."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
_LARGEST = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_THRESHOLD: 2**25}
"""The largest values that it takes, in bytes."""


def available_cores() -> int:
    """CPU cores that this process may run on: under taskset or a batch system, maybe not all of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Keep freed memory for the next tensor, up to 2 GiB, instead of giving it back to the system.

    glibc gives a large block back as soon as it is freed, and the system fills the next one with zeros page by page.
    Every step of a training frees and allocates the same tensors.

    Returns:
        Whether the C library has such a setting: glibc does, and no other.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in _LARGEST.items())
