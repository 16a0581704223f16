"""Common parts of the datasets that a profile declares: title, folder and origin."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.core.errors import UserError
from benchmark.core.origin import Origin
from benchmark.data.faces import is_standin, standin_note
from benchmark.datasets.base import Dataset, DatasetSettings
from benchmark.datasets.tables import BelowRoot


class DeclaredSettings(DatasetSettings):
    """Settings common to all declared datasets."""

    title: str = ""
    """Name of the dataset in prose; "" for its name in the profile."""
    folder: BelowRoot = ""
    """Folder below the data root; "" for the dataset's name."""


class Declared(Dataset):
    """Dataset whose title and folder are settings."""

    def __init__(self, name: str, settings: DeclaredSettings) -> None:
        super().__init__(name, settings)
        self.title = settings.title or name
        self.folder = settings.folder or name


def origin_of(root: Path, table: pd.DataFrame, new_faults: int) -> tuple[Origin, str]:
    """Origin of the faces, and the first words of their note.

    Args:
        root: The data root.
        table: As in `FaceSet`.
        new_faults: Number of faults that the reader reported. The contents of a full copy are unknown, so a copy
            without faults counts as complete.
    """
    if is_standin(root, table):
        return "stand-in", f"{standin_note(root)}: "
    return ("partial", "partial data: ") if new_faults else ("complete", "")


def count(faults: list[UserError] | None) -> int:
    """Number of collected faults; 0 for None."""
    return 0 if faults is None else len(faults)
