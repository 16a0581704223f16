"""Names of datasets and profiles, read from the list of files without any import or validation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from benchmark.core.registry import read_marks

PROFILES = Path(__file__).parent / "profiles"
"""Folder of the suite's profiles."""
DATASETS = Path(__file__).parents[1] / "datasets"
"""Folder of the suite's datasets."""
DATASET_DECORATORS = ("au_dataset", "fe_dataset")
"""Decorators that register a dataset."""

LookName = Literal["sticker", "negative", "bar", "turned"]
"""Look that marks FE images of the stand-in as being of a kind."""


def dataset_names() -> tuple[str, ...]:
    """Names of the datasets of the suite."""
    return tuple(read_marks(DATASETS, DATASET_DECORATORS))


def profile_names() -> list[str]:
    """Names of the profiles of the suite.

    Example:
        >>> profile_names()
        ['paper', 'smoke', 'standin']
    """
    return sorted(path.stem for path in PROFILES.glob("*.toml"))
