"""Summaries of the trials of a store, for lists of up to a hundred thousand.

A summary comes from three small files, `trial.json`, `provenance.json` and `DONE`, which must name one trial and match
their seals. The digests of the other files are computed on request. This module needs neither torch nor pandas.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from benchmark.config.key import key_of, place_of
from benchmark.core.errors import UserError
from benchmark.core.files import json_object, read_bytes
from benchmark.core.hashing import digest_of_bytes
from benchmark.core.machine import available_cores
from benchmark.store.folder import DONE, PROVENANCE, TRIAL, Mark, TrialFolder, has_digest
from benchmark.store.identity import check_identity, check_unsealed


@dataclass(frozen=True)
class TrialSummary:
    """Name and state of a trial, for lists.

    Attributes:
        path: Folder of the trial, as text: a hundred thousand `Path` objects are slow.
        dataset: AU dataset, as in `Trial`.
        method: Method, as in `Trial`.
        part: Test part, as in `Trial`, with the other dataset of a trial that has one.
        seed: Seed, as in `Trial`.
        profile: Profile, as in `Trial`.
        key: Key of the trial, from the name of its folder.
        is_done: Whether the trial is finished.
        source_hash: Hash of the sources that made the trial; "" if it is not finished.
        verified_hash: Hash of the sources that last verified the trial; "" if none did.
        is_sealed: Whether the mark of a finished trial has digests.
        fault: Damage of the folder, in words; "" for none. The other fields are then as far as they can be read.
    """

    path: str
    dataset: str
    method: str
    part: str
    seed: int
    profile: str
    key: str
    is_done: bool
    source_hash: str = ""
    verified_hash: str = ""
    is_sealed: bool = True
    fault: str = ""

    @property
    def folder(self) -> TrialFolder:
        """Folder of the trial."""
        return TrialFolder(Path(self.path))


@dataclass
class Contents:
    """Comparison of files with their seals; a file whose state has not changed since is not hashed again."""

    _seen: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)

    def matches(self, file: Path, digest: str) -> bool:
        """Whether a file's bytes have this digest.

        Raises:
            UserError: The path leads to no regular file.
            OSError: The file cannot be read.
        """
        stat = file.stat()
        state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        place = (str(file), digest)
        if self._seen.get(place) == state:
            return True
        if not has_digest(file, digest):
            return False
        self._seen[place] = state
        return True


def summaries(runs: Path, contents: Contents | None = None) -> Iterator[TrialSummary]:
    """Summaries of all trials of a store, in the order of their folders.

    Args:
        runs: The store.
        contents: Compares every file of a finished trial with its seal; None: the three small files alone.
    """
    datasets = _folders(runs)
    methods = {dataset: _folders(dataset) for dataset in datasets}
    # Folders of trials that were moved a level up are none of datasets or methods.
    moved = [path for path in (*datasets, *chain(*methods.values())) if os.path.exists(f"{path}/{DONE}")]  # noqa: PTH110
    paths = [path for of_dataset in methods.values() for method in of_dataset for path in _folders(method)]
    summary = partial(_summary, contents=contents)
    if contents is None:
        yield from filter(None, map(summary, (*moved, *paths)))
        return
    with ThreadPoolExecutor(available_cores()) as pool:  # hashing releases the interpreter lock
        yield from filter(None, pool.map(summary, (*moved, *paths)))


def _folders(path: Path | str) -> list[str]:
    """Paths of the folders in a folder, sorted; none if it does not exist."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _summary(path: str, contents: Contents | None) -> TrialSummary | None:
    """Summary of the trial in a folder; None if there is no trial."""
    # Not pathlib, which is slow for a hundred thousand folders.
    done = os.path.exists(f"{path}/{DONE}")  # noqa: PTH110
    if not (done or os.path.exists(f"{path}/{TRIAL}")):  # noqa: PTH110
        return None
    try:
        raw = read_bytes(f"{path}/{TRIAL}")
        trial = json_object(raw)
        dataset, method, part, profile = (str(trial[name]) for name in ("dataset", "method", "part", "profile"))
        tested = trial.get("tested")
        part += f" on {tested['dataset']}" if tested else ""
        seen = TrialSummary(path, dataset, method, part, int(trial["seed"]), profile, path[-16:], done)
        return _finished(seen, trial, raw, contents) if done else seen
    except FileNotFoundError as error:
        if not os.path.exists(f"{path}/{DONE}"):  # noqa: PTH110  # no trial, or one that is being deleted
            return None
        fault = f"no {os.path.basename(error.filename)}, and yet it is done"  # noqa: PTH119
    except UserError as error:
        fault = error.what + ("" if error.found is None else f": {error.found}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        fault = f"{type(error).__name__}: {error}"
    *_, dataset, method, _ = ("", "", *path.split("/"))
    return TrialSummary(path, dataset, method, "?", 0, "?", path[-16:], done, fault=fault[:160])


def _finished(seen: TrialSummary, trial: dict[str, Any], raw: bytes, contents: Contents | None) -> TrialSummary:
    """Summary of a finished trial, from its settings as they are and as bytes.

    Raises:
        UserError: A file has changed, or the trial is another one than its mark or its folder says.
        OSError: A file cannot be read.
    """
    folder = seen.folder
    mark = folder.mark()
    if mark is None:
        raise FileNotFoundError(2, "gone", f"{seen.path}/{DONE}")
    made_raw = read_bytes(f"{seen.path}/{PROVENANCE}")
    made = json_object(made_raw)
    check_identity(folder, [key_of(trial)], place_of(trial), mark)
    if not mark.seals:
        check_unsealed(folder, made)
    return replace(
        seen,
        source_hash=str(made.get("source_hash", "")),
        verified_hash=str(folder.read_verification(mark.seals).get("source_hash", "")),
        is_sealed=bool(mark.seals),
        fault="; ".join(_faults(folder, mark, {TRIAL: raw, PROVENANCE: made_raw}, contents))[:160],
    )


def _faults(folder: TrialFolder, mark: Mark, small: dict[str, bytes], contents: Contents | None) -> list[str]:
    """Differences from the seals: of all files, or of those whose content is at hand."""
    if not mark.seals:
        return []
    if contents is not None:
        return folder.faults(mark.seals, contents.matches)
    return [f"{name} has changed" for name, raw in small.items() if digest_of_bytes(raw) != mark.seals.get(name)]
