"""Faces cut out of images as those of a trial were: found, aligned on eyes and mouth, and packed.

Where a trial took images as they are, nothing in it tells how large its faces stood in them. The drawn faces of the
stand-in fill the frame, so their trials see faces enlarged by `DRAWN_ZOOM`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmark.core.errors import UserError
from benchmark.data.align import Points, plausible, similarity
from benchmark.data.decode import pack_video_frame
from benchmark.data.detect import Detector, face_scale
from benchmark.data.placement import in_place
from benchmark.predict.model import Model

Framing = Literal["detect", "whole"]
"""`detect`: faces are found and aligned. `whole`: an image is a face already, and is resized."""
Several = Literal["largest", "all", "refuse"]
"""Rule for an image with several faces."""
NoFace = Literal["skip", "refuse"]
"""Rule for an image without a face."""
DRAWN_ZOOM = 1.25
"""Size of the stand-in's drawn faces in their images, as a multiple of that of aligned faces."""
MOST_ZOOM = 2.0


def check_zoom(zoom: float | None) -> None:
    """Refuse a zoom that is out of range.

    Raises:
        UserError: It is.
    """
    if zoom is not None and not 1 <= zoom <= MOST_ZOOM:
        raise UserError(
            "the zoom is out of range",
            where="--zoom",
            expected=f"a number from 1 to {MOST_ZOOM:g}",
            found=f"{zoom:g}",
            remedy="give another with --zoom, or leave it out: faces are then as large as in training",
        )


@dataclass(frozen=True)
class Cutter:
    """Cuts faces out of images, as the model's own were.

    Attributes:
        size: Side of the packed frame, pixels.
        zoom: Size of the face, as a multiple of that of an aligned face.
    """

    size: int
    zoom: float = 1.0

    @classmethod
    def of(cls, model: Model, zoom: float | None = None) -> Cutter:
        """The cutter of a model; `zoom` None for the model's own.

        Raises:
            UserError: The zoom is out of its range.
        """
        check_zoom(zoom)
        fills = model.alignment == "as_is" and model.origin == "stand-in"
        return cls(model.trial.data.frame_size, zoom if zoom is not None else DRAWN_ZOOM if fills else 1.0)

    def aligned(self, image: npt.NDArray[np.uint8], points: Points) -> npt.NDArray[np.uint8]:
        """Packed frame (S, S, 3) of the face with these points (4, 2) in an RGB image (H, W, 3)."""
        wide = self._wide
        start = (wide - self.size) // 2
        return pack_video_frame(image, wide, points)[start : start + self.size, start : start + self.size]

    def whole(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Packed frame of a whole RGB image."""
        return pack_video_frame(image, self.size, None)

    def outline(self, points: Points) -> npt.NDArray[np.float64]:
        """Corners (4, 2) of the aligned square in pixels of the image, clockwise from the upper left."""
        wide = self._wide
        start = (wide - self.size) // 2
        low, high = start - 0.5, start + self.size - 0.5
        corners = np.array([[low, low], [high, low], [high, high], [low, high]])
        matrix = similarity(points, wide)
        inverse: npt.NDArray[np.float64] = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        return inverse

    @property
    def _wide(self) -> int:
        """Side of the aligned square of which the packed frame is the centre."""
        return round(self.size * self.zoom)


def whole_outline(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Corners (4, 2) of an image (H, W, 3)."""
    height, width = image.shape[:2]
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64) - 0.5


def faces_of(image: npt.NDArray[np.uint8], detector: Detector) -> Points:
    """Points (K, 4, 2) of the faces in an RGB image, the largest first, by the rules of training."""
    faces = detector(image)
    if len(faces):
        faces = faces[plausible(faces) & in_place(faces, (image.shape[1], image.shape[0]))]
    return faces[np.argsort(-face_scale(faces), kind="stable")] if len(faces) else faces


def chosen_faces(faces: Points, several: Several, no_face: NoFace, name: str) -> Points:
    """The faces of one photograph that are predicted on.

    Args:
        faces: Points (K, 4, 2), the largest face first.
        several: Rule for several faces.
        no_face: Rule for no face.
        name: Name of the photograph.

    Raises:
        UserError: A rule refuses the photograph.
    """
    if not len(faces) and no_face == "refuse":
        raise UserError(
            "no face is found",
            where=name,
            expected="a face that looks at the camera",
            remedy="leave this photograph out, or --no-face skip to go on without it",
        )
    if len(faces) > 1 and several == "refuse":
        raise UserError(
            "several faces are found",
            where=name,
            expected="one face",
            found=f"{len(faces)} faces",
            remedy="crop the photograph, or choose --several largest or --several all",
        )
    return faces if several == "all" else faces[:1]


def bounding_box(outline: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Left, top, width and height of an outline (K, 2), in pixels from the edge of the image."""
    low, high = outline.min(axis=0) + 0.5, outline.max(axis=0) + 0.5
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])
