"""`malbench score`: predictions of others as rows of the tables, and the file to fill in."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.names import au_datasets, completing, dataset_of
from benchmark.cli.options import (
    AU_NAMES,
    DEFAULT_CACHE,
    DEFAULT_REPORTS,
    Cache,
    Overrides,
    ProfileName,
    Root,
    dataset_argument,
    path_of,
)
from benchmark.core.errors import UserError
from benchmark.submit.adapters import adapter_names

RESULTS = "results.parquet"
"""Results file in a report's folder."""

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.store.results import Results


def score(
    file: Annotated[
        Path | None,
        typer.Argument(
            parser=path_of, metavar="[FILE]", help="Predictions: subject, sequence, frame, and AU1 ... or logit_AU1 ..."
        ),
    ] = None,
    dataset: Annotated[
        str,
        dataset_argument(f"A dataset: {AU_NAMES}, or one that the profile declares.", metavar="[DATASET]"),
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the rows in the tables, which call them submitted.")
    ] = "",
    template: Annotated[
        str,
        typer.Option(
            parser=dataset_of,
            metavar="DATASET",
            autocompletion=completing(au_datasets),
            help="Write the file to fill in for a dataset, and nothing else.",
        ),
    ] = "",
    program: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="PROGRAM",
            autocompletion=completing(adapter_names),
            help=f"FILE is a program's output: {', '.join(adapter_names())}.",
        ),
    ] = "",
    results: Annotated[
        Path,
        typer.Option(
            parser=path_of,
            metavar="FILE",
            help="Results on the same test frames, beside which the predictions are to stand; "
            "none: reports/results.parquet.",
            show_default=False,
        ),
    ] = DEFAULT_REPORTS / RESULTS,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path_of, metavar="FILE", help="The file to write; else NAME.parquet or DATASET-template.csv."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="An AU is active above it; none: probabilities, 0.5. With --from: of the intensities."
        ),
    ] = None,
    profile: ProfileName = None,
    overrides: Overrides = None,
    data: Root = None,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Score predictions, whatever made them, by the rules of the tables; `malbench report --with` shows them.

    Incomplete data are scored as they are, and the report says so.
    """
    from rich.console import Console

    from benchmark.api.submissions import score_predictions_file
    from benchmark.cli.console import listening

    console = Console()
    settings: dict[str, Any] = {"profile": profile or "", "overrides": overrides or [], "root": data, "cache": cache}
    if template:
        if file is not None or program:
            raise UserError("--template writes a file and reads none", remedy="leave FILE and --from out")
        _write_template(console, template, out, settings, _given(profile, overrides or [], data, cache, results))
        return
    if file is None or not dataset or not name:
        raise UserError(
            "nothing to score",
            expected="malbench score FILE DATASET --name NAME",
            remedy="name all three; malbench score --template DATASET writes a file to fill in",
        )
    target = out or Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('.-') or 'scored'}.parquet")
    with listening(console) as listener:
        scored = score_predictions_file(
            file,
            dataset,
            name,
            beside=results,
            threshold=threshold,
            program=program,
            listener=listener,
            **settings,
        )
    scored.write(target)
    _tell_scores(console, name, scored)
    console.print(f"wrote {target}; show it with: malbench report --with {target}", soft_wrap=True, markup=False)


def _given(profile: str | None, overrides: Sequence[str], data: Path | None, cache: Path, results: Path) -> list[str]:
    """The options that choose the data, for a command on the same data; those with their default value are left out."""
    once = {
        "--profile": profile,
        "--data": data,
        "--cache": None if cache == DEFAULT_CACHE else cache,
        "--results": None if results == DEFAULT_REPORTS / RESULTS else results,
    }
    named = [word for name, value in once.items() if value is not None for word in (name, str(value))]
    return [*named, *(word for override in overrides for word in ("--set", override))]


def _tell_scores(console: Console, name: str, scored: Results) -> None:
    """Print the average of each test part."""
    from rich.markup import escape

    from benchmark.store.results import LACKING

    for trial in scored.trials.itertuples():
        of_trial = scored.scores[scored.scores["trial"] == trial.trial]
        average = "F1 ave" if LACKING not in json.loads(str(trial.provenance)) else f"mean F1 of {len(of_trial)} AUs"
        console.print(f"{escape(name)}, {trial.part}: {average} {100 * of_trial['f1'].mean():.1f}")


def _write_template(
    console: Console, dataset: str, out: Path | None, settings: Mapping[str, Any], given: Sequence[str]
) -> None:
    """Write the file of predictions to fill in, and tell what to do with it."""
    from benchmark.api.submissions import write_template
    from benchmark.cli.console import listening

    target = out or Path(f"{dataset}-template.csv")
    with listening(console) as listener:
        frames = write_template(dataset, target, listener=listener, **settings)
    command = shlex.join(["malbench", "score", str(target), dataset, "--name", "NAME", *given])
    console.print(
        f"wrote {target}: {frames:,} test frames; fill in a probability of each AU, then: {command}",
        soft_wrap=True,
        markup=False,
    )
