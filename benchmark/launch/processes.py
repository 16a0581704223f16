"""Several processes on one store: each takes trials that no other one runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PARENT = "MALBENCH_PARENT"
"""Variable with the process that a runner ends with."""
LOGS = "runners"
"""Folder of the store with the output of the processes."""


@contextmanager
def runners(count: int, arguments: Sequence[str], runs: Path) -> Iterator[Callable[[], dict[Path, int]]]:
    """Start `malbench` several times; at the end, stop the processes that still run and wait for them.

    If this process is killed, they notice within a second, write a checkpoint and stop.

    Their output goes to `RUNS/runners/<number>.log`.

    Args:
        count: Number of processes.
        arguments: Arguments of `malbench`.
        runs: The store.

    Yields:
        A function that waits for all processes and returns their exit statuses by log file.
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
            # In new sessions: Ctrl-C would reach them as well, and the later signal to stop would be their second.
            environment = {**os.environ, PARENT: str(os.getpid())}
            started[file] = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment
            )
            stack.enter_context(started[file])
        try:
            yield lambda: {file: process.wait() for file, process in started.items()}
        finally:
            for process in started.values():  # running processes write a checkpoint
                process.terminate()
