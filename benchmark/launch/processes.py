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
def runners(count: int, arguments: Sequence[str], runs: Path) -> Iterator[Callable[[], dict[Path, int]]]:
    """Start `malbench` with these arguments several times; what still runs at the end is told to stop, and waited for.

    What they say goes to `RUNS/runners/<number>.log`.

    Yields:
        A function that waits for all and gives the exit status of each, by its log.
    """
    logs = runs / LOGS
    if count:
        logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        started: dict[Path, subprocess.Popen[bytes]] = {}
        for i in range(count):
            file = logs / f"{i + 1}.log"
            log = stack.enter_context(file.open("wb"))
            command = [sys.executable, "-m", "benchmark.cli", *arguments]
            # In sessions of their own: Ctrl-C would reach them, too, and the signal to stop would be their second.
            started[file] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            stack.enter_context(started[file])
        try:
            yield lambda: {file: process.wait() for file, process in started.items()}
        finally:
            for process in started.values():  # of one that has ended: nothing; the others write a checkpoint
                process.terminate()
