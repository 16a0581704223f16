"""The protocol of an AU dataset: its AUs, its subjects, its test parts, and the sizes of a full copy."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

ALL = "all"
"""The part of a trial that learns from everyone and is tested on no one."""
PROTOCOL_VERSION = 1
"""Raised when a change of a protocol can change a result; part of every trial's key."""


class Protocol(BaseModel):
    """One AU dataset as it is trained on and tested."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """Name of the dataset."""
    folder: str
    """Name of the dataset's folder below the data root."""
    aus: tuple[int, ...]
    """AUs that are scored, in the order of tables."""
    parts: dict[str, tuple[str, ...]]
    """Test part -> its subjects. A trial trains on all other subjects."""
    train_only: tuple[str, ...] = ()
    """Subjects that no part tests."""
    frames: int
    """Coded frames in the full dataset, by which a complete copy is told from a partial one."""
    sequences: int
    """Videos in the full dataset."""

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
        """All subjects, of every part and those that only train."""
        return frozenset(self.train_only).union(*self.parts.values())
