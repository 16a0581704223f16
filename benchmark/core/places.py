"""Default folders: below the checkout, or, for an installed package, outside site-packages."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from benchmark.core.errors import UserError, wrong_path

PROJECT = Path(__file__).resolve().parents[2]
DATA_VARIABLE = "MALBENCH_DATA"
"""Variable of the environment: the data root, where a command names none."""


def is_checkout() -> bool:
    """Whether the suite runs from its checkout. An installed package has its templates inside `benchmark/`."""
    return not (PROJECT / "benchmark" / "templates").is_dir()


def default_runs() -> Path:
    """Default store of trials: `runs/` of the checkout, else of the current folder."""
    return (PROJECT if is_checkout() else Path()) / "runs"


def report_of(store: Path) -> Path:
    """Default folder of the pages about the trials of a store."""
    return store / "report"


def predictions_of(store: Path) -> Path:
    """Default folder of predictions by the trials of a store: of people's own photographs, so Git must ignore it."""
    return store / "predictions"


def default_reports() -> Path:
    """Folder of the committed reports: `reports/` of the checkout, else of the current folder."""
    return (PROJECT if is_checkout() else Path()) / "reports"


def default_cache() -> Path:
    """Default folder of packed frames and stand-ins: `.cache/` of the checkout, else the user's cache folder."""
    if is_checkout():
        return PROJECT / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "malbench"


def check_store(runs: Path) -> None:
    """Refuse a store that cannot be one.

    Raises:
        UserError: It is a file, or below one.
    """
    there = next((path for path in (runs, *runs.parents) if path.exists()), None)
    if there is not None and not there.is_dir():
        raise wrong_path(there, "folder", expected="a store, or nothing", remedy="name another store with --runs")


def no_store(runs: Path) -> UserError:
    """The error for a store that is not there; where a folder of a near name is, it is named."""
    near = near_folder(runs)
    guess = "" if near is None else f"did you mean {near}? "
    return wrong_path(
        runs,
        "folder",
        expected="a store: the folder that `malbench run --runs` wrote",
        remedy=f"{guess}correct --runs (or MALBENCH_RUNS)",
    )


def near_folder(path: Path) -> Path | None:
    """A folder whose path differs from one that is not there in one misspelt name; None for none.

    Example:
        >>> near_folder(Path("no such place/runs")) is None
        True
    """
    missing = next((part for part in (*reversed(path.parents), path) if not part.exists()), None)
    if missing is None or not missing.parent.is_dir():
        return None
    names = [entry.name for entry in missing.parent.iterdir() if entry.is_dir()]
    rest = path.relative_to(missing)
    there = (missing.parent / name / rest for name in difflib.get_close_matches(missing.name, names))
    return next((folder for folder in there if folder.is_dir()), None)
