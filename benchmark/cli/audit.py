"""`malbench audit`: numbers under other rules of selection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
    AU_NAMES,
    DEFAULT_CACHE,
    DEFAULT_REPORTS,
    Cache,
    LastReport,
    NamedRuns,
    Overrides,
    ProfileName,
    ResultsFile,
    Root,
    dataset_argument,
    path_of,
)
from benchmark.core.errors import UserError


def audit(
    file: Annotated[
        Path | None,
        typer.Argument(
            parser=path_of,
            metavar="[FILE]",
            help="Predictions, as for `malbench score`. With a column `set` (test, au_val) and `part` they may hold AU "
            "validation frames, too. None: the finished trials.",
        ),
    ] = None,
    dataset: Annotated[
        str,
        dataset_argument(
            f"Dataset of the predictions: {AU_NAMES}, or one that the profile declares.", metavar="[DATASET]"
        ),
    ] = "",
    runs: NamedRuns = None,
    out: LastReport = DEFAULT_REPORTS,
    results: ResultsFile = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the predictions in the tables; else that of the file.")
    ] = "",
    threshold: Annotated[
        float | None, typer.Option(metavar="X", help="As for `malbench score`: an AU is active above it; none: 0.5.")
    ] = None,
    profile: ProfileName = None,
    overrides: Overrides = None,
    data: Root = None,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Show what the F1 would be if others chose the epoch and the threshold, on honest labels or on those of the test.

    Rules that look at test labels are no valid protocol; released code does it all the same. `malbench report` writes
    the same page of the finished trials, audit.md.
    """
    from rich.console import Console

    from benchmark.api.audit import audit_file, audit_trials
    from benchmark.cli.console import listening

    if file is None:
        alone = {"--name": name, "--threshold": threshold, "--profile": profile, "--set": overrides}
        given = [option for option, value in alone.items() if value not in ("", None, [])]
        if given:
            raise UserError(
                f"{given[0]} is for a file of predictions, and no file is named",
                expected="malbench audit FILE DATASET",
                remedy="name the file and its dataset, or leave the option out",
            )
        with listening(Console(stderr=True)) as listener:
            page = audit_trials(runs, out, results, listener)
        Console().out(page, highlight=False)
        return
    if not dataset:
        raise UserError(
            "the dataset of the predictions is not named",
            where=file,
            expected="malbench audit FILE DATASET",
            found="no DATASET",
            remedy="name it after the file",
        )
    if results is not None:
        raise UserError(
            "FILE and --results are two things to audit",
            where=file,
            found=f"--results {results}",
            remedy="leave one of the two out",
        )
    with listening(Console(stderr=True)) as listener:
        page = audit_file(
            file,
            dataset,
            name=name,
            threshold=threshold,
            profile=profile or "",
            overrides=overrides or [],
            root=data,
            cache=cache,
            listener=listener,
        )
    Console().out(page, highlight=False)
