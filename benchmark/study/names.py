"""Names of the suite's studies, read from the names of their files: no plan is opened for them."""

from __future__ import annotations

from pathlib import Path

PLANS = Path(__file__).resolve().parent / "plans"
"""Folder of the suite's studies."""


def plan_names() -> tuple[str, ...]:
    """Names of the suite's studies, sorted.

    Example:
        >>> "decisive" in plan_names()
        True
    """
    return tuple(sorted(path.stem for path in PLANS.glob("*.toml")))
