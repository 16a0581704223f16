"""`malbench demo`: three methods on a small stand-in within a minute, and a page at the end."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import Overrides, path_of

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.api.demo import Demonstrated

NOTHING_OF_THE_PAPER = (
    "Drawn faces, a small network, a short training: nothing here speaks of the paper's data or its numbers."
)


def demo(
    out: Annotated[
        Path | None,
        typer.Option(parser=path_of, metavar="DIR", help="A new or empty folder; else one in the temporary folder."),
    ] = None,
    overrides: Overrides = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser, on a terminal.")] = False,
) -> None:
    """Train STL, MTL and MAL on one part of a small stand-in, and write a page; it never touches reports/."""
    from benchmark.api.demo import demo_request, write_demo_page

    folder = out or Path(tempfile.mkdtemp(prefix="malbench-demo-"))
    request = demo_request(folder, overrides or ())
    from rich.console import Console

    from benchmark.api.grid import plan_grid
    from benchmark.api.listener import SILENT
    from benchmark.cli.console import listening
    from benchmark.cli.run import run_with_signals, tell_outcomes

    console = Console()
    console.print(NOTHING_OF_THE_PAPER, soft_wrap=True)
    with listening(console) as listener:
        # The notes of a run are about data of the user's own; progress and trials are told.
        grid = plan_grid(request, replace(listener, note=SILENT.note))
        outcomes = run_with_signals(console, grid)
    tell_outcomes(console, outcomes, request.runs, processes=grid.processes)
    made = write_demo_page(request)
    _tell(console, made, "; --out DIR keeps all in a folder of your own" if out is None else "")
    if show and sys.stdout.isatty():
        webbrowser.open(made.page.absolute().as_uri())


def _tell(console: Console, made: Demonstrated, about_out: str) -> None:
    """Print the scores, what they are worth, the page, and the command to go on with."""
    width = max(len(name) for name, _ in made.scores)
    lines = [f"{'method':<{width}}  F1 ave", *(f"{name:<{width}}  {score:6.1f}" for name, score in made.scores)]
    lines += [
        made.remark,
        NOTHING_OF_THE_PAPER,
        f"page: {made.page.absolute()}",
        f"open it in a browser; `malbench demo --open` does that{about_out}",
        f"next, on your own photographs: {made.next}",
    ]
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
