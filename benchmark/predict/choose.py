"""The choice of a finished trial. None is ever chosen by its scores: those come from its test people."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmark.core.errors import UserError, near_keys
from benchmark.core.places import default_runs, near_folder, no_store
from benchmark.store.folder import TrialFolder, trial_folders
from benchmark.store.record import read_trial
from methods import Registry
from methods.base import Stream

LISTED = 12
"""Maximum number of trials that an error lists."""


def choose_trial(runs: Path, key: str, registry: Registry) -> TrialFolder:
    """Find a finished trial that predicts AUs.

    Args:
        runs: The store.
        key: Key of the trial, or the start of one; "" for the only trial of the store.
        registry: All methods.

    Returns:
        The folder of the trial.

    Raises:
        UserError: No trial has this key, several have this start, or no key is given and the store has several trials.
    """
    if not runs.exists() and near_folder(runs) is not None:
        raise no_store(runs)
    known = _finished(runs, registry)
    if not known:
        raise UserError(
            "no finished trial that predicts AUs",
            where=runs,
            expected="a finished trial",
            remedy="train one first, which takes minutes: `malbench run bp4d --method stl --part part1 --seed 0`; the "
            "quickest is `malbench demo`, which prints the command to go on with; or name another store with --runs",
        )
    chosen = [name for name in known if name.startswith(key)]
    if len(chosen) == 1:
        return known[chosen[0]][0]
    if not key or len(chosen) > 1:
        raise UserError(
            "several finished trials fit, and none is chosen for you: the scores of a trial come from its test people, "
            "so the best score would be chosen on them",
            where=runs,
            expected="one trial",
            found=_listing(chosen, {name: label for name, (_, label) in known.items()}),
            remedy=f"name one with --trial; for the first: `{prediction_command(runs, chosen[0])}`",
        )
    raise UserError(
        f"no finished trial '{key}' that predicts AUs",
        where=runs,
        found=near_keys(key, {name: label for name, (_, label) in known.items()}),
        remedy="name one of these with --trial KEY; `malbench status --all` lists every trial",
    )


def prediction_command(runs: Path, key: str) -> str:
    """Command that predicts by a trial, with the store where it is not the default one.

    Args:
        runs: The store.
        key: Key of the trial.

    Example:
        >>> prediction_command(Path("demo/runs"), "35a55eed740896d6")
        'malbench predict PHOTOS --runs demo/runs --trial 35a55eed740896d6'
    """
    store = "" if runs.absolute() == default_runs().absolute() else f" --runs {shlex.quote(str(runs))}"
    return f"malbench predict PHOTOS{store} --trial {key}"


def _finished(runs: Path, registry: Registry) -> dict[str, tuple[TrialFolder, str]]:
    """Folder and label of each finished trial with an AU detector, by key. A damaged trial is left out."""
    known = {}
    for folder in trial_folders(runs):
        if not folder.is_done:
            continue
        try:
            trial, _ = read_trial(folder)
            if Stream.AU in registry.any(trial.method).streams:
                known[trial.key] = (folder, trial.label)
        except UserError:  # `malbench status` names it
            continue
    return known


def _listing(keys: list[str], labels: dict[str, str]) -> str:
    more = f"; and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return "; ".join(f"{key} ({labels[key]})" for key in keys[:LISTED]) + more
