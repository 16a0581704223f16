"""`malbench data`: write the stand-in; check or prepare a data root."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import (
    CHECK_FAILED,
    DEFAULT_CACHE,
    DEFAULT_RUNS,
    Cache,
    Dataset,
    GivenRoot,
    JsonFlag,
    Out,
    Overrides,
    ProfileName,
    Publish,
    given_root,
    path_of,
)

if TYPE_CHECKING:
    from benchmark.api.doctor import Diagnosis


def standin(
    dataset: Dataset,
    out: Annotated[
        Path, typer.Option(parser=path_of, metavar="DIR", help="Folder to write; it must be empty or absent.")
    ],
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
    console.print(
        f"wrote the stand-in to {out}; use it with --data {shlex.quote(str(out))} --profile {profile}",
        soft_wrap=True,
        markup=False,
    )


def sheet(
    profile: ProfileName = "standin",
    overrides: Overrides = None,
    renderers: Annotated[
        list[str] | None,
        typer.Option(
            "--renderer", metavar="NAME", help="Only this renderer (drawn, head); repeatable. Without: all installed."
        ),
    ] = None,
    cache: Cache = DEFAULT_CACHE,
    out: Out = None,
    publish: Publish = False,
) -> None:
    """Show the stand-in's faces, and how far a linear probe tells each AU from their pixels: standin.md."""
    from rich.console import Console

    from benchmark.api.pages import page_folder
    from benchmark.api.standin import write_sheet
    from benchmark.cli.console import listening

    console, folder = Console(), page_folder(out, DEFAULT_RUNS, publish=publish)
    with listening(console) as listener:
        written = write_sheet(
            folder,
            profile=profile or "standin",
            overrides=overrides or [],
            renderers=renderers or (),
            cache=cache,
            listener=listener,
        )
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True, markup=False)


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
    frame_list: Annotated[
        Path | None,
        typer.Option(
            "--list",
            parser=path_of,
            metavar="FILE",
            help="A list of frames to hold against the known ones, instead of data.",
        ),
    ] = None,
) -> None:
    """Hold labels, file names and landmarks of a data root against known counts; status 1 if something is wrong."""
    from rich.console import Console

    if frame_list is not None:
        from benchmark.api.lists import compare_list
        from benchmark.cli.console import show_comparison

        comparison = compare_list(dataset, frame_list)
        if as_json:
            Console().print_json(json.dumps(asdict(comparison)))
        else:
            show_comparison(Console(), comparison)
        return
    from benchmark.api.checks import check_data
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
        content = {"passed": not outcome.report.faults, **asdict(outcome.report), "next": outcome.steps}
        console.print_json(json.dumps(content))
    else:
        show_check(console, outcome.report, outcome.faces, outcome.steps)
    if outcome.report.faults:
        raise typer.Exit(CHECK_FAILED)


def prepare(
    dataset: Dataset,
    data: GivenRoot = None,
    profile: ProfileName = "paper",
    overrides: Overrides = None,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Decode every image once into packed frames, so that no trial has to; incomplete data are packed, too."""
    from rich.console import Console
    from rich.markup import escape

    from benchmark.api.data import pack_data
    from benchmark.cli.console import listening

    console = Console()
    with listening(console) as listener:
        looks = pack_data(
            dataset,
            given_root(data),
            profile=profile or "paper",
            overrides=overrides or [],
            cache=cache,
            listener=listener,
        )
    for looked in looks:
        packed = looked.packed
        size = f"{packed.frames.nbytes / 2**20:.0f} MiB, fingerprint {packed.fingerprint}"
        speed = f"{packed.seconds:.1f} s, {packed.decoded / max(packed.seconds, 1e-9):.0f} a second"
        made = f"{packed.decoded:,} frames decoded in {speed}" if packed.decoded else "nothing to decode"
        console.print(escape(f"{packed.faces.note}: {size}; {made}"), soft_wrap=True)
        strange = f"{looked.quality.sentence()} of {len(packed.faces):,} frames"
        console.print(escape(f"  {strange}; contact sheet: {looked.sheet}"), soft_wrap=True)
        for fault in looked.faults:
            console.print(escape(f"  WARNING, a run refuses this: {fault.what}"), soft_wrap=True)
    console.print("look at the contact sheets before you train; they show the people of your data and stay with you")


def import_lists(
    dataset: Dataset,
    images: Annotated[
        Path, typer.Option(parser=path_of, metavar="DIR", help="Folder that the names on the lists are relative to.")
    ],
    lists: Annotated[
        list[Path], typer.Option("--list", parser=path_of, metavar="FILE", help="List of image names; repeatable.")
    ],
    labels: Annotated[
        list[Path],
        typer.Option(parser=path_of, metavar="FILE", help="Labels, one row a name, for each list in turn; repeatable."),
    ],
) -> None:
    """Make a dataset of crops that come with lists of names and labels alone, as JAA-Net's and ME-GraphAU's."""
    from rich.console import Console
    from rich.markup import escape

    from benchmark.api.lists import import_lists as write

    written = write(dataset, images, lists, labels)
    name = f"{dataset}_crops"
    pairs = ", ".join(written.alike[:6]) + (
        f" and {len(written.alike) - 6} more pairs" if len(written.alike) > 6 else ""
    )
    unsure = f"columns that their rates cannot tell apart, look at them: {pairs}\n" if written.alike else ""
    Console().print(
        escape(
            f"wrote {written.table}\nwrote {written.profile}: add its table to a copy of "
            f"benchmark/config/profiles/paper.toml\n{unsure}next:\n"
            f"  malbench data check {name} --data {shlex.quote(str(images.resolve().parent))} --profile mine.toml"
        ),
        soft_wrap=True,
    )


def doctor(
    root: Annotated[
        Path,
        typer.Argument(parser=path_of, metavar="FOLDER", help="Any folder, such as the one that holds your downloads."),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Look at any folder: its datasets, how complete they are, and the next command; status 1 if a part is missing."""
    from rich.console import Console

    from benchmark.api.doctor import diagnose
    from benchmark.cli.console import show_diagnoses

    diagnoses = diagnose(root)
    console = Console()
    if as_json:
        console.print_json(json.dumps([_as_json(diagnosis) for diagnosis in diagnoses]))
    else:
        show_diagnoses(console, root, diagnoses)
    if not diagnoses or not all(diagnosis.complete for diagnosis in diagnoses):
        raise typer.Exit(CHECK_FAILED)


def _as_json(diagnosis: Diagnosis) -> dict[str, object]:
    seen = diagnosis.sighting
    return {
        "dataset": diagnosis.name,
        "folder": str(seen.folder),
        "layout": seen.layout,
        "parts": seen.parts,
        "within": diagnosis.within,
        "readable": seen.readable,
        "complete": diagnosis.complete,
        "missing": diagnosis.missing,
        "beside": diagnosis.beside,
        "fault": None if seen.fault is None else seen.fault.what,
        "remedy": None if seen.fault is None else seen.fault.remedy,
        "data": str(diagnosis.root),
        "next": diagnosis.steps,
    }
