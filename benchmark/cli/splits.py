"""`malbench splits`: how far scores move with the split of the people alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.names import seed_of
from benchmark.cli.options import (
    DEFAULT_CACHE,
    SPLITS_RUNS,
    TRIAL_FAILED,
    AllowIncomplete,
    Cache,
    Dataset,
    Device,
    MethodList,
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

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.request import GridRequest


def splits(
    dataset: Dataset,
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Number of random splits.")] = 10,
    methods: MethodList = "stl,mtl,mal",
    seed: Annotated[
        list[int] | None,
        typer.Option(
            parser=seed_of,
            metavar="N",
            help="Instead of 0; repeatable; with two or more, seed and split are told apart.",
        ),
    ] = None,
    profile: ProfileName = None,
    overrides: Overrides = None,
    data: Root = None,
    allow_incomplete: AllowIncomplete = False,
    runs: Annotated[
        Path,
        typer.Option(parser=path_of, metavar="DIR", help="Store of the trials; none: runs/splits.", show_default=False),
    ] = SPLITS_RUNS,
    cache: Cache = DEFAULT_CACHE,
    out: Out = None,
    publish: Publish = False,
    device: Device = "auto",
    threads: Threads = 0,
    processes: Processes = 1,
    page_only: PageOnly = False,
    no_page: NoPage = False,
) -> None:
    """Train on random three-part splits of DATASET's people, and show how far scores and differences move."""
    from rich.console import Console

    from benchmark.api.pages import page_folder
    from benchmark.api.request import Execution, GridRequest

    console, folder = Console(), page_folder(out, runs, publish=publish)
    request = GridRequest(
        dataset,
        methods=tuple(methods.split(",")),
        seeds=tuple(seed or (0,)),
        profile=profile or "",
        overrides=tuple(overrides or ()),
        root=data,
        allow_incomplete=allow_incomplete,
        runs=runs,
        cache=cache,
        execution=Execution(device, threads, processes=processes),
    )
    failed = not page_only and _train(console, request, repeats)
    if not no_page:
        from benchmark.api.splits import write_splits_page

        console.print(f"wrote {write_splits_page(dataset, runs, folder)}", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(TRIAL_FAILED)


def _train(console: Console, request: GridRequest, repeats: int) -> bool:
    """Run the trials of all splits in several processes, and return whether one failed."""
    from benchmark.api.request import check_request
    from benchmark.cli.console import listening
    from benchmark.cli.grids import share_series

    check_request(request)  # before torch is imported, so that a misspelt name fails at once
    from benchmark.api.splits import SplitsRequest, check_splits, plan_splits

    wanted = SplitsRequest(request, repeats)
    check_splits(wanted)
    with listening(console) as listener:
        series = plan_splits(wanted, listener)
    return share_series(console, series, request, ["splits", request.dataset, f"--repeats={repeats}"])
