"""Default folders: below the checkout, or, for an installed package, outside site-packages."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.core.errors import wrong_path

PROJECT = Path(__file__).resolve().parents[2]


def is_checkout() -> bool:
    """Whether the suite runs from its checkout. An installed package has its templates inside `benchmark/`."""
    return not (PROJECT / "benchmark" / "templates").is_dir()


def default_runs() -> Path:
    """Default store of trials: `runs/` of the checkout, else of the current folder."""
    return (PROJECT if is_checkout() else Path()) / "runs"


def report_of(store: Path) -> Path:
    """Default folder of the pages about the trials of a store."""
    return store / "report"


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
