"""Colours of a head's surface, and the parts that are painted on it: brows, lashes, irises, glasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.standin.head.geometry import Placed, turn
from benchmark.standin.head.model import Model, Paint
from benchmark.standin.head.person import Head
from benchmark.standin.terms import Colour, Floats
from benchmark.standin.views import Pose

HAIRLINE = 7.8
"""Height of the average hairline over the middle of the forehead, mesh units."""
_BEARD_BELOW = 6.72
"""Height of the upper edge of stubble, mesh units."""
_WAVES = ((9.0, 5.0, 3.0), (-4.0, 11.0, 5.0), (17.0, -13.0, 7.0))
"""Wave vectors of the skin's tone, radians a mesh unit."""
_GAZE = 0.42
"""Turn of an eye at a gaze of 1, radians."""
_IRIS, _PUPIL = 0.46, 0.2
"""Half angles of iris and pupil, seen from the centre of the eye, radians."""
_RING = np.linspace(0, 2 * np.pi, 14, endpoint=False)


@dataclass(frozen=True)
class Patch:
    """A polygon on the head.

    Attributes:
        points: (K, 3) in the space of `Placed.points`.
        colour: RGB in 0..255.
        lift: Height over the mesh in the order of painting, face units.
    """

    points: Floats
    colour: Colour
    lift: float = 0.03


def tones(model: Model, who: Head) -> Floats:
    """Colour of each quad, (Q, 3) RGB in 0..255, before light falls on it."""
    centres = model.centres
    waves = np.stack([centres @ np.array(wave) for wave in _WAVES])
    tone = 1 + 0.02 * np.sin(waves + np.array(who.blotches[:3])[:, None]).sum(axis=0)
    colours = np.array(who.skin) * tone[:, None]
    cheeks = np.exp(-np.square((np.abs(centres[:, 0]) - 0.42) / 0.2) - np.square((centres[:, 1] - 6.9) / 0.18))
    colours *= 1 - (0.03 + 0.05 * abs(np.sin(who.blotches[3]))) * cheeks[:, None] * (0, 1, 1)
    beard = (centres[:, 1] < _BEARD_BELOW) & (centres[:, 2] > 0.6)
    colours[beard] *= 1 - who.stubble
    if not who.bald:
        line = HAIRLINE + who.hairline - 0.85 * (1.35 - centres[:, 2])
        hair = (centres[:, 1] > line) & ((np.abs(centres[:, 0]) < 0.76) | (centres[:, 1] > 7.5))
        colours[hair] = np.array(who.hair) * (1 + 0.15 * np.sin(25 * centres[hair, :1] + who.blotches[4]))
    colours[model.paint == Paint.LIP] = who.lip
    colours[model.paint == Paint.MOUTH] = (52, 20, 24)
    colours[model.paint == Paint.EYE] = (226, 221, 216)
    colours[model.paint == Paint.TEETH] = (214, 207, 194)
    return np.asarray(colours)


def patches(model: Model, who: Head, head: Placed) -> list[Patch]:
    """Colours painted over the mesh."""
    painted = [patch for eye in model.eyes for patch in _iris(head.points[eye], who, head.pose)]
    for side, lashes in zip(model.brows, model.lashes, strict=True):
        painted += _brow(head.points[side], who)
        painted += _lashes(head.points[lashes])
    if who.glasses > 0:
        painted += _glasses(model, who, head)
    return painted


def _iris(eye: Floats, who: Head, pose: Pose) -> list[Patch]:
    """Iris and pupil of an eye, of which `eye` has the vertices, (K, 3)."""
    centre = eye.mean(axis=0)
    radius = float(np.linalg.norm(eye - centre, axis=1).mean())
    x, y = _GAZE * pose.gaze_x, _GAZE * pose.gaze_y
    ahead = turn(pose) @ np.array([np.sin(x) * np.cos(y), np.sin(y), np.cos(x) * np.cos(y)])
    right = np.cross((0.0, 1.0, 0.0), ahead)
    right /= np.linalg.norm(right)
    down = np.cross(ahead, right)
    ring = np.cos(_RING)[:, None] * right + np.sin(_RING)[:, None] * down
    discs = []
    for angle, colour, lift in ((_IRIS, who.iris, 0.004), (_PUPIL, (14.0, 10.0, 10.0), 0.006)):
        discs.append(Patch(centre + radius * (np.cos(angle) * ahead + np.sin(angle) * ring), colour, lift))
    return discs


def _brow(strip: Floats, who: Head) -> list[Patch]:
    """Quads of a brow from the edges of its strip, (2, 5, 3)."""
    low, high = strip
    taper = np.array([0.8, 1.0, 1.0, 0.85, 0.4])[:, None]
    middle = low + (who.brow_lift + 0.45) * (high - low)
    half = 0.5 * who.brow_thick * taper * (high - low)
    return _band(middle - half, middle + half, who.brow, 0.03)


def _lashes(edge: Floats) -> list[Patch]:
    return _band(edge, edge - (0, 0.02, 0), (38.0, 27.0, 25.0), 0.02)


def _band(low: Floats, high: Floats, colour: Colour, lift: float) -> list[Patch]:
    """Quads between two rows of points, (K, 3) each."""
    return [Patch(np.array([low[i], low[i + 1], high[i + 1], high[i]]), colour, lift) for i in range(len(low) - 1)]


def _glasses(model: Model, who: Head, head: Placed) -> list[Patch]:
    """Two frames and the bridge between them, in front of the eyes."""
    dark = tuple(30 * who.glasses + c * (1 - who.glasses) for c in who.skin)
    colour, across = (dark[0], dark[1], dark[2]), turn(head.pose)
    ring = np.stack([np.cos(_RING), np.sin(_RING), np.zeros_like(_RING)], axis=1)
    frames, inner = [], []
    for eye, sign in zip(model.eyes, (1, -1), strict=True):
        centre = head.points[eye].mean(axis=0) + across @ (0.0, 0.03, 0.28)
        outer, within = (centre + (ring * (a, b, 1)) @ across.T for a, b in ((0.27, 0.21), (0.235, 0.175)))
        closed = [np.concatenate([row, row[:1]]) for row in (outer, within)]
        frames += _band(closed[0], closed[1], colour, 0.3)
        inner.append(centre - across @ (sign * 0.24, 0.0, 0.0))
    bar = np.array(inner)
    return [*frames, *_band(bar - across @ (0, 0.015, 0), bar + across @ (0, 0.02, 0), colour, 0.3)]
