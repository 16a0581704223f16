"""Grids of trials: plan them, estimate their needs, run them here or submit them to a cluster."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from benchmark.api.data import LoadedData, load_data
from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import GridRequest, check_request
from benchmark.config.settings import Profile
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores, freed_memory_kept
from benchmark.launch.processes import Others, Sharing, beside, orphaned, share, sharing, since_start
from benchmark.launch.slurm import Queue, Submission, submit_trials, with_prerequisites
from benchmark.launch.watch import Watch, watching
from benchmark.store.folder import TrialFolder
from benchmark.trials.describe import Outputs
from benchmark.trials.expand import AuSource, Selection, expand, method_hparams
from benchmark.trials.order import estimated_cost, in_order, measured_seconds
from benchmark.trials.preflight import Needs, check_needs, existing, free_memory, needs
from benchmark.trials.prepare import Chosen
from benchmark.trials.runner import Outcome, run_trials
from benchmark.trials.states import OutcomeState, State, readable_state, source_hashes
from benchmark.trials.trainer import RunOptions
from methods import Registry, discover

SMALL = 8
"""A step is small if the memory for so many of them, on every core, is free."""


@dataclass(frozen=True)
class Grid:
    """Trials with their data, ready to run.

    Attributes:
        trials: The trials, each after those that it starts from.
        data: Frames and settings.
        registry: All methods.
        request: The request that the trials are of.
        device: Device of the trials; None on a cluster.
    """

    trials: tuple[Trial, ...]
    data: LoadedData
    registry: Registry
    request: GridRequest
    device: torch.device | None
    listener: Listener = field(default=SILENT, repr=False)

    @property
    def runs(self) -> Path:
        """The store."""
        return self.request.runs

    @cached_property
    def states(self) -> dict[str, State]:
        """States of the trials by key, at the time of the first access."""
        present = source_hashes(self.registry)
        return {trial.key: readable_state(TrialFolder(trial.folder(self.runs)), present) for trial in self.trials}

    @property
    def waiting(self) -> list[Trial]:
        """Trials that are not done."""
        states = self.states
        done = {trial.key for trial in self.trials if states[trial.key].is_finished}
        return [trial for trial in self.trials if trial.key not in done and states[trial.key] != State.DAMAGED]

    def needs(self) -> Needs:
        """Disk and memory that the waiting trials need."""
        faces = self.data.frames
        outputs = Outputs(len(faces.au.faces.label_names), len(faces.fe.faces.label_names))
        return needs(self.waiting, self.registry, self.data.test_frames, outputs)

    def check_needs(self, needed: Needs) -> None:
        """Refuse trials that cannot fit on the disk or the device.

        Raises:
            UserError: The trials cannot fit.
        """
        if self.waiting:
            check_needs(needed, self.runs, self.device)

    def free_disk(self) -> int:
        """Free bytes on the disk of the store."""
        return shutil.disk_usage(existing(self.runs)).free

    def training_seconds(self) -> float | None:
        """Estimated seconds until all waiting trials are trained; None if the store has none with such settings.

        Methods that the store has trained give the time of a unit of the estimated cost of the others.
        """
        costs = {trial.key: estimated_cost(trial, self.registry) for trial in self.waiting}
        measured = {trial.key: measured_seconds(trial, self.runs) for trial in self.waiting}
        known = {key: seconds for key, seconds in measured.items() if math.isfinite(seconds)}
        if not known:
            return None
        unit = sum(known.values()) / sum(costs[key] for key in known)
        each = [known.get(key, unit * cost) for key, cost in costs.items()]
        return max(sum(each) / self.sharing().processes, *each)

    def run(self, stop: Callable[[], bool] = lambda: False, others: Others | None = None) -> list[Outcome]:
        """Run every trial that is not done, in as many processes as `execution` says.

        Args:
            stop: Called after every step; True makes the run write a checkpoint and raise `Interrupted`.
            others: Processes beside this one that run these trials, too; None to start them here.

        Returns:
            One outcome per trial.

        Raises:
            OSError: The store cannot be written, or is gone; finished trials are kept.
            Interrupted: `stop` returned True, or the process that started this one is gone.
        """
        with freed_memory_kept() if self._is_small() else nullcontext():
            return self._run(stop, others)

    def _run(self, stop: Callable[[], bool], others: Others | None) -> list[Outcome]:
        orphan = orphaned()

        def stop_or_orphan() -> bool:
            return stop() or orphan()

        if others is not None:
            with watching(self._watch(others), self.listener.on_view):
                options = self._options(others.stopping(stop_or_orphan), shared=True)
                return self._run_here(self.trials, options, self.listener.on_trial, others.since)
        shared, count = self._shared, self.processes
        torch.set_num_threads(shared.threads)
        if count <= 1:
            options = self._options(stop_or_orphan, shared=False)
            return self._run_here(self.trials, options, self.listener.on_trial, since_start())
        with beside(count - 1, self.request.arguments(shared.threads), self.runs) as started:
            return self._run_shared(started, started.stopping(stop_or_orphan))

    def sharing(self) -> Sharing:
        """Number of processes that `run` uses for the waiting trials, and threads of each."""
        wanted = self.request.execution
        on_cpu = self.device is None or self.device.type == "cpu"
        step_bytes = self.needs().memory if wanted.processes == 0 else 0
        return sharing(wanted.processes, wanted.threads, on_cpu=on_cpu, step_bytes=step_bytes)

    @property
    def processes(self) -> int:
        """Number of processes that `run` uses, where no others run these trials, too."""
        return max(1, min(self._shared.processes, len(self.waiting)))

    @cached_property
    def _shared(self) -> Sharing:
        """`sharing` at the time of the first access: free memory changes as trials run."""
        return self.sharing()

    def _is_small(self) -> bool:
        """Whether memory that a process keeps is a small part of what the CPU has."""
        free = free_memory() if self.device is None or self.device.type == "cpu" else None
        return free is not None and SMALL * self.needs().memory * available_cores() < free

    def _watch(self, others: Others) -> Watch:
        costs = {trial.key: estimated_cost(trial, self.registry) for trial in self.waiting}
        return Watch(self._in_order(), self.runs, others, costs)

    def _in_order(self) -> list[Trial]:
        needed = {before.key for trial in self.waiting for before in trial.prerequisites.values()}
        return in_order(self.waiting, needed, self.registry, self.runs)

    def _run_shared(self, others: Others, stop: Callable[[], bool]) -> list[Outcome]:
        """Run the trials beside other processes, until all have ended."""
        outcomes: dict[str, Outcome] = {}
        todo, told = {trial.key for trial in self.waiting}, set[tuple[str, State]]()
        options = self._options(stop, shared=True)

        def tell(trial: Trial, state: State) -> None:
            """Report a trial once, and leave what the other processes do to the views."""
            theirs = state == State.RUNNING or (state == State.DONE and trial.key in todo)
            if not theirs and (trial.key, state) not in told:
                self.listener.on_trial(trial, state)
            told.add((trial.key, state))

        def work() -> None:
            left = {
                t.key for t in self.trials if t.key not in outcomes or outcomes[t.key].state == OutcomeState.RUNNING
            }
            trials = with_prerequisites(self.trials, *left)
            made = {o.trial.key: o for o in self._run_here(trials, options, tell, others.since)}
            outcomes.update({key: outcome for key, outcome in made.items() if key in left})

        with watching(self._watch(others), self.listener.on_view):
            share(work, others, stop, self.listener.note)
            work()  # what the other processes have made of the trials that they ran
        theirs = {key for key in todo if outcomes[key].state == OutcomeState.DONE}
        return [
            replace(outcome, state=OutcomeState.ELSEWHERE) if key in theirs else outcome
            for key, outcome in ((trial.key, outcomes[trial.key]) for trial in self.trials)
        ]

    def _options(self, stop: Callable[[], bool], *, shared: bool) -> RunOptions:
        return RunOptions(
            device=self.device or torch.device("cpu"),
            checkpoint_s=self.request.execution.checkpoint_s,
            on_step=None if shared else self.listener.progress,  # views show the steps of all processes
            stop=stop,
        )

    def _run_here(
        self,
        trials: Sequence[Trial],
        options: RunOptions,
        on_trial: Callable[[Trial, State], None],
        since: int | None,
    ) -> list[Outcome]:
        """Run trials in this process."""
        data = self.data
        return run_trials(
            trials,
            self.registry,
            data.protocol,
            data.frames,
            self.runs,
            options,
            on_trial,
            data.others,
            since,
            stop_on_failure=self.request.execution.stop_on_failure,
        )

    def submit(self, command: Sequence[str], queue: Queue) -> list[Submission]:
        """Submit every trial that is not done as a job of a cluster.

        Args:
            command: Arguments of `malbench` that run this grid.
            queue: The cluster.

        Returns:
            One submission per trial.

        Raises:
            UserError: The cluster takes no job, or a method in the settings is unknown.
        """
        return submit_trials(self.trials, self.registry, self.runs, self.data.profile.slurm, command, queue)


def plan_grid(request: GridRequest, listener: Listener = SILENT) -> Grid:
    """Expand a request into trials and load their data.

    Names and settings are checked before any data are read, so that a misspelt name fails at once.

    Args:
        request: The trials, their data and their store.
        listener: Receives progress.

    Returns:
        The grid, ready to run.

    Raises:
        UserError: A wrong name or setting; data are missing, damaged or incomplete; the device cannot be used.

    Example:
        >>> from benchmark import api
        >>> grid = api.plan_grid(api.GridRequest("bp4d", methods=("stl",), profile="smoke"))  # doctest: +SKIP
        >>> len(grid.trials)  # doctest: +SKIP
        3
    """
    checked = check_request(request)
    profile, overrides = checked.profile, checked.overrides
    selection = Selection(checked.methods, request.parts, request.seeds, request.rows, request.readings)
    registry = discover()
    torch.set_num_threads(request.execution.threads or available_cores())
    device = None if request.on_cluster else find_device(request.execution.device)
    planned = check_selection(request.dataset, profile, overrides, registry, selection, request.root)
    for key in _unused(profile, {trial.method for trial in planned}):
        listener.note(f"--set {key} changes nothing here: no trial of this call is of that method")
    data = load_data(
        request.dataset,
        profile=profile,
        overrides=overrides,
        root=request.root,
        cache=request.cache,
        allow_incomplete=request.allow_incomplete,
        check_pixels=request.check_pixels,
        registry=registry,
        listener=listener,
    )
    trials = expand(profile, overrides, registry, data.sources, selection)
    trials = with_prerequisites(trials, request.only) if request.only else trials
    return Grid(tuple(trials), data, registry, request, device, listener)


def _unused(profile: Profile, methods: AbstractSet[str]) -> list[str]:
    """Overrides of settings of methods that no trial is of."""
    given = [key.split(".") for key in profile.overridden]
    return [".".join(key) for key in given if key[0] == "methods" and len(key) > 2 and key[1] not in methods]


def check_selection(
    dataset: str,
    profile: Profile,
    overrides: tuple[str, ...],
    registry: Registry,
    selection: Selection,
    root: Path | None,
) -> list[Trial]:
    """Expand a selection before any frame is read: trials without fingerprints.

    Args:
        dataset: Name of the AU dataset.
        profile: The settings.
        overrides: The overrides that changed the profile.
        registry: All methods.
        selection: The trials that are wanted.
        root: The data root; None: the stand-in.

    Raises:
        UserError: An unknown part, row or setting.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> from methods import discover
        >>> profile, changed = load_profile("smoke")
        >>> wanted = Selection(methods=("stl",), parts=("part1",))
        >>> [trial.method for trial in check_selection("bp4d", profile, changed, discover(), wanted, None)]
        ['stl']
    """
    # Settings of methods that do not run are checked, too: a wrong one would be found at another run, or never.
    for name in profile.methods:
        method_hparams(profile, name, registry)
    chosen = Chosen.open(dataset, profile)
    sources = chosen.unread_sources
    if root is not None:
        sources = replace(sources, au=AuSource(chosen.protocol_at(root)))
    return expand(profile, overrides, registry, sources, selection)


def run(request: GridRequest, listener: Listener = SILENT, stop: Callable[[], bool] = lambda: False) -> list[Outcome]:
    """Plan a grid and run every trial of it that is not done.

    Args:
        request: The trials, their data and their store.
        listener: Receives progress.
        stop: Called after every step; True makes the run write a checkpoint and raise `Interrupted`.

    Returns:
        One outcome per trial. A failed trial has its error in `why`, and does not stop the others.

    Raises:
        UserError: See `plan_grid`; or the trials cannot fit on the disk or the device.
        Interrupted: `stop` returned True.

    Example:
        >>> from benchmark import api
        >>> request = api.GridRequest("bp4d", methods=("stl",), parts=("part1",), profile="smoke")
        >>> outcomes = api.run(request)  # doctest: +SKIP
    """
    grid = plan_grid(request, listener)
    grid.check_needs(grid.needs())
    return grid.run(stop)


def find_device(name: str) -> torch.device:
    """The torch device of this name, after a test; `auto` is the first GPU, or the CPU if there is none.

    Raises:
        UserError: This machine cannot use it.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    # cuBLAS is deterministic only with a workspace of fixed size, set before the first matrix product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"the device '{name}' cannot be used",
            found="a name that torch does not know" if "Expected one of" in str(error) else _devices(),
            expected="a device that this machine has",
            remedy="--device auto takes the first GPU, and the CPU where there is none; --device cpu always works",
        ) from error
    return device


def _devices() -> str:
    """The devices of this machine that torch can use, in words."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = ["cpu", *(f"cuda:{number}" for number in range(gpus))]
    if torch.backends.mps.is_available():
        there.append("mps")
    return ", ".join(there) + ("" if len(there) > 1 else " alone: no GPU, or no driver for it")
