"""Grids of trials: planned, told what they need, run here or submitted to a cluster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from benchmark.api.data import LoadedData, load_data
from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import Execution, GridRequest, check_request
from benchmark.config.settings import Profile
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores
from benchmark.launch.slurm import Queue, Submission, submit_trials, with_prerequisites
from benchmark.store.folder import TrialFolder
from benchmark.trials.describe import Outputs
from benchmark.trials.expand import AuSource, Selection, expand
from benchmark.trials.preflight import Needs, existing, needs
from benchmark.trials.preflight import check as check_needs
from benchmark.trials.prepare import Chosen
from benchmark.trials.runner import Outcome, run_trials
from benchmark.trials.states import State, source_hashes, state_of
from benchmark.trials.trainer import RunOptions
from methods import Registry, discover


@dataclass(frozen=True)
class Grid:
    """Trials with their data, ready to run.

    Attributes:
        trials: Each after the trials that it starts from.
        data: Frames and settings.
        registry: All methods.
        runs: The store.
        device: Device of the trials; None for a cluster's.
        execution: How they run.
    """

    trials: tuple[Trial, ...]
    data: LoadedData
    registry: Registry
    runs: Path
    device: torch.device | None
    execution: Execution = field(default_factory=Execution)
    listener: Listener = field(default=SILENT, repr=False)

    @cached_property
    def states(self) -> dict[str, State]:
        """State of each trial by key, when it is first asked for."""
        present = source_hashes(self.registry)
        return {trial.key: state_of(TrialFolder(trial.folder(self.runs)), present) for trial in self.trials}

    @property
    def waiting(self) -> list[Trial]:
        """Trials that are not done."""
        return [trial for trial in self.trials if self.states[trial.key] not in {State.DONE, State.STALE}]

    def needs(self) -> Needs:
        """Disk and memory that the waiting trials will take."""
        faces = self.data.frames
        outputs = Outputs(len(faces.au.faces.label_names), len(faces.fe.faces.label_names))
        return needs(self.waiting, self.registry, self.data.test_frames, outputs)

    def check_needs(self, needed: Needs) -> None:
        """Refuse trials that cannot fit on the disk or the device.

        Raises:
            UserError: They cannot.
        """
        if self.waiting:
            check_needs(needed, self.runs, self.device)

    def free_disk(self) -> int:
        """Free bytes where the store is."""
        return shutil.disk_usage(existing(self.runs)).free

    def run(self, stop: Callable[[], bool] = lambda: False) -> list[Outcome]:
        """Run every trial that is not done.

        Args:
            stop: Asked after every step; if true, a checkpoint is written and `Interrupted` raised.

        Raises:
            OSError: The store cannot be written, or is gone; the trials before are kept.
            UserError: A finished trial is damaged.
            Interrupted: `stop` said so.
        """
        options = RunOptions(
            device=self.device or torch.device("cpu"),
            checkpoint_s=self.execution.checkpoint_s,
            on_step=self.listener.progress,
            stop=stop,
        )
        data = self.data
        return run_trials(
            self.trials,
            self.registry,
            data.protocol,
            data.frames,
            self.runs,
            options,
            self.listener.on_trial,
            data.others,
        )

    def submit(self, command: Sequence[str], queue: Queue) -> list[Submission]:
        """Submit every trial that is not done as a job of a cluster.

        Args:
            command: Arguments of `malbench` that make this grid.
            queue: The cluster.

        Raises:
            UserError: The cluster takes no job, or a method in the settings is unknown.
        """
        return submit_trials(self.trials, self.registry, self.runs, self.data.profile.slurm, command, queue)


def plan_grid(request: GridRequest, listener: Listener = SILENT) -> Grid:
    """Expand a request into trials and load their data.

    Names and settings are checked before any data are touched, so that a misspelt name costs no minute.

    Args:
        request: The trials, their data and their place.
        listener: Told of progress.

    Raises:
        UserError: A wrong name or setting; data are missing, damaged or incomplete; the device cannot be used.
    """
    checked = check_request(request)
    profile, overrides = checked.profile, checked.overrides
    selection = Selection(checked.methods, request.parts, request.seeds, request.rows)
    registry = discover()
    torch.set_num_threads(request.execution.threads or available_cores())
    device = None if request.on_cluster else find_device(request.execution.device)
    check_selection(request.dataset, profile, overrides, registry, selection, request.root)
    data = load_data(
        request.dataset,
        profile=profile,
        overrides=overrides,
        root=request.root,
        cache=request.cache,
        allow_incomplete=request.allow_incomplete,
        registry=registry,
        listener=listener,
    )
    trials = expand(profile, overrides, registry, data.sources, selection)
    trials = with_prerequisites(trials, request.only) if request.only else trials
    return Grid(tuple(trials), data, registry, request.runs, device, request.execution, listener)


def check_selection(
    dataset: str,
    profile: Profile,
    overrides: tuple[str, ...],
    registry: Registry,
    selection: Selection,
    root: Path | None,
) -> list[Trial]:
    """Expand a selection before any frame is read: trials without fingerprints.

    Raises:
        UserError: An unknown part, row or setting.
    """
    chosen = Chosen.of(dataset, profile)
    sources = chosen.unread_sources
    if root is not None:
        sources = replace(sources, au=AuSource(chosen.au.protocol_at(root)))
    return expand(profile, overrides, registry, sources, selection)


def run(request: GridRequest, listener: Listener = SILENT, stop: Callable[[], bool] = lambda: False) -> list[Outcome]:
    """Plan a grid and run every trial of it that is not done.

    Args:
        request: The trials, their data and their place.
        listener: Told of progress.
        stop: Asked after every step; if true, a checkpoint is written and `Interrupted` raised.

    Returns:
        The outcome of each trial. A trial that failed has `why`; the others were run all the same.

    Raises:
        UserError: See `plan_grid`; or the trials cannot fit on the disk or the device.
        Interrupted: `stop` said so.

    Example:
        >>> from benchmark import api
        >>> request = api.GridRequest("bp4d", methods=("stl",), parts=("part1",), profile="smoke")
        >>> outcomes = api.run(request)  # doctest: +SKIP
    """
    grid = plan_grid(request, listener)
    grid.check_needs(grid.needs())
    return grid.run(stop)


def find_device(name: str) -> torch.device:
    """The torch device of that name, tried; `auto` is the first GPU, and the CPU where there is none.

    Raises:
        UserError: This machine cannot use it.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    # Matrix products on a GPU are the same from run to run only with a workspace of fixed size, set before the first.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"the device '{name}' cannot be used",
            found=str(error).splitlines()[0][:160],
            expected="a device that this machine has",
            remedy="--device auto takes the first GPU, and the CPU where there is none; --device cpu always works",
        ) from error
    return device
