"""Geometry of a head: shapes of a person, AUs, and the pose, in the face units of a crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.standin.head.actions import unit_weights
from benchmark.standin.head.model import Model
from benchmark.standin.head.person import Head, feature_weights, macro_weights
from benchmark.standin.terms import Floats
from benchmark.standin.views import Pose

EYE_LINE = -0.22
"""y of the eyes of a face seen from the front, face units."""
EYES_TO_CHIN = 1.10
"""Height of an average face from the eyes to the chin, face units."""
CAMERA = 9.0
"""Distance of the camera from the eyes, face units."""


@dataclass(frozen=True)
class Placed:
    """A head in its crop: V vertices.

    Attributes:
        points: (V, 3) x to the image's right, y down, z towards the camera, before the perspective.
        pose: Pose of the head.
    """

    points: Floats
    pose: Pose

    def seen(self, points: Floats) -> Floats:
        """Points (N, 3) as the camera sees them, (N, 2) in face units of the crop."""
        near = CAMERA / (CAMERA - points[:, 2:])
        return np.asarray(self.pose.scale * points[:, :2] * near + (self.pose.dx, self.pose.dy))


def place(model: Model, who: Head, intensity: Sequence[float], pose: Pose) -> Placed:
    """Shape a head, move its face, and turn it.

    Args:
        model: The head.
        who: The person.
        intensity: One number in [0, 1] for each of `DRAWN_AUS`.
        pose: Pose of the head.
    """
    still = model.base + _blend(np.concatenate([macro_weights(who), feature_weights(who)]), model.shapes)
    eyes = np.mean([still[eye].mean(axis=0) for eye in model.eyes], axis=0)
    unit = who.size * EYES_TO_CHIN / (eyes[1] - still[model.chin, 1])
    moved = still + _blend(unit_weights(who, intensity), model.units)
    # The head turns around the line between its eyes, so that features move against the outline.
    upright = (moved - eyes) * (unit, -unit, unit) + (0, EYE_LINE, 0)
    return Placed(upright @ turn(pose).T, pose)


def _blend(weights: Floats, offsets: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Weighted sum (V, 3) of offsets (S, 3 V). Without BLAS, whose sums depend on the number of threads."""
    return np.asarray(np.einsum("s,sv->v", weights.astype(np.float32), offsets).reshape(-1, 3))


def turn(pose: Pose) -> Floats:
    """Rotation matrix (3, 3) of a pose: yaw, then pitch, then roll; x to the right, y down, z towards the camera."""
    sin, cos = np.sin([pose.yaw, pose.pitch, pose.roll]), np.cos([pose.yaw, pose.pitch, pose.roll])
    yaw = np.array([(cos[0], 0, sin[0]), (0, 1, 0), (-sin[0], 0, cos[0])])
    pitch = np.array([(1, 0, 0), (0, cos[1], -sin[1]), (0, sin[1], cos[1])])
    roll = np.array([(cos[2], -sin[2], 0), (sin[2], cos[2], 0), (0, 0, 1)])
    return np.asarray(roll @ pitch @ yaw, dtype=np.float64)
