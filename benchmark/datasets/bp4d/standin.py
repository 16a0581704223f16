"""The stand-in of BP4D: procedural faces with coding files and landmarks in the official layout."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.datasets.bp4d.layout import CODING, LANDMARKS, SEQUENCES
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.standin.landmarks import find_none, write_bp4d_landmarks
from benchmark.standin.pictures import Drawn, Picture, Word, au_columns, draw_pictures, seeded_generator, with_scenes
from benchmark.standin.sample import SUBJECTS, TASKS, Sequences, draw_sequences
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.views import draw_pose, draw_scene

CODED_COLUMNS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28)
"""AU columns of a coding file of BP4D. AUs that the stand-in does not draw are coded 9 (unknown)."""
NEVER_TRACKED = ("M010", "T6")
"""A sequence without any landmarks; in BP4D, long stretches have none."""
UNTRACKED_SHARE = 0.03
"""Share of BP4D's frames without landmarks: in the dataset 21,511 have none (issue 30 of PyTorch-JAANet)."""


def write_bp4d(
    home: Path, settings: StandinSettings, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Write `home/BP4D/`: images, coding files and landmarks. A pure function of the settings.

    Args:
        home: The data root.
        settings: Size and parameters of the stand-in.
        progress: Called with (images written, images).

    Returns:
        One row a frame: `subject`, `task`, `frame`, `path`, `coded`, `marked`, the intensity in [0, 1] of each of
        `DRAWN_AUS`, pose and scene. An AU occurs where its intensity is above 0.35.
    """
    frames, batches = _plan_bp4d(home, settings)
    drawn = draw_pictures(home, settings, batches, progress)
    _write_tracks(home, settings, frames, drawn)
    return with_scenes(frames, drawn)


def _write_tracks(home: Path, settings: StandinSettings, frames: pd.DataFrame, drawn: dict[str, Drawn]) -> None:
    """Write landmark files for most of the written frames."""
    rng = seeded_generator(settings, Word.FOUND)
    for (subject, task), rows in frames.groupby(["subject", "task"], sort=True):
        lost = find_none(rng, len(rows), UNTRACKED_SHARE)
        landmarks = {
            int(frame): drawn[str(path)].landmarks
            for frame, path, none in zip(rows["frame"], rows["path"], lost, strict=True)
            if not none and (subject, task) != NEVER_TRACKED
        }
        file = home / BP4D.folder / LANDMARKS / f"{subject}_{task}.mat"
        write_bp4d_landmarks(file, landmarks, int(rows["frame"].max()))


def _plan_bp4d(home: Path, settings: StandinSettings) -> tuple[pd.DataFrame, list[list[Picture]]]:
    """Draw the AUs of all sequences, write the coding files, and plan the images, one batch a subject."""
    rng = seeded_generator(settings, Word.CODED)
    shape = (len(SUBJECTS), len(TASKS))
    # Some sequences have frames before and after their coded range, and few ranges start at frame 1.
    before = np.where(rng.random(shape) < 0.3, rng.integers(1, 4, size=shape), 0)
    after = np.where(rng.random(shape) < 0.3, rng.integers(1, 4, size=shape), 0)
    first = np.where(rng.random(shape) < 0.08, 1, rng.integers(5, 1600, size=shape))
    before = np.where(first == 1, 0, before)
    digits = rng.integers(3, 5, size=shape)
    slots = 3 + settings.frames_per_sequence + 3
    coded = np.zeros((*shape, slots), dtype=bool)
    coded[..., 3 : 3 + settings.frames_per_sequence] = True
    sequences = draw_sequences(seeded_generator(settings, Word.AUS), coded)
    marked = coded & (seeded_generator(settings, Word.MARKED_AU).random(coded.shape) < settings.au_marked)
    sequences.unknown[marked], sequences.intensity[marked] = True, 0.0
    coding = home / BP4D.folder / CODING
    coding.mkdir(parents=True)
    rows: list[dict[str, object]] = []
    batches: list[list[Picture]] = []
    there = [s for row in zip_longest(*BP4D.parts.values()) for s in row if s is not None][: settings.au_subjects]
    for s, subject in enumerate(SUBJECTS):
        if subject not in there:
            continue
        batch: list[Picture] = []
        for t, task in enumerate(TASKS):
            sequence_rng = seeded_generator(settings, Word.SEQUENCE, s, t)
            base = (draw_pose(sequence_rng), draw_scene(sequence_rng))
            numbers = first[s, t] - 3 + np.arange(slots)
            _write_coding(coding / f"{subject}_{task}.csv", numbers, coded[s, t], sequences, (s, t))
            for f in range(3 - before[s, t], slots - 3 + after[s, t]):
                number = int(numbers[f])
                path = f"{BP4D.folder}/{SEQUENCES}/{subject}/{task}/{number:0{digits[s, t]}d}.jpg"
                values = sequences.intensity[s, t, f]
                noise = bool(marked[s, t, f])
                batch.append(Picture(path, values, (Word.PERSON, s), (Word.FRAME, s, t, f), base, marked=noise))
                row = {"subject": subject, "task": task, "frame": number, "path": path}
                rows.append(row | {"coded": bool(coded[s, t, f]), "marked": noise} | au_columns(values))
        batches.append(batch)
    return pd.DataFrame(rows), batches


def _write_coding(
    file: Path,
    numbers: npt.NDArray[np.int64],
    coded: npt.NDArray[np.bool_],
    sequences: Sequences,
    at: tuple[int, int],
) -> None:
    """Write one `AU_OCC` file: a header of 0 and the AU numbers, then codes 0, 1, and 9 for unknown."""
    codes = np.full((len(numbers), len(CODED_COLUMNS)), 9)
    for column, au in enumerate(CODED_COLUMNS):
        if au in DRAWN_AUS:
            k = DRAWN_AUS.index(au)
            codes[:, column] = np.where(sequences.unknown[at][:, k], 9, sequences.occurrence[at][:, k])
    lines = [",".join(map(str, (0, *CODED_COLUMNS)))]
    lines += [",".join(map(str, (number, *row))) for number, row in zip(numbers[coded], codes[coded], strict=True)]
    file.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
