"""CPU time of commands that need no tensor, as multiples of importing NumPy in the same run."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

NUMPY = ("-c", "import numpy")
COMMANDS = {
    "help": ("-m", "benchmark.cli", "--help"),
    "typo": ("-m", "benchmark.cli", "run", "bp5d"),
    "wrong method": ("-m", "benchmark.cli", "run", "bp4d", "--method", "mla"),
    "wrong setting": ("-m", "benchmark.cli", "run", "bp4d", "--set", "gft.splitt=x"),
    "empty status": ("-m", "benchmark.cli", "status", "--runs", "."),
}
ROUNDS = 5


def cpu_seconds(arguments: tuple[str, ...], cwd: Path) -> float:
    """Least CPU time of some runs of Python."""
    times = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


@pytest.mark.parametrize("name", COMMANDS)
def test_start_up(name: str, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    numpy = cpu_seconds(NUMPY, tmp_path)
    measured = benchmark.pedantic(cpu_seconds, (COMMANDS[name], tmp_path), rounds=1)
    benchmark.extra_info.update(
        cpu_seconds=round(measured, 3), numpy_seconds=round(numpy, 3), times_numpy=round(measured / numpy, 2)
    )
