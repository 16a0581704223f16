"""Figures 5 and 6 of the paper from one finished trial: FE images and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.core.origin import Origin
from benchmark.data.faces import IMAGE_FORMATS, UNREADABLE
from benchmark.data.images import rgb, turn_of
from benchmark.report.figures import LABEL, LONGEST_LINE, TICK, TITLE, WIDTH, mark_origin, own_style
from benchmark.report.readable import readable

ACROSS = 9
"""Images in a row of Figure 5."""
THUMBNAIL = 64
"""Largest width and height of a drawn image, in pixels."""


@dataclass(frozen=True)
class WeighedFaces:
    """FE images and the weights that a trial gave them.

    Attributes:
        table: One row per image: `path` below `root`, `label`, `weight`, and `consistency` where the data have it.
        root: The data root.
        title: Readable name of the trial.
        origin: Origin of the trial's data.
        labels: Names of the classes, in the order of their codes.
        trial: Key of the trial.
    """

    table: pd.DataFrame
    root: Path
    title: str
    origin: Origin
    labels: tuple[str, ...]
    trial: str = ""


def ascending_weights(faces: WeighedFaces) -> Figure:
    """Figure 5: a row of images per emotion, at evenly spaced ranks of their weight, lowest first.

    The ranks alone choose the images.
    """
    rows = []
    for code in range(len(faces.labels)):
        images = faces.table[faces.table["label"] == code]
        ranks = np.unique(np.linspace(0, len(images) - 1, min(ACROSS, len(images))).round().astype(int))
        rows.append(images.iloc[ranks])
    return _grid(faces, rows, faces.labels, ACROSS, "Weights in ascending order, by emotion (Figure 5)")


def low_and_high_weights(faces: WeighedFaces) -> Figure:
    """Figure 6: for each emotion, the image of the lowest weight above that of the highest, with their consistency."""
    classes = [images for _, images in faces.table.groupby("label")]
    rows = [pd.concat([images.iloc[[at]] for images in classes]) for at in (0, -1)]
    return _grid(
        faces, rows, ("lowest", "highest"), len(classes), "Lowest and highest weights (Figure 6)", classed=True
    )


@own_style()
def _grid(
    faces: WeighedFaces,
    rows: Sequence[pd.DataFrame],
    names: Sequence[str],
    across: int,
    title: str,
    *,
    classed: bool = False,
) -> Figure:
    height = 0.45 + len(rows) * (1.05 if classed else 0.86)
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), across, squeeze=False)
    figure.subplots_adjust(
        left=0.09,
        right=0.995,
        top=1 - 0.42 / height,
        bottom=(0.3 if classed else 0.16) / height,
        wspace=0.05,
        hspace=0.32,
    )
    for line, members, name in zip(grid, rows, names, strict=True):
        for axes in line:
            axes.set_axis_off()
        line[0].text(
            -0.12,
            0.5,
            readable(name, 30),
            transform=line[0].transAxes,
            ha="right",
            va="center",
            fontsize=TICK,
            parse_math=False,
        )
        for axes, (_, face) in zip(line, members.iterrows(), strict=False):
            # SVG and PDF store the original pixels instead of an enlarged image.
            axes.imshow(thumbnail(faces.root / str(face["path"])), interpolation="none")
            said = [readable(faces.labels[int(face["label"])], 30)] if classed else []
            said.append(f"{face['weight']:.3f}" + (f" | {face['consistency']:.2f}" if "consistency" in members else ""))
            axes.text(0.5, -0.04, "\n".join(said), transform=axes.transAxes, ha="center", va="top", fontsize=TICK - 1)
    unit = "weight | consistency" if "consistency" in faces.table else "weight"
    top = 1 - 0.06 / height
    figure.text(0.01, top, title, fontsize=TITLE, va="top")
    figure.text(
        0.01,
        top - 0.16 / height,
        readable(f"{faces.title}; {unit}", LONGEST_LINE),
        fontsize=LABEL,
        va="top",
        parse_math=False,
    )
    mark_origin(figure, faces.origin, top)
    return figure


def thumbnail(path: Path) -> Image.Image:
    """Read an image file and shrink it.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        with Image.open(regular(path), formats=IMAGE_FORMATS) as image:
            turn = turn_of(image)
            small = image if image.format == "JPEG" else rgb(image, path)
            small.thumbnail((THUMBNAIL, THUMBNAIL))  # a JPEG is decoded at a reduced scale
            small = rgb(small, path)
            return small if turn is None else small.transpose(turn)
    except UNREADABLE as error:
        raise UserError(
            "an image cannot be read", where=path, found=str(error), remedy="copy this image from your dataset anew"
        ) from error
