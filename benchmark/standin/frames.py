"""Drawing of AU frames, for the stand-ins of datasets without drawing code."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.data.align import POINT_COLUMNS, points_of
from benchmark.data.known import ACTIVE
from benchmark.standin.pictures import Drawn, Picture, Word, au_columns, draw_pictures, seeded_generator
from benchmark.standin.sample import draw_sequences
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.views import draw_pose, draw_scene

_EYES, _MOUTH = (slice(36, 42), slice(42, 48)), (48, 54)
"""Indices of the eyes and of the corners of the mouth in the drawn landmarks."""


def draw_people(
    home: Path,
    settings: StandinSettings,
    name: str,
    subjects: Sequence[str],
    aus: Sequence[int],
    path_of: Callable[[str, str, int], str],
    *,
    sequences: Sequence[str] = ("1", "2"),
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Draw the frames of an AU dataset. A pure function of its arguments.

    Every subject is one drawn person with `settings.frames_per_sequence` frames in each sequence. Datasets with
    different names show different people.

    Args:
        home: The data root.
        settings: Size, frames of a sequence, and seed.
        name: Name of the dataset.
        subjects: Names of the people.
        aus: AUs of the dataset; AUs outside `DRAWN_AUS` never occur.
        path_of: Function for the image file of a frame, relative to `home`, from its subject, sequence and number from
            1.
        sequences: Names of each subject's sequences.
        progress: Called with (images written, images).

    Returns:
        The ground truth, one row a frame: `subject`, `sequence`, `frame`, `path`, `coded` (always true), the intensity
        in [0, 1] of each AU as `AU1`, ... (it occurs above `benchmark.data.known.ACTIVE`), the landmarks as
        `benchmark.data.align.POINT_COLUMNS`, pose and scene. Its labels are `occurrences(truth, aus)`.
    """
    word = zlib.crc32(name.encode())
    coded = np.ones((len(subjects), len(sequences), settings.frames_per_sequence), dtype=bool)
    intensity = draw_sequences(seeded_generator(settings, Word.AUS, word), coded).intensity
    rows: list[dict[str, object]] = []
    batches: list[list[Picture]] = []
    for s, subject in enumerate(subjects):
        batch: list[Picture] = []
        for q, sequence in enumerate(sequences):
            sequence_rng = seeded_generator(settings, Word.SEQUENCE, word, s, q)
            base = (draw_pose(sequence_rng), draw_scene(sequence_rng))
            for f in range(settings.frames_per_sequence):
                path, values = path_of(subject, sequence, f + 1), intensity[s, q, f]
                stream = (int(Word.FRAME), word, s, q, f)
                batch.append(Picture(path, values, (int(Word.PERSON), word, s), stream, base))
                row = {"subject": subject, "sequence": sequence, "frame": f + 1, "path": path, "coded": True}
                rows.append(row | au_columns(values) | {f"AU{au}": 0.0 for au in aus if au not in DRAWN_AUS})
        batches.append(batch)
    drawn = draw_pictures(home, settings, batches, progress)
    truth = pd.DataFrame(rows)
    seen = pd.DataFrame([_seen(drawn[path]) for path in truth["path"]], index=truth.index)
    return pd.concat([truth, seen], axis=1)


def occurrences(truth: pd.DataFrame, aus: Sequence[int]) -> pd.DataFrame:
    """Labels from a ground truth: columns `AU1`, ... of 0 and 1, one row a frame.

    Example:
        >>> occurrences(pd.DataFrame({"AU1": [0.1, 0.8], "AU2": [0.5, 0.0]}), (1,))["AU1"].tolist()
        [0, 1]
    """
    return (truth[[f"AU{au}" for au in aus]] > ACTIVE).astype(int)


def _seen(drawn: Drawn) -> dict[str, float]:
    """Landmarks, pose and scene of one frame, by column name."""
    points = points_of(drawn.landmarks, _EYES, _MOUTH).ravel().tolist()
    return dict(zip(POINT_COLUMNS, points, strict=True)) | drawn.row
