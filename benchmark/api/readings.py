"""The readings' probe of MAL on a dataset, from the request to the measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmark.api.data import LoadedData, load_data
from benchmark.api.grid import find_device
from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import Execution, default_profile
from benchmark.config.profile import load_profile
from benchmark.config.settings import Profile, ReadingSettings
from benchmark.config.trial import RENDERS, Trial
from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.machine import available_cores
from benchmark.core.places import default_cache
from benchmark.study.readings import MOST_HELD_FRAMES, Named, ReadingRow, ReadingsResult, Setting
from benchmark.study.readings_probe import ReadingsProbe, budget_of, split_training_people, with_val_batch_norm
from benchmark.trials.expand import Selection, expand, method_hparams
from benchmark.trials.prepare import Chosen, starts_from_renders
from benchmark.trials.provenance import cpu_name
from benchmark.trials.readings import reading_hparams
from benchmark.trials.runner import joint_origin
from methods import Registry, discover
from methods.mal import MAL
from methods.mtl import MTL

KINDS = ("batch", "running")
"""Values of `val_batch_norm`."""


@dataclass(frozen=True)
class ReadingsRequest:
    """Data and budget of the readings' probe.

    Attributes:
        dataset: Name of the AU dataset.
        part: Test part, whose people are left out; "" for the first.
        seeds: Seeds of the split, the weights and the batches.
        steps: Updates of each training.
        end: Step that weights are extrapolated to; None for the end of the profile's training.
        profile: A profile of the suite or a TOML file; "" for `standin` without a root, else `paper`.
        overrides: Changes to the profile, `KEY=VALUE` each.
        root: The data root; None: the stand-in.
        allow_incomplete: Use data that fail the check.
        cache: Folder of packed frames and stand-ins.
        execution: Device and threads.
    """

    dataset: str = "bp4d"
    part: str = ""
    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 100
    end: int | None = None
    profile: str = ""
    overrides: tuple[str, ...] = ()
    root: Path | None = None
    allow_incomplete: bool = False
    cache: Path = field(default_factory=default_cache)
    execution: Execution = field(default_factory=Execution)


def probe_readings(request: ReadingsRequest, *, command: str, listener: Listener = SILENT) -> ReadingsResult:
    """Train MAL for some steps under each of the profile's readings, on training people alone.

    Args:
        request: Data and budget.
        command: Command line that the page names as its source.
        listener: Receives progress.

    Returns:
        The measurements, one row per reading, `val_batch_norm` and seed.

    Raises:
        UserError: A wrong name or setting, a profile without readings of MAL, or too few people.

    Example:
        >>> probe = probe_readings(ReadingsRequest(profile="smoke"), command="malbench readings")  # doctest: +SKIP
        >>> probe.primary()  # doctest: +SKIP
        'printed'
    """
    profile, changed = load_profile(request.profile or default_profile(request.root), request.overrides)
    registry, execution = discover(), request.execution
    readings = readings_of(profile)
    mtl = method_hparams(profile, MTL.name, registry)
    assert isinstance(mtl, MTL.HParams)
    chosen = Chosen.open(request.dataset, profile)
    part = _checked(request, profile, chosen)
    torch.set_num_threads(execution.threads or available_cores())
    device = find_device(execution.device)
    data = load_data(
        request.dataset,
        profile=profile,
        overrides=changed,
        root=request.root,
        cache=request.cache,
        allow_incomplete=request.allow_incomplete,
        registry=registry,
        listener=listener,
    )
    probes = [
        _probe(request, profile, _trial(profile, changed, registry, data, part, seed), data, device)
        for seed in dict.fromkeys(request.seeds)
    ]
    setting = _setting(request, command, data, probes, chosen)
    rows = [row for probe in probes for row in _rows(probe, readings, mtl, listener)]
    named = [_named(name, profile.readings[MAL.name][name], hparams) for name, hparams in readings.items()]
    return ReadingsResult(setting=setting, readings=tuple(named), rows=tuple(rows))


def readings_of(profile: Profile, cls: type[MAL] = MAL) -> dict[str, MAL.HParams]:
    """Settings of MAL by the name of the reading, in the order of preference.

    Raises:
        UserError: The profile has no readings of MAL, or a wrong setting in one.

    Example:
        >>> list(readings_of(load_profile("smoke")[0]))
        ['printed', 'prose', 'printed-adam', 'through']
    """
    named = {name: reading_hparams(profile, cls, name) for name in profile.readings.get(cls.name, {})}
    if not named:
        raise UserError(
            f"the profile has no readings of {cls.name}",
            where=profile.path,
            expected=f"tables [readings.{cls.name}.NAME]",
            remedy="copy those of benchmark/config/profiles/paper.toml",
        )
    return {name: hparams for name, hparams in named.items() if isinstance(hparams, MAL.HParams)}


def _checked(request: ReadingsRequest, profile: Profile, chosen: Chosen) -> str:
    """The test part; refuse a wrong one, and a start that another training must make first.

    Raises:
        UserError: No such part, or networks start from renders.
    """
    if starts_from_renders(profile):
        raise UserError(
            "the probe of readings trains from the start, and a trial that starts from renders has another",
            found=f"weights = {RENDERS}",
            remedy="name a file with --set method.weights=FILE: the model.safetensors of a finished stage will do",
        )
    protocol = chosen.protocol_at(request.root)
    part = request.part or next(iter(protocol.parts))
    if part not in protocol.parts:
        raise UserError(f"unknown part '{part}' of {request.dataset}", remedy=did_you_mean(part, protocol.parts))
    return part


def _trial(
    profile: Profile, changed: tuple[str, ...], registry: Registry, data: LoadedData, part: str, seed: int
) -> Trial:
    """The trial of MAL that the profile has for this part and seed."""
    selection = Selection(methods=(MAL.name,), parts=(part,), seeds=(seed,))
    return expand(profile, changed, registry, data.sources, selection)[-1]


def _probe(
    request: ReadingsRequest, profile: Profile, trial: Trial, data: LoadedData, device: torch.device
) -> ReadingsProbe:
    split = split_training_people(data.protocol, data.frames, trial.part, trial.seed)
    return ReadingsProbe(trial, split, device, request.steps, request.end or budget_of(trial, split)[0])


def _rows(
    probe: ReadingsProbe, readings: Mapping[str, MAL.HParams], mtl: MTL.HParams, listener: Listener
) -> Iterator[ReadingRow]:
    """Measurements of one seed, one row per reading and `val_batch_norm`."""
    runs = [(name, with_val_batch_norm(hparams, kind)) for name, hparams in readings.items() for kind in KINDS]
    of_mtl = probe.train_mtl(mtl)
    for number, (name, hparams) in enumerate(runs):
        yield probe.train_reading(name, hparams, of_mtl)
        listener.progress(f"readings, seed {probe.trial.seed}", number + 1, len(runs))


def _setting(
    request: ReadingsRequest, command: str, data: LoadedData, probes: Sequence[ReadingsProbe], chosen: Chosen
) -> Setting:
    profile, budgets = data.profile, [budget_of(probe.trial, probe.split) for probe in probes]
    device = probes[0].device
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return Setting(
        command=command,
        machine=f"{gpu or cpu_name()}, torch {torch.__version__}",
        title=data.frames.au.faces.title,
        origin=joint_origin(data.frames),
        profile=profile.name,
        overrides=data.overrides,
        training=_training(probes[0].trial),
        part=probes[0].trial.part,
        seeds=tuple(probe.trial.seed for probe in probes),
        steps=request.steps,
        end=probes[0].end,
        budget=budgets[0][0],
        batch=(profile.train.batch_au, profile.train.batch_fe, profile.train.batch_val),
        learning=tuple(probe.split.learning for probe in probes),
        held_out=tuple(probe.split.held_out for probe in probes),
        held_frames=tuple(min(len(probe.fold.test), MOST_HELD_FRAMES) for probe in probes),
        reserve=tuple(len(probe.fold.val) for probe in probes),
        trial_reserve=tuple(kept for _, kept in budgets),
        start="" if chosen.start is None else chosen.start.title,
    )


def _training(trial: Trial) -> str:
    """Network, images, optimiser and rates of the trainings, in words."""
    made, sizes = trial.hparams, trial.train
    return (
        f"{made['backbone']} from {made['weights']} weights on {trial.data.crop_size} px images"
        f" ({trial.data.normalise} normalisation); batches of {sizes.batch_au} AU, {sizes.batch_fe} FE and"
        f" {sizes.batch_val} validation images; {made['optimizer']} with rate {made['lr']:g}, {made['schedule']};"
        f" α = {made['alpha']:g}, β = {made['beta']:g}"
    )


def _named(name: str, reading: ReadingSettings, hparams: MAL.HParams) -> Named:
    settings = [f"{key} = {value}" for key, value in reading.set.items()]
    settings += [f"{key} x {factor:g}" for key, factor in reading.factor.items()]
    return Named(name=name, reason=reading.reason, settings=", ".join(settings), val_batch_norm=hparams.val_batch_norm)
