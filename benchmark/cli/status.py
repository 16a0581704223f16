"""`malbench status | methods`: what there is."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from benchmark.cli.console import standings, status_page
from benchmark.cli.options import DEFAULT_RUNS, JsonFlag, ProfileName, Runs
from benchmark.config.profile import load_profile
from benchmark.store.folder import Glance
from benchmark.trials.describe import describe
from benchmark.trials.ownership import read_owner
from benchmark.trials.states import State, detail_of, source_hashes
from methods import discover

WATCH_S = 3.0
"""Seconds between two looks of `status --watch`."""


def status(
    runs: Runs = DEFAULT_RUNS,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds, until nothing runs.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every trial, those that are done too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the grid of the store: what is done, what runs where and how long still, what failed and why."""
    present, console = source_hashes(discover()), Console()
    if as_json:
        told = [
            {
                **_facts(seen),
                "state": str(state),
                "detail": detail_of(seen.folder, state),
                "owner": _owner_of(seen, state),
                "folder": seen.path,
            }
            for seen, state in standings(runs, present)
        ]
        console.out(json.dumps(told, indent=2), highlight=False)
        return
    if not watch:
        console.print(_page(standings(runs, present), runs, every=every))
        return
    with Live(console=console, auto_refresh=False) as live:
        running = True
        while running:
            seen_now = standings(runs, present)
            live.update(_page(seen_now, runs, every=every), refresh=True)
            running = any(state == State.RUNNING for _, state in seen_now)
            time.sleep(WATCH_S if running else 0)


def _page(standing: Sequence[tuple[Glance, State]], runs: Path, *, every: bool) -> RenderableType:
    return status_page(standing, every=every) if standing else Text(f"no trial in {runs}")


def _facts(seen: Glance) -> dict[str, Any]:
    return {name: getattr(seen, name) for name in ("dataset", "method", "part", "seed", "profile", "key")}


def _owner_of(seen: Glance, state: State) -> dict[str, Any] | None:
    """Who runs a trial and how far it is; None if nobody does, or nobody says."""
    owner = read_owner(seen.folder.path) if state == State.RUNNING else None
    if owner is None:
        return None
    names = ("host", "pid", "started", "done", "steps")
    return {**{name: getattr(owner, name) for name in names}, "left_s": owner.left_s()}


def methods(
    name: Annotated[list[str] | None, typer.Argument(help="Only these, with their settings.")] = None,
    profile: ProfileName = "paper",
    as_json: JsonFlag = False,
) -> None:
    """List every method: its row in the paper, streams, trained parameters at the profile's backbone, and source."""
    registry = discover()
    settings, _ = load_profile(profile or "paper")
    described = [describe(each, settings, registry) for each in name or registry]
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
        own = [f"{key} = {setting['value']}" for key, setting in about["settings"].items() if not setting["shared"]]
        text = "\n".join([about["summary"], about["citation"], *(["settings: " + ", ".join(own)] if own else [])])
        console.print(Text(about["method"], style="bold"), Text(f"({'; '.join(facts)})", style="dim"))
        console.print(Padding(Text(text), (0, 0, 0, 2)))
        for key, setting in about["settings"].items() if name else []:
            console.print(Padding(Text(f"{key} = {setting['value']}: {setting['meaning']}"), (0, 0, 0, 4)))
    more = "" if name else "; settings that all share and what each means: malbench methods NAME"
    console.print(f"profile {settings.name}{more}")
