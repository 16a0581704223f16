"""Landmarks of drawn faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.standin.drawn.anatomy import amplitudes, mouth_corner
from benchmark.standin.drawn.identity import Identity, project
from benchmark.standin.terms import Floats
from benchmark.standin.views import Pose

TRACKER_NOISE = 0.008
"""Standard deviation of the noise of a coordinate, face units: half a pixel in a crop of 128."""


def draw_landmarks(
    rng: np.random.Generator, who: Identity, intensity: Sequence[float], pose: Pose, size: int
) -> Floats:
    """Draw noisy landmarks (66, 2) as from a tracker, in pixels from 0: the common 68 points without two of them.

    Jaw (17), brows (10), nose (9), left and right eye (12), outer lips from the left corner on (12), inner lips (6).
    Eyes and corners of the mouth follow the drawn face; the other points follow the neutral face.

    Args:
        rng: Generator of the noise.
        who: The person.
        intensity: One number in [0, 1] for each of `anatomy.DRAWN_AUS`.
        pose: Pose of the head.
        size: Side of the image, pixels.
    """
    corner_x, corner_y = mouth_corner(who, amplitudes(who, intensity))
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.stack([who.width * np.cos(angles), who.eye_y + (who.chin_y - who.eye_y) * np.sin(angles)], axis=1)
    brow = np.stack([np.linspace(0.15, 0.60, 5), np.full(5, who.eye_y - who.brow_gap)], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(who.eye_y, who.nose_y, 4)], axis=1)
    base = np.stack([np.linspace(-who.nose_w, who.nose_w, 5), np.full(5, who.nose_y + 0.05)], axis=1)
    w, h = who.eye_w, 0.5 * who.eye_h
    eye = np.array([(-w, 0), (-w / 2, -h), (w / 2, -h), (w, 0), (w / 2, h), (-w / 2, h)])
    turn = np.linspace(np.pi, 3 * np.pi, 13)[:-1]  # from the left corner over the upper lip, y down
    lips = np.stack([np.cos(turn), np.sin(turn) * 0.3], axis=1) * corner_x + (0, who.mouth_y)
    lips[[0, 6]] = (-corner_x, corner_y), (corner_x, corner_y)
    turn = np.linspace(np.pi, 3 * np.pi, 9)[[1, 2, 3, 5, 6, 7]]
    inner = np.stack([np.cos(turn), np.sin(turn) * 0.1], axis=1) * corner_x + (0, who.mouth_y)
    centre = (who.eye_x, who.eye_y)
    flat = np.concatenate(
        [jaw, brow[::-1] * (-1, 1), brow, bridge, base, eye - (who.eye_x, -who.eye_y), eye + centre, lips, inner]
    )
    tracked = project(flat, np.zeros(len(flat)), pose) + TRACKER_NOISE * rng.standard_normal(flat.shape)
    return np.asarray((tracked + 1) * 0.5 * size - 0.5)
