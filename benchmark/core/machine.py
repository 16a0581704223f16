"""CPU cores that this process may use, and the memory that it keeps."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
_KEEP = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_THRESHOLD: 2**25}
"""The largest values that it takes, in bytes."""
_USUAL = {_TRIM_THRESHOLD: 2**26, _MMAP_THRESHOLD: 2**25}
"""The values that glibc itself reaches in a process that has freed large blocks."""


def available_cores() -> int:
    """CPU cores that this process may run on: under taskset or a batch system, maybe not all of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Keep freed memory for the next tensor, up to 2 GiB, instead of giving it back to the system; afterwards give it.

    glibc gives a large block back as soon as it is freed, and the system fills the next one with zeros page by page.
    Every step of a training frees and allocates the same tensors.

    Yields:
        Whether the C library has such a setting: glibc does, and no other.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    mallopt, trim = (getattr(library, name, None) for name in ("mallopt", "malloc_trim"))
    if mallopt is None or trim is None:
        yield False
        return
    try:
        yield all(mallopt(name, value) == 1 for name, value in _KEEP.items())
    finally:
        for name, value in _USUAL.items():
            mallopt(name, value)
        trim(0)
