"""The command line: `malbench run | report | status | data | methods`."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import torch
import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from benchmark.alignment import probe_training, write_alignment
from benchmark.console import (
    WORDS,
    Bars,
    progress,
    show_check,
    standings,
    status_page,
    tell_disk,
    tell_jobs,
    tell_needs,
)
from benchmark.data.check import Report, check_au, check_fe
from benchmark.data.faces import FaceSet
from benchmark.data.known import known_fe
from benchmark.data.probe import pixel_probe
from benchmark.data.renders import RENDERS
from benchmark.data.standin.write import write_standin
from benchmark.describe import describe
from benchmark.errors import Interrupted, UserError
from benchmark.launch import LOGS, Launcher, Slurm, submit_trials, with_prerequisites
from benchmark.machine import available_cores
from benchmark.owner import read_owner
from benchmark.prepare import (
    fingerprints,
    pack_faces,
    prepare_data,
    protocol_at,
    read_au,
    read_data,
    read_fe,
    read_people,
    standin_root,
    start_protocol,
    starts_from_renders,
)
from benchmark.profile import Profile, load_profile
from benchmark.protocol import Protocol, get_protocol
from benchmark.provenance import PROJECT
from benchmark.report.claims import judge_claims
from benchmark.report.compare import write_comparison
from benchmark.report.cost import read_benchmarks, read_costs, write_costs
from benchmark.report.faces import WeighedFaces
from benchmark.report.groups import group_results
from benchmark.report.render import build_report
from benchmark.report.standin import write_standin_page
from benchmark.results import Results
from benchmark.runner import run_trials, too_little_memory
from benchmark.runners import runners
from benchmark.score import score_file
from benchmark.states import State, detail_of, source_hashes
from benchmark.store import FE_WEIGHTS, Glance, TrialFolder, read_results, read_trial, trial_folders
from benchmark.study import Plan, Question, digests_of, load_plan, write_study
from benchmark.trainer import RunOptions, TrialData
from benchmark.trial import AtHand, Trial, expand
from benchmark.weighed import weighed_faces
from methods import Registry, discover

app = typer.Typer(
    help="Reproducibility benchmark for Meta Auxiliary Learning for Facial Action Unit Detection (Li & Shan, 2021).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Write the stand-in; check or prepare a data root.", no_args_is_help=True)
app.add_typer(data_app, name="data")

CHECK_FAILED = 1
"""Exit status of `data check` where data are incomplete or damaged."""
TRIAL_FAILED = 1
"""Exit status of `run` where a trial failed; the others were run."""
USER_MISTAKE = 2
"""Exit status of a mistake; a run that a signal stopped has 128 + its number: 130 for SIGINT, 143 for SIGTERM."""

MOST_PROCESSES = 8
"""That `study` starts unless told how many: each takes a gigabyte of memory."""
WATCH_S = 3.0
"""Seconds between two looks of `status --watch`."""
OUTCOMES = {
    State.TO_DO: "run",
    State.DONE: "done before",
    State.STALE: "done before by other sources",
    State.RUNNING: "left to other processes",
    State.FAILED: "failed",
    State.BLOCKED: "blocked by a failure",
}

Dataset = Annotated[str, typer.Argument(help="bp4d, disfa or gft")]
Root = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="MALBENCH_DATA", help="Folder that holds BP4D/, DISFA/, GFT/, RAF-DB/; none: the stand-in."
    ),
]
GivenRoot = Annotated[
    Path | None, typer.Option("--data", envvar="MALBENCH_DATA", help="Folder that holds BP4D/, DISFA/, GFT/, RAF-DB/.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="All of it, for programs.")]
Runs = Annotated[Path, typer.Option(envvar="MALBENCH_RUNS", help="The store: one folder a trial.")]
Cache = Annotated[Path, typer.Option(envvar="MALBENCH_CACHE", help="Packed frames and the stand-in.")]
ProfileName = Annotated[str | None, typer.Option("--profile", help="paper, standin, smoke, or a .toml file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the profile.")
]

DEFAULT_RUNS = PROJECT / "runs"
DEFAULT_CACHE = PROJECT / ".cache"
DEFAULT_REPORTS = PROJECT / "reports"


def main() -> None:
    """Run the command line; a mistake of the user is printed as one block and ends with status 2."""
    try:
        app()
    except UserError as error:
        _fail(error)
    except (torch.OutOfMemoryError, MemoryError) as error:
        _fail(too_little_memory(error))
    except OSError as error:
        _fail(
            UserError(
                f"the system refuses: {error.strerror or error}",
                where=error.filename,
                remedy="check that the path is what you meant, may be written, and that the disk is not full",
            )
        )


def _fail(error: UserError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(USER_MISTAKE)


@app.command()
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
        profile or _default_profile(data), [*(overrides or []), *(["train.amp=true"] if amp else [])]
    )
    torch.set_num_threads(threads or available_cores())
    selection: dict[str, Any] = {
        "methods": _methods(method or ([] if row else ["paper"]), registry),
        "rows": tuple(row or ()),
        "parts": tuple(part or ()),
        "seeds": tuple(seed or ()),
    }
    # Settings and the device are checked before any data is touched: a misspelt name costs no minute.
    chosen = torch.device("cpu") if launcher is Launcher.SLURM else _device(device)  # a login node may have no GPU
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


@app.command()
def report(
    runs: Runs = DEFAULT_RUNS,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = DEFAULT_REPORTS,
    results: Annotated[Path | None, typer.Option(help="Build from this results.parquet instead of the store.")] = None,
    beside: Annotated[
        list[Path] | None, typer.Option("--with", help="More results, e.g. of `malbench score`; may be repeated.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two results.parquet: write compare.md, which says where they differ, and nothing else."),
    ] = None,
    faces: Annotated[
        Path | None,
        typer.Option(
            help="Data root that trials ran on: Figures 5 and 6 show its images. Those of a stand-in need no asking."
        ),
    ] = None,
    trial: Annotated[
        str, typer.Option(metavar="KEY", help="The trial of Figures 5 and 6; else the first of MAL.")
    ] = "",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Build the tables and figures from finished trials, or from a results file alone."""
    console = Console()
    if compare is not None:
        sides = [Results.read(file).marked(source_hashes(discover())) for file in compare]
        page = write_comparison(
            sides[0], sides[1], out, templates=PROJECT / "templates", names=(str(compare[0]), str(compare[1]))
        )
        console.print(f"wrote {page}", soft_wrap=True)
        return
    source, found = _found_results(runs, out, results)
    if source != runs and (trial or faces is not None):
        raise UserError(
            "Figures 5 and 6 are made of trial folders, which a results file has not",
            where=source,
            remedy="name the store with --runs and leave --results out, or leave --trial and --faces out",
        )
    if beside:
        found = Results.concat([found, *[Results.read(file) for file in beside]])
    console.print(f"from {source}", soft_wrap=True)
    with progress(console) as bars:
        try:
            weighed = None if source != runs else _weighed_faces(runs, trial, faces, cache, bars)
        except UserError as error:
            if trial or faces is not None:
                raise
            weighed = None  # nobody asked for them: the rest of the report does not depend on the images
            console.print(f"Figures 5 and 6 are left out: {error.what}", soft_wrap=True)
    for path in build_report(found, out, templates=PROJECT / "templates", faces=weighed):
        console.print(f"wrote {path}", soft_wrap=True)


@app.command()
def study(
    plan: Annotated[str, typer.Argument(help="A plan: small, full, or a file.")] = "small",
    question: Annotated[list[str] | None, typer.Option(help="Only this question; may be repeated.")] = None,
    runs: Annotated[Path, typer.Option(help="Store of the study's trials.")] = Path("runs/study"),
    cache: Cache = DEFAULT_CACHE,
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = DEFAULT_REPORTS / "study",
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
    asked = [wanted.question(name) for name in question] if question else list(wanted.questions)
    failed = False
    if not page_only:
        processes = processes or min(available_cores(), MOST_PROCESSES)
        each_threads = max(1, (threads or available_cores()) // processes)
        others = ["study", plan, "--no-page", f"--runs={runs}", f"--cache={cache}", f"--device={device}"]
        others += [f"--threads={each_threads}", *(f"--question={each.name}" for each in asked)]
        with _end_on_sigterm(), runners(processes - 1, others, runs) as wait_for_others:
            failed = _ask(wanted, asked, runs, cache, device, each_threads)
            amiss = {log: status for log, status in wait_for_others().items() if status}
        for log, status in amiss.items():
            Console().print(f"a process ended with status {status}; what it said: {log}", soft_wrap=True)
        if amiss:  # what it left is done here; what fails by itself fails again, and says why
            failed = _ask(wanted, asked, runs, cache, device, each_threads)
    if no_page:
        raise typer.Exit(TRIAL_FAILED if failed else 0)
    registry = discover()
    present = source_hashes(registry)
    found = read_results(runs, present)
    for file in beside or []:
        found = found.beside(Results.read(file).marked(present))
    page = write_study(
        wanted, found, out, digests=digests_of(wanted, registry), templates=PROJECT / "templates", name=plan
    )
    found.write(out / "results.parquet")
    Console().print(f"wrote {page}", soft_wrap=True)
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


@app.command()
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
        options = RunOptions(device=_device(device), on_step=bars)
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


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="Predictions: subject, sequence, frame, and AU1 ... or logit_AU1 ...")],
    dataset: Dataset,
    name: Annotated[str, typer.Option(help="What the tables call it.")],
    results: Annotated[
        Path, typer.Option(help="Results on the same test frames, beside which the predictions are to stand.")
    ] = DEFAULT_REPORTS / "results.parquet",
    out: Annotated[Path | None, typer.Option(help="The file to write; else NAME.parquet.")] = None,
    threshold: Annotated[float, typer.Option(help="An AU is active above it; columns logit_AU1: above 0.")] = 0.5,
    profile: ProfileName = None,
    overrides: Overrides = None,
    data: Root = None,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Score predictions, whatever made them, by the rules of the tables; `malbench report --with` shows them."""
    console = Console()
    settings, _ = load_profile(profile or _default_profile(data), overrides or [])
    with progress(console) as bars:
        root = standin_root(cache, settings.standin, dataset, bars) if data is None else data
        protocol = protocol_at(root, get_protocol(dataset), settings)
        faces = read_au(root, protocol, settings, bars)
    scored = score_file(file, name, faces, protocol, Results.read(results), threshold=threshold)
    target = out or Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('.-') or 'scored'}.parquet")
    scored.write(target)
    for trial in scored.trials.itertuples():
        f1 = 100 * scored.scores.loc[scored.scores["trial"] == trial.trial, "f1"].mean()
        console.print(f"{escape(name)}, {trial.part}: F1 ave {f1:.1f}")
    console.print(f"wrote {target}; show it with: malbench report --with {target}", soft_wrap=True)


@app.command()
def claims(
    runs: Runs = DEFAULT_RUNS,
    out: Annotated[Path, typer.Option(help="Folder of the report, whose results are read if the store has none.")] = (
        DEFAULT_REPORTS
    ),
    results: Annotated[Path | None, typer.Option(help="Read this results.parquet instead of the store.")] = None,
    paper: Annotated[bool, typer.Option("--paper", help="The paper's printed tables alone.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the paper's claims: whether its own tables bear them out, and what our runs say."""
    console = Console()
    groups = () if paper else group_results(_found_results(runs, out, results)[1])
    judged = judge_claims(groups)
    if as_json:
        console.out(json.dumps([claim.as_json() for claim in judged], indent=2, allow_nan=False), highlight=False)
        return
    for each in judged:
        console.print(f"[bold]{each.claim.id}[/bold] §{each.claim.section}: {escape(each.claim.text)}", soft_wrap=True)
        lines = [("printed tables", each.printed)]
        lines += [(f"{our.runs}{f'; {our.standing}' if our.standing else ''}", our.outcome) for our in each.ours]
        for name, outcome in lines:
            chance = "" if outcome.probability is None else f" ({100 * outcome.probability:.0f} % of the draws)"
            said = {True: "yes", False: "no", None: "cannot say"}[outcome.holds]
            console.print(Padding(escape(f"{name}: {said}{chance}. {outcome.evidence}"), (0, 0, 0, 4)))


def _found_results(runs: Path, out: Path, results: Path | None) -> tuple[Path, Results]:
    """A results file that was named; else the store; else the results of the last report."""
    sources = source_hashes(discover())
    kept = out / "results.parquet"
    if results is not None:
        source, found = results, Results.read(results).marked(sources)
    else:
        source, found = runs, read_results(runs, sources)
        if found.trials.empty and kept.is_file():
            source, found = kept, Results.read(kept).marked(sources)
    if found.trials.empty:
        raise UserError(
            "no finished trial",
            where=runs,
            expected="trial folders with DONE, or a results file",
            remedy="run `malbench run bp4d` first, or name a file with --results",
        )
    return source, found


@app.command()
def cost(
    files: Annotated[
        list[Path] | None, typer.Argument(help="What pytest-benchmark wrote; none for what the report has.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = DEFAULT_REPORTS,
) -> None:
    """Build the table and figure of MAL's cost from the measurements of `nox -s bench`.

    What the report has of a device that no file is of stays.
    """
    console, kept = Console(), out / "cost.json"
    found = read_benchmarks(files) if files else read_costs(kept)
    if files and kept.is_file():
        found = found.beside(read_costs(kept))
    for path in write_costs(found, out, templates=PROJECT / "templates"):
        console.print(f"wrote {path}", soft_wrap=True)


@app.command()
def status(
    runs: Runs = DEFAULT_RUNS,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds, until nothing runs.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every trial, those that are done too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the grid of the store: what is done, what runs where and how long still, what failed and why."""
    present, console = source_hashes(discover()), Console()
    if as_json:
        told = [
            {
                **_facts(seen),
                "state": str(state),
                "detail": detail_of(seen.folder, state),
                "owner": _owner_of(seen, state),
                "folder": seen.path,
            }
            for seen, state in standings(runs, present)
        ]
        console.out(json.dumps(told, indent=2), highlight=False)
        return
    if not watch:
        console.print(status_page(runs, present, every=every))
        return
    with Live(console=console, auto_refresh=False) as live:
        running = True
        while running:
            page = status_page(runs, present, every=every)
            live.update(page, refresh=True)
            running = any(state == State.RUNNING for _, state in standings(runs, present))
            time.sleep(WATCH_S if running else 0)


def _facts(seen: Glance) -> dict[str, Any]:
    return {name: getattr(seen, name) for name in ("dataset", "method", "part", "seed", "profile", "key")}


def _owner_of(seen: Glance, state: State) -> dict[str, Any] | None:
    """Who runs a trial and how far it is; None if nobody does, or nobody says."""
    owner = read_owner(seen.folder.path) if state == State.RUNNING else None
    if owner is None:
        return None
    names = ("host", "pid", "started", "done", "steps")
    return {**{name: getattr(owner, name) for name in names}, "left_s": owner.left_s()}


@app.command()
def methods(
    name: Annotated[list[str] | None, typer.Argument(help="Only these, with their settings.")] = None,
    profile: ProfileName = "paper",
    as_json: JsonFlag = False,
) -> None:
    """List every method: its row in the paper, streams, trained parameters at the profile's backbone, and source."""
    registry = discover()
    settings, _ = load_profile(profile or "paper")
    described = [describe(each, settings, registry) for each in name or registry]
    console = Console()
    if as_json:
        console.print_json(json.dumps(described))
        return
    for about in described:
        facts = [
            f"row {about['paper_row']}" if about["paper_row"] else about["place"],
            f"streams {' '.join(about['streams'])}",
            *(f"starts from {stage}" for stage in about["prerequisites"].values()),
            f"{about['parameters']:,} parameters",
        ]
        own = [f"{key} = {setting['value']}" for key, setting in about["settings"].items() if not setting["shared"]]
        text = "\n".join([about["summary"], about["citation"], *(["settings: " + ", ".join(own)] if own else [])])
        console.print(Text(about["method"], style="bold"), Text(f"({'; '.join(facts)})", style="dim"))
        console.print(Padding(Text(text), (0, 0, 0, 2)))
        for key, setting in about["settings"].items() if name else []:
            console.print(Padding(Text(f"{key} = {setting['value']}: {setting['meaning']}"), (0, 0, 0, 4)))
    more = "" if name else "; settings that all share and what each means: malbench methods NAME"
    console.print(f"profile {settings.name}{more}")


@data_app.command()
def standin(
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Folder to write; it must be empty or absent.")],
    profile: ProfileName = "standin",
    overrides: Overrides = None,
) -> None:
    """Write procedural faces with known ground truth in the official layouts."""
    get_protocol(dataset)
    settings, _ = load_profile(profile or "standin", overrides or [])
    console = Console()
    with progress(console) as bars:
        write_standin(
            out, settings.standin, lambda done, total: bars("drawing stand-in faces", done, total), dataset=dataset
        )
    console.print(f"wrote the stand-in to {out}; use it with --data {out} --profile {profile}", soft_wrap=True)


@data_app.command()
def sheet(
    profile: ProfileName = "standin",
    overrides: Overrides = None,
    cache: Cache = DEFAULT_CACHE,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = DEFAULT_REPORTS,
) -> None:
    """Show the stand-in's faces, and how far a linear probe tells each AU from their pixels: standin.md."""
    protocol = get_protocol("bp4d")
    settings, _ = load_profile(profile or "standin", overrides or [])
    console, kept = Console(), out / "results.parquet"
    with progress(console) as bars:
        root = standin_root(cache, settings.standin, protocol.dataset, bars)
        packed = pack_faces(read_au(root, protocol, settings, bars), settings, cache, bars)
    written = write_standin_page(
        root,
        pixel_probe(packed, protocol, settings.data.crop_size),
        settings.standin.model_dump(),
        out,
        templates=PROJECT / "templates",
        results=Results.read(kept) if kept.is_file() else None,
    )
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)


@data_app.command()
def check(
    dataset: Dataset,
    data: GivenRoot = None,
    profile: ProfileName = "paper",
    overrides: Overrides = None,
    as_json: JsonFlag = False,
) -> None:
    """Hold labels, file names and landmarks of a data root against what is known; status 1 if something is wrong."""
    settings, _ = load_profile(profile or "paper", overrides or [])
    protocol = protocol_at(_given(data), get_protocol(dataset), settings)
    console = Console()
    faults: list[UserError] = []
    with progress(Console(stderr=True) if as_json else console) as bars:
        au = read_au(_given(data), protocol, settings, bars, faults)
        of_au, faults = check_au(au, protocol, settings, faults), []
        fe = read_fe(_given(data), settings, faults)
        outcome = of_au + check_fe(fe, settings, faults)
    if as_json:
        console.print_json(json.dumps({"passed": not outcome.faults, **asdict(outcome)}))
    else:
        show_check(console, outcome, (au, fe))
    if outcome.faults:
        raise typer.Exit(CHECK_FAILED)


@data_app.command()
def prepare(
    dataset: Dataset,
    data: GivenRoot = None,
    profile: ProfileName = "paper",
    overrides: Overrides = None,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Decode every image once into packed frames, so that no trial has to."""
    settings, _ = load_profile(profile or "paper", overrides or [])
    protocol = protocol_at(_given(data), get_protocol(dataset), settings)
    console = Console()
    with progress(console) as bars:
        faces = read_data(_given(data), protocol, settings, bars)
        tell_disk(console, faces, settings, cache)
        ready = prepare_data(faces, settings, cache, bars)
    for packed in (ready.au, ready.fe):
        size = f"{packed.frames.nbytes / 2**20:.0f} MiB, fingerprint {packed.fingerprint}"
        speed = f"{packed.seconds:.1f} s, {packed.decoded / max(packed.seconds, 1e-9):.0f} a second"
        made = f"{packed.decoded:,} frames decoded in {speed}" if packed.decoded else "nothing to decode"
        console.print(f"{packed.faces.note}: {size}; {made}", soft_wrap=True)


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


def _weighed_faces(
    runs: Path, key: str, root: Path | None, cache: Path, bars: Callable[[str, int, int], None]
) -> WeighedFaces | None:
    """What Figures 5 and 6 show; None if no trial of MAL is done, or its images are licensed and not asked for.

    Raises:
        UserError: The trial or the images that were asked for are not there.
    """
    weighers: dict[str, TrialFolder] = {}
    of_mal = []
    for folder in trial_folders(runs):
        if folder.is_done and (folder.path / FE_WEIGHTS).is_file():
            trial, made = read_trial(folder)
            weighers[trial.key] = folder
            if made["paper_row"] == "MAL":
                of_mal.append((trial.dataset, trial.variant, trial.shared_overrides, trial.part, trial.seed, trial.key))
    if key and key not in weighers:
        raise UserError(
            f"no finished trial '{key}' with weights of FE images",
            where=runs,
            remedy="name one of mal from `malbench status`",
        )
    if not key and not of_mal:
        return None
    folder = weighers[key or min(of_mal)[-1]]
    chosen, made = read_trial(folder)
    if root is None and made["origin"] != "stand-in":
        return None
    settings, _ = load_profile(chosen.profile, [o for o in chosen.shared_overrides.split("; ") if o])
    root = root or standin_root(cache, settings.standin, chosen.dataset, bars)
    faults: list[UserError] = []  # of an incomplete root: whether its images are the trial's, their fingerprint says
    return weighed_faces(folder, pack_faces(read_fe(root, settings, faults), settings, cache, bars))


def _default_profile(data: Path | None) -> str:
    return "standin" if data is None else "paper"


def _given(data: Path | None) -> Path:
    if data is None:
        raise UserError("no data root", remedy="name it with --data ROOT or MALBENCH_DATA")
    return data


def _device(name: str) -> torch.device:
    # Matrix products on a GPU are the same from run to run only with a workspace of fixed size, set before the first.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"the device '{name}' cannot be used",
            found=str(error).splitlines()[0][:160],
            expected="a device that this machine has",
            remedy="--device auto takes the first GPU, and the CPU where there is none; --device cpu always works",
        ) from error
    return device


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


if __name__ == "__main__":
    main()
