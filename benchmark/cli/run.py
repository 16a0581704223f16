"""`malbench run`."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.console import WORDS, Bars, progress, tell_disk, tell_jobs, tell_needs
from benchmark.cli.options import (
    DEFAULT_CACHE,
    DEFAULT_RUNS,
    TRIAL_FAILED,
    Cache,
    Dataset,
    Overrides,
    ProfileName,
    Root,
    Runs,
    default_profile,
    device_of,
)
from benchmark.config.profile import Profile, load_profile
from benchmark.config.protocol import Protocol, get_protocol
from benchmark.core.errors import Interrupted, UserError
from benchmark.core.machine import available_cores
from benchmark.data.check import Report, check_au, check_fe
from benchmark.data.faces import FaceSet
from benchmark.launch.slurm import LOGS, Launcher, Slurm, submit_trials, with_prerequisites
from benchmark.standin.people import RENDERS
from benchmark.trials.prepare import (
    fingerprints,
    pack_faces,
    prepare_data,
    protocol_at,
    read_au,
    read_data,
    read_people,
    standin_root,
    start_protocol,
)
from benchmark.trials.runner import run_trials
from benchmark.trials.states import State
from benchmark.trials.trainer import RunOptions, TrialData
from benchmark.trials.trial import AtHand, Trial, expand
from methods import Registry, discover

OUTCOMES = {
    State.TO_DO: "run",
    State.DONE: "done before",
    State.STALE: "done before by other sources",
    State.RUNNING: "left to other processes",
    State.FAILED: "failed",
    State.BLOCKED: "blocked by a failure",
}


def run(
    dataset: Dataset,
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method, or `paper` (the default: the five), `beyond`, `controls`, `all`; repeatable."),
    ] = None,
    row: Annotated[
        list[str] | None, typer.Option(help="A row of the profile's `rows`, e.g. ResNet-50; repeatable.")
    ] = None,
    part: Annotated[list[str] | None, typer.Option(help="Only this test part; may be repeated.")] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="Instead of the profile's; may be repeated.")] = None,
    profile: ProfileName = None,
    overrides: Overrides = None,
    data: Root = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Run on data that fail `data check`; the report says so.")
    ] = False,
    runs: Runs = DEFAULT_RUNS,
    cache: Cache = DEFAULT_CACHE,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, mps; auto takes the first GPU if there is one.")
    ] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for as many as there are cores.")] = 0,
    amp: Annotated[bool, typer.Option("--amp", help="Forward passes in bfloat16 (train.amp = true).")] = False,
    checkpoint_every: Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")] = 60.0,
    launcher: Annotated[
        Launcher,
        typer.Option(help="Here, or as jobs of a Slurm cluster with the resources of the profile's section slurm."),
    ] = Launcher.LOCAL,
    only: Annotated[
        str, typer.Option("--trial", metavar="KEY", help="Of those chosen, this trial, after what it starts from.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing: where each trial stands, and what those to do will take.")
    ] = False,
) -> None:
    """Train and score every trial of DATASET that is not done."""
    registry = discover()
    protocol = get_protocol(dataset)
    settings, changed = load_profile(
        profile or default_profile(data), [*(overrides or []), *(["train.amp=true"] if amp else [])]
    )
    torch.set_num_threads(threads or available_cores())
    selection: dict[str, Any] = {
        "methods": _methods(method or ([] if row else ["paper"]), registry),
        "rows": tuple(row or ()),
        "parts": tuple(part or ()),
        "seeds": tuple(seed or ()),
    }
    # Settings and the device are checked before any data is touched: a misspelt name costs no minute.
    chosen = torch.device("cpu") if launcher is Launcher.SLURM else device_of(device)  # a login node may have no GPU
    queue = Slurm(runs.absolute() / LOGS) if launcher is Launcher.SLURM else None
    before = start_protocol(protocol, settings)
    unread = None if before is None else AtHand(before, ("", ""))
    expand(protocol, settings, changed, registry, ("", ""), start=unread, **selection)
    console = Console()
    with ExitStack() as stack:
        bars = stack.enter_context(progress(console))
        protocol, trial_data, elsewhere = _ready(
            console, bars, data, protocol, settings, registry, cache, allow_incomplete
        )
        at_start = None if before is None else AtHand(before, fingerprints(elsewhere[before.dataset][1]))
        renders = elsewhere[RENDERS][1].fe.fingerprint if RENDERS in elsewhere else ""
        trials = expand(
            protocol,
            settings,
            changed,
            registry,
            fingerprints(trial_data),
            start=at_start,
            renders=renders,
            **selection,
        )
        trials = with_prerequisites(trials, only) if only else trials
        frames = _test_frames(trial_data.au.faces, protocol)
        tell_needs(console, trials, registry, runs, frames, chosen if queue is None else None, each=dry_run)
        if dry_run:
            return
        if queue is not None:
            places = {"--runs": runs, "--cache": cache, **({} if data is None else {"--data": data})}
            command = [*sys.argv[1:], *(f"{name}={path.absolute()}" for name, path in places.items())]
            command.append(f"--launcher={Launcher.LOCAL}")
            tell_jobs(console, submit_trials(trials, registry, runs, settings.slurm, command, queue), queue.logs)
            return
        signals = stack.enter_context(_caught_signals())
        options = RunOptions(device=chosen, checkpoint_s=checkpoint_every, on_step=bars, stop=lambda: bool(signals))

        def on_trial(trial: Trial, state: State) -> None:
            console.print(f"{escape(trial.label)} ({trial.key}): {WORDS[state]}")

        try:
            outcomes = run_trials(trials, registry, protocol, trial_data, runs, options, on_trial, elsewhere)
        except Interrupted as stopped:
            console.print(f"stopped: {stopped}; the same command goes on from there", soft_wrap=True)
            raise typer.Exit(128 + signals[0]) from stopped
    if only and outcomes[-1].state in {State.RUNNING, State.AWAITED}:  # whoever waits for this trial is not to begin
        raise UserError(f"another process runs {outcomes[-1].trial.label}", remedy="submit again when it has ended")
    numbers = Counter(outcome.state for outcome in outcomes)
    told = [f"{numbers[state]} {words}" for state, words in OUTCOMES.items() if numbers[state]]
    console.print(f"{len(outcomes)} trials: {', '.join(told)}")
    console.print(f"store: {runs}", soft_wrap=True)
    failures = [outcome for outcome in outcomes if outcome.why is not None]
    for outcome in failures:
        print(f"error: {outcome.trial.label} ({outcome.trial.key}): {outcome.why}", file=sys.stderr)  # noqa: T201
    if failures:
        raise typer.Exit(TRIAL_FAILED)


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM inside is put into the list; a second one acts as it always does."""
    caught: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _ready(
    console: Console,
    bars: Bars,
    root: Path | None,
    protocol: Protocol,
    settings: Profile,
    registry: Registry,
    cache: Path,
    allow_incomplete: bool,
) -> tuple[Protocol, TrialData, dict[str, tuple[Protocol, TrialData]]]:
    """The protocol as the data root has it, its frames, and those of other datasets, for what trials start from."""
    if root is None:
        root = standin_root(cache, settings.standin, protocol.dataset, bars)
        console.print(
            "No data root was given: running on the STAND-IN (procedural faces, no licensed image).\n"
            f"  {root}\n  Its results say nothing about the paper's numbers, and every output says stand-in.",
            soft_wrap=True,
        )
    protocol = protocol_at(root, protocol, settings)
    au, fe = read_data(root, protocol, settings, bars)
    before = start_protocol(protocol, settings)
    start_au = None if before is None else read_au(root, before, settings, bars)
    people = read_people(cache, settings, registry, bars)
    au = _checked(au, check_au(au, protocol, settings), allow_incomplete)
    faces = au, _checked(fe, check_fe(fe, settings), allow_incomplete)
    if before is not None and start_au is not None:
        start_au = _checked(start_au, check_au(start_au, before, settings), allow_incomplete)
    used = [each for each in (*faces, start_au, people) if each is not None]
    for face_set in used:
        console.print(face_set.note, soft_wrap=True)
    tell_disk(console, tuple(used), settings, cache)
    ready = prepare_data(faces, settings, cache, bars)
    elsewhere = {}
    if before is not None and start_au is not None:
        subjects = [subject for part in settings.disfa_start.parts for subject in before.parts[part]]
        start = pack_faces(start_au, settings, cache, bars)
        elsewhere[before.dataset] = (before, TrialData(start.of_subjects(subjects), ready.fe, ready.fe_clear))
    if people is not None:  # a trial that learns from no AU data: no frame of these is looked at
        elsewhere[people.dataset] = (protocol, TrialData(ready.au, pack_faces(people, settings, cache, bars)))
    return protocol, ready, elsewhere


def _methods(names: list[str], registry: Registry) -> tuple[str, ...]:
    """Names of methods, where those of sets stand for their members."""
    sets = {
        "paper": tuple(name for name, cls in registry.items() if cls.paper_row),
        "beyond": tuple(name for name, cls in registry.items() if not cls.paper_row and not cls.is_control),
        "controls": tuple(name for name, cls in registry.items() if cls.is_control),
        "all": tuple(name for name, cls in registry.items() if not cls.is_control),
    }
    return tuple(member for name in names for member in sets.get(name, (name,)))


def _checked(faces: FaceSet, outcome: Report, allow_incomplete: bool) -> FaceSet:
    """The faces, with what the check found in their note, if they may be used."""
    if not outcome.faults:
        return faces
    first = outcome.faults[0].what
    if not allow_incomplete:
        raise UserError(
            f"the data are incomplete: {len(outcome.faults)} faults, the first: {first}",
            where=faces.root,
            remedy="`malbench data check` lists all; --allow-incomplete runs on what is there, and the report says so",
        )
    note = (
        f"{faces.note}; run with --allow-incomplete: {len(outcome.faults)} faults of the data check, the first: {first}"
    )
    return replace(faces, note=note)


def _test_frames(faces: FaceSet, protocol: Protocol) -> dict[str, int]:
    """Frames of each part's subjects."""
    return {part: int(faces.table["subject"].isin(tested).sum()) for part, tested in protocol.parts.items()}
