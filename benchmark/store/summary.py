"""Summaries of the trials of a store, for lists of up to a hundred thousand.

A summary comes from two small files, whose content is believed: no digest is computed and no setting is validated. This
module needs neither torch nor pandas.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.store.folder import DONE, PROVENANCE, TRIAL, VERIFIED, TrialFolder, unreadable


@dataclass(frozen=True)
class TrialSummary:
    """Name and state of a trial, for lists.

    Attributes:
        path: Folder of the trial, as text: a hundred thousand `Path` objects are slow.
        dataset: AU dataset, as in `Trial`.
        method: Method, as in `Trial`.
        part: Test part, as in `Trial`.
        seed: Seed, as in `Trial`.
        profile: Profile, as in `Trial`.
        key: Key of the trial, from the name of its folder.
        is_done: Whether the trial is finished.
        source_hash: Hash of the sources that made the trial; "" if it is not finished.
        verified_hash: Hash of the sources that last verified the trial; "" if none did.
    """

    path: str
    dataset: str
    method: str
    part: str
    seed: int
    profile: str
    key: str
    is_done: bool
    source_hash: str
    verified_hash: str

    @property
    def folder(self) -> TrialFolder:
        """Folder of the trial."""
        return TrialFolder(Path(self.path))


def summaries(runs: Path) -> Iterator[TrialSummary]:
    """Summaries of all trials of a store, in the order of their folders.

    Args:
        runs: The store.

    Raises:
        UserError: A file is damaged.
    """
    for dataset in _folders(runs):
        for method in _folders(dataset):
            for path in _folders(method):
                summary = _summary(path)
                if summary is not None:
                    yield summary


def _folders(path: Path | str) -> list[str]:
    """Paths of the folders in a folder, sorted; none if it does not exist."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _summary(path: str) -> TrialSummary | None:
    """Summary of the trial in a folder; None if there is no trial."""
    # Not pathlib, which is slow for a hundred thousand folders.
    try:
        trial = _load(f"{path}/{TRIAL}")
        done = os.path.exists(f"{path}/{DONE}")  # noqa: PTH110
        made = _load(f"{path}/{PROVENANCE}") if done else {}
        name = {key: str(trial[key]) for key in ("dataset", "method", "part", "profile")}
        hashes = {
            "source_hash": str(made.get("source_hash", "")),
            "verified_hash": str(_verification(path).get("source_hash", "")) if done else "",
        }
        return TrialSummary(path, seed=int(trial["seed"]), key=path[-16:], is_done=done, **name, **hashes)
    except FileNotFoundError as error:
        if not os.path.exists(f"{path}/{DONE}"):  # noqa: PTH110  # no trial, or one that is being deleted
            return None
        raise unreadable(path, f"no {os.path.basename(error.filename)}, and yet it is done") from error  # noqa: PTH119
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise unreadable(path, f"{type(error).__name__}: {error}"[:160]) from error


def _verification(path: str) -> dict[str, Any]:
    """The last verification of a finished trial; empty if there is none."""
    try:
        return _load(f"{path}/{VERIFIED}")
    except FileNotFoundError:
        return {}


def _load(file: str) -> dict[str, Any]:
    """Content of a JSON file."""
    with open(file, "rb") as stream:  # noqa: PTH123
        content: dict[str, Any] = json.loads(stream.read())
    return content
