"""Frames of one subject or participant, from a video or from a folder of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmark.core.errors import UserError

MOST_LOST = 15
"""Maximum number of frames that a video's header names beyond those that can be decoded. A larger gap is damage."""


@dataclass(frozen=True)
class Footage:
    """Frames of one subject, from a video or from extracted images.

    Attributes:
        where: Video or folder of images.
        length: Index of the last frame, plus 1.
        paths: Path of each frame, by index from 0; `video.avi#K` in a video.
        first: Number in the name of the first frame's image; None for a video.
    """

    where: Path
    length: int
    paths: Mapping[int, Path]
    first: int | None


def video_footage(video: Path) -> Footage:
    """Frames of a video that can be decoded. A short tail that cannot is dropped.

    Raises:
        UserError: The video cannot be read, or it is much shorter than its header says.
    """
    source = cv2.VideoCapture(str(video))
    try:
        named = int(source.get(cv2.CAP_PROP_FRAME_COUNT)) if source.isOpened() else 0
        length = named if named <= 0 or _has_frame(source, named - 1) else _decodable(video)
    finally:
        source.release()
    if length <= 0 or named - length > MOST_LOST:
        raise UserError(
            "a video cannot be read" if length <= 0 else "a video is shorter than its header says",
            where=video,
            expected="a file that OpenCV can decode" + (f", with {named:,} frames" if named > 0 else ""),
            found=f"{video.stat().st_size:,} bytes with {max(length, 0):,} frames that can be decoded",
            remedy="copy this video from your dataset anew, or extract its frames as images",
        )
    return Footage(video, length, {i: video.with_name(f"{video.name}#{i}") for i in range(length)}, None)


def _has_frame(source: cv2.VideoCapture, index: int) -> bool:
    return bool(source.set(cv2.CAP_PROP_POS_FRAMES, index)) and bool(source.grab()) and bool(source.retrieve()[0])


def _decodable(video: Path) -> int:
    """Number of frames of a video, by decoding all of it."""
    source = cv2.VideoCapture(str(video))
    try:
        number = 0
        while source.read()[0]:
            number += 1
        return number
    finally:
        source.release()
