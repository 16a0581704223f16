"""Memory that a process keeps: pages that it has had are not asked for again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
from contextlib import nullcontext
from benchmark.core.machine import freed_memory_kept


def rounds(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        blocks = [bytearray(b"x") * 8_000_000 for _ in range(12)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()


with freed_memory_kept() if sys.argv[1] == "keep" else nullcontext(True) as kept:
    assert kept
    rounds(2)
    faults = rounds(4)
    inside = resident()
print(faults, inside - resident())
"""


def measured(how: str) -> tuple[int, int]:
    """Page faults of some rounds, and bytes that are given back afterwards."""
    done = subprocess.run([sys.executable, "-c", PAGES, how], check=True, capture_output=True, text=True)
    faults, returned = map(int, done.stdout.split())
    return faults, returned


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no other C library has the setting")
def test_kept_memory_is_used_again_and_given_back_at_the_end() -> None:
    (kept, returned), (usual, _) = measured("keep"), measured("give back")
    assert usual > 10_000
    assert kept < usual / 20
    assert returned > 12 * 8_000_000 / 2
