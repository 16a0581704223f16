"""`malbench data`: write the stand-in; check or prepare a data root."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
    CHECK_FAILED,
    DEFAULT_CACHE,
    DEFAULT_REPORTS,
    Cache,
    Dataset,
    GivenRoot,
    JsonFlag,
    Out,
    Overrides,
    ProfileName,
    given_root,
    path_of,
)


def standin(
    dataset: Dataset,
    out: Annotated[Path, typer.Option(parser=path_of, help="Folder to write; it must be empty or absent.")],
    profile: ProfileName = "standin",
    overrides: Overrides = None,
) -> None:
    """Write procedural faces with known ground truth in the official layouts."""
    from rich.console import Console

    from benchmark.cli.console import listening
    from benchmark.config.profile import load_profile
    from benchmark.datasets import check_name

    profile = profile or "standin"
    check_name(dataset, "au", load_profile(profile, overrides or [])[0])
    from benchmark.api.data import write_standin

    console = Console()
    with listening(console) as listener:
        write_standin(dataset, out, profile=profile, overrides=overrides or [], listener=listener)
    console.print(f"wrote the stand-in to {out}; use it with --data {out} --profile {profile}", soft_wrap=True)


def sheet(
    profile: ProfileName = "standin",
    overrides: Overrides = None,
    cache: Cache = DEFAULT_CACHE,
    out: Out = DEFAULT_REPORTS,
) -> None:
    """Show the stand-in's faces, and how far a linear probe tells each AU from their pixels: standin.md."""
    from rich.console import Console

    from benchmark.api.standin import write_sheet
    from benchmark.cli.console import listening

    console = Console()
    with listening(console) as listener:
        written = write_sheet(
            out, profile=profile or "standin", overrides=overrides or [], cache=cache, listener=listener
        )
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)


def check(
    dataset: Dataset,
    data: GivenRoot = None,
    profile: ProfileName = "paper",
    overrides: Overrides = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Hash every image, too, and compare it with the one that was packed.")
    ] = False,
    cache: Cache = DEFAULT_CACHE,
    as_json: JsonFlag = False,
) -> None:
    """Hold labels, file names and landmarks of a data root against known counts; status 1 if something is wrong."""
    from rich.console import Console

    from benchmark.api.data import check_data
    from benchmark.cli.console import listening, show_check

    console = Console()
    with listening(Console(stderr=True) if as_json else console) as listener:
        outcome = check_data(
            dataset,
            given_root(data),
            profile=profile or "paper",
            overrides=overrides or [],
            deep=deep,
            cache=cache,
            listener=listener,
        )
    if as_json:
        console.print_json(json.dumps({"passed": not outcome.report.faults, **asdict(outcome.report)}))
    else:
        show_check(console, outcome.report, outcome.faces)
    if outcome.report.faults:
        raise typer.Exit(CHECK_FAILED)


def prepare(
    dataset: Dataset,
    data: GivenRoot = None,
    profile: ProfileName = "paper",
    overrides: Overrides = None,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Decode every image once into packed frames, so that no trial has to."""
    from rich.console import Console

    from benchmark.api.data import pack_data
    from benchmark.cli.console import listening

    console = Console()
    with listening(console) as listener:
        ready = pack_data(
            dataset,
            given_root(data),
            profile=profile or "paper",
            overrides=overrides or [],
            cache=cache,
            listener=listener,
        )
    for packed in (ready.au, ready.fe):
        size = f"{packed.frames.nbytes / 2**20:.0f} MiB, fingerprint {packed.fingerprint}"
        speed = f"{packed.seconds:.1f} s, {packed.decoded / max(packed.seconds, 1e-9):.0f} a second"
        made = f"{packed.decoded:,} frames decoded in {speed}" if packed.decoded else "nothing to decode"
        console.print(f"{packed.faces.note}: {size}; {made}", soft_wrap=True)
