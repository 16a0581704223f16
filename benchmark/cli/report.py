"""`malbench report | calibrate | compute | cost`: pages from the results of trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
    DEFAULT_CACHE,
    DEFAULT_REPORTS,
    DEFAULT_RUNS,
    Cache,
    NamedRuns,
    Out,
    Publish,
    path_of,
)
from benchmark.core.errors import wrong_path


def report(
    runs: NamedRuns = None,
    out: Out = None,
    publish: Publish = False,
    results: Annotated[
        Path | None,
        typer.Option(parser=path_of, metavar="FILE", help="Build from this results.parquet instead of the store."),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", parser=path_of, metavar="FILE", help="More results, e.g. of `malbench score`; repeatable."
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A B", help="Two results.parquet: write compare.md, which says where they differ, and nothing else."
        ),
    ] = None,
    faces: Annotated[
        Path | None,
        typer.Option(
            parser=path_of,
            metavar="DIR",
            help="Data root that trials ran on: Figures 5 and 6 show its images. Those of a stand-in need no asking.",
        ),
    ] = None,
    trial: Annotated[
        str, typer.Option(metavar="KEY", help="The trial of Figures 5 and 6; else the first of MAL.")
    ] = "",
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Build the tables and figures from finished trials, or from a results file alone.

    `--publish` writes into reports/, and refuses results that are not clean and complete: all methods of the paper, all
    parts and all seeds of the profile, none of them stale, unsealed, or made from a changed or unknown checkout.
    """
    from rich.console import Console

    from benchmark.api.pages import page_folder
    from benchmark.api.results import compare_results, write_report
    from benchmark.cli.console import listening

    console = Console()
    if compare is not None:
        folder = page_folder(out, runs or DEFAULT_RUNS, publish=publish)
        console.print(f"wrote {compare_results(*compare, folder)}", soft_wrap=True, markup=False)
        return
    with listening(console) as listener:
        written = write_report(
            runs,
            out,
            results=results,
            beside=beside or [],
            faces=faces,
            trial=trial,
            cache=cache,
            publish=publish,
            listener=listener,
        )
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True, markup=False)


def calibrate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=path_of, metavar="[FILE]...", help="Files of results with several seeds; none for the report's."
        ),
    ] = None,
) -> None:
    """Count how often the suite's tests speak where nothing is to be said, on trainings of the same methods.

    Half of a method's trainings against the other half: the interval over subjects and trainings should hold 0. One
    training as the paper: its cells should lie in the prediction interval of the others. 5 % of the tests may raise an
    alarm. Beside them stand the alarms of intervals over subjects alone.
    """
    from rich.console import Console

    from benchmark.api.results import calibrate_results
    from benchmark.report.markdown import markdown_table

    table = calibrate_results(files or [DEFAULT_REPORTS / "results.parquet"])
    Console().print(markdown_table(table), soft_wrap=True, markup=False, highlight=False)


def compute(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=path_of, metavar="[PATH]...", help="Stores and files of results; none for the committed ones."
        ),
    ] = None,
) -> None:
    """Add up the hours of training in stores and results, by machine, each training once.

    Of a store all finished trials count, those that no table shows too.
    """
    from rich.console import Console

    from benchmark.api.compute import add_up_compute
    from benchmark.report.markdown import markdown_table

    summed = add_up_compute(sources or [DEFAULT_REPORTS / "results.parquet"])
    Console().print(markdown_table(summed), soft_wrap=True, markup=False, highlight=False)


def cost(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=path_of, metavar="[FILE]...", help="Files of pytest-benchmark; none for those that the report has."
        ),
    ] = None,
    out: Out = None,
    publish: Publish = False,
) -> None:
    """Build the table and figure of MAL's cost from the measurements of `nox -s bench`.

    Measurements of other devices that the folder, or else reports/, has stay.
    """
    from rich.console import Console

    from benchmark.api.pages import last_of, page_folder
    from benchmark.report.cost import read_benchmarks, read_costs, write_costs

    for file in files or ():
        if not file.is_file():
            raise wrong_path(file, "file", expected="measurements of pytest-benchmark", remedy="run `nox -s bench`")
    folder = page_folder(out, DEFAULT_RUNS, publish=publish)
    console, kept = Console(), last_of("cost.json", folder)
    costs = read_benchmarks(files) if files else read_costs(kept)
    if files and kept.is_file():
        costs = costs.beside(read_costs(kept))
    for path in write_costs(costs, folder):
        console.print(f"wrote {path}", soft_wrap=True, markup=False)
