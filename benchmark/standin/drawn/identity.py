"""Identity of a drawn face, and the projection of its points.

Face units: x to the image's right, y down, (0, 0) between the eyes and the nose tip. A square crop spans [-1, 1] in
both, so a face fills its frame. All ranges are our choice: they are so wide that raw pixels predict expressions poorly,
since identity and pose move the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.standin.terms import Colour, Floats
from benchmark.standin.views import Pose

_SKINS: tuple[Colour, ...] = (
    (238, 204, 182),
    (226, 184, 156),
    (212, 166, 132),
    (190, 142, 108),
    (158, 112, 84),
    (128, 90, 68),
)
_HAIRS: tuple[Colour, ...] = (
    (44, 36, 34),
    (74, 52, 40),
    (112, 78, 52),
    (168, 132, 88),
    (150, 146, 142),
    (128, 66, 42),
)
_IRISES: tuple[Colour, ...] = ((64, 44, 32), (92, 66, 40), (84, 104, 88), (84, 108, 130))


@dataclass(frozen=True, slots=True)
class Identity:
    """Appearance of one person: lengths in face units, colours as RGB in 0..255."""

    skin: Colour
    hair: Colour
    lip: Colour
    iris: Colour
    width: float
    """Half width of the face at the cheekbones."""
    jaw: float
    """Width of the jaw as a share of `width`."""
    chin_y: float
    hairline_y: float
    hair_style: int
    """0 for bald, 1 for short, 2 for chin length, 3 for long."""
    parting: float
    """x of the highest point of the fringe."""
    eye_x: float
    eye_y: float
    eye_w: float
    """Half width of an eye."""
    eye_h: float
    """Height of the upper lid above the eye's axis, at rest."""
    eye_tilt: float
    brow_gap: float
    """Distance from the eye's axis to the brow."""
    brow_thick: float
    brow_arch: float
    brow_dark: float
    """Weight of the hair's colour in the brow's; the rest is the skin's."""
    nose_w: float
    nose_y: float
    """y of the nose tip."""
    mouth_y: float
    mouth_w: float
    """Half width of the mouth."""
    lip_upper: float
    lip_lower: float
    age: float
    """Strength of furrows at rest, 0 (smooth) to 1 (wrinkled)."""
    stubble: float
    expressive: float
    """Factor of the amplitudes of this person's AUs."""
    glasses: float
    """Darkness of the frame of the glasses; 0 for none."""


def draw_identity(rng: np.random.Generator) -> Identity:
    """Draw a person. A pure function of the generator's state."""

    def around(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.normal(), -2, 2))

    shade = int(rng.integers(len(_SKINS)))
    tone = _SKINS[shade]
    # Fair hair on dark skin would hide the brows, which show three AUs.
    hairs = _HAIRS if shade < 3 else _HAIRS[:3]
    skin = tuple(float(np.clip(c * around(1.0, 0.03), 30, 245)) for c in tone)
    hair = tuple(float(np.clip(c * around(1.0, 0.06), 15, 230)) for c in hairs[int(rng.integers(len(hairs)))])
    red = around(0.35, 0.12)
    lip = tuple(float(c * (1 - red) + r * red) for c, r in zip(skin, (168, 58, 62), strict=True))
    return Identity(
        skin=(skin[0], skin[1], skin[2]),
        hair=(hair[0], hair[1], hair[2]),
        lip=(lip[0] * 0.9, lip[1] * 0.84, lip[2] * 0.84),
        iris=_IRISES[int(rng.integers(len(_IRISES)))],
        width=around(0.80, 0.035),
        jaw=around(0.74, 0.045),
        chin_y=around(0.93, 0.025),
        hairline_y=around(-0.82, 0.05),
        hair_style=int(rng.choice(4, p=(0.08, 0.42, 0.25, 0.25))),
        parting=around(0.0, 0.25),
        eye_x=around(0.365, 0.015),
        eye_y=around(-0.20, 0.015),
        eye_w=around(0.175, 0.010),
        eye_h=around(0.082, 0.006),
        eye_tilt=around(0.02, 0.012),
        brow_gap=around(0.235, 0.018),
        brow_thick=around(0.042, 0.010),
        brow_arch=around(0.035, 0.012),
        brow_dark=float(rng.uniform(0.65, 1.0)),
        nose_w=around(0.145, 0.018),
        nose_y=around(0.215, 0.018),
        mouth_y=around(0.52, 0.016),
        mouth_w=around(0.275, 0.018),
        lip_upper=around(0.058, 0.009),
        lip_lower=around(0.078, 0.010),
        age=float(rng.beta(1.2, 2.5)),
        stubble=float(rng.uniform(0.05, 0.25)) if rng.random() < 0.2 else 0.0,
        expressive=float(np.exp(np.clip(0.2 * rng.normal(), -0.4, 0.4))),
        glasses=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.12 else 0.0,
    )


def project(points: Floats, lift: Floats, pose: Pose) -> Floats:
    """Rotate the points of a head and project them orthographically.

    Args:
        points: (N, 2) in face units, in frontal view.
        lift: (N,) height above the head's surface, in face units, for example of the nose tip.
        pose: Pose of the head.

    Returns:
        (N, 2) in face units of the crop.
    """
    x, y = points[:, 0], points[:, 1]
    # An ellipsoid is the simplest surface on which near and far halves of a rotated face differ. Depth counts from
    # the plane of the eyes, so that a rotation moves features against the outline and not the face out of the crop.
    z = 0.75 * np.sqrt(np.clip(1 - (x / 1.05) ** 2 - (y / 1.30) ** 2, 0, None)) - 0.45 + lift
    sin, cos = np.sin(pose.yaw), np.cos(pose.yaw)
    x, z = x * cos + z * sin, z * cos - x * sin
    y = y * np.cos(pose.pitch) - z * np.sin(pose.pitch)
    sin, cos = np.sin(pose.roll), np.cos(pose.roll)
    turned = np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)
    return np.asarray(pose.scale * turned + (pose.dx, pose.dy), dtype=np.float64)
