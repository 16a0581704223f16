"""A trial and its key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from benchmark.config.protocol import PROTOCOL_VERSION
from benchmark.config.settings import DataSettings, Settings, TrainSettings
from benchmark.core.hashing import digest_of_json

START = "start"
"""Role of the prerequisite trial from whose backbone a trial's own starts (A14)."""
RENDERS = "renders"
"""Value of `method.weights`, and dataset name, of the stage that learns from drawn people without AUs."""

LABELS = {"profile", "shared_overrides", "variant", "row"}
"""Fields that name a trial for readers. They are no part of its key: equal settings are equal under any name."""


class Prerequisite(Settings):
    """A trial that another one starts from."""

    key: str
    own_digest: str
    """Digest of its method's settings."""


class Trial(Settings):
    """One (dataset, part, method, seed, settings, data): everything that can change a result."""

    dataset: str
    part: str
    """The part that is tested (A15)."""
    method: str
    seed: int
    method_version: int
    protocol: str
    """Digest of the dataset's AUs and parts; "" for a trial that learns from no AU data."""
    protocol_version: int = PROTOCOL_VERSION
    data: DataSettings
    train: TrainSettings
    hparams: dict[str, Any]
    """All settings of the method."""
    weights_hash: str = ""
    """Digest of the file of backbone weights; "" if none was given."""
    shared_digest: str
    """Digest of the settings that all methods of a comparison share: budget, images, base net."""
    fingerprints: tuple[str, str]
    """Fingerprints of the AU and the FE data; the first is "" for a trial that learns from FE images alone."""
    prerequisites: dict[str, Prerequisite] = Field(default={})
    """Trials that it starts from, by role."""

    profile: str
    shared_overrides: str = ""
    variant: str = ""
    row: str = ""
    """Printed row that this trial runs, if it is not its method's own."""

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits that change with anything that can change the result."""
        return digest_of_json(self.model_dump(mode="json", exclude=LABELS))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with a key of its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("key", None)
        return copied

    def folder(self, runs: Path) -> Path:
        """Folder of the trial's files below the store `runs`."""
        return runs / self.dataset / self.method / f"{self.part}-seed{self.seed}-{self.key}"

    @property
    def own_digest(self) -> str:
        """Digest of the method's settings; trials that differ in it do not repeat one another."""
        before = {role: trial.own_digest for role, trial in self.prerequisites.items()}
        return digest_of_json({"hparams": self.hparams, "weights_hash": self.weights_hash, "prerequisites": before})

    @property
    def label(self) -> str:
        """Short name for people."""
        name = f"{self.method} ({self.row})" if self.row else self.method
        return f"{self.dataset} {name} {self.part} seed {self.seed}"
