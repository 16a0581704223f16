"""Image of a head: quads lit from a direction, in painter's order, then the camera's blur and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from benchmark.standin.head.geometry import Placed, place
from benchmark.standin.head.model import Model, Paint, load_model
from benchmark.standin.head.paint import patches, tones
from benchmark.standin.head.person import Head
from benchmark.standin.terms import Floats, Image
from benchmark.standin.views import Pose, Scene

SUPERSAMPLING = 3
LIGHT_TURN = 1.4
"""Sideways component of the light's direction for a tilt of 1 of the scene's brightness."""
FROM_ABOVE = 0.45
"""Upward component of the direction of the average light."""
AMBIENT = (0.4, 0.6)
"""Share of the light that comes from everywhere."""
GLOSS = (0.0, 0.1)
"""Brightness of a highlight on the skin, as a share of white."""
_SHINE = 12.0
"""Exponent of the highlight: the softer, the lower."""
_SMOOTH = 0.5
"""Weight of each neighbour in the normal of a quad."""
_BEHIND = np.zeros(len(Paint))
_BEHIND[[Paint.MOUTH, Paint.TEETH]] = 0.25, 0.12
"""Distance by which parts are painted earlier than they lie: lips and chin hide the teeth, and these the throat."""
_SHIFT = 4
"""Fractional bits of OpenCV's fixed-point coordinates; without them the face moves in whole pixels."""


def render_head(who: Head, intensity: Sequence[float], pose: Pose, scene: Scene, size: int = 64) -> Image:
    """Draw one face.

    Args:
        who: The person.
        intensity: One number in [0, 1] for each of `DRAWN_AUS`.
        pose: Pose of the head.
        scene: Background, light and camera; the tilt of its brightness is the direction of the light.
        size: Side of the image, pixels.

    Returns:
        (size, size, 3) uint8, RGB.

    Raises:
        UserError: The package with the head is not installed, or has other files.
    """
    model, rng = load_model(), np.random.default_rng(scene.noise_seed)
    head = place(model, who, intensity, pose)
    side = size * SUPERSAMPLING
    canvas = np.empty((side, side, 3), np.uint8)
    canvas[:] = np.array(scene.background).round().astype(np.uint8)
    _paint(canvas, model, who, head, scene, rng)
    image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) * scene.light
    if scene.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), max(0.05, size * scene.blur))
    if scene.noise > 0:
        image = image + np.float32(scene.noise) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(image), 0, 255), dtype=np.uint8)


def _paint(canvas: Image, model: Model, who: Head, head: Placed, scene: Scene, rng: np.random.Generator) -> None:
    """Paint everything that faces the camera, from far to near."""
    side, corners, flat = canvas.shape[0], head.points[model.quads], head.seen(head.points)[model.quads]
    facing = _area(flat) < 0
    light = Light.draw(rng, scene)
    normals = _normals(corners, model)[facing]
    shine = light.highlight(normals) * (model.paint[facing] == Paint.SKIN)
    colours = tones(model, who)[facing] * light.falling(normals)[:, None] + 255 * shine[:, None]
    depths = corners[facing, :, 2].mean(axis=1) - _BEHIND[model.paint[facing]]
    polygons, shades = list(_fixed(flat[facing], side)), np.clip(colours, 0, 255).tolist()
    over = patches(model, who, head)
    ahead = float(light.falling(np.array([(0.0, 0.0, 1.0)]))[0])
    polygons += [_fixed(head.seen(patch.points), side) for patch in over]
    shades += np.clip(ahead * np.array([patch.colour for patch in over]), 0, 255).tolist()
    lifted = [float(patch.points[:, 2].mean()) + patch.lift for patch in over]
    for i in np.argsort([*depths.tolist(), *lifted], kind="stable").tolist():
        cv2.fillConvexPoly(canvas, polygons[i], shades[i], cv2.LINE_8, _SHIFT)


@dataclass(frozen=True)
class Light:
    """Light on a head.

    Attributes:
        towards: (3,) unit vector to the light: x to the right, y down, z towards the camera.
        ambient: Share of the light that comes from everywhere.
        gloss: Brightness of a highlight, as a share of white.
    """

    towards: Floats
    ambient: float
    gloss: float

    @classmethod
    def draw(cls, rng: np.random.Generator, scene: Scene) -> Light:
        """Light of a scene, from the tilt of its brightness; ambient light and gloss are drawn."""
        towards = np.array([LIGHT_TURN * scene.tilt_x, LIGHT_TURN * scene.tilt_y - FROM_ABOVE, 1.0])
        return cls(towards / np.linalg.norm(towards), float(rng.uniform(*AMBIENT)), float(rng.uniform(*GLOSS)))

    def falling(self, normals: Floats) -> Floats:
        """Light that falls on surfaces with unit normals (N, 3), (N,); 1 for one that faces it."""
        return np.asarray(self.ambient + (1 - self.ambient) * np.clip(normals @ self.towards, 0, None))

    def highlight(self, normals: Floats) -> Floats:
        """Brightness of the highlight on surfaces with unit normals (N, 3), (N,), as a share of white."""
        halfway = self.towards + np.array((0.0, 0.0, 1.0))
        return np.asarray(self.gloss * np.clip(normals @ (halfway / np.linalg.norm(halfway)), 0, None) ** _SHINE)


def _normals(corners: Floats, model: Model) -> Floats:
    """Outward unit normals (Q, 3) of quads (Q, 4, 3), each blended with its neighbours."""
    # The y axis points down, so the outside is where the corners run clockwise.
    raw = np.cross(corners[:, 3] - corners[:, 1], corners[:, 2] - corners[:, 0])
    raw /= np.linalg.norm(raw, axis=1, keepdims=True) + 1e-12
    smooth = raw + _SMOOTH * raw[model.beside].sum(axis=1)
    return np.asarray(smooth / (np.linalg.norm(smooth, axis=1, keepdims=True) + 1e-12))


def _area(flat: Floats) -> Floats:
    """Signed areas of projected quads (Q, 4, 2); negative for those that face the camera."""
    a, b = flat[:, 2] - flat[:, 0], flat[:, 3] - flat[:, 1]
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _fixed(points: Floats, side: int) -> npt.NDArray[np.int32]:
    """Convert face units to OpenCV's fixed-point pixels."""
    return np.rint(((points + 1) * (0.5 * side) - 0.5) * (1 << _SHIFT)).astype(np.int32)
