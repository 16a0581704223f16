"""`malbench data`: write the stand-in; check or prepare a data root."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmark.cli.console import progress, show_check, tell_disk
from benchmark.cli.options import (
    CHECK_FAILED,
    DEFAULT_CACHE,
    DEFAULT_REPORTS,
    Cache,
    Dataset,
    GivenRoot,
    JsonFlag,
    Overrides,
    ProfileName,
    given_root,
)
from benchmark.config.profile import load_profile
from benchmark.config.protocol import get_protocol
from benchmark.core.errors import UserError
from benchmark.data.check import check_au, check_fe
from benchmark.data.probe import pixel_probe
from benchmark.report.standin import write_standin_page
from benchmark.standin.write import write_standin
from benchmark.store.results import Results
from benchmark.trials.prepare import pack_faces, prepare_data, protocol_at, read_au, read_data, read_fe, standin_root
from benchmark.trials.provenance import PROJECT


def standin(
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Folder to write; it must be empty or absent.")],
    profile: ProfileName = "standin",
    overrides: Overrides = None,
) -> None:
    """Write procedural faces with known ground truth in the official layouts."""
    get_protocol(dataset)
    settings, _ = load_profile(profile or "standin", overrides or [])
    console = Console()
    with progress(console) as bars:
        write_standin(
            out, settings.standin, lambda done, total: bars("drawing stand-in faces", done, total), dataset=dataset
        )
    console.print(f"wrote the stand-in to {out}; use it with --data {out} --profile {profile}", soft_wrap=True)


def sheet(
    profile: ProfileName = "standin",
    overrides: Overrides = None,
    cache: Cache = DEFAULT_CACHE,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = DEFAULT_REPORTS,
) -> None:
    """Show the stand-in's faces, and how far a linear probe tells each AU from their pixels: standin.md."""
    protocol = get_protocol("bp4d")
    settings, _ = load_profile(profile or "standin", overrides or [])
    console, kept = Console(), out / "results.parquet"
    with progress(console) as bars:
        root = standin_root(cache, settings.standin, protocol.dataset, bars)
        packed = pack_faces(read_au(root, protocol, settings, bars), settings, cache, bars)
    written = write_standin_page(
        root,
        pixel_probe(packed, protocol, settings.data.crop_size),
        settings.standin.model_dump(),
        out,
        templates=PROJECT / "templates",
        results=Results.read(kept) if kept.is_file() else None,
    )
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)


def check(
    dataset: Dataset,
    data: GivenRoot = None,
    profile: ProfileName = "paper",
    overrides: Overrides = None,
    as_json: JsonFlag = False,
) -> None:
    """Hold labels, file names and landmarks of a data root against what is known; status 1 if something is wrong."""
    settings, _ = load_profile(profile or "paper", overrides or [])
    protocol = protocol_at(given_root(data), get_protocol(dataset), settings)
    console = Console()
    faults: list[UserError] = []
    with progress(Console(stderr=True) if as_json else console) as bars:
        au = read_au(given_root(data), protocol, settings, bars, faults)
        of_au, faults = check_au(au, protocol, settings, faults), []
        fe = read_fe(given_root(data), settings, faults)
        outcome = of_au + check_fe(fe, settings, faults)
    if as_json:
        console.print_json(json.dumps({"passed": not outcome.faults, **asdict(outcome)}))
    else:
        show_check(console, outcome, (au, fe))
    if outcome.faults:
        raise typer.Exit(CHECK_FAILED)


def prepare(
    dataset: Dataset,
    data: GivenRoot = None,
    profile: ProfileName = "paper",
    overrides: Overrides = None,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Decode every image once into packed frames, so that no trial has to."""
    settings, _ = load_profile(profile or "paper", overrides or [])
    protocol = protocol_at(given_root(data), get_protocol(dataset), settings)
    console = Console()
    with progress(console) as bars:
        faces = read_data(given_root(data), protocol, settings, bars)
        tell_disk(console, faces, settings, cache)
        ready = prepare_data(faces, settings, cache, bars)
    for packed in (ready.au, ready.fe):
        size = f"{packed.frames.nbytes / 2**20:.0f} MiB, fingerprint {packed.fingerprint}"
        speed = f"{packed.seconds:.1f} s, {packed.decoded / max(packed.seconds, 1e-9):.0f} a second"
        made = f"{packed.decoded:,} frames decoded in {speed}" if packed.decoded else "nothing to decode"
        console.print(f"{packed.faces.note}: {size}; {made}", soft_wrap=True)
