"""Progress of trials that several processes share, from the records in the trials' folders."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from benchmark.config.trial import Trial
from benchmark.launch.processes import Others
from benchmark.store.folder import TrialFolder
from benchmark.trials.ownership import Record, machine, read_owner
from benchmark.trials.runner import failure_since

WATCH_S = 2.0
"""Seconds between two looks at the trials."""


@dataclass(frozen=True)
class Running:
    """A trial that one of the processes runs, with the number of the process, from 1."""

    trial: Trial
    process: int
    record: Record


@dataclass(frozen=True)
class Ended:
    """A trial that has ended.

    Attributes:
        trial: The trial.
        process: Number of the process, from 1; None if the trial began and ended between two looks.
        seconds: Duration; None if the process is unknown.
        failed: Whether it failed.
    """

    trial: Trial
    process: int | None
    seconds: float | None
    failed: bool


@dataclass(frozen=True)
class View:
    """The trials at one moment.

    Attributes:
        total: Number of trials to run.
        ended: Number of trials that have ended.
        running: Trials that the processes run.
        news: Trials that have ended since the last view.
        left_s: Estimated seconds until all have ended; None if unknown.
    """

    total: int
    ended: int
    running: tuple[Running, ...]
    news: tuple[Ended, ...]
    left_s: float | None


@dataclass
class Watch:
    """Looks at trials that several processes share.

    Attributes:
        trials: The trials to run.
        runs: The store.
        others: The processes beside this one.
        costs: Estimated cost of each trial by key, in any unit: the durations of methods that have ended give those of
            the others. None: all cost the same.
    """

    trials: Sequence[Trial]
    runs: Path
    others: Others
    costs: Mapping[str, float] | None = None
    _open: dict[str, Trial] = field(init=False)
    _seen: dict[str, Running] = field(init=False, default_factory=dict)
    _durations: dict[str, list[float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._open = {trial.key: trial for trial in self.trials}

    def look(self) -> View:
        """Read the folders of the trials that have not ended."""
        news: list[Ended] = []
        running: list[Running] = []
        numbers = {pid: number for number, pid in enumerate(self.others.pids, 1)}
        for key, trial in list(self._open.items()):
            folder = TrialFolder(trial.folder(self.runs))
            record = read_owner(folder.path)
            done = folder.is_done
            if done or failure_since(folder, self.others.since) is not None:
                news.append(self._end(trial, failed=not done))
                del self._open[key]
            elif record is not None and record.machine == machine() and record.pid in numbers:
                self._seen[key] = Running(trial, numbers[record.pid], record)
                running.append(self._seen[key])
        ended = len(self.trials) - len(self._open)
        return View(len(self.trials), ended, tuple(running), tuple(news), self._left_s(running))

    def _end(self, trial: Trial, *, failed: bool) -> Ended:
        last = self._seen.get(trial.key)
        if last is None:
            return Ended(trial, None, None, failed)
        seconds = time.time() - last.record.started
        if not failed:
            self._durations.setdefault(trial.method, []).append(seconds)
        return Ended(trial, last.process, seconds, failed)

    def _left_s(self, running: Sequence[Running]) -> float | None:
        """Seconds until the last trial ends, if each process that becomes free takes the next one."""
        now = time.time()
        left = {r.trial.key: None if (s := r.record.left_s()) is None else s - (now - r.record.at) for r in running}
        known = {method: fmean(seconds) for method, seconds in self._durations.items()}
        for r in running:
            seconds = left[r.trial.key]
            if seconds is not None:
                known.setdefault(r.trial.method, now - r.record.started + seconds)
        if not known:
            return None
        costs = {trial.method: self._cost(trial) for trial in self.trials}
        unit = fmean(seconds / costs[method] for method, seconds in known.items())
        usual = {method: known.get(method, unit * cost) for method, cost in costs.items()}
        alive = 1 + sum(process.poll() is None for process in self.others.processes.values())
        loads = [0.0] * max(0, alive - len(running))
        for r in running:
            seconds = left[r.trial.key]
            whole = usual[r.trial.method] - (now - r.record.started)
            loads.append(max(0.0, whole if seconds is None else seconds))
        heapq.heapify(loads)
        for trial in self._open.values():
            if trial.key not in left:
                heapq.heapreplace(loads, loads[0] + usual[trial.method])
        return max(loads)

    def _cost(self, trial: Trial) -> float:
        return 1.0 if self.costs is None else self.costs[trial.key]


@contextmanager
def watching(watch: Watch, tell: Callable[[View], None], every_s: float = WATCH_S) -> Iterator[None]:
    """Call `tell` with a view every few seconds, and once at the end."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(every_s):
            with suppress(OSError):  # a store that is gone ends the runs, which report it
                tell(watch.look())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(OSError):
            tell(watch.look())
