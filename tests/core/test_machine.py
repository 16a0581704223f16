"""Memory that a process keeps: pages that it has had are not asked for again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
from benchmark.core.machine import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()


def rounds(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        blocks = [bytearray(b"x") * 8_000_000 for _ in range(12)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


rounds(2)
print(rounds(4))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no other C library has the setting")
def test_kept_memory_is_used_again() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", PAGES, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "give back")
    }
    assert faults["give back"] > 10_000
    assert faults["keep"] < faults["give back"] / 20
