"""Choice between two readings of landmark files' numbers, by the faces that each of them aligns."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from benchmark.data.align import Points, warp
from benchmark.data.footage import Footage
from benchmark.data.motion import SIDE, spread

FRAMES = 60
"""Number of frames that are tried: those between which the face moves most."""
FEWEST = 3
"""Minimum number of frames to try."""
CLEARLY = 0.97
"""Maximum ratio of the spreads of both readings at which the smaller one is believed."""


def first_by_motion(footage: Footage, tracked: Mapping[int, Points]) -> int | None:
    """Number of the first frame's landmark file, 0 or 1, by trying both readings; None if that does not tell.

    The reading with which the aligned faces differ less is right; see `benchmark.data.motion`.

    Args:
        footage: Frames of the subject, by index from 0.
        tracked: Points by the number of their file.
    """
    usable = frames_to_try(footage, tracked)
    speed = {i: float(np.abs(tracked[i + 1] - tracked[i]).mean()) for i in usable}
    moving = sorted(sorted(usable, key=lambda i: -speed[i])[:FRAMES])
    images = _grey_frames(footage, moving)
    if len(images) < FEWEST:
        return None
    spreads = [spread([warp(image, tracked[i + first], SIDE) for i, image in images.items()]) for first in (0, 1)]
    if min(spreads) > CLEARLY * max(spreads):
        return None
    return int(spreads[1] < spreads[0])


def frames_to_try(footage: Footage, tracked: Mapping[int, Points]) -> list[int]:
    """Frames on which both readings can be tried; reading 1 takes the points of file i + 1 for frame i."""
    return [i for i in footage.paths if i in tracked and i + 1 in tracked]


def _grey_frames(footage: Footage, indices: list[int]) -> dict[int, npt.NDArray[np.uint8]]:
    """Frames (H, W, 3) by index; those that cannot be decoded are left out."""
    images: dict[int, npt.NDArray[np.uint8]] = {}
    if footage.first is not None:
        for i in indices:
            image = cv2.imread(str(footage.paths[i]), cv2.IMREAD_COLOR)
            if image is not None:
                images[i] = np.asarray(image, dtype=np.uint8)
        return images
    source = cv2.VideoCapture(str(footage.where))
    try:
        at, wanted = 0, set(indices)
        while wanted and at <= max(wanted) and source.grab():
            if at in wanted:
                whole, image = source.retrieve()
                if whole:
                    images[at] = np.asarray(image, dtype=np.uint8)
            at += 1
    finally:
        source.release()
    return images
