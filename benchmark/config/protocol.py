"""The protocol of an AU dataset: its AUs, its subjects, its test parts, and the sizes of a full copy."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

ALL = "all"
"""Part name of a trial that trains on all subjects and tests none."""
PROTOCOL_VERSION = 1
"""Raised when a change of a protocol can change a result; part of every trial's key."""


class Protocol(BaseModel):
    """AUs and split of one AU dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """Name of the dataset."""
    folder: str
    """Name of the dataset's folder below the data root."""
    aus: tuple[int, ...]
    """Scored AUs, in the order of the paper's table."""
    parts: dict[str, tuple[str, ...]]
    """Test part -> test subjects. A trial trains on all other subjects."""
    train_only: tuple[str, ...] = ()
    """Subjects that no part tests."""
    frames: int
    """Number of coded frames in the full dataset; a copy with fewer frames is partial."""
    sequences: int
    """Number of videos in the full dataset."""

    @model_validator(mode="after")
    def _parts_are_disjoint(self) -> Protocol:
        subjects = [*self.train_only, *(s for part in self.parts.values() for s in part)]
        if len(set(subjects)) != len(subjects):
            raise ValueError("a subject stands in two parts")
        return self

    @property
    def au_names(self) -> tuple[str, ...]:
        """Names `AU1`, `AU2`, ... in the order of `aus`."""
        return tuple(f"AU{k}" for k in self.aus)

    @property
    def subjects(self) -> frozenset[str]:
        """All subjects: those of the parts and those that only train."""
        return frozenset(self.train_only).union(*self.parts.values())
