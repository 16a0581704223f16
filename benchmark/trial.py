"""A trial and its key, and the trials that a profile stands for."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.errors import UserError, did_you_mean
from benchmark.profile import DataSettings, Profile, Settings, TrainSettings, settings_error
from benchmark.protocol import PROTOCOL_VERSION, Protocol
from methods import Registry
from methods.backbone import PRETRAINED, SCRATCH, check_backbone
from methods.base import Method

LABELS = {"profile", "shared_overrides", "variant"}
"""Fields that name a trial for readers. They are no part of its key: equal settings are equal under any name."""


class Trial(Settings):
    """One (dataset, part, method, seed, settings, data): everything that can change a result."""

    dataset: str
    part: str
    """The part that is tested (A15)."""
    method: str
    seed: int
    method_version: int
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
    """Of the AU and the FE data."""

    profile: str
    shared_overrides: str = ""
    variant: str = ""

    @property
    def key(self) -> str:
        """Sixteen hex digits that change with anything that can change the result."""
        return _digest(self.model_dump(mode="json", exclude=LABELS))

    def folder(self, runs: Path) -> Path:
        """Where the trial's files are."""
        return runs / self.dataset / self.method / f"{self.part}-seed{self.seed}-{self.key}"

    @property
    def own_digest(self) -> str:
        """Of the method's settings: trials that differ here are no repetitions of one another."""
        return _digest({"hparams": self.hparams, "weights_hash": self.weights_hash})

    @property
    def label(self) -> str:
        """Short name for people."""
        return f"{self.dataset} {self.method} {self.part} seed {self.seed}"


def method_hparams(profile: Profile, name: str, registry: Registry) -> Method.HParams:
    """A method's settings: its own over the shared ones over the defaults.

    Raises:
        UserError: An unknown setting or a wrong value.
    """
    cls, own = registry[name], profile.methods.get(name, {})
    shared_hparams(profile)
    try:
        hparams = cls.HParams.model_validate({**profile.method, **own})
    except ValidationError as error:
        raise settings_error(error, cls.HParams, profile.source, prefix=f"methods.{name}.") from error
    check_backbone(hparams.backbone, hparams.weights)
    return hparams


def shared_hparams(profile: Profile) -> Method.HParams:
    """The settings that every method starts from.

    Raises:
        UserError: An unknown setting or a wrong value.
    """
    try:
        return Method.HParams.model_validate(profile.method)
    except ValidationError as error:
        raise settings_error(error, Method.HParams, profile.source, prefix="method.") from error


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
) -> list[Trial]:
    """All trials of a dataset under a profile, or those of the named methods, parts and seeds.

    Raises:
        UserError: An unknown method, part or setting.
    """
    for name in profile.methods:
        if name not in registry:
            raise UserError(
                f"the profile sets an unknown method '{name}'",
                where=profile.name,
                remedy=did_you_mean(name, registry),
            )
    for part in parts:
        if part not in protocol.parts:
            raise UserError(f"unknown part '{part}' of {protocol.dataset}", remedy=did_you_mean(part, protocol.parts))
    shared = shared_hparams(profile)
    check_backbone(shared.backbone, shared.weights)
    shared_digest = _digest(
        {
            "data": profile.data.model_dump(mode="json"),
            "train": profile.train.model_dump(mode="json"),
            "method": shared.model_dump(mode="json"),
            "weights_hash": _file_hash(shared.weights),
            "protocol": PROTOCOL_VERSION,
        }
    )
    trials = []
    for name in dict.fromkeys(methods or registry):
        hparams = method_hparams(profile, name, registry)
        own = f"methods.{name}."
        trials += [
            Trial(
                dataset=protocol.dataset,
                part=part,
                method=name,
                seed=seed,
                method_version=registry[name].version,
                data=profile.data,
                train=profile.train,
                hparams=hparams.model_dump(mode="json"),
                weights_hash=_file_hash(hparams.weights),
                shared_digest=shared_digest,
                fingerprints=fingerprints,
                profile=profile.name,
                shared_overrides="; ".join(o for o in overrides if not o.startswith(("methods.", "seeds="))),
                variant="; ".join(o.removeprefix(own) for o in overrides if o.startswith(own)),
            )
            for part in dict.fromkeys(parts or protocol.parts)
            for seed in dict.fromkeys(seeds or profile.seeds)
        ]
    return trials


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


def _file_hash(weights: str) -> str:
    file = Path(weights)
    if weights in (SCRATCH, PRETRAINED):
        return ""
    with file.open("rb") as stream:
        digest = blake2b(digest_size=8)
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
