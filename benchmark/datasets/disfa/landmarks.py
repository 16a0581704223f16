"""Landmark files of DISFA: `Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat`, `pts`, 66 x 2, one file a frame."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.data.align import Points, believed, points_of
from benchmark.data.files import listing
from benchmark.data.footage import Footage
from benchmark.datasets.disfa.labels import Labels, only
from benchmark.datasets.disfa.numbering import FEWEST, first_by_motion, frames_to_try
from benchmark.datasets.disfa.protocol import DISFA

LANDMARKS = "Landmark_Points"
EYES_OF_66, MOUTH_OF_66 = (slice(36, 42), slice(42, 48)), (48, 54)
"""Indices of the eyes and of the corners of the mouth in the 66 points, from the two lines of
dataset/DISFA_combine_1_2_66land.txt of PyTorch-JAANet."""
Numbers = Literal["auto", "from_0", "from_1"]
Reason = Literal["their numbers", "the faces", "the setting", "the rule for samples"]
SAMPLE = 100
"""Number of labels below which a subject is a sample of DISFA, whose files have 4,845. Where fewer than `FEWEST`
frames of a sample can be tried, its landmark files are taken to count from 0, and the note of the data says so."""

_LANDMARK_NAME = re.compile(r".*?(?P<number>\d+)(?:_lm)?\.mat", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of one subject.

    Attributes:
        points: Eyes and mouth by frame number from 1.
        first: Number of the first frame's file, 0 or 1.
        reason: What decided that number.
    """

    points: dict[int, Points]
    first: int
    reason: Reason


def read_mat_landmarks(
    folder: Path, labels: Labels, footage: Footage | None = None, numbers: Numbers = "auto"
) -> Landmarks:
    """Read the eyes and the mouth of the frames with landmarks of one subject.

    Names vary for a few subjects, so the last number in a file's name identifies its frame. It counts from 0 where the
    numbers end before the last label, and from 1 where they start at 1 and reach it. Where both readings fit, the one
    with which the aligned faces move less is right (`numbering.first_by_motion`), or the user is asked; samples have a
    rule (`SAMPLE`).

    Args:
        folder: Landmark files of the subject.
        labels: Labels of the subject.
        footage: Frames of the subject, to try two readings on.
        numbers: Number of the first frame's file, if it is known.

    Raises:
        UserError: There are no landmarks, a file has other contents, or the numbers do not determine the first frame.
    """
    remedy = (
        f"copy {LANDMARKS} of this subject from your DISFA anew, or take images as they are: --set data.alignment=as_is"
    )
    files: dict[int, list[Path]] = {}
    for path in sorted(folder.rglob("*.mat")) if folder.is_dir() else ():
        match = _LANDMARK_NAME.fullmatch(path.name)
        if match is not None:
            files.setdefault(int(match["number"]), []).append(path)
    if not files:
        raise UserError(
            "a subject has no landmarks",
            where=folder,
            expected=f"{DISFA.folder}/{LANDMARKS}/{folder.name}/tmp_frame_lm/{folder.name}_0000_lm.mat",
            found=listing(folder),
            remedy=remedy,
        )
    numbered = {number: only(paths, f"landmark files numbered {number}") for number, paths in files.items()}
    marks = {number: _read_points(path, remedy) for number, path in sorted(numbered.items())}
    tracked = {number: landmarks for number, landmarks in marks.items() if landmarks is not None}
    decision = _first_number(numbered, labels, footage, numbers, tracked)
    if decision is None:
        last = labels.frames[-1] if labels.frames else 0
        raise UserError(
            "the numbers of the landmark files do not tell whether they count from 0 or from 1",
            where=folder,
            expected=f"0 to {last - 1}, or 1 to {last}",
            found=f"{len(numbered)} files, numbers {min(numbered)} to {max(numbered)}",
            remedy="look which file belongs to the video's first frame, and --set disfa.landmark_numbers=from_0 or "
            f"from_1; or {remedy}",
        )
    first, reason = decision
    points = {number + 1 - first: landmarks for number, landmarks in tracked.items() if number >= first}
    return Landmarks(believed(points, folder, "66 points, jaw first, eyes 37 to 48, mouth from 49 on"), first, reason)


def describe_numbers(landmarks: Sequence[Landmarks]) -> str:
    """Sentence for the note: how the landmark files count, where it is not from 0 by their numbers for all."""
    kinds = Counter((subject.first, subject.reason) for subject in landmarks)
    if not kinds or set(kinds) == {(0, "their numbers")}:
        return ""
    parts = [
        f"from {first} for {number} subject{'s' if number > 1 else ''} by {reason}"
        for (first, reason), number in sorted(kinds.items())
    ]
    return f"landmark files count {', '.join(parts)}"


def _first_number(
    numbered: Collection[int],
    labels: Labels,
    footage: Footage | None,
    numbers: Numbers,
    tracked: Mapping[int, Points],
) -> tuple[int, Reason] | None:
    """Number of the file of the first frame, 0 or 1, and what decides it; None if neither names nor faces tell."""
    if numbers != "auto":
        return int(numbers == "from_1"), "the setting"
    low, high, last = min(numbered), max(numbered), labels.frames[-1] if labels.frames else 0
    # A file too many stands before the first frame, or after the last one.
    surplus = high >= (last if footage is None else min(last, footage.length))
    if low == 0 and not surplus:
        return 0, "their numbers"
    if low > 0 and high >= last:
        return (1, "their numbers") if low == 1 and last in numbered else None
    if footage is None:
        return None
    # From 1 to the frame before the last, or one file more than frames.
    if last < SAMPLE and len(frames_to_try(footage, tracked)) < FEWEST:
        return 0, "the rule for samples"
    first = first_by_motion(footage, tracked)
    return None if first is None else (first, "the faces")


def _read_points(file: Path, remedy: str) -> Points | None:
    try:
        points = np.asarray(loadmat(regular(file), variable_names=["pts"])["pts"], dtype=np.float64)
    # scipy raises many kinds of errors for a file that is not from MATLAB.
    except (OSError, KeyError, ValueError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise UserError(
            "landmarks cannot be read",
            where=file,
            expected="a MATLAB file with `pts`, 66 x 2",
            found=f"no {error}" if isinstance(error, KeyError) else str(error)[:120],
            remedy=remedy,
        ) from error
    if 0 in points.shape:
        return None
    if points.shape != (66, 2):
        shape = " x ".join(map(str, points.shape))
        raise UserError("landmarks have another shape", where=file, expected="66 x 2", found=shape, remedy=remedy)
    return points_of(points - 1, EYES_OF_66, MOUTH_OF_66)  # MATLAB counts pixels from 1
