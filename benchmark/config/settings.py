"""The settings of a profile: typed, validated, each with its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

Align = Literal["landmarks", "as_is"]
"""Faces are aligned on landmarks, or taken as they are on disk (A12)."""
Normalise = Literal["imagenet", "per_image"]
"""Network input is normalised by ImageNet's mean and standard deviation, or each image by its own (A16)."""
DEFAULT_AU = "bp4d"
"""The AU dataset of commands that need one and name none."""
DEFAULT_FE = "rafdb"
"""The FE dataset of the paper."""


@dataclass(frozen=True)
class Source:
    """The file of a profile, its text, and the keys that overrides replaced.

    Attributes:
        path: The TOML file.
        text: Its content.
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
    """Side of a packed frame in pixels (§4.1.2)."""
    crop_size: int = Field(default=224, ge=16, le=1024)
    """Side of the network's input (§4.1.2)."""
    alignment: Align = "landmarks"
    """`landmarks`: on those that come with BP4D, DISFA and RAF-DB's original images. `as_is`: no alignment (A12)."""
    normalise: Normalise = "imagenet"
    """Input normalisation (A16)."""
    val_fraction: float = Field(default=0.02, gt=0, lt=0.5)
    """Share of each training subject's frames reserved as AU validation set (§4.1.1)."""
    val_minimum: int = Field(default=16, ge=1)
    """Least size of the AU validation set on small data (A18)."""
    fe_images: Literal["train", "all"] = "train"
    """The FE dataset's training images, or all its images (A10)."""
    fe: str = DEFAULT_FE
    """Name of the FE dataset."""

    @model_serializer(mode="wrap")
    def _without_new_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `fe` at its default: keys of trials that were made before it existed stay as they are."""
        content: dict[str, Any] = handler(self)
        if content.get("fe") == DEFAULT_FE:
            del content["fe"]
        return content

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop_size > self.frame_size:
            raise ValueError(f"crop_size {self.crop_size} is larger than frame_size {self.frame_size}")
        return self


class TrainSettings(Settings):
    """Training budget and batch sizes."""

    epochs: int | None = Field(default=None, ge=1)
    """Passes over the AU training set (§4.1.2, A7); or `steps`."""
    steps: int | None = Field(default=None, ge=1)
    """Updates; or `epochs`."""
    batch_au: int = Field(default=64, ge=2)
    """AU images in a batch (§4.1.2)."""
    batch_fe: int = Field(default=64, ge=2)
    """FE images in a batch (§4.1.2)."""
    batch_val: int = Field(default=256, ge=2)
    """AU validation images in a meta-test batch (§4.1.2)."""
    amp: bool = False
    """Forward passes in bfloat16 autocast."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self


class StartSettings(Settings):
    """A model trained on another AU dataset, from which all backbones start (§4.1.1, A14)."""

    method: str = "stl"
    """Method that is trained there; "" for none: backbones then start from `method.weights`."""
    parts: tuple[str, ...] = Field(default=("part1", "part2", "part3"), min_length=1, strict=False)
    """Parts of that dataset that it learns from."""


class RowSettings(Settings):
    """A row of a printed table that is a method on another backbone (Table 3: ResNet-50, AlexNet)."""

    method: str = "stl"
    """The method."""
    backbone: str
    """Its backbone, in place of `method.backbone`."""


class SlurmResources(Settings):
    """Resources of the jobs on a Slurm cluster; no part of a trial's key."""

    partition: str = ""
    """Partition, as for sbatch; "" for the cluster's default."""
    account: str = ""
    """Account, as for sbatch; "" for the user's default."""
    time_min: int = Field(default=60, ge=1)
    """Minutes; a trial that needs more goes on in the next turn of its job."""
    gpus: int = Field(default=0, ge=0)
    """GPUs of a job; a trial uses one."""
    cpus: int = Field(default=1, ge=1)
    """Cores of a job, and its CPU threads."""
    mem_gb: float | None = Field(default=None, gt=0)
    """Gigabytes of memory; none for the cluster's default."""
    parallel: int = Field(default=256, ge=1)
    """Jobs of one array that may run at the same time."""
    signal_delay_s: int = Field(default=90, ge=1)
    """Seconds before the time limit at which a trial is told to write its checkpoint."""
    requeues: int = Field(default=100, ge=0)
    """Times that a stopped job is put back into the queue."""
    options: dict[str, str | int | bool] = {}
    """Further long options of sbatch, e.g. { qos = "low" }."""


class SlurmSettings(SlurmResources):
    """Resources of all methods, and those of single methods in their place."""

    methods: dict[str, SlurmResources] = {}
    """Resources of single methods, by name."""

    def resources_of(self, method: str) -> SlurmResources:
        """Resources of one method."""
        own = self.methods.get(method, SlurmResources()).model_dump(exclude_unset=True)
        own["options"] = {**self.options, **own.get("options", {})}
        return SlurmResources(**{**self.model_dump(exclude={"methods"}), **own})


class StandinSettings(BaseModel, frozen=True, extra="forbid"):
    """Size and dials of a stand-in. What a single dataset adds is among that dataset's own settings."""

    size: int = Field(64, ge=16, le=512)
    """Side of the square images on disk, px."""
    frames_per_sequence: int = Field(12, ge=1, le=1000)
    """Coded frames of each AU sequence (BP4D: 41 subjects x 8 tasks)."""
    au_subjects: int = Field(41, ge=6, le=41)
    """Subjects of BP4D, spread evenly over its parts; at least two of each part, or there is no interval."""
    fe_train: int = Field(4000, ge=1, le=99_999)
    """Training images of the FE dataset."""
    fe_test: int = Field(400, ge=0, le=9_999)
    """Test images of the FE dataset."""
    fe_ambiguous: float = Field(0.3, ge=0, le=1)
    """Share of FE images whose AUs do not carry the label: some are cue-only, the others have a wrong label."""
    fe_cue_only: float = Field(0.5, ge=0, le=1)
    """Share of these that are cue-only: gaze or a turn of the head carries the label, and no AU is active. A neutral
    image is never cue-only."""
    fe_marked: float = Field(0.0, ge=0, le=1)
    """Share of FE images that show coarse noise instead of a face, with a label drawn evenly: visibly useless."""
    au_marked: float = Field(0.0, ge=0, le=1)
    """Share of BP4D's frames that show such noise, all AUs unknown: then noise does not tell the streams apart."""
    fe_relevance: float = Field(1.0, ge=0, le=1)
    """Share of the AUs of a face that follow its label; the others are active at BP4D's base rates."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the drawing."""


class DeclaredDataset(BaseModel, frozen=True, extra="allow"):
    """A dataset that a profile declares under `[datasets.NAME]`: a reader that needs no code, and its settings."""

    reader: str
    """Name of the reader: `csv`, `fe_csv` or `class_folders`."""


class Profile(Settings):
    """One TOML file."""

    name: str = ""
    """Bare name of a profile of the suite; file name of a user's file. So only the suite's own can be `paper`."""
    path: str = ""
    """The file."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(default=(0,), min_length=1, strict=False)
    """Seeds of the trials."""
    data: DataSettings = DataSettings()
    train: TrainSettings
    method: dict[str, Any] = {}
    """Settings that all methods share."""
    methods: dict[str, dict[str, Any]] = {}
    """Settings of single methods, over the shared ones."""
    standin: StandinSettings = StandinSettings()
    sections: dict[str, dict[str, Any]] = {}
    """Settings of single datasets by name: the tables `[bp4d]`, `[gft]`, ... of the file."""
    datasets: dict[str, DeclaredDataset] = {}
    """Datasets that the file declares."""
    rows: dict[str, RowSettings] = {}
    """Rows by their name in the paper; run on request alone."""
    slurm: SlurmSettings = SlurmSettings()
    overridden: tuple[str, ...] = ()
    """Dotted keys that overrides replaced."""

    @property
    def source(self) -> Source:
        """The file, for error messages about a setting."""
        return Source(Path(self.path), Path(self.path).read_text(encoding="utf-8"), self.overridden)
