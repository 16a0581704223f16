"""`malbench report | score | claims | cost`: pages from what trials left."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from benchmark.cli.console import progress
from benchmark.cli.options import (
    DEFAULT_CACHE,
    DEFAULT_REPORTS,
    DEFAULT_RUNS,
    Cache,
    Dataset,
    JsonFlag,
    Overrides,
    ProfileName,
    Root,
    Runs,
    default_profile,
)
from benchmark.config.profile import load_profile
from benchmark.config.protocol import get_protocol
from benchmark.core.errors import UserError
from benchmark.report.claims import judge_claims
from benchmark.report.compare import write_comparison
from benchmark.report.cost import read_benchmarks, read_costs, write_costs
from benchmark.report.faces import WeighedFaces
from benchmark.report.groups import group_results
from benchmark.report.render import build_report
from benchmark.report.submitted import score_file
from benchmark.report.weighed import weighed_faces
from benchmark.store.folder import FE_WEIGHTS, TrialFolder, read_results, read_trial, trial_folders
from benchmark.store.results import Results
from benchmark.trials.prepare import pack_faces, protocol_at, read_au, read_fe, standin_root
from benchmark.trials.provenance import PROJECT
from benchmark.trials.states import source_hashes
from methods import discover


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
    settings, _ = load_profile(profile or default_profile(data), overrides or [])
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
