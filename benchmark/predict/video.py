"""The face of a video: one is followed, by the rules of training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.core.errors import UserError
from benchmark.data.align import Points
from benchmark.data.decode import decode_video
from benchmark.data.detect import NO_FACE, Detector, align_detected
from benchmark.data.faces import FaceSet
from benchmark.data.footage import video_footage
from benchmark.predict.crops import Cutter, whole_outline

RATE = 25.0
"""Frames per second of a video that does not say its own."""


@dataclass(frozen=True)
class Track:
    """Frames of a video with a face.

    Attributes:
        video: The video.
        rate: Frames per second.
        frames: Numbers (F,) of the frames that were looked at, from 0.
        points: Points (F, 4, 2) of the face in each of them, NaN for none; None: frames are faces already.
    """

    video: Path
    rate: float
    frames: npt.NDArray[np.int64]
    points: Points | None

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Whether each frame has a face, (F,)."""
        if self.points is None:
            return np.ones(len(self.frames), dtype=np.bool_)
        return np.asarray(np.isfinite(self.points).all(axis=(1, 2)), dtype=np.bool_)

    def images(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """Row in `frames`, and RGB image (H, W, 3), of every frame that was looked at."""
        decoded = decode_video(self.video, [int(frame) for frame in self.frames])
        return ((row, image) for row, (image, _) in enumerate(decoded))

    def cut(self, cutter: Cutter) -> Iterator[tuple[int, npt.NDArray[np.uint8], npt.NDArray[np.float64]]]:
        """Row in `frames`, packed frame (S, S, 3) and outline (4, 2), of every frame with a face."""
        seen = self.seen
        for row, image in self.images():
            if self.points is None:
                yield row, cutter.whole(image), whole_outline(image)
            elif seen[row]:
                yield row, cutter.aligned(image, self.points[row]), cutter.outline(self.points[row])


def follow_face(
    video: Path,
    make_detector: Callable[[], Detector] | None,
    every: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Track:
    """Find the face of a video in each of its frames.

    A frame without a face takes the points of the nearest frame with one, as in training.

    Args:
        video: The video.
        make_detector: Function that makes a detector; None: frames are faces already.
        every: Distance of the frames that are looked at.
        progress: Called with (frames searched, frames).

    Raises:
        UserError: The video cannot be decoded, or the detector finds no face in it.
    """
    length = video_footage(video).length
    rate = _rate(video)
    numbers = np.arange(0, length, every)
    if make_detector is None:
        return Track(video, rate, numbers, None)
    table = pd.DataFrame(
        {"path": [f"{video.name}#{n}" for n in numbers], "subject": "", "sequence": video.name, "frame": numbers}
    )
    labels = np.zeros((len(numbers), 0), dtype=np.int8)
    faces = FaceSet("video", video.parent, table, labels, (), "partial", "")
    with tempfile.TemporaryDirectory() as cache:  # the points of a face stay nowhere
        try:
            aligned = align_detected(faces, Path(cache), continuous=True, detector=make_detector, progress=progress)
        except UserError as error:
            if error.what != NO_FACE:
                raise
            raise UserError(
                error.what,
                where=video,
                expected=error.expected,
                found=error.found,
                remedy="look at the video; if its frames are faces already: --faces whole",
            ) from error
    points = np.full((len(numbers), 4, 2), np.nan, dtype=np.float32)
    rows = np.searchsorted(numbers, aligned.table["frame"].to_numpy())
    assert aligned.points is not None
    points[rows] = aligned.points
    return Track(video, rate, numbers, points)


def _rate(video: Path) -> float:
    source = cv2.VideoCapture(str(video))
    try:
        rate = float(source.get(cv2.CAP_PROP_FPS))
    finally:
        source.release()
    return rate if np.isfinite(rate) and rate > 0 else RATE
