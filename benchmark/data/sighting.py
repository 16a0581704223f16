"""Descriptions of folders that hold a dataset, or look like one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import UserError


@dataclass(frozen=True)
class Sighting:
    """One dataset in one folder.

    Attributes:
        title: Name of the dataset.
        folder: The folder.
        layout: Layout in words.
        parts: Parts of the dataset with their sizes, `coding files: 328 of 328`.
        fault: Reason why it cannot be read; None if it can.
        place: Name that the folder must have below the data root.
    """

    title: str
    folder: Path
    layout: str
    parts: tuple[str, ...]
    fault: UserError | None
    place: str

    @property
    def readable(self) -> bool:
        """Whether the dataset can be read once its folder has its name."""
        return self.fault is None
