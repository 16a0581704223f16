"""`malbench status | methods | datasets`: lists of trials, methods and datasets."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli.names import all_methods, au_datasets, check_known, completing, dataset_of, method_of, only_method_of
from benchmark.cli.options import DEFAULT_RUNS, JsonFlag, NamedRuns, ProfileName, Root
from benchmark.config.names import dataset_names
from benchmark.core.places import check_store, no_store

if TYPE_CHECKING:
    from rich.console import RenderableType

    from benchmark.store.summary import TrialSummary
    from benchmark.trials.states import State

SUITE = ("bp4d", "disfa", "gft", "rafdb")
"""Datasets with a page of their own in docs/data/."""
WATCH_S = 3.0
"""Seconds between two updates of `status --watch`."""


def status(
    runs: NamedRuns = None,
    dataset: Annotated[
        str,
        typer.Option(
            parser=dataset_of,
            metavar="NAME",
            autocompletion=completing(au_datasets),
            help="Only trials on this dataset.",
        ),
    ] = "",
    method: Annotated[
        str,
        typer.Option(
            parser=only_method_of,
            metavar="NAME",
            autocompletion=completing(all_methods),
            help="Only trials of this method.",
        ),
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds, until nothing runs.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every trial, those that are done too.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare only the small files with their seals, for very large stores.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the grid of the store: what is done, what runs where and how long still, what failed and why."""
    from rich.console import Console
    from rich.live import Live

    store = runs or DEFAULT_RUNS
    check_store(store)
    if runs is not None and not runs.exists():
        raise no_store(runs)
    check_known(method, all_methods(), "method")
    from benchmark.cli.console import detail, standings
    from benchmark.store.summary import Contents
    from benchmark.trials.states import State, source_hashes

    console, present = Console(), source_hashes()
    contents = None if quick else Contents()

    def look() -> list[tuple[TrialSummary, State]]:
        return [
            (seen, state)
            for seen, state in standings(store, present, contents)
            if dataset in {"", seen.dataset} and method in {"", seen.method}
        ]

    if as_json:
        rows = [
            {
                **_facts(seen),
                "state": str(state),
                "detail": detail(seen, state),
                "owner": _owner_of(seen, state),
                "folder": seen.path,
            }
            for seen, state in look()
        ]
        console.out(json.dumps(rows, indent=2), highlight=False)
        return
    if not watch:
        standing = look()
        console.print(_page(standing, store, every=every), soft_wrap=not standing)  # a path is not to be broken
        return
    with Live(console=console, auto_refresh=False) as live:
        running = True
        while running:
            seen_now = look()
            live.update(_page(seen_now, store, every=every), refresh=True)
            running = any(state == State.RUNNING for _, state in seen_now)
            time.sleep(WATCH_S if running else 0)


def _page(standing: Sequence[tuple[TrialSummary, State]], runs: Path, *, every: bool) -> RenderableType:
    from rich.text import Text

    from benchmark.cli.console import status_page

    return status_page(standing, every=every) if standing else Text(f"no trial in {runs}")


def _facts(seen: TrialSummary) -> dict[str, Any]:
    return {name: getattr(seen, name) for name in ("dataset", "method", "part", "seed", "profile", "key")}


def _owner_of(seen: TrialSummary, state: State) -> dict[str, Any] | None:
    """Process that runs a trial, with its progress; None if there is none, or its record cannot be read."""
    from benchmark.trials.ownership import read_owner
    from benchmark.trials.states import State

    owner = read_owner(seen.folder.path) if state == State.RUNNING else None
    if owner is None:
        return None
    names = ("host", "pid", "started", "done", "steps")
    return {**{name: getattr(owner, name) for name in names}, "left_s": owner.left_s()}


def methods(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            parser=method_of,
            metavar="[NAME]...",
            autocompletion=completing(all_methods),
            help="Only these, with their settings.",
        ),
    ] = None,
    profile: ProfileName = None,
    data: Root = None,
    as_json: JsonFlag = False,
) -> None:
    """List every method: its row in the paper, streams, trained parameters at the profile's backbone, and source.

    The profile is that of a run: `standin`, or `paper` with --data. Settings are the method's own, and shared ones such
    as the learning rate where the profile gives the method another value.
    """
    from rich.padding import Padding
    from rich.text import Text

    from benchmark.api.request import check_methods, default_profile
    from benchmark.config.profile import load_profile

    settings, _ = load_profile(profile or default_profile(data))
    check_methods(name or (), all_methods())
    from rich.console import Console

    from benchmark.trials.describe import describe
    from benchmark.trials.expand import shared_hparams
    from methods import discover

    registry = discover()
    described = [describe(method, settings, registry) for method in name or registry]
    console = Console()
    if as_json:
        console.print_json(json.dumps(described))
        return
    for about in described:
        facts = [
            f"row {about['paper_row']}" if about["paper_row"] else about["place"],
            f"streams {' '.join(about['streams'])}",
            *(f"starts from {stage}" for stage in about["prerequisites"].values()),
            f"{about['parameters']:,} parameters",
        ]
        named = settings.methods.get(about["method"], {})
        # The names alone in the list of all methods; for one method, each with its meaning below.
        shown = (
            []
            if name
            else [
                f"{key} = {setting['value']}"
                for key, setting in about["settings"].items()
                if not setting["shared"] or key in named
            ]
        )
        text = "\n".join(
            [
                about["summary"],
                *([f"source: {about['citation']}"] if about["citation"] else []),
                *([f"settings: {', '.join(shown)}"] if shown else []),
            ]
        )
        console.print(Text(about["method"], style="bold"), Text(f"({'; '.join(facts)})", style="dim"))
        console.print(Padding(Text(text), (0, 0, 0, 2)))
        for key, setting in about["settings"].items() if name else []:
            console.print(Padding(Text(f"{key} = {setting['value']}: {setting['meaning']}"), (0, 0, 0, 4)))
    more, shared = "codes such as (A3) are readings of the paper: docs/protocol.md", ""
    if not name:
        shared = f", lr = {shared_hparams(settings).lr:g} where none is named"
        more = "settings that all share and what each means: malbench methods NAME"
    console.print(
        f"these are values of the profile {settings.name}{shared}; for those of another: --profile NAME\n{more}",
        soft_wrap=True,
        markup=False,
    )


def datasets(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            parser=dataset_of,
            metavar="[NAME]...",
            autocompletion=completing(dataset_names),
            help="Only these, with their folder below the data root and their page of the documentation.",
        ),
    ] = None,
    profile: ProfileName = "standin",
    as_json: JsonFlag = False,
) -> None:
    """List every dataset: its kind, AUs or labels, parts, and its table in the paper."""
    from rich.console import Console

    from benchmark.config.profile import load_profile
    from benchmark.datasets import names, open_au, open_fe
    from benchmark.datasets.declared import Declared

    settings, _ = load_profile(profile or "standin")
    known = (*names("au", settings), *names("fe", settings))
    for wanted in name or ():
        check_known(wanted, known, "dataset")
    rows: list[dict[str, Any]] = []
    for dataset in names("au", settings):
        au = open_au(dataset, settings)
        rows.append(
            {
                "dataset": dataset,
                "kind": "au",
                "title": au.title,
                "aus": list(au.protocol.au_names),
                "parts": list(au.protocol.parts),
                "printed": "" if au.printed is None else f"Table {au.printed.number}",
                "reader": isinstance(au, Declared) and dataset not in settings.datasets,
                "folder": au.folder,
            }
        )
    for dataset in names("fe", settings):
        fe = open_fe(settings, dataset)
        reader = isinstance(fe, Declared) and dataset not in settings.datasets
        rows.append({"dataset": dataset, "kind": "fe", "title": fe.title, "reader": reader, "folder": fe.folder})
    rows = [row for row in rows if not name or row["dataset"] in name]
    console = Console()
    if as_json:
        console.print_json(json.dumps(rows))
        return
    for row in rows:
        facts = [row["title"], *(" ".join(row[key]) for key in ("aus", "parts") if row.get(key))]
        facts += [row["printed"]] if row.get("printed") else []
        if row["reader"]:
            facts = ["a reader for datasets that a profile declares (docs/datasets.md)"]
        console.print(f"{row['dataset']} ({row['kind'].upper()}): {'; '.join(facts)}", soft_wrap=True)
        if name and not row["reader"]:
            own = f"docs/data/{row['dataset']}.md"
            page = own if row["dataset"] in SUITE else "docs/datasets.md"
            console.print(f"  below the data root: {row['folder']}/\n  page: {page}", soft_wrap=True, markup=False)
