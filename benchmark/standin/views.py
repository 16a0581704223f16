"""Pose of a head, light and camera of an image, and their sampling, which all renderers share.

Face units: x to the image's right, y down. A square crop spans [-1, 1] in both, so a face fills its frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmark.standin.terms import Colour

MEAN_SCALE = 1.02
"""Size of the average face in its crop, as a share of its size in face units."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Pose of a head in its crop: angles in radians, shifts in face units."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    scale: float = 1.0
    gaze_x: float = 0.0
    """Horizontal gaze, -1 to 1, positive to the image's right."""
    gaze_y: float = 0.0
    """Vertical gaze, -1 to 1, positive downwards."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Background, light and camera of an image."""

    background: Colour = (128.0, 128.0, 128.0)
    """Background colour, RGB in 0..255."""
    light: float = 1.0
    """Brightness factor of the whole image."""
    tilt_x: float = 0.0
    """Change of the brightness factor from the centre to the right edge."""
    tilt_y: float = 0.0
    """Change of the brightness factor from the centre to the lower edge."""
    blur: float = 0.0
    """Standard deviation of the Gaussian blur, as a share of the image's side."""
    noise: float = 0.0
    """Standard deviation of the sensor noise, grey levels."""
    noise_seed: int = 0


def draw_scene(rng: np.random.Generator, spread: float = 1.0) -> Scene:
    """Draw a scene; `spread` is 1 for a studio and 2 for a web photograph. Backgrounds are always muted."""
    grey = rng.uniform(70, 190)
    tint = rng.normal(0, 8 * spread, size=3)
    red, green, blue = np.clip(grey + tint, 20, 235).tolist()
    tilt_x, tilt_y = np.clip(rng.normal(0, 0.20 * spread, size=2), -0.55, 0.55).tolist()
    return Scene(
        background=(red, green, blue),
        light=float(np.exp(np.clip(rng.normal(0, 0.10 * spread), -0.45, 0.35))),
        tilt_x=tilt_x,
        tilt_y=tilt_y,
        blur=float(rng.uniform(0.0, 0.006 * spread)),
        noise=float(rng.uniform(1.0, 3.0 * spread)),
        noise_seed=int(rng.integers(2**32)),
    )


def draw_pose(rng: np.random.Generator, spread: float = 1.0) -> Pose:
    """Draw a pose; `spread` is 1 for a seated subject in front of a camera and 2 for a web photograph."""
    yaw, pitch, roll, dx, dy, scale, gx, gy = np.clip(rng.normal(size=8), -2, 2).tolist()
    return Pose(
        yaw=0.20 * spread * yaw,
        pitch=0.13 * spread * pitch,
        roll=0.095 * spread * roll,
        dx=0.06 * spread * dx,
        dy=0.06 * spread * dy,
        scale=MEAN_SCALE + 0.045 * spread * scale,
        gaze_x=float(np.clip(0.3 * gx, -1, 1)),
        gaze_y=float(np.clip(0.2 * gy, -1, 1)),
    )


def vary(rng: np.random.Generator, pose: Pose, scene: Scene) -> tuple[Pose, Scene]:
    """Draw pose and scene of one frame of a sequence: a pose near `pose`, and a scene with the same background."""
    step = draw_pose(rng, 0.7)
    turned = replace(
        pose,
        yaw=pose.yaw + step.yaw,
        pitch=pose.pitch + step.pitch,
        roll=pose.roll + step.roll,
        dx=pose.dx + step.dx,
        dy=pose.dy + step.dy,
        scale=pose.scale * step.scale / MEAN_SCALE,
        gaze_x=step.gaze_x,
        gaze_y=step.gaze_y,
    )
    return turned, replace(draw_scene(rng), background=scene.background)
