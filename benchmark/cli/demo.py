"""`malbench demo`: three methods on a small stand-in within a minute, and a page at the end."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import Overrides, path_of

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
    from benchmark.cli.console import listening
    from benchmark.cli.run import run_with_signals, tell_outcomes

    console = Console()
    console.print(NOTHING_OF_THE_PAPER, soft_wrap=True)
    with listening(console) as listener:
        outcomes = run_with_signals(console, plan_grid(request, listener))
    tell_outcomes(console, outcomes, request.runs)
    page = write_demo_page(request).absolute()
    console.print(NOTHING_OF_THE_PAPER, soft_wrap=True)
    console.print(f"page: {page}", soft_wrap=True, markup=False)
    if show and sys.stdout.isatty():
        webbrowser.open(page.as_uri())
