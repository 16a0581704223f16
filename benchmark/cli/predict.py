"""`malbench predict`: AUs of photographs and videos by a finished trial."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import DEFAULT_RUNS, Device, Runs, Threads, path_of
from benchmark.core.places import predictions_of
from benchmark.core.words import counted


class Faces(StrEnum):
    """Framing of the images."""

    DETECT = "detect"
    WHOLE = "whole"


class SeveralFaces(StrEnum):
    """Rule for a photograph with several faces."""

    LARGEST = "largest"
    ALL = "all"
    REFUSE = "refuse"


class NoFaceRule(StrEnum):
    """Rule for a photograph without a face."""

    SKIP = "skip"
    REFUSE = "refuse"


class TableKind(StrEnum):
    """Format of the table."""

    CSV = "csv"
    PARQUET = "parquet"


def predict(
    path: Annotated[
        Path, typer.Argument(parser=path_of, metavar="PATH", help="A photograph, a video, or a folder of both.")
    ],
    trial: Annotated[
        str, typer.Option(metavar="KEY", help="The finished trial, or the start of its key; none: the only one.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path_of, metavar="DIR", help="Folder of table, pictures and page; none: `predictions` in the store."
        ),
    ] = None,
    faces: Annotated[
        Faces, typer.Option(help="detect: find and align faces; whole: each image is a face already.")
    ] = Faces.DETECT,
    several: Annotated[
        SeveralFaces, typer.Option(help="A photograph with several faces; a video always follows one.")
    ] = SeveralFaces.LARGEST,
    no_face: Annotated[NoFaceRule, typer.Option(help="A photograph without a face.")] = NoFaceRule.SKIP,
    zoom: Annotated[
        float | None,
        typer.Option(metavar="X", help="Size of faces, 1 to 2 times that of aligned ones; none: as in training."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, metavar="N", help="Look at every Nth frame of a video.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Faces in a batch.")] = 64,
    table: Annotated[TableKind, typer.Option("--format", help="Format of the table.")] = TableKind.CSV,
    runs: Runs = DEFAULT_RUNS,
    device: Device = "auto",
    threads: Threads = 0,
) -> None:
    """Predict the action units of your own photographs or videos by a finished trial; nothing is uploaded."""
    from rich.console import Console

    from benchmark.api.prediction import predict as predict_faces
    from benchmark.cli.console import listening
    from benchmark.predict.photographs import Rules
    from benchmark.predict.run import PAGE
    from benchmark.predict.work import Settings

    console = Console()
    settings = Settings(faces.value, Rules(several.value, no_face.value), zoom, every, batch_size, table.value)
    with listening(console) as listener:
        predicted = predict_faces(
            path,
            out or predictions_of(runs),
            trial=trial,
            runs=runs,
            settings=settings,
            device=device,
            threads=threads,
            listener=listener,
        )
    for name, fact in predicted.facts.items():
        console.print(f"{name}: {fact}", soft_wrap=True, markup=False)
    console.print(
        f"{counted(len(predicted.table), 'face')}: open {predicted.folder / PAGE}", soft_wrap=True, markup=False
    )
