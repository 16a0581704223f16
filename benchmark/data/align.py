"""Face alignment on the landmarks of a dataset (ambiguity A12: the paper does not say how faces were cropped).

A similarity transform (rotation, scale, shift) maps the centres of the eyes and the corners of the mouth to fixed
places of a square, in least squares. Left and right are those of the image.
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

Align = Literal["landmarks", "detected", "as_is"]
Points = npt.NDArray[np.float32]
"""(4, 2) or (N, 4, 2): x and y of left eye, right eye, left and right corner of the mouth, in pixels of the image on
disk. The centre of the first pixel is at 0."""
POINT_COLUMNS = tuple(
    f"{point}_{axis}" for point in ("left_eye", "right_eye", "left_mouth", "right_mouth") for axis in ("x", "y")
)
"""Columns of a table with the `Points` of one image a row."""

TEMPLATE = ((0.36, 0.40), (0.64, 0.40), (0.395, 0.71), (0.605, 0.71))
"""Target places of the four points, as shares of the square's side. Our choice: most faces, from brows to dropped jaw,
fit into the centre crop of 224 of 256 pixels."""
NEAREST = 30
"""Maximum distance, in frames, from which a frame without landmarks borrows those of another frame (A12)."""
MOST_IMPLAUSIBLE = 0.05
"""Maximum share of faces with implausible landmarks. Trackers fail sometimes; a larger share means a wrong layout."""

_GREY = (128, 128, 128)
"""Colour of pixels outside the image."""


def points_of(landmarks: npt.NDArray[np.floating], eyes: tuple[slice, slice], mouth: tuple[int, int]) -> Points:
    """The four points (..., 4, 2) of K landmarks (..., K, 2): the mean of each eye, and the corners of the mouth."""
    left, right = (landmarks[..., eye, :].mean(axis=-2) for eye in eyes)
    return np.stack([left, right, landmarks[..., mouth[0], :], landmarks[..., mouth[1], :]], axis=-2).astype(np.float32)


def plausible(points: Points) -> npt.NDArray[np.bool_]:
    """Whether eyes and mouth can be those of a face that is not mirrored, at any rotation in the plane, (N,) bool."""
    eyes, lips = points[..., 1, :] - points[..., 0, :], points[..., 3, :] - points[..., 2, :]
    down = points[..., 2:, :].mean(axis=-2) - points[..., :2, :].mean(axis=-2)
    below = eyes[..., 0] * down[..., 1] - eyes[..., 1] * down[..., 0] > 0
    fits: npt.NDArray[np.bool_] = np.isfinite(points).all(axis=(-2, -1)) & below & ((eyes * lips).sum(axis=-1) > 0)
    return fits


def believed(landmarks: Mapping[int, Points], where: Path, layout: str) -> dict[int, Points]:
    """Leave out the implausible points of a sequence.

    Args:
        landmarks: Points by frame number.
        where: File or folder of the landmarks, for an error.
        layout: Assumed order of the landmarks, for an error.

    Returns:
        The plausible points by frame number.

    Raises:
        UserError: Too many points are implausible, so the landmarks are in another order.
    """
    if not landmarks:
        return {}
    fits = plausible(np.stack(list(landmarks.values())))
    if np.mean(~fits) > MOST_IMPLAUSIBLE:
        raise UserError(
            "landmarks are not in the known order",
            where=where,
            expected=f"{layout}; eyes above the mouth, and their left on the image's left",
            found=f"{int((~fits).sum())} of {len(fits)} frames where that cannot be",
            remedy="copy the landmarks of your dataset anew, or take images as they are by --set data.alignment=as_is",
        )
    return {frame: points for (frame, points), fit in zip(landmarks.items(), fits, strict=True) if fit}


@dataclass(frozen=True)
class Aligned:
    """Landmarks of one sequence with F coded frames, of which K have some.

    Attributes:
        kept: (F,) bool, False where no landmarks are near.
        points: (K, 4, 2), points of the kept frames.
        borrowed: Number of frames with the landmarks of another frame.
    """

    kept: npt.NDArray[np.bool_]
    points: Points
    borrowed: int


def nearest_points(frames: list[int], landmarks: Mapping[int, Points], within: int = NEAREST) -> Aligned:
    """Landmarks of each frame, or of the nearest frame with landmarks; of two equally near ones, the earlier.

    Args:
        frames: Frame numbers that need landmarks.
        landmarks: Landmarks by frame number, of the whole sequence.
        within: Maximum distance to a frame with landmarks, frames.
    """
    wanted, tracked = np.array(frames, dtype=np.int64), np.array(sorted(landmarks), dtype=np.int64)
    if not len(tracked):
        return Aligned(np.zeros(len(wanted), bool), np.zeros((0, 4, 2), np.float32), 0)
    after = np.searchsorted(tracked, wanted)
    before = np.clip(after - 1, 0, len(tracked) - 1)
    after = np.clip(after, 0, len(tracked) - 1)
    nearest = np.where(np.abs(tracked[before] - wanted) <= np.abs(tracked[after] - wanted), before, after)
    distance = np.abs(tracked[nearest] - wanted)
    kept = distance <= within
    points = [landmarks[int(frame)] for frame in tracked[nearest[kept]]]
    stacked = np.stack(points) if points else np.zeros((0, 4, 2), np.float32)
    return Aligned(kept, stacked, int((kept & (distance > 0)).sum()))


def similarity(points: Points, size: int) -> npt.NDArray[np.float64]:
    """Least-squares transform (2, 3) from pixels of the image to pixels of the aligned square of side `size`.

    With points z and targets w as centred complex numbers, the best rotation and scale is <z, w> / <z, z>.
    """
    z = points[:, 0].astype(np.float64) + 1j * points[:, 1].astype(np.float64)
    template = np.array(TEMPLATE)
    w = (template[:, 0] + 1j * template[:, 1]) * size - (0.5 + 0.5j)  # shares count from the edge of the first pixel
    about = z - z.mean()
    turn = np.vdot(about, w - w.mean()) / np.vdot(about, about)
    shift = w.mean() - turn * z.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def reduction(points: Points, size: int) -> int:
    """Factor 1, 2, 4 or 8 by which to reduce an image before `warp`, without loss of detail or aliasing."""
    scale = float(np.hypot(*similarity(points, size)[:, 0]))
    return next((factor for factor in (8, 4, 2) if scale * factor <= 1), 1)


def warp(image: npt.NDArray[np.uint8], points: Points, size: int, factor: float = 1.0) -> npt.NDArray[np.uint8]:
    """Cut the aligned square out of an image.

    Args:
        image: (H, W, 3) uint8, reduced by `factor`.
        points: Points in pixels of the image before its reduction.
        size: Side of the square, pixels.
        factor: Factor of the reduction, about `reduction(points, size)` at most.

    Returns:
        (size, size, 3) uint8; grey outside the image.
    """
    matrix = similarity(points, size)
    # x = factor (x' + 1/2) - 1/2, where x' is a pixel of the reduced image.
    matrix = np.concatenate(
        [matrix[:, :2] * factor, matrix[:, :2].sum(axis=1, keepdims=True) * (factor - 1) / 2 + matrix[:, 2:]], axis=1
    )
    warped = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_GREY
    )
    return np.asarray(warped, dtype=np.uint8)
