"""Several grids after one another, each shared by all processes of a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from benchmark.core.errors import Interrupted

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.grid import Grid
    from benchmark.api.listener import Listener
    from benchmark.api.request import GridRequest
    from benchmark.api.series import Series
    from benchmark.trials.runner import Outcome

RunGrid = Callable[["Grid"], list["Outcome"]]
"""Function that runs a grid and tells what came of it."""


def share_grids(
    console: Console,
    work: Callable[[RunGrid, Listener], bool],
    processes: int,
    arguments: Sequence[str],
    runs: Path,
) -> bool:
    """Run grids in this process and in others, until all of them are done.

    Args:
        console: Receives what came of each grid.
        work: Runs all grids with the function that it gets, and returns whether a trial failed.
        processes: Number of processes, with this one.
        arguments: Arguments of `malbench` in the other processes, which run the same grids.
        runs: The store.

    Returns:
        Whether a trial failed.
    """
    from benchmark.cli.console import listening
    from benchmark.cli.run import stopped_by_signals, tell_outcomes
    from benchmark.launch.processes import beside, share

    failed = False
    with stopped_by_signals(console) as stop, beside(processes - 1, arguments, runs) as others:

        def run_grid(grid: Grid) -> list[Outcome]:
            if stop():  # also where nothing is left to do
                raise Interrupted("no further trial was begun")
            outcomes = grid.run(stop, others if others.processes else None)
            with suppress(typer.Exit):  # a failure is printed, and the other grids go on
                tell_outcomes(console, outcomes, grid.runs)
            return outcomes

        def run_all() -> None:
            nonlocal failed
            with listening(console) as listener:
                failed |= work(run_grid, listener)

        share(
            run_all,
            others,
            others.stopping(stop),
            lambda sentence: console.print(sentence, soft_wrap=True, markup=False),
        )
    return failed


def share_series(console: Console, series: Series, request: GridRequest, command: Sequence[str]) -> bool:
    """Run a series of grids in as many processes as its execution says.

    Args:
        console: Receives what came of each grid.
        series: The grids.
        request: The request that they were planned from.
        command: The command and its own arguments, for the other processes.

    Returns:
        Whether a trial failed.
    """
    shared = series.sharing()
    methods = f"--methods={','.join(request.methods)}"
    return share_grids(
        console,
        lambda run_grid, listener: series.run(run_grid, shared.threads, listener),
        shared.processes,
        [*command, methods, *request.common_arguments(shared.threads), "--no-page"],
        request.runs,
    )
