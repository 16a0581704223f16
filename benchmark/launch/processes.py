"""Several processes on one store: each takes trials that no other one runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.core.errors import Interrupted
from benchmark.core.machine import available_cores
from benchmark.core.places import DATA_VARIABLE
from benchmark.trials.preflight import free_memory

LOGS = "runners"
"""Folder of the store with the output of the processes."""
MOST_PROCESSES = 8
"""Upper bound of the number of processes, unless the user names one."""
PROCESS_BYTES = 600 * 2**20
"""Memory of a process before its first step: the interpreter, torch and the tables of the frames."""
LOOK_S = 0.2
"""Seconds between two looks at whether a process has ended."""
PARENT = "MALBENCH_PARENT"
"""Variable of the environment: id of the process without which this one stops."""
SINCE = "MALBENCH_SINCE"
"""Variable of the environment, of the processes beside the first: see `since` of `run_trials`."""


@dataclass(frozen=True)
class Sharing:
    """Number of processes that share the trials, and CPU threads of each."""

    processes: int
    threads: int


def sharing(processes: int, threads: int, *, on_cpu: bool, step_bytes: int) -> Sharing:
    """Numbers of processes and threads on this machine.

    Args:
        processes: Processes that the user asks for; 0 for as many as there are cores, at most those that the free
            memory holds, at most `MOST_PROCESSES`, and one on a GPU.
        threads: Threads of each process; 0 to divide the cores among the processes.
        on_cpu: Whether the trials run on the CPU.
        step_bytes: Lower bound of the memory of a step of the largest trial.

    Example:
        >>> sharing(2, 1, on_cpu=True, step_bytes=0)
        Sharing(processes=2, threads=1)
        >>> sharing(0, 4, on_cpu=False, step_bytes=0)
        Sharing(processes=1, threads=4)
    """
    cores = available_cores()
    if not processes:
        free = free_memory() if on_cpu else None
        held = MOST_PROCESSES if free is None else free // (PROCESS_BYTES + step_bytes)
        processes = max(1, min(cores, held, MOST_PROCESSES)) if on_cpu else 1
    return Sharing(processes, threads or max(1, cores // processes))


@dataclass
class Others:
    """Processes beside this one.

    Attributes:
        processes: The processes by log file.
        since: Time of the store's file system at their start, nanoseconds.
        ended: Log files of the processes whose end was reported.
        stopped: Whether the processes were asked to stop.
    """

    processes: dict[Path, subprocess.Popen[bytes]]
    since: int
    ended: set[Path] = field(default_factory=set)
    stopped: bool = False

    @property
    def pids(self) -> list[int]:
        """Ids of this process and of the others, in the order of their numbers."""
        return [os.getpid(), *(process.pid for process in self.processes.values())]

    def stop(self) -> None:
        """Ask the processes, once, to write a checkpoint and end: a second signal would end them without one."""
        for process in () if self.stopped else self.processes.values():
            process.terminate()
        self.stopped = True

    def stopping(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """The function `stop`, which stops the other processes as soon as it returns True."""

        def stop_all() -> bool:
            asked = stop()
            if asked:
                self.stop()
            return asked

        return stop_all

    def next_end(self, stop: Callable[[], bool]) -> tuple[Path, int] | None:
        """Wait for the end of a process; return its log file and exit status, or None if all have ended.

        Raises:
            Interrupted: `stop` returned True.
        """
        while len(self.ended) < len(self.processes):
            for log, process in self.processes.items():
                status = process.poll()
                if status is not None and log not in self.ended:
                    self.ended.add(log)
                    return log, status
            if stop():
                raise Interrupted("waited for the other processes")
            time.sleep(LOOK_S)
        return None


@contextmanager
def beside(count: int, arguments: Sequence[str], runs: Path) -> Iterator[Others]:
    """Start `malbench` several times; at the end, stop the processes that still run and wait for them.

    Their output goes to `RUNS/runners/<id of this process>-<number>.log`. They stop if this process dies.

    Args:
        count: Number of processes.
        arguments: Arguments of `malbench`.
        runs: The store.
    """
    logs = runs / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        others = Others({}, 0)
        # The arguments say all: without a data root among them, the processes use the stand-in, as this one does.
        inherited = {name: value for name, value in os.environ.items() if name != DATA_VARIABLE}
        try:
            for i in range(count):
                file = logs / f"{os.getpid()}-{i + 2}.log"
                log = stack.enter_context(file.open("wb"))
                others.since = others.since or file.stat().st_mtime_ns
                environment = {**inherited, PARENT: str(os.getpid()), SINCE: str(others.since)}
                process = subprocess.Popen(
                    [sys.executable, "-m", "benchmark.cli", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    # Ctrl-C would reach the processes as well, and the later signal to stop would be their second.
                    start_new_session=True,
                )
                others.processes[file] = stack.enter_context(process)
            yield others
        finally:
            others.stop()


def share(
    work: Callable[[], None], others: Others, stop: Callable[[], bool], note: Callable[[str], None] = lambda _: None
) -> None:
    """Work until the other processes have ended, and run what a process has left that ended badly.

    Args:
        work: Called to run the trials that are to do and free.
        others: The other processes.
        stop: True makes the wait end with `Interrupted`; see `Others.stopping`.
        note: Called with a sentence about a process that ended badly.

    Raises:
        Interrupted: `stop` returned True.
    """
    work()
    while (end := others.next_end(stop)) is not None:
        log, status = end
        if status:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            note(f"a process {how}; its output: {log}")
            work()


def since_start() -> int | None:
    """The argument `since` of `run_trials` in a process that another one started; None in any other process."""
    given = os.environ.get(SINCE, "")
    return int(given) if given.isdecimal() else None


def orphaned() -> Callable[[], bool]:
    """Function that tells whether the process that started this one is gone, if it wants this one to stop then."""
    parent = os.getppid()
    watched = os.environ.get(PARENT) == str(parent)
    return lambda: watched and os.getppid() != parent
