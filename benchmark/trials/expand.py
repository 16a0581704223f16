"""Expansion of a profile into trials, each after the trials that it starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.config.names import profile_names
from benchmark.config.profile import load_profile, settings_error
from benchmark.config.protocol import ALL, PROTOCOL_VERSION, Protocol
from benchmark.config.settings import Profile, StartSettings
from benchmark.config.trial import RENDERS, START, TRAINED, Prerequisite, Tested, Trial
from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.hashing import digest_of_file, digest_of_json
from benchmark.trials.readings import matching_reading, reading_hparams, reading_variant
from methods import Registry
from methods.base import Method, Stream
from methods.build import PACKAGE, PRETRAINED, SCRATCH, architecture_of, check_backbone
from methods.packaged import packaged_file

PRETRAINING = "identity"
"""Name of the stage that pre-trains backbones on renders, once, if `method.weights` is `renders`."""
PRETRAINING_SEED = 0
"""Seed of the pre-training stage."""
UNREAD = ("", "")
"""Fingerprints of the AU and the FE data before they are read."""


@dataclass(frozen=True)
class AuSource:
    """Protocol of an AU dataset, and fingerprints of the frames.

    Attributes:
        protocol: AUs, subjects and parts.
        fingerprints: Fingerprints of the AU and the FE frames.
    """

    protocol: Protocol
    fingerprints: tuple[str, str] = UNREAD


@dataclass(frozen=True)
class StartSource:
    """Source dataset of the backbone initialisation (A14), and the settings of that training."""

    source: AuSource
    settings: StartSettings


@dataclass(frozen=True)
class Sources:
    """The data that trials run on.

    Attributes:
        au: The AU dataset.
        start: Source dataset of the backbone initialisation; None for none.
        renders: Fingerprint of the rendered people of the pre-training; "" before they are read.
    """

    au: AuSource
    start: StartSource | None = None
    renders: str = ""


@dataclass(frozen=True)
class Selection:
    """The trials to expand.

    Attributes:
        methods: Method names; none for all but the controls, unless there are `rows`.
        parts: Test parts; none for all.
        seeds: Seeds; none for the profile's.
        rows: Names in the profile's `rows`.
        readings: Whether the profile's readings of the methods run, too.
    """

    methods: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    rows: tuple[str, ...] = ()
    readings: bool = False


EVERYTHING = Selection()


def method_hparams(profile: Profile, name: str, registry: Registry) -> Method.HParams:
    """Settings of a method: those of the method over the shared ones over the defaults.

    Args:
        profile: Settings of all methods.
        name: Name of a method or stage.
        registry: All methods.

    Returns:
        An instance of the method's `HParams`.

    Raises:
        UserError: An unknown setting or a wrong value.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> from methods import discover
        >>> profile, _ = load_profile("smoke", ["methods.mal.beta=0.5"])
        >>> method_hparams(profile, "mal", discover()).beta
        0.5
    """
    cls, specific = registry.any(name), profile.methods.get(name, {})
    shared_hparams(profile)
    try:
        hparams = cls.HParams.model_validate({**profile.method, **specific})
    except ValidationError as error:
        raise settings_error(error, cls.HParams, profile.source, prefix=f"methods.{name}.") from error
    check_start(hparams)
    return hparams


def shared_hparams(profile: Profile) -> Method.HParams:
    """Settings that all methods share.

    Raises:
        UserError: An unknown setting or a wrong value.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> shared_hparams(load_profile("smoke")[0]).weights
        'scratch'
    """
    try:
        return Method.HParams.model_validate(profile.method)
    except ValidationError as error:
        raise settings_error(error, Method.HParams, profile.source, prefix="method.") from error


def check_start(hparams: Method.HParams) -> None:
    """Refuse a backbone that does not exist, and a file of weights that is missing.

    Raises:
        UserError: The backbone does not exist, or the file is missing.

    Example:
        >>> check_start(Method.HParams(backbone="resnet18", weights="scratch"))
    """
    check_backbone(hparams.backbone, SCRATCH if hparams.weights == RENDERS else hparams.weights)


def expand(
    profile: Profile,
    overrides: tuple[str, ...],
    registry: Registry,
    sources: Sources,
    selection: Selection = EVERYTHING,
) -> list[Trial]:
    """Expand a profile into trials. A trial that others start from comes before them, once.

    Args:
        profile: Budget and settings.
        overrides: The overrides that changed the profile.
        registry: All methods.
        sources: The data.
        selection: The trials that are wanted.

    Returns:
        The trials, each after those that it starts from.

    Raises:
        UserError: An unknown method, part, row or setting.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> from benchmark.datasets import open_au
        >>> from methods import discover
        >>> profile, changed = load_profile("smoke")
        >>> sources = Sources(AuSource(open_au("bp4d", profile).protocol))
        >>> trials = expand(profile, changed, discover(), sources, Selection(methods=("stl",)))
        >>> [(trial.method, trial.part, trial.seed) for trial in trials]
        [('stl', 'part1', 0), ('stl', 'part2', 0), ('stl', 'part3', 0)]
    """
    _check_names(profile, registry, sources.au.protocol, selection)
    usual = [name for name, cls in registry.items() if not cls.is_control]
    methods = selection.methods or (() if selection.rows else tuple(usual))
    wanted = [(name, _Form()) for name in dict.fromkeys(methods)]
    wanted += [(profile.rows[row].method, _Form(row=row)) for row in dict.fromkeys(selection.rows)]
    if selection.readings:
        wanted += [(m, _Form(reading=name)) for m in dict.fromkeys(methods) for name in profile.readings.get(m, {})]
    expansion = _Expansion(profile, overrides, registry, sources)
    for name, form in wanted:
        registry[name]  # refuses stages, which users cannot select
        for part in dict.fromkeys(selection.parts or sources.au.protocol.parts):
            for seed in dict.fromkeys(selection.seeds or profile.seeds):
                expansion.add(name, part, seed, sources.au, form)
    return list(expansion.trials.values())


def _check_names(profile: Profile, registry: Registry, protocol: Protocol, selection: Selection) -> None:
    for name in (*profile.methods, *profile.readings):
        if name not in registry.names:
            raise UserError(
                f"the profile sets an unknown method '{name}'",
                where=profile.name,
                remedy=did_you_mean(name, registry.names),
            )
    for part in selection.parts:
        if part not in protocol.parts:
            raise UserError(f"unknown part '{part}' of {protocol.dataset}", remedy=did_you_mean(part, protocol.parts))
    for row in selection.rows:
        if row not in profile.rows:
            raise UserError(
                f"the profile has no row '{row}'",
                where=profile.path,
                remedy=did_you_mean(row, profile.rows)
                if profile.rows
                else "it has no rows at all: leave --row out, or take a profile with rows, such as --profile paper",
            )


@dataclass(frozen=True)
class _Form:
    """Deviation of a trial from the settings that the profile has for its method: a backbone of a row, or a reading."""

    row: str = ""
    reading: str = ""


PLAIN = _Form()


@dataclass
class _Expansion:
    """Expanded trials by key, in the order in which they must run."""

    profile: Profile
    overrides: tuple[str, ...]
    registry: Registry
    sources: Sources
    trials: dict[str, Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        profile = self.profile
        shared = shared_hparams(profile)
        check_start(shared)
        # A stage tests nobody: it is the same under every split, and has no test frame to look at while it learns.
        self.unsplit = profile.data.model_copy(update={"split": 0})
        self.unseen = profile.train.model_copy(update={"snapshots": 0})
        settings = {
            "data": self.unsplit.model_dump(mode="json"),
            "train": self.unseen.model_dump(mode="json"),
            "method": shared.model_dump(mode="json"),
            "weights_hash": _weights_hash(shared),
            "protocol": PROTOCOL_VERSION,
        }
        # Every dataset that starts from a stage shares its trial.
        self.stage_digest = digest_of_json(settings)
        settings["data"] = profile.data.model_dump(mode="json")
        start = self.sources.start
        if start is not None:
            settings["start"] = start.settings.model_dump(mode="json")
        self.shared_digest = digest_of_json(settings)
        self.settled = cache(self._settled)  # the same for many seeds and parts

    def add(self, name: str, part: str, seed: int, at: AuSource, form: _Form = PLAIN) -> Trial:
        """Add a trial after those that it starts from, and return it."""
        cls = self.registry.any(name)
        before = {role: self.add(stage.name, ALL, seed, self.sources.au) for role, stage in cls.prerequisites.items()}
        own = own_overrides(self.overrides, name)
        if form.reading:
            own = reading_variant(self.overrides, name, form.reading, own)
        variant = [own] if own else []
        variant += [f"{trial.method}: {trial.variant}" for trial in before.values() if trial.variant]
        needs_au, here = Stream.AU in cls.streams, at is self.sources.au
        learned = self.settled(name, form)
        start = self.sources.start
        if needs_au and start is not None and here:
            # It has the backbone of the row: the trial loads its weights.
            before[START] = self.add(start.settings.method, ALL, seed, start.source, _Form(row=form.row))
        elif learned["hparams"]["weights"] == RENDERS:
            before[START] = self.add_pretraining(learned["hparams"]["backbone"])
        return self._put(
            cls,
            dataset=at.protocol.dataset if needs_au else self.profile.data.fe,
            part=part if needs_au else ALL,
            seed=seed,
            protocol=_protocol_digest(at.protocol) if needs_au else "",
            **learned,
            shared_digest=self.shared_digest if needs_au and here else self.stage_digest,
            fingerprints=(at.fingerprints[0] if needs_au else "", at.fingerprints[1]),
            prerequisites={r: Prerequisite(key=t.key, own_digest=t.own_digest) for r, t in before.items()},
            variant="; ".join(variant),
            row=form.row,
        )

    def add_pretraining(self, backbone: str) -> Trial:
        """Add the pre-training stage, and return it."""
        hparams = method_hparams(self.profile, PRETRAINING, self.registry)
        return self._put(
            self.registry.any(PRETRAINING),
            dataset=RENDERS,
            part=ALL,
            seed=PRETRAINING_SEED,
            protocol="",
            hparams=hparams.model_copy(update={"backbone": backbone, "weights": SCRATCH}).model_dump(mode="json"),
            shared_digest=self.stage_digest,
            fingerprints=("", self.sources.renders),
            variant=own_overrides(self.overrides, PRETRAINING),
        )

    def _settled(self, name: str, form: _Form) -> dict[str, Any]:
        """Fields of a trial that hold the settings of its method, and the name of the reading that they are."""
        hparams, cls = method_hparams(self.profile, name, self.registry), self.registry.any(name)
        if form.row:
            hparams = hparams.model_copy(update={"backbone": self.profile.rows[form.row].backbone})
            check_start(hparams)
        if form.reading:
            hparams = reading_hparams(self.profile, cls, form.reading)
            check_start(hparams)
        settings = hparams.model_dump(mode="json")
        reading = form.reading or ("" if form.row else matching_reading(self.profile, cls, settings))
        return {"hparams": settings, "weights_hash": _weights_hash(hparams), "reading": reading}

    def _put(self, cls: type[Method], **fields: Any) -> Trial:
        """Append a trial, unless it is there already."""
        trial = Trial(
            method=cls.name,
            method_version=cls.version,
            data=self.unsplit if fields["part"] == ALL else self.profile.data,
            train=self.unseen if fields["part"] == ALL else self.profile.train,
            profile=self.profile.name,
            shared_overrides=shared_overrides(self.overrides),
            **fields,
        )
        return self.trials.setdefault(trial.key, trial)


def on_other_datasets(trials: Sequence[Trial], others: Sequence[AuSource]) -> list[Trial]:
    """Trials that score the networks of other trials on the people of other datasets, and train nothing.

    Args:
        trials: Trials that train; those without a test part, and those of a tested dataset on itself, are left out.
        others: Protocols and fingerprints of the tested datasets.

    Returns:
        One trial for each training and each other dataset.
    """
    return [
        trial.model_copy(
            update={
                "tested": Tested(
                    dataset=other.protocol.dataset,
                    protocol=_protocol_digest(other.protocol),
                    fingerprint=other.fingerprints[0],
                ),
                "prerequisites": {
                    **trial.prerequisites,
                    TRAINED: Prerequisite(key=trial.key, own_digest=trial.own_digest),
                },
            }
        )
        for trial in trials
        for other in others
        if trial.part != ALL and other.protocol.dataset != trial.dataset
    ]


def own_overrides(overrides: Sequence[str], method: str) -> str:
    """Overrides of one method's settings, as `Trial.variant` holds them.

    Example:
        >>> own_overrides(["methods.mal.beta=0.1", "train.steps=5"], "mal")
        'beta=0.1'
    """
    prefix = f"methods.{method}."
    return "; ".join(o.removeprefix(prefix) for o in overrides if o.startswith(prefix))


def shared_overrides(overrides: Sequence[str]) -> str:
    """Overrides of settings that all methods share, as `Trial.shared_overrides` holds them.

    Snapshots are none of them: they change no score, so trials with and without may be compared.

    Example:
        >>> shared_overrides(["methods.mal.beta=0.1", "seeds=[0, 1]", "train.steps=5"])
        'train.steps=5'
    """
    others = ("methods.", "readings.", "seeds=", "train.snapshots=")
    return "; ".join(o for o in overrides if not o.startswith(others))


def profile_of(trial: Trial, made: Mapping[str, Any]) -> tuple[Profile, tuple[str, ...]]:
    """The profile of a trial with its shared overrides, and these overrides.

    Args:
        trial: The trial.
        made: Its provenance, which holds the profile. A trial of an earlier version names it only: then it is one of
            the suite's, for a file of a user's may have changed, and another may have its name.

    Raises:
        UserError: The provenance holds no profile, and the suite has none of this name.
    """
    overrides = tuple(o for o in trial.shared_overrides.split("; ") if o)
    stored = made.get("profile")
    if stored is None:
        if trial.profile not in profile_names():
            raise UserError(
                f"the result does not hold its profile '{trial.profile}'",
                where=f"trial {trial.key}",
                expected="a trial of this version, or of a profile of the suite",
                remedy="run the trial again",
            )
        return load_profile(trial.profile, overrides)
    try:
        return Profile.model_validate(stored), overrides
    except ValidationError as error:
        raise UserError(
            "the profile in a result cannot be read",
            where=f"trial {trial.key}",
            found=str(error).splitlines()[0],
            remedy="it is of another version: run the trial again",
        ) from error


def _protocol_digest(protocol: Protocol) -> str:
    return digest_of_json(protocol.model_dump(include={"aus", "parts"}))


def _weights_hash(hparams: Method.HParams) -> str:
    if hparams.weights in (SCRATCH, PRETRAINED, RENDERS):
        return ""
    packaged = hparams.weights == PACKAGE
    file = packaged_file(architecture_of(hparams.backbone)) if packaged else Path(hparams.weights)
    return digest_of_file(file, size=8).hex()
