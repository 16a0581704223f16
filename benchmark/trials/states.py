"""Where a trial stands, told from its folder and the present sources of its method."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from filelock import FileLock, Timeout

from benchmark.store.folder import CHECKPOINT, ERROR, TRIAL, Glance, TrialFolder, read_trial
from benchmark.trials.ownership import OWNER, is_beating, read_owner
from benchmark.trials.provenance import source_hash
from methods import Registry, source_files
from methods.base import Method


class State(StrEnum):
    """Where a trial stands."""

    DONE = "done"
    STALE = "stale"  # done by other sources than the present ones, with no version raised
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    TO_DO = "to do"
    AWAITED = "awaited"  # another process runs what trials here start from
    BLOCKED = "blocked"  # what it starts from failed


def state_of(folder: TrialFolder, present: Mapping[str, str]) -> State:
    """Where a trial stands, from its folder and the `present` hash of each method's sources."""
    if folder.is_done:
        trial, made = read_trial(folder)
        return State.DONE if made.get("source_hash") == present.get(trial.method) else State.STALE
    return unfinished_state(folder)


def glanced_state(seen: Glance, present: Mapping[str, str]) -> State:
    """Where a trial stands, from a glance at it."""
    if seen.is_done:
        return State.DONE if seen.source_hash == present.get(seen.method) else State.STALE
    return unfinished_state(seen.folder)


def unfinished_state(folder: TrialFolder) -> State:
    """Where a trial stands that is not done."""
    if not folder.lock.exists():  # nobody ever ran it, or this is a copy without locks
        return State.INTERRUPTED if (folder.path / CHECKPOINT).is_file() else State.TO_DO
    if (folder.path / OWNER).exists():  # of one that runs it, or that was killed
        try:
            with FileLock(folder.lock).acquire(blocking=False):
                pass
        except Timeout:
            return State.RUNNING
        except OSError:
            pass  # a store that may only be read: what else is there says enough
        if is_beating(folder.path):
            return State.RUNNING
    if (folder.path / ERROR).is_file():
        return State.FAILED
    return State.INTERRUPTED if (folder.path / TRIAL).is_file() else State.TO_DO


def detail_of(folder: TrialFolder, state: State) -> str:
    """What else is to be said of a trial in this state: why it failed, how far it came."""
    if state == State.FAILED:
        try:
            return (folder.path / ERROR).read_text(encoding="utf-8").partition("\n")[0]
        except FileNotFoundError:  # somebody has begun to run it again meanwhile
            return ""
    if state == State.STALE:
        return "made by other sources than the present ones"
    owner = read_owner(folder.path) if state == State.RUNNING else None
    if owner is not None:
        return owner.describe()
    done = folder.steps_done() if state in {State.INTERRUPTED, State.RUNNING} else None
    return "" if done is None else f"checkpoint after {done:,} steps"


def source_hashes(registry: Registry) -> dict[str, str]:
    """Hash of the present sources of each method."""
    return {name: sources(registry.any(name)) for name in registry.names}


def sources(cls: type[Method]) -> str:
    """Hash of the present sources of one method."""
    return source_hash(source_files(cls))
