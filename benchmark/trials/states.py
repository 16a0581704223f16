"""States of trials, from their folders and the present sources of their methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from benchmark.core.errors import UserError
from benchmark.core.files import read_bytes
from benchmark.store.folder import CHECKPOINT, ERROR, TRIAL, TrialFolder
from benchmark.store.record import is_current, read_trial
from benchmark.store.summary import TrialSummary
from benchmark.trials.ownership import OWNER, is_beating, read_owner
from benchmark.trials.source_hash import source_hash
from methods import Registry, all_source_files, source_files

if TYPE_CHECKING:
    from benchmark.config.trial import Trial
    from methods.base import Method


class State(StrEnum):
    """State of a trial."""

    DONE = "done"
    STALE = "stale"  # done, but by other sources than the present ones, under the same version
    UNSEALED = "unsealed"  # done, by a version that did not seal: nothing proves that the files are as they were
    DAMAGED = "damaged"  # done once, but a file has changed since, or the trial is another than its folder says
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    TO_DO = "to do"
    AWAITED = "awaited"  # another process runs a trial that this one starts from
    BLOCKED = "blocked"  # a trial that this one starts from failed
    HELD = "held"  # another trial failed, in a run that stops on a failure

    @property
    def is_finished(self) -> bool:
        """Whether a run leaves such a trial as it is, unless others start from it."""
        return self in {State.DONE, State.STALE, State.UNSEALED}

    @property
    def is_trusted(self) -> bool:
        """Whether other trials may start from such a trial."""
        return self == State.DONE


class OutcomeState(StrEnum):
    """Outcome of a trial in a run, in the words of the run's summary."""

    RAN = "ran"
    ELSEWHERE = "ran in other processes"
    DONE = "done before"
    STALE = "done before by other sources"
    UNSEALED = "done before, unsealed"
    DAMAGED = "damaged"
    RUNNING = "left to other processes"
    FAILED = "failed"
    BLOCKED = "blocked by a failure"
    HELD = "not begun after a failure"

    @classmethod
    def from_state(cls, state: State | None) -> OutcomeState:
        """Outcome of a trial that was found in this state and left there; None: it was run."""
        if state is None:
            return cls.RAN
        # Any other state: another process opened the finished trial again between two looks at its folder.
        return cls.__members__.get(state.name, cls.RUNNING)


def state_of(folder: TrialFolder, present: Mapping[str, str]) -> State:
    """State of the trial in a folder.

    Args:
        folder: The trial's folder.
        present: Hash of the present sources by method, see `source_hashes`.

    Raises:
        UserError: A file of a finished trial is damaged or has changed, or it is another trial than its folder says.
    """
    if folder.is_done:
        seals = folder.seals()
        trial, made = read_trial(folder, seals)
        faults = folder.faults(seals) if seals else []
        if faults:
            raise UserError(
                "a finished trial has changed since",
                where=folder.path,
                found="; ".join(faults),
                remedy="put the files back as they were, or delete this trial's folder and run again",
            )
        if not seals:
            return State.UNSEALED
        return State.DONE if is_current(made, present.get(trial.method)) else State.STALE
    return unfinished_state(folder)


def readable_state(folder: TrialFolder, present: Mapping[str, str]) -> State:
    """`state_of`, and `DAMAGED` where it raises: the run says what is wrong."""
    try:
        return state_of(folder, present)
    except UserError:
        return State.DAMAGED


def needed_stages(
    trials: Sequence[Trial], is_finished: Callable[[Trial], bool], is_current: Callable[[Trial], bool]
) -> set[str]:
    """Keys of the trials from which trials start that are to run, or to run again because others need them.

    Args:
        trials: The trials, each after those that it starts from.
        is_finished: Whether a trial is done, by whatever sources.
        is_current: Whether the present sources made or verified a trial; asked of few, since it may read all its files.
    """
    needed: set[str] = set()
    for trial in reversed(trials):
        before = {stage.key for stage in trial.prerequisites.values()}
        if before and (not is_finished(trial) or (trial.key in needed and not is_current(trial))):
            needed |= before
    return needed


def summary_state(seen: TrialSummary, present: Mapping[str, str]) -> State:
    """`state_of`, from the summary of a trial instead of its files."""
    if seen.fault:
        return State.DAMAGED
    if seen.is_done and not seen.is_sealed:
        return State.UNSEALED
    if seen.is_done:
        return State.DONE if present.get(seen.method) in {seen.source_hash, seen.verified_hash} else State.STALE
    return unfinished_state(seen.folder)


def unfinished_state(folder: TrialFolder) -> State:
    """State of a trial that is not done."""
    if not folder.lock.exists():  # it never ran, or this is a copy without locks
        return State.INTERRUPTED if (folder.path / CHECKPOINT).is_file() else State.TO_DO
    if (folder.path / OWNER).exists():  # a process runs it, or was killed
        try:
            with FileLock(folder.lock).acquire(blocking=False):
                pass
        except Timeout:
            return State.RUNNING
        except OSError:
            pass  # a read-only store: the other files tell the state
        if is_beating(folder.path):
            return State.RUNNING
    if (folder.path / ERROR).is_file():
        return State.FAILED
    return State.INTERRUPTED if (folder.path / TRIAL).is_file() else State.TO_DO


def detail_of(folder: TrialFolder, state: State) -> str:
    """Details for a list: why the trial failed, or how far it is; "" for none."""
    if state == State.FAILED:
        try:
            return read_bytes(folder.path / ERROR).decode(errors="replace").partition("\n")[0]
        except FileNotFoundError:  # a process has started it again in the meantime
            return ""
    if state == State.STALE:
        return "made by other sources than the present ones"
    if state == State.UNSEALED:
        return "made before files were sealed: nothing proves that they are as they were written"
    owner = read_owner(folder.path) if state == State.RUNNING else None
    if owner is not None:
        return owner.describe()
    done = folder.steps_done() if state in {State.INTERRUPTED, State.RUNNING} else None
    return "" if done is None else f"checkpoint after {done:,} steps"


def source_hashes(registry: Registry | None = None) -> dict[str, str]:
    """Hash of the present sources of each method and stage.

    Args:
        registry: The classes; None for those in `methods/`, which are then not imported.
    """
    if registry is None:
        return {name: source_hash(files) for name, files in all_source_files().items()}
    return {name: sources(registry.any(name)) for name in registry.names}


def sources(method: type[Method] | str) -> str:
    """Hash of the present sources of one method: a class, or a name, which needs no import."""
    return source_hash(source_files(method))
