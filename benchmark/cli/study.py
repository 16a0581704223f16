"""`malbench study | align`: what only the stand-in can answer."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import torch
import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.console import progress
from benchmark.cli.options import DEFAULT_CACHE, DEFAULT_REPORTS, TRIAL_FAILED, Cache, Overrides, ProfileName, device_of
from benchmark.cli.run import run
from benchmark.config.profile import load_profile
from benchmark.config.protocol import get_protocol
from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores
from benchmark.data.known import known_fe
from benchmark.launch.processes import runners
from benchmark.standin.people import RENDERS
from benchmark.store.folder import read_results
from benchmark.store.results import Results
from benchmark.study.gradient_probe import probe_training, write_alignment
from benchmark.study.page import digests_of, write_study
from benchmark.study.plan import Plan, Question, load_plan
from benchmark.trials.prepare import fingerprints, prepare_data, read_data, standin_root, starts_from_renders
from benchmark.trials.provenance import PROJECT
from benchmark.trials.states import source_hashes
from benchmark.trials.trainer import RunOptions
from benchmark.trials.trial import expand
from methods import discover

MOST_PROCESSES = 8
"""That `study` starts unless told how many: each takes a gigabyte of memory."""


def study(
    plan: Annotated[str, typer.Argument(help="A plan: small, more, full, or a file.")] = "small",
    question: Annotated[list[str] | None, typer.Option(help="Only this question or choice; may be repeated.")] = None,
    runs: Annotated[Path, typer.Option(help="Store of the study's trials.")] = Path("runs/study"),
    cache: Cache = DEFAULT_CACHE,
    out: Annotated[Path, typer.Option(help="Folder of the page, PLAN.md.")] = DEFAULT_REPORTS / "study",
    device: Annotated[str, typer.Option(help="As of `run`.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="As of `run`.")] = 0,
    beside: Annotated[
        list[Path] | None, typer.Option("--with", help="Results of another machine; may be repeated.")
    ] = None,
    page_only: Annotated[bool, typer.Option("--page-only", help="Train nothing: the page of what is done.")] = False,
    processes: Annotated[
        int,
        typer.Option(min=0, help="That share the trials, and the threads; 0 for one a core, at most eight."),
    ] = 1,
    no_page: Annotated[bool, typer.Option("--no-page", help="Train, and write no page.")] = False,
) -> None:
    """Ask MAL and its controls what only the stand-in can answer; go on where the last call stopped.

    A trial of `--with` that the store has, too, is the store's. A trial that fails leaves its question incomplete, and
    ends the study with the status of `run`, after the page.
    """
    wanted = load_plan(plan)
    names = question or wanted.names
    asked = [each for name in names for each in wanted.asked(name)]
    registry = discover()
    digests = digests_of(wanted, registry)  # before anything is trained: it finds mistakes in any setting
    failed = False
    if not page_only:
        processes = processes or min(available_cores(), MOST_PROCESSES)
        each_threads = max(1, (threads or available_cores()) // processes)
        others = ["study", plan, "--no-page", f"--runs={runs}", f"--cache={cache}", f"--device={device}"]
        others += [f"--threads={each_threads}", *(f"--question={name}" for name in names)]
        with _end_on_sigterm(), runners(processes - 1, others, runs) as wait_for_others:
            failed = _ask(wanted, asked, runs, cache, device, each_threads)
            amiss = {log: status for log, status in wait_for_others().items() if status}
        for log, status in amiss.items():
            Console().print(f"a process ended with status {status}; what it said: {log}", soft_wrap=True)
        if amiss:  # what it left is done here; what fails by itself fails again, and says why
            failed = _ask(wanted, asked, runs, cache, device, each_threads)
    if no_page:
        raise typer.Exit(TRIAL_FAILED if failed else 0)
    present = source_hashes(registry)
    found = read_results(runs, present)
    for file in beside or []:
        found = found.beside(Results.read(file).marked(present))
    written = write_study(wanted, found, out, digests=digests, templates=PROJECT / "templates", name=plan)
    for path in written:
        Console().print(f"wrote {path}", soft_wrap=True)
    if failed:
        raise typer.Exit(TRIAL_FAILED)


@contextmanager
def _end_on_sigterm() -> Iterator[None]:
    """Leave in order when told to stop, so that other processes are told, too."""

    def leave(number: int, _: object) -> NoReturn:
        raise typer.Exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ask(plan: Plan, asked: list[Question], runs: Path, cache: Path, device: str, threads: int) -> bool:
    """Run the trials of questions, but those that another process runs; whether one failed."""
    failed = False
    # Seed by seed, so that every question has whole answers before any has more of them.
    turns = [(seed, each) for seed in sorted({s for each in asked for s in each.seeds}) for each in asked]
    for seed, each in turns:
        if seed not in each.seeds:
            continue
        Console().print(f"[bold]{escape(each.name)}[/], seed {seed}: {escape(each.title)}")
        try:
            run(
                plan.dataset,
                method=list(each.methods),
                part=list(each.parts),
                seed=[seed],
                profile=plan.profile,
                overrides=list(each.set),
                runs=runs,
                cache=cache,
                device=device,
                threads=threads,
            )
        except typer.Exit as ended:
            if ended.exit_code != TRIAL_FAILED:
                raise
            failed = True
    return failed


def align(
    part: Annotated[str, typer.Option(help="Test part.")] = "part1",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    profile: ProfileName = "standin",
    overrides: Overrides = None,
    every: Annotated[int, typer.Option(min=1, help="Steps between looks.")] = 100,
    window: Annotated[int, typer.Option(min=2, help="Steps of a look.")] = 20,
    cache: Cache = DEFAULT_CACHE,
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = DEFAULT_REPORTS / "study",
    device: Annotated[str, typer.Option(help="As of `run`.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="As of `run`.")] = 0,
) -> None:
    """Train MAL on the stand-in, and show by kind of sample what its meta net is asked to learn: alignment.md."""
    registry, protocol = discover(), get_protocol("bp4d")
    settings, changed = load_profile(profile or "standin", overrides or [])
    if starts_from_renders(settings):
        raise UserError(
            "this looks at a training from the start, and a trial that starts from renders begins with another",
            found=f"weights = {RENDERS}",
            remedy="name a file with --set method.weights=FILE: the model.safetensors of a finished stage will do",
        )
    torch.set_num_threads(threads or available_cores())
    console = Console()
    with progress(console) as bars, tempfile.TemporaryDirectory() as scratch:
        root = standin_root(cache, settings.standin, protocol.dataset, bars)
        data = prepare_data(read_data(root, protocol, settings, bars), settings, cache, bars)
        kinds = known_fe(root).set_index("path")["kind"].reindex(data.fe.faces.table["path"])
        (trial,) = expand(
            protocol, settings, changed, registry, fingerprints(data), methods=("mal",), parts=(part,), seeds=(seed,)
        )
        options = RunOptions(device=device_of(device), on_step=bars)
        seen = probe_training(trial, protocol, data, list(kinds), Path(scratch), options, every=every, window=window)
    written = write_alignment(
        seen,
        out,
        command=" ".join(["malbench", *sys.argv[1:]]),
        title=trial.label,
        window=window,
        templates=PROJECT / "templates",
    )
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)
