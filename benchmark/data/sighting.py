"""Descriptions of folders that hold a dataset, or look like one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import UserError

_COUNT = re.compile(r"(?P<name>[^:]+): (?P<found>[\d,]+)(?: of (?P<full>[\d,]+))?")


@dataclass(frozen=True)
class Count:
    """Number of things of one kind in a copy.

    Attributes:
        name: Kind of the things.
        found: Number in this copy.
        full: Number in a full copy; 0 if it is not known.
    """

    name: str
    found: int
    full: int = 0

    @property
    def lacking(self) -> bool:
        """Whether there is nothing, or less than in a full copy."""
        return self.found == 0 or self.found < self.full

    @property
    def in_words(self) -> str:
        """The number in words."""
        of = f" of {self.full:,}" if self.full else ""
        return f"{self.found:,}{of} {self.name}" if self.found else f"no {self.name}"


def _number(text: str) -> int:
    return int(text.replace(",", "") or 0)


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
    def missing(self) -> tuple[str, ...]:
        """Parts of which there is nothing, or less than of a full copy: `41 of 328 coding files`, `no landmark files`.

        Example:
            >>> parts = ("coding files: 41 of 328", "subjects with images: 41 of 41", "landmark files: 0 of 328")
            >>> Sighting("BP4D", Path("BP4D"), "", parts, None, "BP4D").missing
            ('41 of 328 coding files', 'no landmark files')
        """
        return tuple(part.in_words for part in self.counts if part.lacking)

    @property
    def counts(self) -> tuple[Count, ...]:
        """Parts that are one number, or one number of another."""
        matches = (_COUNT.fullmatch(part) for part in self.parts)
        return tuple(Count(m["name"], _number(m["found"]), _number(m["full"] or "")) for m in matches if m is not None)

    @property
    def readable(self) -> bool:
        """Whether the dataset can be read once its folder has its name."""
        return self.fault is None
