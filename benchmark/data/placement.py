"""Place of landmarks in their images: whether an aligned face would show the image, or mostly fill.

Landmarks of full frames beside cropped or resized images are the usual cause of a misfit. The aligned face would then
be grey, or show another place than the face.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.data.align import MOST_IMPLAUSIBLE, TEMPLATE, Points
from benchmark.data.faces import IMAGE_FORMATS, UNREADABLE, video_of

LEAST_INSIDE = 0.35
"""Minimum share of an aligned face that comes from inside the image. Below it, the face is mostly fill. A face that
fills its image from edge to edge still reaches 0.47."""
MARGIN = 0.05
"""Distance by which a point may lie outside the image, as a share of the side: trackers extrapolate a little."""
_GRID = 16
"""Number of sampled places on a side of the aligned square."""

Size = tuple[int, int]
"""Width and height of an image, pixels."""


def inside_share(points: Points, size: Size) -> npt.NDArray[np.float64]:
    """Share of each aligned square that comes from inside the image, (N,); see `benchmark.data.align.warp`.

    Args:
        points: (N, 4, 2), pixels of the image.
        size: Width and height of the image.
    """
    z = points[..., 0].astype(np.float64) + 1j * points[..., 1].astype(np.float64)
    template = np.array(TEMPLATE)
    w = template[:, 0] + 1j * template[:, 1]
    about, target = z - z.mean(axis=1, keepdims=True), w - w.mean()
    spread = (np.abs(about) ** 2).sum(axis=1)
    turn = (np.conj(about) * target).sum(axis=1) / np.where(spread > 0, spread, 1.0)
    places = (np.arange(_GRID) + 0.5) / _GRID
    grid = (places[None, :] + 1j * places[:, None]).ravel() - w.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = grid[None, :] / turn[:, None] + z.mean(axis=1, keepdims=True)
    width, height = size
    inside = (seen.real >= -0.5) & (seen.real <= width - 0.5) & (seen.imag >= -0.5) & (seen.imag <= height - 0.5)
    return np.asarray(inside.mean(axis=1), dtype=np.float64)


def in_place(points: Points, size: Size) -> npt.NDArray[np.bool_]:
    """Whether the points lie in the image and the aligned face is not mostly fill, (N,) bool.

    Args:
        points: (N, 4, 2), pixels of the image.
        size: Width and height of the image.
    """
    sides = np.array(size, dtype=np.float64)
    near = (points >= -MARGIN * sides) & (points <= (1 + MARGIN) * sides)
    fits: npt.NDArray[np.bool_] = near.all(axis=(1, 2)) & (inside_share(points, size) >= LEAST_INSIDE)
    return fits


def size_of(path: Path) -> Size | None:
    """Width and height of an image, or of the video of a path such as `video.avi#17`, from its header.

    None for a file that cannot be read; packing reports it.
    """
    video = video_of(path.as_posix())
    if video is not None:
        source = cv2.VideoCapture(video)
        try:
            size = (int(source.get(cv2.CAP_PROP_FRAME_WIDTH)), int(source.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        finally:
            source.release()
        return size if min(size) > 0 else None
    try:
        with Image.open(regular(path), formats=IMAGE_FORMATS) as image:
            return image.width, image.height
    except UNREADABLE:
        return None


def placed(landmarks: Mapping[int, Points], path: Path) -> dict[int, Points]:
    """Leave out the points of a sequence that do not lie in its images.

    Args:
        landmarks: Points by frame number.
        path: An image of the sequence, or a frame of its video; all have one size.

    Returns:
        The points in place by frame number.

    Raises:
        UserError: Too many points are out of place, so they belong to images of another size or crop.
    """
    size = size_of(path) if landmarks else None
    if size is None:
        return dict(landmarks)
    stacked = np.stack(list(landmarks.values()))
    fits = in_place(stacked, size)
    if np.mean(~fits) > MOST_IMPLAUSIBLE:
        raise out_of_place(path, size, stacked[~fits], len(fits))
    return {frame: points for (frame, points), fit in zip(landmarks.items(), fits, strict=True) if fit}


def out_of_place(path: Path, size: Size, points: Points, of: int) -> UserError:
    """Build the error for landmarks that do not belong to the images.

    Args:
        path: One of the images.
        size: Width and height of that image.
        points: (K, 4, 2), the points that are out of place.
        of: Number of faces with points.
    """
    x, y = points.reshape(-1, 2).mean(axis=0)
    return UserError(
        "landmarks lie outside the images: they belong to images of another size, or to uncropped ones",
        where=path,
        expected=f"eyes and mouth in an image of {size[0]} x {size[1]} pixels",
        found=f"{len(points)} of {of} faces out of place, their mean at x {x:.0f}, y {y:.0f}",
        remedy="bring the images that the landmarks belong to; for crops that are ready: --set data.alignment=as_is",
    )
