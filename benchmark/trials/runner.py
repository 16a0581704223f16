"""From a data root and a profile to finished trials: what is to do, what is done, who has it."""

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
from benchmark.store.folder import CHECKPOINT, ERROR, FE_WEIGHTS, TRIAL, TrialFolder
from benchmark.trials.memory import is_out_of_memory, too_little_memory
from benchmark.trials.ownership import OWNER, OwnedError, Ownership, is_beating
from benchmark.trials.prerequisites import FinishedTrial, read_finished, starting_from
from benchmark.trials.provenance import peak_memory_mb, provenance, reset_peak_memory
from benchmark.trials.states import State, sources, state_of
from benchmark.trials.trainer import RunOptions, train_trial
from methods import Registry
from methods.base import Method

OnTrial = Callable[[Trial, State], None] | None
"""Called before each trial with what becomes of it."""

LOOK_S = 1.0
"""Seconds between two looks of who waits for a trial: whether it is free, and whether to stop."""


@dataclass(frozen=True)
class Outcome:
    """What became of one trial."""

    trial: Trial
    state: State
    """`done` or `stale` (it was already), `running` (by another process, left to it), `to do` (it was run now),
    `failed` or `blocked`."""
    why: UserError | None = None
    """Of a failure."""


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
    """Run every trial that is not done; one that another process runs is left to it.

    A trial that fails by something of its own (a diverging loss, too little memory on the device) does not keep the
    others from running; it is no result, and the next call tries it again. What concerns all of them, like a full
    disk, ends the run.

    Args:
        trials: What to run, each after those that it starts from.
        registry: Of all methods.
        protocol: Of the AU dataset.
        data: The frames.
        runs: The store.
        options: Device, checkpoints, progress.
        on_trial: Told of each.
        elsewhere: Protocol and frames, by the name of their dataset, for trials of others, which these start from.

    Raises:
        OSError: The store cannot be written, or is gone; the trials before are kept.
        UserError: A finished trial is damaged.
        Interrupted: `options.stop` said so.
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
        state, why = state_of(folder, present) if folder.is_done else State.TO_DO, None
        if state == State.DONE:
            _prune(folder)
        if any(before.key in lost for before in trial.prerequisites.values()) and state == State.TO_DO:
            state = State.BLOCKED
        # What others start from is made by the present code, like them.
        if state == State.TO_DO or (state == State.STALE and trial.key in needed):
            before = {role: by_key[b.key] for role, b in trial.prerequisites.items()}
            where = elsewhere.get(trial.dataset, (protocol, data))
            train = partial(_train, trial, registry, *where, runs, before)
            if options.stop():
                raise Interrupted(f"{trial.label}: not begun")
            if not runs.is_dir():  # whoever locks a file in it would make it anew
                raise _gone(runs)
            try:
                state = _run_owned(trial, folder, present, train, options, on_trial, wait=trial.key in needed)
            except UserError as error:
                state, why = State.FAILED, error
        if state in {State.FAILED, State.BLOCKED}:
            lost.add(trial.key)
        if state != State.TO_DO and on_trial is not None:
            on_trial(trial, state)
        outcomes.append(Outcome(trial, state, why))
    return outcomes


def _gone(folder: Path) -> FileNotFoundError:
    gone = "the store is gone: it was deleted, or its disk is no longer there"
    return FileNotFoundError(errno.ENOENT, gone, str(folder))


def _prune(folder: TrialFolder) -> None:
    """Delete what a runner that was killed right after it had finished a trial has left."""
    if not any((folder.path / name).exists() for name in (CHECKPOINT, ERROR, OWNER)):
        return
    # One that runs, or a store that may only be read, is left alone.
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
    """Run one trial after those `before`, which are done."""
    finished = {role: read_finished(each, registry, runs) for role, each in before.items()}
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
) -> State:
    """Own a trial and train it.

    Returns:
        `to do` if it was run now, `done` or `stale` if another process has done it meanwhile, `running` if it is left
        to another process; the last two never happen to one that others `wait` for.

    Raises:
        UserError: It failed; its folder says why.
        Interrupted: `options.stop` said so.
        FileNotFoundError: The store is gone.
    """
    while True:
        try:
            with _owned(trial, folder, options, on_trial, wait=wait) as owner:
                if folder.is_done:  # meanwhile; by other sources it is kept, unless others start from it
                    found = state_of(folder, present)
                    if found == State.DONE or not wait:
                        return found
                folder.reopen()
                (folder.path / ERROR).unlink(missing_ok=True)
                folder.sweep()
                if on_trial is not None:
                    begun = (folder.path / CHECKPOINT).is_file()
                    on_trial(trial, State.INTERRUPTED if begun else State.TO_DO)
                folder.write_json(TRIAL, trial.model_dump(mode="json"))
                _recorded(trial, folder, train, _beating(options, owner))
                return State.TO_DO
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
    """Train, and keep why it failed, unless the trial is another's meanwhile, who may have made it fail.

    Raises:
        UserError: It failed by something of its own.
        OSError: It failed by something that concerns others as well.
    """
    try:
        train(options)
    except (Interrupted, Abandoned):
        raise
    except Exception as error:
        options.check_owned(trial.label)
        name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        with contextlib.suppress(OSError):  # of a disk that is full, `error` says so
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
    """The options, so that the owner hears of every step, and an owner that was taken for dead stops."""

    def on_step(label: str, done: int, steps: int) -> None:
        owner.on_step(done, steps)
        if options.on_step is not None:
            options.on_step(label, done, steps)

    return replace(options, on_step=on_step, abandoned=owner.is_lost)


@contextmanager
def _owned(
    trial: Trial, folder: TrialFolder, options: RunOptions, on_trial: OnTrial, *, wait: bool
) -> Iterator[Ownership]:
    """Hold a trial's lock and own it: `status` has the lock for a moment; what others start from is waited for.

    Raises:
        Timeout: Another process of this machine runs it, and it is not waited for.
        OwnedError: Another machine runs it, and it is not waited for.
        Interrupted: `options.stop` said so.
    """
    told = False

    def go_on_waiting() -> None:
        nonlocal told
        if not told and on_trial is not None:
            on_trial(trial, State.AWAITED)
        told = True
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

    The folder names the trial already, in `trial.json`.

    Raises:
        UserError: It failed by something of its own.
        Interrupted: `options.stop` said so.
        Abandoned: `options.abandoned` said so.
    """
    prerequisites = prerequisites or {}
    # Before the training, during which a stand-in may be deleted: its frames are packed elsewhere.
    known = (
        known_fe(data.fe.faces.root, data.fe.faces.dataset) if data.fe.faces.origin == "stand-in" else pd.DataFrame()
    )
    if data.fe_clear is not None and known.empty:
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
    _add_known_fe(folder, known)
    folder.write_json(
        "provenance.json",
        {
            **made,
            **learned,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "peak_memory_mb": round(peak_memory_mb(options.device), 1),
            "prerequisites": {role: done.made for role, done in prerequisites.items()},
            "paper_row": trial.row or method_class.paper_row,
            "origin": joint_origin(data, *(done.made["origin"] for done in prerequisites.values())),
            "data_note": f"{data.au.faces.note}; {data.fe.faces.note}",
            **_about_data(data, protocol),
        },
    )
    options.check_owned(trial.label)
    folder.finish(trial.key)


def _about_data(data: TrialData, protocol: Protocol) -> dict[str, Any]:
    """Names that a report needs of datasets which it may not know: titles, parts and labels."""
    return {
        "title": data.au.faces.title or data.au.faces.dataset,
        "parts": list(protocol.parts),
        "aus": list(protocol.au_names),
        "fe": data.fe.faces.dataset,
        "fe_title": data.fe.faces.title or data.fe.faces.dataset,
        "fe_labels": list(data.fe.faces.label_names),
    }


def _add_known_fe(folder: TrialFolder, known: pd.DataFrame) -> None:
    """Set what is known of a stand-in's FE images beside their weights, for what is asked of them (§4.4)."""
    if not known.empty and (folder.path / FE_WEIGHTS).is_file():
        weights = pd.read_parquet(folder.path / FE_WEIGHTS)
        if weights["path"].isin(known["path"]).all():
            folder.write_table(FE_WEIGHTS, weights.merge(known, on="path", how="left", validate="1:1"))


def joint_origin(data: TrialData, *before: Origin) -> Origin:
    """One word for AU and FE data and those of trials `before`: a result is the paper's only if all are complete."""
    origins = {data.au.faces.origin, data.fe.faces.origin, *before}
    if origins == {"complete"}:
        return "complete"
    return "stand-in" if "stand-in" in origins else "partial"
