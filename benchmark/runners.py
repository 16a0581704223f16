"""More processes on one store: each takes trials that no other runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOGS = "runners"
"""Folder of the store with what they say."""


@contextmanager
def runners(count: int, arguments: Sequence[str], runs: Path) -> Iterator[Callable[[], list[int]]]:
    """Start `malbench` with these arguments several times; what is still running at the end is told to stop.

    What they say goes to `RUNS/runners/<number>.log`.

    Yields:
        A function that waits for all and gives their exit statuses.
    """
    logs = runs / LOGS
    if count:
        logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        started: list[subprocess.Popen[bytes]] = []
        for i in range(count):
            log = stack.enter_context((logs / f"{i + 1}.log").open("wb"))
            command = [sys.executable, "-m", "benchmark.cli", *arguments]
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
            stack.callback(process.terminate)  # of one that has ended: nothing; else it writes a checkpoint
            started.append(process)
        yield lambda: [process.wait() for process in started]
