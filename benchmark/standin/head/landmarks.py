"""Landmarks of a head: vertices of the mesh, as the camera sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.standin.head.geometry import place
from benchmark.standin.head.model import load_model
from benchmark.standin.head.person import Head
from benchmark.standin.terms import Floats
from benchmark.standin.views import Pose

TRACKER_NOISE = 0.008
"""Standard deviation of the noise of a coordinate, face units."""


def head_landmarks(rng: np.random.Generator, who: Head, intensity: Sequence[float], pose: Pose, size: int) -> Floats:
    """Find noisy landmarks (66, 2) as from a tracker, in pixels from 0; all follow the face that is drawn.

    Args:
        rng: Generator of the noise.
        who: The person.
        intensity: One number in [0, 1] for each of `DRAWN_AUS`.
        pose: Pose of the head.
        size: Side of the image, pixels.

    Raises:
        UserError: The package with the head is not installed, or has other files.
    """
    model = load_model()
    head = place(model, who, intensity, pose)
    flat = head.seen(head.points[model.landmarks])
    tracked = flat + TRACKER_NOISE * rng.standard_normal(flat.shape)
    return np.asarray((tracked + 1) * 0.5 * size - 0.5)
