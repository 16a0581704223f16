"""`malbench study | gradient-probe | readings`: questions on the stand-in; readings of the paper before training."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.names import PARTS, completing, part_of, plan_of, seed_of
from benchmark.cli.options import (
    DEFAULT_CACHE,
    DEFAULT_RUNS,
    STUDY_RUNS,
    TRIAL_FAILED,
    Cache,
    Dataset,
    Device,
    NoPage,
    Out,
    Overrides,
    PageOnly,
    Processes,
    ProfileName,
    Publish,
    Root,
    Threads,
    path_of,
)
from benchmark.study.names import plan_names

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.listener import Listener
    from benchmark.api.study import StudyRequest
    from benchmark.cli.grids import RunGrid
    from benchmark.study.plan import Plan

STUDY_PAGES = "study"
"""Folder in reports/ of the pages of studies."""


def one_part(about: str) -> Any:
    """Option for one test part."""
    return typer.Option(parser=part_of, metavar="NAME", autocompletion=completing(lambda: PARTS), help=about)


def study(
    plan: Annotated[
        str,
        typer.Argument(
            parser=plan_of,
            metavar="[PLAN]",
            autocompletion=completing(plan_names),
            help=f"A plan: {', '.join(plan_names())}, or a .toml file.",
        ),
    ] = "decisive",
    question: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this question or choice; repeatable.")
    ] = None,
    runs: Annotated[
        Path,
        typer.Option(
            parser=path_of, metavar="DIR", help="Store of the study's trials; none: runs/study.", show_default=False
        ),
    ] = STUDY_RUNS,
    cache: Cache = DEFAULT_CACHE,
    out: Out = None,
    publish: Publish = False,
    device: Device = "auto",
    threads: Threads = 0,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", parser=path_of, metavar="FILE", help="Results of another machine, not run again; repeatable."
        ),
    ] = None,
    page_only: PageOnly = False,
    processes: Processes = 1,
    no_page: NoPage = False,
    register: Annotated[
        bool, typer.Option("--register", help="Train nothing: record the commit that holds the plan.")
    ] = False,
) -> None:
    """Ask MAL and its controls what only the stand-in can answer; go on where the last call stopped.

    Trials of `--with` are not run again, unless the code has changed since; where the store has one of them, too, the
    page takes the store's. A trial that fails leaves its question incomplete, and ends the study with the status of
    `run`, after the page.
    """
    from rich.console import Console

    from benchmark.api.pages import page_folder
    from benchmark.api.request import Execution
    from benchmark.api.study import StudyRequest, check_study, register_plan, study_sharing, write_study_page

    console = Console()
    if register:
        console.print(f"wrote {register_plan(plan)}: commit it before the trials run", soft_wrap=True, markup=False)
        return
    folder = page_folder(out, runs, publish=publish, below=STUDY_PAGES)
    others = tuple(beside or ())
    execution = Execution(device, threads, processes=processes)
    request = StudyRequest(plan, tuple(question or ()), runs, cache, execution, others)
    wanted = check_study(request)
    failed = False
    if not page_only:
        shared = study_sharing(request)
        request = replace(request, execution=Execution(device, shared.threads))
        arguments = ["study", plan, "--no-page", f"--runs={runs}", f"--cache={cache}", f"--device={device}"]
        arguments += [f"--threads={shared.threads}", *(f"--question={name}" for name in question or wanted.names)]
        arguments += [f"--with={file}" for file in others]
        failed = _ask(console, request, wanted, shared.processes, arguments)
    if no_page:
        raise typer.Exit(TRIAL_FAILED if failed else 0)
    for path in write_study_page(plan, runs, folder, beside=others):
        console.print(f"wrote {path}", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(TRIAL_FAILED)


def _ask(console: Console, request: StudyRequest, plan: Plan, processes: int, arguments: list[str]) -> bool:
    """Run the trials of a study in several processes, and return whether one failed."""
    from benchmark.api.study import run_study
    from benchmark.cli.grids import share_grids

    def work(run_grid: RunGrid, listener: Listener) -> bool:
        return run_study(request, plan, run_grid, listener)

    return share_grids(console, work, processes, arguments, request.runs)


def gradient_probe(
    part: Annotated[str, one_part("The test part.")] = "part1",
    seed: Annotated[int, typer.Option(parser=seed_of, metavar="N", help="The seed.")] = 0,
    profile: ProfileName = "standin",
    overrides: Overrides = None,
    every: Annotated[int, typer.Option(min=1, metavar="N", help="Steps between looks.")] = 100,
    window: Annotated[int, typer.Option(min=2, metavar="N", help="Steps of a look.")] = 20,
    cache: Cache = DEFAULT_CACHE,
    out: Out = None,
    publish: Publish = False,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Train MAL on the stand-in, and show by kind of sample what its meta net is asked to learn."""
    from rich.console import Console

    from benchmark.api.pages import page_folder
    from benchmark.api.request import Execution
    from benchmark.api.study import probe_gradients
    from benchmark.cli.console import listening

    console, folder = Console(), page_folder(out, STUDY_RUNS, publish=publish, below=STUDY_PAGES)
    with listening(console) as listener:
        written = probe_gradients(
            folder,
            command=" ".join(["malbench", *sys.argv[1:]]),
            part=part,
            seed=seed,
            profile=profile or "standin",
            overrides=overrides or [],
            every=every,
            window=window,
            cache=cache,
            execution=Execution(device, threads),
            listener=listener,
        )
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True, markup=False)


def readings(
    dataset: Dataset = "bp4d",
    part: Annotated[str, one_part("The test part, whose people are left out; none: the first.")] = "",
    seed: Annotated[
        list[int] | None, typer.Option(parser=seed_of, metavar="N", help="Instead of 0, 1 and 2; repeatable.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Steps of each training.")] = 100,
    end: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Extrapolate to this step, not to the end of the profile's training."),
    ] = None,
    profile: ProfileName = None,
    overrides: Overrides = None,
    data: Root = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Look at data that fail `data check`.")
    ] = False,
    cache: Cache = DEFAULT_CACHE,
    out: Out = None,
    publish: Publish = False,
    device: Device = "auto",
    threads: Threads = 0,
    page_only: Annotated[
        bool,
        typer.Option(
            "--page-only", help="Train nothing: the page of the last measurements, those of reports/ if need be."
        ),
    ] = False,
) -> None:
    """Show under which readings of the paper MAL's weights move, on training people alone; no test frame is used."""
    from rich.console import Console
    from rich.markup import escape

    from benchmark.api.pages import last_of, page_folder
    from benchmark.study.readings import read_probe
    from benchmark.study.readings_page import MEASURED, verdicts, write_readings

    console, folder = Console(), page_folder(out, DEFAULT_RUNS, publish=publish)
    if page_only:
        result = read_probe(last_of(MEASURED, folder))
    else:
        from benchmark.api.readings import ReadingsRequest, probe_readings
        from benchmark.api.request import Execution
        from benchmark.cli.console import listening

        request = ReadingsRequest(
            dataset,
            part=part,
            seeds=tuple(seed or (0, 1, 2)),
            steps=steps,
            end=end,
            profile=profile or "",
            overrides=tuple(overrides or ()),
            root=data,
            allow_incomplete=allow_incomplete,
            cache=cache,
            execution=Execution(device, threads),
        )
        with listening(console) as listener:
            result = probe_readings(request, command=" ".join(["malbench", *sys.argv[1:]]), listener=listener)
    for sentence in (*verdicts(result), f"primary reading: {result.primary()}"):
        console.print(escape(sentence), soft_wrap=True)
    for path in write_readings(result, folder):
        console.print(f"wrote {path}", soft_wrap=True, markup=False)
