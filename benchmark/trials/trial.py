"""A trial and its key, and the trials that a profile stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from benchmark.config.profile import DataSettings, Profile, Settings, TrainSettings, settings_error
from benchmark.config.protocol import ALL, FE_DATASET, PROTOCOL_VERSION, Protocol
from benchmark.core.errors import UserError, did_you_mean
from benchmark.standin.people import RENDERS
from methods import Registry
from methods.alexnet import add_backbones
from methods.backbone import PRETRAINED, SCRATCH, check_backbone
from methods.base import Method, Stream

START = "start"
"""Name of the prerequisite whose backbone a trial's own starts from (A14)."""
PRETRAINING = "identity"
"""The stage that learns from renders, once, with this seed, where `method.weights` says `renders`."""
PRETRAINING_SEED = 0

LABELS = {"profile", "shared_overrides", "variant", "row"}
"""Fields that name a trial for readers. They are no part of its key: equal settings are equal under any name."""


class Prerequisite(Settings):
    """A trial that another one starts from."""

    key: str
    own_digest: str
    """Of its method's settings."""


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
    """The method's settings, all of them."""
    weights_hash: str = ""
    """Of the file of backbone weights, if one was given."""
    shared_digest: str
    """Of what all methods of one comparison share: budget, images, and settings of every method's base net."""
    fingerprints: tuple[str, str]
    """Of the AU and the FE data; "" for the AU data of a trial that learns from FE images alone."""
    prerequisites: dict[str, Prerequisite] = Field(default={})
    """What it starts from, by the method's names for it."""

    profile: str
    shared_overrides: str = ""
    variant: str = ""
    row: str = ""
    """The printed row that it is a run of, if that is not its method's."""

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits that change with anything that can change the result."""
        return _digest(self.model_dump(mode="json", exclude=LABELS))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with a key of its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("key", None)
        return copied

    def folder(self, runs: Path) -> Path:
        """Where the trial's files are."""
        return runs / self.dataset / self.method / f"{self.part}-seed{self.seed}-{self.key}"

    @property
    def own_digest(self) -> str:
        """Of the method's settings: trials that differ here are no repetitions of one another."""
        before = {role: trial.own_digest for role, trial in self.prerequisites.items()}
        return _digest({"hparams": self.hparams, "weights_hash": self.weights_hash, "prerequisites": before})

    @property
    def label(self) -> str:
        """Short name for people."""
        name = f"{self.method} ({self.row})" if self.row else self.method
        return f"{self.dataset} {name} {self.part} seed {self.seed}"


@dataclass(frozen=True)
class AtHand:
    """An AU dataset as trials know it before their frames are read: protocol and fingerprints of AU and FE data."""

    protocol: Protocol
    fingerprints: tuple[str, str]


def method_hparams(profile: Profile, name: str, registry: Registry) -> Method.HParams:
    """A method's settings: its own over the shared ones over the defaults.

    Raises:
        UserError: An unknown setting or a wrong value.
    """
    cls, own = registry.any(name), profile.methods.get(name, {})
    shared_hparams(profile)
    try:
        hparams = cls.HParams.model_validate({**profile.method, **own})
    except ValidationError as error:
        raise settings_error(error, cls.HParams, profile.source, prefix=f"methods.{name}.") from error
    check_start(hparams)
    return hparams


def shared_hparams(profile: Profile) -> Method.HParams:
    """The settings that every method starts from.

    Raises:
        UserError: An unknown setting or a wrong value.
    """
    add_backbones()
    try:
        return Method.HParams.model_validate(profile.method)
    except ValidationError as error:
        raise settings_error(error, Method.HParams, profile.source, prefix="method.") from error


def check_start(hparams: Method.HParams) -> None:
    """Refuse a backbone that timm does not have, and a file of weights that is not there.

    Raises:
        UserError: Either.
    """
    check_backbone(hparams.backbone, SCRATCH if hparams.weights == RENDERS else hparams.weights)


def expand(
    protocol: Protocol,
    profile: Profile,
    overrides: tuple[str, ...],
    registry: Registry,
    fingerprints: tuple[str, str],
    *,
    methods: tuple[str, ...] = (),
    parts: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (),
    rows: tuple[str, ...] = (),
    start: AtHand | None = None,
    renders: str = "",
) -> list[Trial]:
    """All trials of a dataset under a profile, or those of the named methods, parts and seeds.

    The trials that others start from stand before them, once.

    Args:
        protocol: Of the AU dataset.
        profile: Budget and settings.
        overrides: Those that changed the profile.
        registry: Of all methods.
        fingerprints: Of the AU and the FE data.
        methods: Names; none for all but the controls, unless there are `rows`.
        parts: Names; none for all.
        seeds: None for the profile's.
        rows: Names in the profile's `rows`.
        start: The dataset on which the model is trained that every backbone starts from (A14).
        renders: Fingerprint of the renders that backbones are pre-trained on, if they are; "" before they are read.

    Raises:
        UserError: An unknown method, part or setting.
    """
    for name in profile.methods:
        if name not in registry.names:
            raise UserError(
                f"the profile sets an unknown method '{name}'",
                where=profile.name,
                remedy=did_you_mean(name, registry.names),
            )
    for part in parts:
        if part not in protocol.parts:
            raise UserError(f"unknown part '{part}' of {protocol.dataset}", remedy=did_you_mean(part, protocol.parts))
    shared = shared_hparams(profile)
    check_start(shared)
    settings = {
        "data": profile.data.model_dump(mode="json"),
        "train": profile.train.model_dump(mode="json"),
        "method": shared.model_dump(mode="json"),
        "weights_hash": _file_hash(shared.weights),
        "protocol": PROTOCOL_VERSION,
    }
    # A stage is the same trial for every dataset that starts from it.
    stage_digest = shared_digest = _digest(settings)
    if start is not None:
        shared_digest = _digest({**settings, "start": profile.disfa_start.model_dump(mode="json")})
    here = AtHand(protocol, fingerprints)
    trials: dict[str, Trial] = {}
    digests = {
        each.protocol.dataset: _digest(each.protocol.model_dump(include={"aus", "parts"}))
        for each in (here, start)
        if each is not None
    }

    @cache  # of many seeds alike
    def settled(name: str, row: str) -> dict[str, Any]:
        """Fields of a trial that its method's settings are in."""
        hparams = method_hparams(profile, name, registry)
        if row:
            hparams = hparams.model_copy(update={"backbone": profile.rows[row].backbone})
            check_start(hparams)
        return {"hparams": hparams.model_dump(mode="json"), "weights_hash": _file_hash(hparams.weights)}

    def put(cls: type[Method], **own: Any) -> Trial:
        """Put a trial of these fields behind the others, once."""
        trial = Trial(
            method=cls.name,
            method_version=cls.version,
            data=profile.data,
            train=profile.train,
            profile=profile.name,
            shared_overrides=shared_overrides(overrides),
            **own,
        )
        return trials.setdefault(trial.key, trial)

    def pretrained(backbone: str) -> Trial:
        """Put the trial that learns from renders before all that start from it."""
        hparams = method_hparams(profile, PRETRAINING, registry)
        return put(
            registry.any(PRETRAINING),
            dataset=RENDERS,
            part=ALL,
            seed=PRETRAINING_SEED,
            protocol="",
            hparams=hparams.model_copy(update={"backbone": backbone, "weights": SCRATCH}).model_dump(mode="json"),
            shared_digest=stage_digest,
            fingerprints=("", renders),
            variant=own_overrides(overrides, PRETRAINING),
        )

    def add(name: str, part: str, seed: int, at: AtHand = here, row: str = "") -> Trial:
        """Put a trial after those that it starts from."""
        cls = registry.any(name)
        before = {role: add(stage.name, ALL, seed) for role, stage in cls.prerequisites.items()}
        variant = [own] if (own := own_overrides(overrides, name)) else []
        variant += [f"{trial.method}: {trial.variant}" for trial in before.values() if trial.variant]
        needs_au = Stream.AU in cls.streams
        learned = settled(name, row)
        if needs_au and start is not None and at is here:
            before[START] = add(profile.disfa_start.method, ALL, seed, start)
        elif learned["hparams"]["weights"] == RENDERS:
            before[START] = pretrained(learned["hparams"]["backbone"])
        return put(
            cls,
            dataset=at.protocol.dataset if needs_au else FE_DATASET,
            part=part if needs_au else ALL,
            seed=seed,
            protocol=digests[at.protocol.dataset] if needs_au else "",
            **learned,
            shared_digest=shared_digest if needs_au and at is here else stage_digest,
            fingerprints=(at.fingerprints[0] if needs_au else "", at.fingerprints[1]),
            prerequisites={r: Prerequisite(key=t.key, own_digest=t.own_digest) for r, t in before.items()},
            variant="; ".join(variant),
            row=row,
        )

    for row in rows:
        if row not in profile.rows:
            raise UserError(
                f"the profile has no row '{row}'", where=profile.path, remedy=did_you_mean(row, profile.rows)
            )
    usual = [name for name, cls in registry.items() if not cls.is_control]
    wanted = [(name, "") for name in dict.fromkeys(methods or (() if rows else usual))]
    for name, row in [*wanted, *((profile.rows[row].method, row) for row in dict.fromkeys(rows))]:
        registry[name]  # a stage is no method to ask for
        for part in dict.fromkeys(parts or protocol.parts):
            for seed in dict.fromkeys(seeds or profile.seeds):
                add(name, part, seed, row=row)
    return list(trials.values())


def own_overrides(overrides: Sequence[str], method: str) -> str:
    """Those of a profile's changes that are a method's own, as `Trial.variant` has them."""
    own = f"methods.{method}."
    return "; ".join(o.removeprefix(own) for o in overrides if o.startswith(own))


def shared_overrides(overrides: Sequence[str]) -> str:
    """Those that concern all methods, as `Trial.shared_overrides` has them."""
    return "; ".join(o for o in overrides if not o.startswith(("methods.", "seeds=")))


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


def _file_hash(weights: str) -> str:
    file = Path(weights)
    if weights in (SCRATCH, PRETRAINED, RENDERS):
        return ""
    with file.open("rb") as stream:
        digest = blake2b(digest_size=8)
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
