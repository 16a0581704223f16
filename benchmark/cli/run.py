"""`malbench run | verify`: train and score trials; verify finished ones."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import (
    DEFAULT_CACHE,
    DEFAULT_RUNS,
    TRIAL_FAILED,
    AllowIncomplete,
    Cache,
    Dataset,
    Device,
    Methods,
    NamedRuns,
    Overrides,
    Parts,
    Processes,
    ProfileName,
    Root,
    Runs,
    Seeds,
    Threads,
    path_of,
)
from benchmark.core.errors import Interrupted, UserError
from benchmark.core.places import no_store
from benchmark.core.words import counted

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.grid import Grid
    from benchmark.launch.processes import Others
    from benchmark.trials.runner import Outcome


class Launcher(StrEnum):
    """Place where trials run."""

    LOCAL = "local"
    SLURM = "slurm"


def run(
    dataset: Dataset,
    method: Methods = None,
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A row of the profile's `rows`, e.g. ResNet-50; repeatable."),
    ] = None,
    readings: Annotated[
        bool, typer.Option("--readings", help="Run the profile's readings of the chosen methods, too.")
    ] = False,
    part: Parts = None,
    seed: Seeds = None,
    profile: ProfileName = None,
    overrides: Overrides = None,
    data: Root = None,
    allow_incomplete: AllowIncomplete = False,
    skip_pixel_check: Annotated[
        bool,
        typer.Option("--skip-pixel-check", help="Take packed frames as they are on disk; every result says so."),
    ] = False,
    runs: Runs = DEFAULT_RUNS,
    cache: Cache = DEFAULT_CACHE,
    device: Device = "auto",
    threads: Threads = 0,
    processes: Processes = 1,
    amp: Annotated[bool, typer.Option("--amp", help="Forward passes in bfloat16 (train.amp = true).")] = False,
    stop_on_failure: Annotated[
        bool, typer.Option("--stop-on-failure", help="Begin no further trial once one has failed.")
    ] = False,
    checkpoint_every: Annotated[float, typer.Option(min=0, metavar="S", help="Seconds between checkpoints.")] = 60.0,
    launcher: Annotated[
        Launcher,
        typer.Option(help="Here, or as jobs of a Slurm cluster with the resources of the profile's section slurm."),
    ] = Launcher.LOCAL,
    only: Annotated[
        str, typer.Option("--trial", metavar="KEY", help="Of those chosen, this trial, after what it starts from.")
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Train nothing: where each trial stands, and what those to do will take. The frames are read for it, "
            "or the stand-in's faces drawn, which takes minutes the first time.",
        ),
    ] = False,
) -> None:
    """Train and score every trial of DATASET that is not done."""
    from benchmark.api.request import Execution, GridRequest, check_request

    request = GridRequest(
        dataset,
        methods=tuple(method or ()),
        rows=tuple(row or ()),
        readings=readings,
        parts=tuple(part or ()),
        seeds=tuple(seed or ()),
        profile=profile or "",
        overrides=(*(overrides or ()), *(("train.amp=true",) if amp else ())),
        root=data,
        allow_incomplete=allow_incomplete,
        check_pixels=not skip_pixel_check,
        runs=runs,
        cache=cache,
        execution=Execution(device, threads, checkpoint_every, processes, stop_on_failure),
        only=only,
        on_cluster=launcher is Launcher.SLURM,
    )
    check_request(request)  # before torch is imported, so that a misspelt name fails at once
    from rich.console import Console

    from benchmark.api.grid import plan_grid
    from benchmark.cli.console import listening, tell_needs

    console = Console()
    if dry_run:
        console.print(
            "a dry run trains nothing, but needs the frames, on which the keys of trials depend: without --data, faces "
            "are drawn first, unless the cache has them",
            soft_wrap=True,
        )
    with listening(console) as listener:
        queue = _slurm_queue(runs) if request.on_cluster else None
        grid = plan_grid(request, listener)
        tell_needs(console, grid, list_trials=dry_run)
        if dry_run:
            return
        if queue is not None:
            _submit(console, grid, queue, request.cache, data)
            return
        outcomes = run_with_signals(console, grid)
    tell_outcomes(console, outcomes, runs, only=only, processes=grid.processes)


def run_with_signals(console: Console, grid: Grid, others: Others | None = None) -> list[Outcome]:
    """Run a grid until it is done or a signal stops it.

    Raises:
        typer.Exit: A signal stopped the run; the status is 128 + its number, and a checkpoint holds the steps done.
    """
    with stopped_by_signals(console) as stop:
        return grid.run(stop, others)


@contextmanager
def stopped_by_signals(console: Console) -> Iterator[Callable[[], bool]]:
    """Turn `Interrupted` into the end of the command; yields the function that tells whether a signal came.

    Raises:
        typer.Exit: The work in the block was interrupted; the status is 128 + the number of the signal.
    """
    with _caught_signals() as signals:
        try:
            yield lambda: bool(signals)
        except Interrupted as stopped:
            console.print(f"stopped: {stopped}; the same command goes on from there", soft_wrap=True, markup=False)
            # No signal: the process that started this one is gone.
            raise typer.Exit(128 + next(iter(signals), signal.SIGTERM)) from stopped


def tell_outcomes(console: Console, outcomes: list[Outcome], runs: Path, *, only: str = "", processes: int = 1) -> None:
    """Print the number of trials by outcome, and every failure.

    Args:
        console: Output.
        outcomes: Outcomes of the trials.
        runs: The store.
        only: Key of the one trial that was wanted; "" for all.
        processes: Number of processes that ran them.

    Raises:
        UserError: Another process runs the trial `only`, so that jobs which depend on it must not start.
        typer.Exit: A trial failed.
    """
    from benchmark.launch.processes import since_start
    from benchmark.trials.states import OutcomeState

    if only and outcomes[-1].state == OutcomeState.RUNNING:
        raise UserError(f"another process runs {outcomes[-1].trial.label}", remedy="submit again when it has ended")
    # Which process ran a trial says nothing of its result.
    numbers: Counter[OutcomeState] = Counter(
        OutcomeState.RAN if o.state == OutcomeState.ELSEWHERE else o.state for o in outcomes
    )
    by_state = ", ".join(f"{numbers[state]} {state}" for state in OutcomeState if numbers[state])
    said = " done" if set(numbers) == {OutcomeState.RAN} else f": {by_state}"
    shared = f", in {processes} processes" if processes > 1 else ""
    console.print(f"{counted(len(outcomes), 'trial')}{said}{shared}")
    console.print(f"store: {runs}", soft_wrap=True, markup=False)
    # What another process saw fail is told by the process that started all.
    failures = [o for o in outcomes if o.why is not None and not (o.seen and since_start() is not None)]
    for outcome in failures:
        print(f"error: {outcome.trial.label} ({outcome.trial.key}): {outcome.why}", file=sys.stderr)  # noqa: T201
    if failures:
        raise typer.Exit(TRIAL_FAILED)


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Append the first SIGINT or SIGTERM to the list; a second signal has its default effect."""
    caught: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        for signum, handler in before.items():
            signal.signal(signum, handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _slurm_queue(runs: Path) -> object:
    from benchmark.launch.slurm import LOGS, Slurm

    return Slurm(runs.absolute() / LOGS)


def _submit(console: Console, grid: Grid, queue: object, cache: Path, data: Path | None) -> None:
    from benchmark.cli.console import tell_jobs
    from benchmark.launch.slurm import Slurm

    assert isinstance(queue, Slurm)
    places = {"--runs": grid.runs, "--cache": cache, **({} if data is None else {"--data": data})}
    command = [*sys.argv[1:], *(f"{name}={path.absolute()}" for name, path in places.items())]
    command += [f"--launcher={Launcher.LOCAL}", "--processes=1"]
    tell_jobs(console, grid.submit(command, queue), queue.logs)


def verify(
    runs: NamedRuns = None,
    results: Annotated[
        Path | None,
        typer.Option(
            parser=path_of, metavar="FILE", help="Verify the trials of this results.parquet, and mark them in it."
        ),
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--trial", metavar="KEY", help="Only this trial; repeatable.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Steps that are repeated.")] = 41,
    every: Annotated[bool, typer.Option("--all", help="Fresh trials, too; else only stale ones.")] = False,
    data: Root = None,
    cache: Cache = DEFAULT_CACHE,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Repeat the first steps of finished trials, score their stored predictions again, and mark those that agree."""
    if runs is not None and not runs.exists():
        raise no_store(runs)
    from rich.console import Console

    from benchmark.api.verification import DIFFERS
    from benchmark.api.verification import verify as verify_trials
    from benchmark.cli.console import listening

    console = Console()
    with listening(console) as listener:
        outcomes = verify_trials(
            runs or DEFAULT_RUNS,
            results=results,
            keys=tuple(key or ()),
            steps=steps,
            every=every,
            root=data,
            cache=cache,
            device=device,
            threads=threads,
            listener=listener,
        )
    for outcome in outcomes:
        console.print(
            f"{outcome.label} ({outcome.key}): {outcome.agreement}; {outcome.detail}", soft_wrap=True, markup=False
        )
    numbers = Counter(outcome.agreement for outcome in outcomes)
    console.print(", ".join(f"{count} {agreement}" for agreement, count in numbers.items()) or "no trial to verify")
    if any(outcome.agreement == DIFFERS for outcome in outcomes):
        raise typer.Exit(TRIAL_FAILED)
