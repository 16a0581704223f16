"""What datasets share that a profile declares: their title, their folder, and how much of them was read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.core.errors import UserError
from benchmark.core.origin import Origin
from benchmark.data.faces import is_standin
from benchmark.datasets.base import Dataset, DatasetSettings
from benchmark.datasets.tables import BelowRoot


class DeclaredSettings(DatasetSettings):
    """Settings of every declared dataset."""

    title: str = ""
    """The dataset as people spell it; "" for its name."""
    folder: BelowRoot = ""
    """Folder below the data root; "" for the dataset's name."""


class Declared(Dataset):
    """A dataset whose title and folder are settings."""

    def __init__(self, name: str, settings: DeclaredSettings) -> None:
        super().__init__(name, settings)
        self.title = settings.title or name
        self.folder = settings.folder or name


def origin_of(root: Path, table: pd.DataFrame, new_faults: int) -> tuple[Origin, str]:
    """Whose faces were read, and the first words of the note about them.

    Args:
        root: The data root.
        table: As in `FaceSet`.
        new_faults: Faults that the reader found. Nobody else knows the contents of a full copy, so a copy without
            faults counts as complete.
    """
    if is_standin(root, table):
        return "stand-in", "stand-in (procedural faces): "
    return ("partial", "partial data: ") if new_faults else ("complete", "")


def count(faults: list[UserError] | None) -> int:
    """Number of faults that were collected so far."""
    return 0 if faults is None else len(faults)
