"""`malbench cross`: networks trained on one dataset and tested on others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.names import au_datasets, completing_list, datasets_of
from benchmark.cli.options import (
    CROSS_RUNS,
    DEFAULT_CACHE,
    TRIAL_FAILED,
    AllowIncomplete,
    Cache,
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
    Seeds,
    Threads,
    path_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.request import GridRequest

EVERY = "bp4d,disfa,gft"
"""Datasets of the matrix, unless others are named."""


def several(about: str) -> Any:
    """Option for the names of several datasets."""
    return typer.Option(parser=datasets_of, metavar="NAMES", autocompletion=completing_list(au_datasets), help=about)


def cross(
    train: Annotated[str, several("Datasets that networks are trained on, with commas.")] = EVERY,
    test: Annotated[str, several("Datasets that they are tested on, with commas.")] = EVERY,
    methods: MethodList = "stl,mtl,mal",
    seed: Seeds = None,
    profile: ProfileName = None,
    overrides: Overrides = None,
    data: Root = None,
    allow_incomplete: AllowIncomplete = False,
    runs: Annotated[
        Path,
        typer.Option(parser=path_of, metavar="DIR", help="Store of the trials; none: runs/cross.", show_default=False),
    ] = CROSS_RUNS,
    cache: Cache = DEFAULT_CACHE,
    out: Out = None,
    publish: Publish = False,
    device: Device = "auto",
    threads: Threads = 0,
    processes: Processes = 1,
    page_only: PageOnly = False,
    no_page: NoPage = False,
) -> None:
    """Train on each dataset and test on each, by the AUs that both score; a network is trained once."""
    from rich.console import Console

    from benchmark.api.pages import page_folder
    from benchmark.api.request import Execution, GridRequest

    console, folder = Console(), page_folder(out, runs, publish=publish)
    trained, tested = (tuple(dict.fromkeys(names.split(","))) for names in (train, test))
    request = GridRequest(
        trained[0],
        methods=tuple(methods.split(",")),
        seeds=tuple(seed or ()),
        profile=profile or "",
        overrides=tuple(overrides or ()),
        root=data,
        allow_incomplete=allow_incomplete,
        runs=runs,
        cache=cache,
        execution=Execution(device, threads, processes=processes),
    )
    failed = not page_only and _train(console, request, trained, tested)
    if not no_page:
        from benchmark.api.cross import write_cross_page

        console.print(f"wrote {write_cross_page(runs, folder)}", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(TRIAL_FAILED)


def _train(console: Console, request: GridRequest, train: tuple[str, ...], test: tuple[str, ...]) -> bool:
    """Run all trainings and tests in several processes, and return whether one failed."""
    from benchmark.api.request import check_request
    from benchmark.cli.console import listening
    from benchmark.cli.grids import share_series

    check_request(request)  # before torch is imported, so that a misspelt name fails at once
    from benchmark.api.cross import CrossRequest, plan_cross

    with listening(console) as listener:
        series = plan_cross(CrossRequest(train, test, request), listener)
    return share_series(console, series, request, ["cross", f"--train={','.join(train)}", f"--test={','.join(test)}"])
