"""A trial and its key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from benchmark.config.key import key_of
from benchmark.config.protocol import PROTOCOL_VERSION
from benchmark.config.settings import DataSettings, Settings, TrainSettings
from benchmark.core.hashing import digest_of_json

START = "start"
"""Role of the prerequisite whose backbone initialises the trial's backbone (A14)."""
RENDERS = "renders"
"""Value of `method.weights`, and dataset name, of the stage that is pre-trained on drawn people without AUs."""
TRAINED = "trained"
"""Role of the prerequisite whose trained network a trial scores on the people of another dataset."""
READING = "reading "
"""Start of `Trial.variant` of a reading that is not the profile's own settings."""


class Prerequisite(Settings):
    """Trial that must finish before another one starts."""

    key: str
    own_digest: str
    """Digest of the prerequisite's method settings."""


class Tested(Settings):
    """Another dataset, whose test people a trained network is scored on."""

    dataset: str
    protocol: str
    """Digest of the dataset's AUs and parts."""
    fingerprint: str
    """Fingerprint of its AU data."""


class Trial(Settings):
    """Dataset, part, method, seed, settings and data of one training: everything that can change its result."""

    dataset: str
    part: str
    """Test part (A15)."""
    method: str
    seed: int
    method_version: int
    protocol: str
    """Digest of the dataset's AUs and parts; "" for a trial without AU data."""
    protocol_version: int = PROTOCOL_VERSION
    data: DataSettings
    train: TrainSettings
    hparams: dict[str, Any]
    """Complete settings of the method."""
    weights_hash: str = ""
    """Digest of the file of backbone weights; "" if none was given."""
    shared_digest: str
    """Digest of the settings shared by all methods of a comparison: budget, images, backbone."""
    fingerprints: tuple[str, str]
    """Fingerprints of the AU and the FE data; the first is "" for a trial without AU data."""
    prerequisites: dict[str, Prerequisite] = Field(default={})
    """Prerequisites by role."""
    tested: Tested | None = None
    """Other dataset that the network of the prerequisite `trained` is scored on; None: the trial trains, and is scored
    on its own test part."""

    profile: str
    shared_overrides: str = ""
    variant: str = ""
    row: str = ""
    """Name of the printed row, if it is not the method's default row."""
    reading: str = ""
    """Name of the profile's reading that has the trial's settings; "" for none."""

    @model_serializer(mode="wrap")
    def _without_tested(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `tested` where it is None, so that the keys of trials that train stay valid."""
        content: dict[str, Any] = handler(self)
        if content.get("tested") is None:
            content.pop("tested", None)
        return content

    @cached_property
    def key(self) -> str:
        """Digest of everything that can change the result, 16 hex digits."""
        return key_of(
            self.model_dump(
                mode="json",
            )
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy of the trial with a new key."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("key", None)
        return copied

    def folder(self, runs: Path) -> Path:
        """Folder of the trial's files below the store `runs`."""
        return runs / self.dataset / self.method / f"{self.part}-seed{self.seed}-{self.key}"

    @property
    def own_digest(self) -> str:
        """Digest of the method's settings; only trials with equal digests are repetitions of each other."""
        before = {role: trial.own_digest for role, trial in self.prerequisites.items()}
        return digest_of_json({"hparams": self.hparams, "weights_hash": self.weights_hash, "prerequisites": before})

    @property
    def label(self) -> str:
        """Short name for readers."""
        other_reading = f"reading {self.reading}" if self.variant.startswith(READING) else ""
        qualifier = self.row or other_reading
        name = f"{self.method} ({qualifier})" if qualifier else self.method
        elsewhere = f" on {self.tested.dataset}" if self.tested is not None else ""
        return f"{self.dataset} {name} {self.part} seed {self.seed}{elsewhere}"
