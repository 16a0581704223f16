"""The table of predictions: one row a face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.predict.crops import bounding_box

ACTIVE = 0.5
"""Probability above which the model calls an AU active."""
ON_FILM = ("frame", "time_s")
"""Columns that a table of photographs alone lacks."""
PLACE = ("source", "frame", "time_s", "face", "left", "top", "width", "height")
"""Columns before those of the AUs. `frame`, from 0, and `time_s` are empty for a photograph, and left
out where no row has them; `face` counts from 1, the
largest face first; the box is that of the aligned square, pixels."""


def face_row(
    source: str, face: int, outline: npt.NDArray[np.float64], frame: int | None = None, time_s: float | None = None
) -> dict[str, object]:
    """Place of a face, as columns of `PLACE`.

    Args:
        source: Name of the photograph or video.
        face: Number of the face, from 1.
        outline: Corners (4, 2) of the aligned square.
        frame: Number of the frame of a video.
        time_s: Its time, seconds.
    """
    box = (round(value, 1) for value in bounding_box(outline))
    time = None if time_s is None else round(time_s, 3)
    return dict(zip(PLACE, (source, frame, time, face, *box), strict=True))


def prediction_table(
    rows: list[dict[str, object]], probabilities: npt.NDArray[np.float32], aus: tuple[str, ...]
) -> pd.DataFrame:
    """Table with the columns `PLACE` and one probability an AU.

    Args:
        rows: Places of N faces.
        probabilities: (N, J).
        aus: Names of the J AUs.
    """
    table = pd.DataFrame(rows, columns=list(PLACE)).astype({"frame": "Int64", "time_s": "float64", "face": "int64"})
    table[list(aus)] = probabilities
    return table


def without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns of videos, if it has no row of a video."""
    return table.drop(columns=list(ON_FILM)) if table[list(ON_FILM)].isna().all(axis=None) else table
