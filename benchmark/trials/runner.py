"""Runs of trials: which ones are to do, done, or running in another process."""

from __future__ import annotations

import contextlib
import errno
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from benchmark.config.protocol import Protocol
from benchmark.config.trial import Trial
from benchmark.core.errors import Abandoned, Interrupted, UserError
from benchmark.core.origin import Origin
from benchmark.data.known import known_fe
from benchmark.data.trial_data import TrialData
from benchmark.store.folder import CHECKPOINT, ERROR, FE_WEIGHTS, SEALED, TRIAL, TrialFolder
from benchmark.trials.memory import is_out_of_memory, too_little_memory
from benchmark.trials.ownership import OWNER, OwnedError, Ownership, is_beating
from benchmark.trials.prerequisites import FinishedTrial, read_finished, starting_from
from benchmark.trials.provenance import peak_memory_mb, provenance, reset_peak_memory
from benchmark.trials.states import OutcomeState, State, sources, state_of
from benchmark.trials.trainer import RunOptions, train_trial
from methods import Registry
from methods.base import Method

OnTrial = Callable[[Trial, State], None] | None
"""Callback before each trial, with the trial and its state; None for none."""

UNCHECKED = "pixels not compared with their digests (--skip-pixel-check)"
"""Note of trials that ran on packed frames as they were found."""
LOOK_S = 1.0
"""Seconds between two checks of a waiting process: whether the trial is free, and whether to stop."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of one trial in a run."""

    trial: Trial
    state: OutcomeState
    why: UserError | None = None
    """Error of a failed trial."""


def run_trials(
    trials: Sequence[Trial],
    registry: Registry,
    protocol: Protocol,
    data: TrialData,
    runs: Path,
    options: RunOptions,
    on_trial: OnTrial = None,
    elsewhere: Mapping[str, tuple[Protocol, TrialData]] = MappingProxyType({}),
) -> list[Outcome]:
    """Run every trial that is not done, except those that another process runs.

    An error of one trial (a diverging loss, too little memory on the device) does not stop the others. A failed trial
    has no result, and the next call tries it again. A damaged one stays as it is, and no trial starts from it. An error
    that concerns all trials, such as a full disk, ends the run.

    Args:
        trials: The trials, each after those that it starts from.
        registry: All methods.
        protocol: Protocol of the AU dataset.
        data: The frames.
        runs: The store.
        options: Device, checkpoints, progress.
        on_trial: Called before each trial with its state.
        elsewhere: Protocol and frames, by dataset, of the trials on other datasets that these trials start from.

    Returns:
        One outcome per trial.

    Raises:
        OSError: The store cannot be written, or is gone; finished trials are kept.
        Interrupted: `options.stop` returned True.
    """
    for trial in trials:
        TrialFolder(trial.folder(runs)).announce(trial)
    outcomes = []
    lost: set[str] = set()
    by_key = {trial.key: trial for trial in trials}
    waiting = [trial for trial in trials if not TrialFolder(trial.folder(runs)).is_done]
    needed = {before.key for trial in waiting for before in trial.prerequisites.values()}
    for trial in trials:
        folder = TrialFolder(trial.folder(runs))
        cls = registry.any(trial.method)
        present = {trial.method: sources(cls)}
        state: State | None = State.TO_DO
        why = None
        if folder.is_done:
            try:
                state = state_of(folder, present)
            except UserError as error:
                state, why = State.DAMAGED, error
        if state == State.DONE:
            _prune(folder)
        if any(before.key in lost for before in trial.prerequisites.values()) and state == State.TO_DO:
            state = State.BLOCKED
        # Trials that others start from must come from the present code, like these.
        if state == State.TO_DO or (state in {State.STALE, State.UNSEALED} and trial.key in needed):
            before = {role: by_key[b.key] for role, b in trial.prerequisites.items()}
            where = elsewhere.get(trial.dataset, (protocol, data))
            train = partial(_train, trial, registry, *where, runs, before)
            if options.stop():
                raise Interrupted(f"{trial.label}: not begun")
            if not runs.is_dir():  # a lock file would create the folder again
                raise _gone(runs)
            try:
                state = _run_owned(trial, folder, present, train, options, on_trial, wait=trial.key in needed)
            except UserError as error:
                state, why = State.FAILED, error
        if state in {State.FAILED, State.BLOCKED, State.DAMAGED}:
            lost.add(trial.key)
        if state is not None and on_trial is not None:
            on_trial(trial, state)
        outcomes.append(Outcome(trial, OutcomeState.from_state(state), why))
    return outcomes


def _gone(folder: Path) -> FileNotFoundError:
    gone = "the store is gone: it was deleted, or its disk is no longer there"
    return FileNotFoundError(errno.ENOENT, gone, str(folder))


def _prune(folder: TrialFolder) -> None:
    """Delete the temporary files of a runner that was killed right after it finished a trial."""
    if not any((folder.path / name).exists() for name in (CHECKPOINT, ERROR, OWNER)):
        return
    # A running trial and a read-only store stay as they are.
    with contextlib.suppress(OSError), FileLock(folder.lock).acquire(blocking=False):
        if not is_beating(folder.path):
            folder.prune()
            (folder.path / OWNER).unlink(missing_ok=True)


def _train(
    trial: Trial,
    registry: Registry,
    protocol: Protocol,
    data: TrialData,
    runs: Path,
    before: Mapping[str, Trial],
    options: RunOptions,
) -> None:
    """Run one trial; the trials `before`, which it starts from, are done."""
    finished = {role: read_finished(prerequisite, registry, runs) for role, prerequisite in before.items()}
    folder = TrialFolder(trial.folder(runs))
    run_trial(trial, registry.any(trial.method), protocol, data, folder, options, finished)


def _run_owned(
    trial: Trial,
    folder: TrialFolder,
    present: Mapping[str, str],
    train: Callable[[RunOptions], None],
    options: RunOptions,
    on_trial: OnTrial,
    *,
    wait: bool,
) -> State | None:
    """Own a trial and train it.

    Returns:
        None if it ran now, `done`, `stale` or `unsealed` if another process has finished it meanwhile, `running` if
        another process runs it. With `wait`, `done` or None.

    Raises:
        UserError: The trial failed; its folder holds the reason.
        Interrupted: `options.stop` returned True.
        FileNotFoundError: The store is gone.
    """
    while True:
        try:
            with _owned(trial, folder, options, on_trial, wait=wait) as owner:
                if folder.is_done:  # another process finished it; a stale trial stays, unless others wait for it
                    state = state_of(folder, present)
                    if state == State.DONE or not wait:
                        return state
                folder.reopen()
                (folder.path / ERROR).unlink(missing_ok=True)
                folder.sweep()
                if on_trial is not None:
                    begun = (folder.path / CHECKPOINT).is_file()
                    on_trial(trial, State.INTERRUPTED if begun else State.TO_DO)
                folder.write_json(TRIAL, trial.model_dump(mode="json"))
                _recorded(trial, folder, train, _beating(options, owner))
                return None
        except (Timeout, OwnedError):
            return State.RUNNING
        except Abandoned as taken:
            if not (folder.path / TRIAL).is_file():
                raise _gone(folder.path) from taken
            if options.stop():
                raise Interrupted(str(taken)) from taken
            if not wait:
                return State.RUNNING


def _recorded(trial: Trial, folder: TrialFolder, train: Callable[[RunOptions], None], options: RunOptions) -> None:
    """Train, and record the reason of a failure, unless another process has taken the trial over and caused it.

    Raises:
        UserError: The trial failed, for a reason that concerns it alone.
        OSError: The trial failed, for a reason that concerns all trials.
    """
    try:
        train(options)
    except (Interrupted, Abandoned):
        raise
    except Exception as error:
        options.check_owned(trial.label)
        name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        with contextlib.suppress(OSError):  # on a full disk, `error` has the reason
            folder.write_text(ERROR, f"{name}{error}\n\n{traceback.format_exc()}")
        if isinstance(error, UserError | OSError):
            raise
        raise UserError(
            f"a trial failed: {type(error).__name__}",
            where=folder.path / ERROR,
            found=str(error).split("\n", 1)[0][:160],
            remedy="read the traceback in that file; the next run tries the trial again",
        ) from error


def _beating(options: RunOptions, owner: Ownership) -> RunOptions:
    """Options that report every step to the owner, and stop the training once the trial is taken over."""

    def on_step(label: str, done: int, steps: int) -> None:
        owner.on_step(done, steps)
        if options.on_step is not None:
            options.on_step(label, done, steps)

    return replace(options, on_step=on_step, abandoned=owner.is_lost)


@contextmanager
def _owned(
    trial: Trial, folder: TrialFolder, options: RunOptions, on_trial: OnTrial, *, wait: bool
) -> Iterator[Ownership]:
    """Lock and own a trial. The timeout covers `status`, which holds the lock for a moment.

    Raises:
        Timeout: Without `wait`: another process of this machine runs the trial.
        OwnedError: Without `wait`: another machine runs the trial.
        Interrupted: `options.stop` returned True.
    """
    announced = False

    def go_on_waiting() -> None:
        nonlocal announced
        if not announced and on_trial is not None:
            on_trial(trial, State.AWAITED)
        announced = True
        if options.stop():
            raise Interrupted(f"{trial.label}: waited for the process that runs it")

    lock = FileLock(folder.lock)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=LOOK_S)
        except Timeout:
            if not wait:
                raise
            go_on_waiting()
    try:
        with ExitStack() as stack:
            owner = None
            while owner is None:
                try:
                    owner = stack.enter_context(Ownership(folder.path, stop=options.stop))
                except OwnedError:
                    if not wait:
                        raise
                    go_on_waiting()
                    time.sleep(LOOK_S)
            yield owner
    finally:
        lock.release()


def run_trial(
    trial: Trial,
    method_class: type[Method],
    protocol: Protocol,
    data: TrialData,
    folder: TrialFolder,
    options: RunOptions,
    prerequisites: Mapping[str, FinishedTrial] | None = None,
) -> None:
    """Run one trial in its folder, from its checkpoint if there is one.

    The folder already has the trial's `trial.json`.

    Raises:
        UserError: The trial failed, for a reason that concerns it alone.
        Interrupted: `options.stop` returned True.
        Abandoned: `options.abandoned` returned True.
    """
    prerequisites = prerequisites or {}
    # Read before the training: the stand-in may be deleted meanwhile, since its frames are packed elsewhere.
    fe_truth = (
        known_fe(data.fe.faces.root, data.fe.faces.dataset) if data.fe.faces.origin == "stand-in" else pd.DataFrame()
    )
    if data.fe_clear is not None and fe_truth.empty:
        raise UserError(
            "the ground truth of the stand-in is gone",
            where=data.fe.faces.root,
            remedy="run again, which draws the stand-in anew",
        )
    made = provenance(options.device)
    made["base_memory_mb"] = round(reset_peak_memory(options.device), 1)
    made["source_hash"] = sources(method_class)
    made["started"] = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        learner, left = starting_from(trial, prerequisites)
        learned = train_trial(learner, method_class, protocol, data, folder, options, made["source_hash"], left)
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise too_little_memory(error) from error
        raise
    options.check_owned(trial.label)
    _add_known_fe(folder, fe_truth)
    folder.write_json(
        "provenance.json",
        {
            **made,
            **SEALED,
            **learned,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "peak_memory_mb": round(peak_memory_mb(options.device), 1),
            "prerequisites": {role: done.made for role, done in prerequisites.items()},
            "paper_row": trial.row or method_class.paper_row,
            "origin": joint_origin(data, *(done.made["origin"] for done in prerequisites.values())),
            "data_note": "; ".join([data.au.faces.note, data.fe.faces.note, *([UNCHECKED] if data.unchecked else [])]),
            **({} if data.profile is None else {"profile": data.profile}),
            "pixels": UNCHECKED if data.unchecked else "as packed",
            **_about_data(data, protocol),
        },
    )
    options.check_owned(trial.label)
    folder.finish(trial.key)


def _about_data(data: TrialData, protocol: Protocol) -> dict[str, Any]:
    """Titles, parts and labels of the datasets, for reports on datasets that the suite does not have."""
    return {
        "title": data.au.faces.title or data.au.faces.dataset,
        "parts": list(protocol.parts),
        "aus": list(protocol.au_names),
        "fe": data.fe.faces.dataset,
        "fe_title": data.fe.faces.title or data.fe.faces.dataset,
        "fe_labels": list(data.fe.faces.label_names),
    }


def _add_known_fe(folder: TrialFolder, truth: pd.DataFrame) -> None:
    """Add the ground truth of a stand-in's FE images to the table of their weights (§4.4)."""
    if not truth.empty and (folder.path / FE_WEIGHTS).is_file():
        weights = pd.read_parquet(folder.path / FE_WEIGHTS)
        if weights["path"].isin(truth["path"]).all():
            folder.write_table(FE_WEIGHTS, weights.merge(truth, on="path", how="left", validate="1:1"))


def joint_origin(data: TrialData, *before: Origin) -> Origin:
    """Joint origin of the AU data, the FE data and trials `before`: complete only if all of them are."""
    origins = {data.au.faces.origin, data.fe.faces.origin, *before}
    if origins == {"complete"}:
        return "complete"
    return "stand-in" if "stand-in" in origins else "partial"
