"""Rendering of a face's geometry: supersampled drawing with OpenCV, then area averaging."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from benchmark.standin.drawn.anatomy import Shape, face_shapes
from benchmark.standin.drawn.identity import Identity, project
from benchmark.standin.terms import Colour, Floats, Image
from benchmark.standin.views import Pose, Scene

SUPERSAMPLING = 3
_FURROW_DEPTH = 0.36
"""Share of the light that a furrow of strength 1 absorbs."""
_RELIEF_GAIN = 0.45
"""Change of brightness by a relief of strength 1. It is small, because reliefs are visible even at low resolution."""
_SHIFT = 4
"""Fractional bits of OpenCV's fixed-point coordinates; without them features move in whole pixels."""


def render_face(who: Identity, intensity: Sequence[float], pose: Pose, scene: Scene, size: int = 64) -> Image:
    """Draw one face.

    Args:
        who: The person.
        intensity: One number in [0, 1] for each of `anatomy.DRAWN_AUS`.
        pose: Pose of the head.
        scene: Background, light and camera.
        size: Side of the image, pixels.

    Returns:
        (size, size, 3) uint8, RGB.
    """
    shapes = face_shapes(who, intensity, pose)
    side = size * SUPERSAMPLING
    paint = np.empty((side, side, 3), np.uint8)
    paint[:] = np.array(scene.background).round().astype(np.uint8)
    furrows = np.zeros((side, side), np.uint8)
    relief = np.zeros((size, size), np.float32)
    colours = _colours(who)
    for shape, points in zip(shapes, _projected(shapes, pose), strict=True):
        if shape.material == "relief":
            _add_relief(relief, points, shape.strength)
        elif shape.material == "furrow":
            value = float(round(255 * min(1.0, shape.strength)))
            _draw(furrows, points, shape.width, (value, value, value))
        else:
            _draw(paint, points, shape.width, _mix(colours[shape.material], who, shape.strength))
    image = cv2.resize(paint, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    dark = cv2.resize(furrows, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) * (_FURROW_DEPTH / 255)
    soft = np.float32(_RELIEF_GAIN) * cv2.GaussianBlur(relief, (0, 0), size * 0.024)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = scene.light * (1 + scene.tilt_x * ramp[None, :] + scene.tilt_y * ramp[:, None])
    # A head is round, so the side that is turned away is darker.
    round_ = 1.06 - 0.22 * np.square(ramp - np.float32(pose.dx))[None, :]
    image *= ((1 - dark) * (1 + soft) * light * round_)[:, :, None]
    if scene.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), max(0.05, size * scene.blur))
    if scene.noise > 0:
        noise = np.random.default_rng(scene.noise_seed).standard_normal(image.shape, dtype=np.float32)
        image = image + np.float32(scene.noise) * noise
    return np.asarray(np.clip(np.rint(image), 0, 255), dtype=np.uint8)


def _projected(shapes: list[Shape], pose: Pose) -> list[Floats]:
    """Project the points of all shapes at once, which is much cheaper than a projection for each shape."""
    counts = [len(shape.points) for shape in shapes]
    lift = np.repeat([shape.lift for shape in shapes], counts)
    turned = project(np.concatenate([shape.points for shape in shapes]), lift, pose)
    return np.split(turned, np.cumsum(counts)[:-1])


def _colours(who: Identity) -> dict[str, Colour]:
    skin = who.skin
    # Brows are darker than the skin with any hair, because pale brows would show no AU.
    brow = tuple(min(h * 0.7, s * 0.5) for h, s in zip(who.hair, skin, strict=True))
    return {
        "hair": who.hair,
        "neck": (skin[0] * 0.80, skin[1] * 0.78, skin[2] * 0.78),
        "skin": skin,
        "brow": (brow[0], brow[1], brow[2]),
        "sclera": (236.0, 232.0, 228.0),
        "iris": who.iris,
        "pupil": (18.0, 14.0, 14.0),
        "lash": (40.0, 28.0, 26.0),
        "lip": who.lip,
        "lipline": (who.lip[0] * 0.38, who.lip[1] * 0.3, who.lip[2] * 0.3),
        "mouth": (62.0, 24.0, 28.0),
        "teeth": (232.0, 226.0, 214.0),
        "nostril": (skin[0] * 0.35, skin[1] * 0.28, skin[2] * 0.28),
        "glasses": (30.0, 28.0, 30.0),
    }


_OVER_SKIN = frozenset({"brow", "lipline", "nostril", "glasses", "lip"})


def _mix(colour: Colour, who: Identity, strength: float) -> Colour:
    """Mix a colour with the skin, in proportion to its strength."""
    if strength >= 1:
        return colour
    under = who.skin
    return (
        colour[0] * strength + under[0] * (1 - strength),
        colour[1] * strength + under[1] * (1 - strength),
        colour[2] * strength + under[2] * (1 - strength),
    )


def _fixed(points: Floats, side: int) -> npt.NDArray[np.int32]:
    """Convert face units to OpenCV's fixed-point pixels."""
    return np.rint((points + 1) * (0.5 * side * (1 << _SHIFT))).astype(np.int32)


def _draw(canvas: npt.NDArray[np.uint8], points: Floats, width: float, colour: Colour) -> None:
    side = canvas.shape[0]
    places = _fixed(points, side)
    if width > 0:
        thick = max(1, round(width * 0.5 * side))
        cv2.polylines(canvas, [places], isClosed=False, color=colour, thickness=thick, shift=_SHIFT)
    else:
        cv2.fillPoly(canvas, [places], color=colour, shift=_SHIFT)


def _add_relief(relief: npt.NDArray[np.float32], points: Floats, strength: float) -> None:
    """Add one relief, drawn in a window of its size; overlapping reliefs add up."""
    side = relief.shape[0]
    pixels = (points + 1) * (0.5 * side)
    low = np.clip(np.floor(pixels.min(axis=0)).astype(int), 0, side)
    high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + 1, 0, side)
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
    places = np.rint((pixels - low) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [places], color=strength, shift=_SHIFT)
    relief[low[1] : high[1], low[0] : high[0]] += mask
