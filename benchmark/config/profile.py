"""Profiles: budgets and settings from TOML, validated, with overrides from the command line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.core.errors import UserError, did_you_mean
from benchmark.data.align import Align
from benchmark.data.augment import Normalise
from benchmark.datasets.disfa.reader import DisfaSettings
from benchmark.datasets.gft.reader import GftSettings
from benchmark.datasets.rafdb.reader import RafdbSettings
from benchmark.standin.write import StandinSettings

OWN = Path(__file__).parent / "profiles"
"""The profiles that come with the suite."""


@dataclass(frozen=True)
class Source:
    """A profile's file with its text, and the keys that the command line put over it."""

    path: Path
    text: str
    overridden: tuple[str, ...] = ()


class Settings(BaseModel):
    """Base of all settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class DataSettings(Settings):
    """What is made of the images."""

    frame_size: int = Field(default=256, ge=16, le=1024)
    """Side of a packed frame in pixels (§4.1.2)."""
    crop_size: int = Field(default=224, ge=16, le=1024)
    """Side of the network's input (§4.1.2)."""
    alignment: Align = "landmarks"
    """On the landmarks that come with BP4D, DISFA and RAF-DB's original images; or images as they are (A12)."""
    normalise: Normalise = "imagenet"
    """Input normalisation (A16)."""
    val_fraction: float = Field(default=0.02, gt=0, lt=0.5)
    """Share of each training subject's frames reserved as AU validation set (§4.1.1)."""
    val_minimum: int = Field(default=16, ge=1)
    """Least size of the AU validation set on small data (A18)."""
    fe_images: Literal["train", "all"] = "train"
    """RAF-DB's training images, or all basic images (A10)."""

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop_size > self.frame_size:
            raise ValueError(f"crop_size {self.crop_size} is larger than frame_size {self.frame_size}")
        return self


class TrainSettings(Settings):
    """How much is learned, and in what portions."""

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
    """The model that DISFA's methods start from (§4.1.1, A14)."""

    method: str = "stl"
    """Method whose BP4D model it is; "" for none: the backbone then starts from `method.weights`."""
    parts: tuple[str, ...] = Field(default=("part1", "part2", "part3"), min_length=1, strict=False)
    """BP4D parts that it learns from."""


class RowSettings(Settings):
    """A row of a printed table that is a method on another backbone (Table 3: ResNet-50, AlexNet)."""

    method: str = "stl"
    """The method."""
    backbone: str
    """Its backbone, in place of `method.backbone`."""


class SlurmResources(Settings):
    """What the jobs of a Slurm cluster are given. Nothing here is part of a trial's key."""

    partition: str = ""
    """As sbatch; "" for the cluster's default."""
    account: str = ""
    """As sbatch; "" for the user's default."""
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
    """More of sbatch's long options, e.g. { qos = "low" }."""


class SlurmSettings(SlurmResources):
    """The same for all methods, and what single ones have instead."""

    methods: dict[str, SlurmResources] = {}
    """By method."""

    def of(self, method: str) -> SlurmResources:
        """The resources of one method."""
        own = self.methods.get(method, SlurmResources()).model_dump(exclude_unset=True)
        own["options"] = {**self.options, **own.get("options", {})}
        return SlurmResources(**{**self.model_dump(exclude={"methods"}), **own})


class Profile(Settings):
    """One TOML file."""

    name: str = ""
    """Of a profile of the suite its bare name, of a user's file the file's name: only the former can be `paper`."""
    path: str = ""
    """The file."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(default=(0,), min_length=1, strict=False)
    """Seeds of the trials."""
    data: DataSettings = DataSettings()
    train: TrainSettings
    method: dict[str, Any] = {}
    """Settings that all methods share."""
    methods: dict[str, dict[str, Any]] = {}
    """Settings of one method each, over the shared ones."""
    standin: StandinSettings = StandinSettings()
    disfa: DisfaSettings = DisfaSettings()
    disfa_start: StartSettings = StartSettings()
    gft: GftSettings = GftSettings()
    rafdb: RafdbSettings = RafdbSettings()
    rows: dict[str, RowSettings] = {}
    """By the paper's name of the row; run on request alone."""
    slurm: SlurmSettings = SlurmSettings()

    @property
    def source(self) -> Source:
        """Where a wrong setting is to be looked for."""
        return Source(Path(self.path), Path(self.path).read_text(encoding="utf-8"))


def load_profile(name: str, overrides: list[str] | tuple[str, ...] = ()) -> tuple[Profile, tuple[str, ...]]:
    """Read a profile and apply overrides.

    Args:
        name: A profile of the suite, or the path of a TOML file.
        overrides: `KEY=VALUE` each, the key a dotted path in the file (`train.steps`, `methods.mal.beta`), the
            value TOML or, where that fails, plain text.

    Returns:
        The profile, and those overrides that change its trials, normalised and sorted.

    Raises:
        UserError: No such profile, no TOML, an unknown key, or a value of the wrong type.
    """
    path = _find(name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError("the profile is not text", where=path, expected="UTF-8", found=str(error)) from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise UserError(
            "the profile is not TOML",
            where=path,
            line=int(found[1]) if found else None,
            found=str(error),
            remedy="mend that line, or start from a copy of a profile in benchmark/profiles/",
        ) from error
    names = {"name": path.stem if path.parent == OWN else path.name, "path": str(path)}
    base = _validated({**raw, **names}, Source(path, text))
    changed = []
    for override in overrides:
        key, value = _parse_override(override)
        before = _lookup(raw, key)
        _assign(raw, key, value)
        if before != value and key[0] != "slurm":  # where a trial runs changes no result
            changed.append(f"{key}={value if isinstance(value, str) else _toml(value)}")
    profile = _validated({**raw, **names}, Source(path, text, tuple(o.split("=")[0] for o in overrides)))
    return (profile, tuple(sorted(set(changed)))) if profile != base else (profile, ())


def profile_names() -> list[str]:
    """Names of the profiles that come with the suite."""
    return sorted(path.stem for path in OWN.glob("*.toml"))


def _find(name: str) -> Path:
    own = OWN / f"{name}.toml"
    if own.is_file():
        return own
    if name.endswith(".toml"):
        if Path(name).is_file():
            return Path(name)
        raise UserError("no such profile file", where=name, remedy="check --profile")
    raise UserError(
        f"unknown profile '{name}'",
        remedy=did_you_mean(name, profile_names()) + "; or the path of a .toml file",
    )


def _parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"cannot read the setting '{text}'",
            expected="KEY=VALUE",
            remedy="for example --set train.steps=100",
        )
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    return _Key(key.strip().split(".")), parsed


class _Key(tuple[str, ...]):
    """A dotted path that prints as one."""

    def __str__(self) -> str:
        return ".".join(self)


def _lookup(tree: dict[str, Any], key: tuple[str, ...]) -> Any:
    node: Any = tree
    for name in key:
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    return node


def _assign(tree: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    node = tree
    for name in key[:-1]:
        if not isinstance(node.setdefault(name, {}), dict):
            raise UserError(
                f"'{'.'.join(key)}' is no setting", found=f"'{name}' holds a value", remedy="see the profile"
            )
        node = node[name]
    # A budget in steps replaces one in epochs, and the other way round.
    budget = {"steps": "epochs", "epochs": "steps"}
    if len(key) == 2 and key[0] == "train" and key[1] in budget:
        node.pop(budget[key[1]], None)
    node[key[-1]] = value


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _validated(raw: dict[str, Any], source: Source) -> Profile:
    try:
        return Profile.model_validate(raw)
    except ValidationError as error:
        raise settings_error(error, Profile, source) from error


def settings_error(error: ValidationError, model: type[BaseModel], source: Source, *, prefix: str = "") -> UserError:
    """The first fault that pydantic found, as a `UserError` with its line and the nearest key.

    Args:
        error: What pydantic raised.
        model: The model it raised it for.
        source: The profile.
        prefix: Of the keys of `model` in the profile, for instance `method.`.
    """
    fault = error.errors()[0]
    names = [str(part) for part in fault["loc"] if not isinstance(part, int)]
    dotted = prefix + ".".join(names)
    where: Path | str = source.path
    hits = []
    if names:
        key = re.compile(rf"\s*{re.escape(names[-1])}\s*=")
        hits = [i for i, row in enumerate(source.text.splitlines(), 1) if key.match(row)]
    # A key that stands in no line of the file, or that was put over it, came from the command line.
    if names and (dotted in source.overridden or not hits):
        where, hits = f"--set {dotted}" if fault["type"] != "missing" else source.path, []
    line = hits[0] if len(hits) == 1 else None
    if fault["type"] == "extra_forbidden":
        return UserError(
            f"unknown setting '{dotted}'",
            where=where,
            line=line,
            expected="a setting that exists",
            found=f"{dotted} = {fault['input']!r}"[:120],
            remedy=did_you_mean(names[-1], _fields_at(model, names[:-1])),
        )
    found = repr(fault["input"]) if fault["type"] != "missing" else "nothing"
    return UserError(
        f"a wrong value for the setting '{dotted}'" if names else "the settings do not fit together",
        where=where,
        line=line,
        expected=fault["msg"].removeprefix("Value error, "),
        found=found[:120] if names else None,
        remedy="correct it in the profile or with --set KEY=VALUE",
    )


def _fields_at(model: type[BaseModel], names: list[str]) -> list[str]:
    for name in names:
        field = model.model_fields.get(name)
        if field is None:  # a name of the user's own, in a table of tables
            continue
        nested = [field.annotation, *get_args(field.annotation)]
        models = [t for t in nested if isinstance(t, type) and issubclass(t, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
