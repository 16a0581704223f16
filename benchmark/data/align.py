"""Alignment on the landmarks that come with a dataset (ambiguity A12: the paper does not say how faces were cropped).

A similarity transform (turn, scale, shift) takes the centres of the eyes and the corners of the mouth as near as can
be, in least squares, to fixed places of a square. Left and right are those of the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from benchmark.core.errors import UserError

Align = Literal["landmarks", "as_is"]
Points = npt.NDArray[np.float32]
"""(4, 2) or (N, 4, 2): x and y of left eye, right eye, left and right corner of the mouth, pixels of the image as it is
on disk, the centre of the first pixel at 0."""
POINT_COLUMNS = tuple(
    f"{point}_{axis}" for point in ("left_eye", "right_eye", "left_mouth", "right_mouth") for axis in ("x", "y")
)
"""Columns of a table that holds `Points`, one row an image."""

TEMPLATE = ((0.36, 0.40), (0.64, 0.40), (0.395, 0.71), (0.605, 0.71))
"""Where the four points go, as shares of the square's side. Ours: brows to chin of most faces stay inside the centre
crop of 224 of 256 pixels, with room for a dropped jaw."""
NEAREST = 30
"""Frames within which a frame without landmarks may borrow those of another (A12)."""
MOST_IMPLAUSIBLE = 0.05
"""Share of faces whose points may stand in an impossible order before the file's layout is doubted: trackers fail."""

_GREY = (128, 128, 128)
"""What stands outside the image."""


def points_of(landmarks: npt.NDArray[np.floating], eyes: tuple[slice, slice], mouth: tuple[int, int]) -> Points:
    """The four points among (..., K, 2) landmarks: the means of each eye's, and the corners of the mouth."""
    left, right = (landmarks[..., eye, :].mean(axis=-2) for eye in eyes)
    return np.stack([left, right, landmarks[..., mouth[0], :], landmarks[..., mouth[1], :]], axis=-2).astype(np.float32)


def plausible(points: Points) -> npt.NDArray[np.bool_]:
    """(N,): whether eyes and mouth could be those of a face that is not mirrored, however it is turned in the plane."""
    eyes, lips = points[..., 1, :] - points[..., 0, :], points[..., 3, :] - points[..., 2, :]
    down = points[..., 2:, :].mean(axis=-2) - points[..., :2, :].mean(axis=-2)
    below = eyes[..., 0] * down[..., 1] - eyes[..., 1] * down[..., 0] > 0
    fits: npt.NDArray[np.bool_] = np.isfinite(points).all(axis=(-2, -1)) & below & ((eyes * lips).sum(axis=-1) > 0)
    return fits


def believed(found: Mapping[int, Points], where: Path, layout: str) -> dict[int, Points]:
    """The points by frame without those that no face can have.

    Args:
        found: By frame.
        where: What they were read from.
        layout: The order that was taken for granted, for an error.

    Raises:
        UserError: Too many are impossible: then the landmarks are in another order.
    """
    if not found:
        return {}
    fits = plausible(np.stack(list(found.values())))
    if np.mean(~fits) > MOST_IMPLAUSIBLE:
        raise UserError(
            "landmarks are not in the known order",
            where=where,
            expected=f"{layout}; eyes above the mouth, and their left on the image's left",
            found=f"{int((~fits).sum())} of {len(fits)} frames where that cannot be",
            remedy="copy the landmarks of your dataset anew, or take images as they are with data.alignment=as_is",
        )
    return {frame: points for (frame, points), fit in zip(found.items(), fits, strict=True) if fit}


@dataclass(frozen=True)
class Aligned:
    """The landmarks of one sequence's coded frames.

    Attributes:
        kept: (F,): False where no landmarks are near.
        points: (K, 4, 2) of the K frames kept.
        borrowed: Frames that have those of another frame.
    """

    kept: npt.NDArray[np.bool_]
    points: Points
    borrowed: int


def nearest_points(frames: list[int], found: Mapping[int, Points], within: int = NEAREST) -> Aligned:
    """Landmarks of each frame, or of the nearest one of its sequence that has any; of two as near, the earlier.

    Args:
        frames: Frame numbers that need landmarks.
        found: Landmarks by frame number, of the whole sequence.
        within: The furthest that a frame may be.
    """
    wanted, known = np.array(frames, dtype=np.int64), np.array(sorted(found), dtype=np.int64)
    if not len(known):
        return Aligned(np.zeros(len(wanted), bool), np.zeros((0, 4, 2), np.float32), 0)
    after = np.searchsorted(known, wanted)
    before = np.clip(after - 1, 0, len(known) - 1)
    after = np.clip(after, 0, len(known) - 1)
    nearest = np.where(np.abs(known[before] - wanted) <= np.abs(known[after] - wanted), before, after)
    distance = np.abs(known[nearest] - wanted)
    kept = distance <= within
    points = [found[int(frame)] for frame in known[nearest[kept]]]
    stacked = np.stack(points) if points else np.zeros((0, 4, 2), np.float32)
    return Aligned(kept, stacked, int((kept & (distance > 0)).sum()))


def similarity(points: Points, size: int) -> npt.NDArray[np.float64]:
    """(2, 3): takes pixels of the image to pixels of the aligned square of side `size`, in least squares.

    With points z and their places w as complex numbers, the best turn and scale is <z, w> / <z, z> about the means.
    """
    z = points[:, 0].astype(np.float64) + 1j * points[:, 1].astype(np.float64)
    template = np.array(TEMPLATE)
    w = (template[:, 0] + 1j * template[:, 1]) * size - (0.5 + 0.5j)  # a share counts from the edge of the first pixel
    about = z - z.mean()
    turn = np.vdot(about, w - w.mean()) / np.vdot(about, about)
    shift = w.mean() - turn * z.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def reduction(points: Points, size: int) -> int:
    """1, 2, 4 or 8: by how much to make an image smaller before `warp`, so that nothing is lost and nothing aliases."""
    scale = float(np.hypot(*similarity(points, size)[:, 0]))
    return next((factor for factor in (8, 4, 2) if scale * factor <= 1), 1)


def warp(image: npt.NDArray[np.uint8], points: Points, size: int, factor: float = 1.0) -> npt.NDArray[np.uint8]:
    """The aligned square.

    Args:
        image: (H, W, 3), made smaller by `factor`.
        points: Pixels of the image before that.
        size: Side of the square.
        factor: At most `reduction(points, size)`, or thereabouts.

    Returns:
        (size, size, 3); grey where the image has no pixel.
    """
    matrix = similarity(points, size)
    # x = factor (x' + 1/2) - 1/2, where x' counts in the smaller image.
    matrix = np.concatenate(
        [matrix[:, :2] * factor, matrix[:, :2].sum(axis=1, keepdims=True) * (factor - 1) / 2 + matrix[:, 2:]], axis=1
    )
    warped = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_GREY
    )
    return np.asarray(warped, dtype=np.uint8)
