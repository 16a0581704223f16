"""Runs of trials: which ones are to do, done, or running in another process."""

from __future__ import annotations

import contextlib
import errno
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from benchmark.config.protocol import Protocol
from benchmark.config.trial import TRAINED, Trial
from benchmark.core.errors import Abandoned, Interrupted, UserError
from benchmark.core.hashing import digest_of_json
from benchmark.core.origin import Origin
from benchmark.data.known import known_fe
from benchmark.data.trial_data import TrialData
from benchmark.store.folder import CHECKPOINT, ERROR, FE_WEIGHTS, SEALED, TRIAL, TrialFolder
from benchmark.trials.elsewhere import Place, score_elsewhere
from benchmark.trials.memory import is_out_of_memory, too_little_memory
from benchmark.trials.order import in_order
from benchmark.trials.ownership import OWNER, OwnedError, Ownership, is_beating
from benchmark.trials.prerequisites import FinishedTrial, read_finished, starting_from
from benchmark.trials.provenance import peak_memory_mb, provenance, reset_peak_memory
from benchmark.trials.states import OutcomeState, State, needed_stages, readable_state, sources, state_of
from benchmark.trials.trainer import RunOptions, train_trial
from methods import Registry
from methods.base import Method

OnTrial = Callable[[Trial, State], None] | None
"""Callback before each trial, with the trial and its state; None for none."""

UNCHECKED = "pixels not compared with their digests (--skip-pixel-check)"
"""Note of trials that ran on packed frames as they were found."""
LOOK_S = 1.0
"""Seconds between two checks of a waiting process: whether a trial is free, and whether to stop."""
LOCK_S = 0.2
"""Seconds that a process tries to lock a trial: `status` holds the lock for a moment."""
LOST = {OutcomeState.FAILED, OutcomeState.BLOCKED, OutcomeState.DAMAGED}
"""Outcomes of a trial that no other one can start from."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of one trial in a run."""

    trial: Trial
    state: OutcomeState
    why: UserError | None = None
    """Error of a failed trial."""
    seen: bool = False
    """Whether another process ran the trial and recorded the error."""


def run_trials(
    trials: Sequence[Trial],
    registry: Registry,
    protocol: Protocol,
    data: TrialData,
    runs: Path,
    options: RunOptions,
    on_trial: OnTrial = None,
    elsewhere: Mapping[str, tuple[Protocol, TrialData]] = MappingProxyType({}),
    since: int | None = None,
    *,
    stop_on_failure: bool = False,
) -> list[Outcome]:
    """Run every trial that is not done, except those that another process runs.

    Trials that others start from come first, then the longest (see `in_order`). While another process runs a trial that
    others start from, the process runs what is free, and waits only when nothing is.

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
        elsewhere: Protocol and frames, by dataset, of the trials on other datasets that these trials start from, and
            of the datasets that trained networks are scored on.
        since: Time of the store's file system in nanoseconds: a failure recorded since then counts, and the trial is
            not tried again. None: every failed trial is tried again.
        stop_on_failure: Begin no further trial once one has failed, here or since `since` in another process.

    Returns:
        One outcome per trial, in the order of `trials`.

    Raises:
        OSError: The store cannot be written, or is gone; finished trials are kept.
        Interrupted: `options.stop` returned True.
    """
    for trial in trials:
        TrialFolder(trial.folder(runs)).announce(trial)
    done = {trial.key for trial in trials if TrialFolder(trial.folder(runs)).is_done}

    def is_current(trial: Trial) -> bool:
        present = {trial.method: sources(registry.any(trial.method))}
        return readable_state(TrialFolder(trial.folder(runs)), present).is_trusted

    needed = needed_stages(trials, lambda trial: trial.key in done, is_current)
    places = {trial.dataset: elsewhere.get(trial.dataset, (protocol, data)) for trial in trials}
    places |= {trial.tested.dataset: elsewhere[trial.tested.dataset] for trial in trials if trial.tested is not None}
    by_key = {trial.key: trial for trial in trials}
    run = _Run(by_key, registry, places, runs, options, on_trial, needed, since, stop_on_failure)
    queue, deferred = deque(in_order(trials, done | needed, registry, runs)), list[Trial]()
    while queue:
        trial = queue.popleft()
        outcome = run.attempt(trial)
        if outcome is None:
            deferred.append(trial)
        else:
            run.outcomes[trial.key] = outcome
            if outcome.state in {OutcomeState.RAN, OutcomeState.FAILED}:  # time has passed: others may be done
                queue.extendleft(reversed(deferred))
                deferred.clear()
        if not queue and deferred:
            run.wait(deferred)
            queue.extend(deferred)
            deferred.clear()
    return [run.outcomes[trial.key] for trial in trials]


@dataclass
class _Run:
    """One call of `run_trials`.

    Attributes:
        by_key: The trials by key.
        registry: All methods.
        places: Protocol and frames by dataset.
        runs: The store.
        options: Device, checkpoints, progress.
        on_trial: Called before each trial with its state.
        needed: Keys of the trials that others start from.
        since: See `run_trials`.
        stop_on_failure: See `run_trials`.
        outcomes: Outcomes so far, by key.
        announced: Keys of the trials whose wait was reported.
    """

    by_key: Mapping[str, Trial]
    registry: Registry
    places: Mapping[str, tuple[Protocol, TrialData]]
    runs: Path
    options: RunOptions
    on_trial: OnTrial
    needed: Set[str]
    since: int | None
    stop_on_failure: bool
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)

    def attempt(self, trial: Trial) -> Outcome | None:
        """Run a trial if it is to do and free; None: it has to wait for another process.

        Raises:
            OSError: As `run_trials`.
            UserError: As `run_trials`.
            Interrupted: As `run_trials`.
        """
        folder = TrialFolder(trial.folder(self.runs))
        present = {trial.method: sources(self.registry.any(trial.method))}
        before = {role: self.by_key[stage.key] for role, stage in trial.prerequisites.items()}
        needed = trial.key in self.needed
        state, why = State.TO_DO, None
        if folder.is_done:
            try:
                state = state_of(folder, present)
            except UserError as error:
                state, why = State.DAMAGED, error
        if state == State.DONE:
            _prune(folder)
        # Trials that others start from must come from the present code, like these.
        if state != State.TO_DO and (state.is_trusted or state == State.DAMAGED or not needed):
            return self._end(trial, state, why)
        if any(stage.key not in self.outcomes for stage in before.values()):
            return None
        if state == State.TO_DO and any(self.outcomes[stage.key].state in LOST for stage in before.values()):
            return self._end(trial, State.BLOCKED)
        withheld = self._withheld(trial, folder)
        if withheld is not None:
            return withheld
        if self.options.stop():
            raise Interrupted(f"{trial.label}: not begun")
        if not self.runs.is_dir():  # a lock file would create the folder again
            raise _gone(self.runs)
        tested = None if trial.tested is None else self.places[trial.tested.dataset]
        train = partial(_train, trial, self.registry, *self.places[trial.dataset], self.runs, before, tested)
        try:
            ended = _run_owned(trial, folder, present, train, self.options, self.on_trial, needed=needed)
        except UserError as error:
            return self._end(trial, State.FAILED, error)
        return None if needed and ended == State.RUNNING else self._end(trial, ended)

    def _withheld(self, trial: Trial, folder: TrialFolder) -> Outcome | None:
        """Outcome of a trial that is not begun because it, or another one, has failed; None if it may begin."""
        failure = None if self.since is None else failure_since(folder, self.since)
        if failure is not None:
            return self._end(trial, State.FAILED, failure, seen=True)
        return self._end(trial, State.HELD) if self.stop_on_failure and self._any_failure() else None

    def _any_failure(self) -> bool:
        """Whether a trial has failed in this run, here or in another process."""
        if any(outcome.state == OutcomeState.FAILED for outcome in self.outcomes.values()):
            return True
        since = self.since
        left = [trial for key, trial in self.by_key.items() if key not in self.outcomes]
        return since is not None and any(failure_since(TrialFolder(t.folder(self.runs)), since) for t in left)

    def wait(self, deferred: Sequence[Trial]) -> None:
        """Wait a moment for the processes that run these trials, or trials that they start from.

        Raises:
            Interrupted: `options.stop` returned True.
        """
        for trial in deferred:
            ready = all(stage.key in self.outcomes for stage in trial.prerequisites.values())
            if ready and trial.key not in self.announced and self.on_trial is not None:
                self.on_trial(trial, State.AWAITED)
            self.announced |= {trial.key} if ready else set()
        if self.options.stop():
            raise Interrupted(f"{deferred[0].label}: waited for the process that runs it")
        time.sleep(LOOK_S)

    def _end(self, trial: Trial, state: State | None, why: UserError | None = None, *, seen: bool = False) -> Outcome:
        if state is not None and self.on_trial is not None:
            self.on_trial(trial, state)
        return Outcome(trial, OutcomeState.from_state(state), why, seen)


def failure_since(folder: TrialFolder, since: int) -> UserError | None:
    """Error that a process has recorded for a trial since a time; None if there is none.

    Args:
        folder: Folder of the trial.
        since: Time of the store's file system, nanoseconds.
    """
    file = folder.path / ERROR
    try:
        if file.stat().st_mtime_ns < since:
            return None
        reason = file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except FileNotFoundError:
        return None
    return UserError(
        "a trial failed in another process", where=file, found=reason[:160], remedy="the next run tries it again"
    )


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
    tested: Place | None,
    options: RunOptions,
) -> None:
    """Run one trial; the trials `before`, which it starts from, are done."""
    finished = {role: read_finished(prerequisite, registry, runs) for role, prerequisite in before.items()}
    folder = TrialFolder(trial.folder(runs))
    run_trial(trial, registry.any(trial.method), protocol, data, folder, options, finished, tested)


def _run_owned(
    trial: Trial,
    folder: TrialFolder,
    present: Mapping[str, str],
    train: Callable[[RunOptions], None],
    options: RunOptions,
    on_trial: OnTrial,
    *,
    needed: bool,
) -> State | None:
    """Own a trial and train it.

    Returns:
        None if it ran now, `done`, `stale` or `unsealed` if another process has finished it meanwhile, `running` if
        another process runs it. With `needed`, since others start from it, `done`, `running` or None.

    Raises:
        UserError: The trial failed; its folder holds the reason.
        Interrupted: `options.stop` returned True.
        FileNotFoundError: The store is gone.
    """
    try:
        with FileLock(folder.lock).acquire(timeout=LOCK_S), Ownership(folder.path, stop=options.stop) as owner:
            if folder.is_done:  # another process finished it; a stale trial stays, unless others wait for it
                state = state_of(folder, present)
                if state == State.DONE or not needed:
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


def run_trial(
    trial: Trial,
    method_class: type[Method],
    protocol: Protocol,
    data: TrialData,
    folder: TrialFolder,
    options: RunOptions,
    prerequisites: Mapping[str, FinishedTrial] | None = None,
    tested: Place | None = None,
) -> None:
    """Run one trial in its folder, from its checkpoint if there is one.

    The folder already has the trial's `trial.json`. `tested` is the other dataset of a trial that trains nothing.

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
        if tested is None:
            # A checkpoint descends from these very trials: one of another training of them is not gone on with.
            begun = {role: done.made for role, done in prerequisites.items()}
            made_by = digest_of_json([made["source_hash"], begun]) if begun else made["source_hash"]
            learned = train_trial(learner, method_class, protocol, data, folder, options, made_by, left)
        else:
            trained = prerequisites[TRAINED].left.state
            learned = score_elsewhere(learner, method_class, (protocol, data), tested, folder, options, trained, left)
            protocol, data = tested
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
