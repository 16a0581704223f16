"""Effect of action units on the geometry of a face, in face units (see `identity`).

Directions follow the appearance changes of FACS (Ekman, Friesen & Hager 2002). Amplitudes are our choice, and large,
since a stand-in has to be learnable at 64 pixels. A geometry is a list of `Shape` in drawing order, without colours
and pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.standin.drawn.identity import Identity
from benchmark.standin.terms import DRAWN_AUS, Floats
from benchmark.standin.views import Pose

AMPLITUDE = 0.62
"""Share of the full displacement that an AU of intensity 1 reaches on an average person. Together with the depths in
`render` it sets the difficulty of the stand-in: at 1.0 a small network reaches an AUC of .98."""

Material = Literal[
    "hair", "neck", "skin", "brow", "sclera", "iris", "pupil", "lash", "lip", "lipline", "mouth", "teeth",
    "nostril", "glasses", "furrow", "relief",
]  # fmt: skip
"""Material of a shape. `furrow` darkens sharply; `relief` lightens (strength > 0) or darkens (< 0) softly."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One polygon (width 0) or polyline: (K, 2) points in face units."""

    material: Material
    points: Floats
    width: float = 0.0
    strength: float = 1.0
    lift: float = 0.0
    """Height above the head's surface, face units, for the projection."""


def face_shapes(who: Identity, intensity: Sequence[float], pose: Pose) -> list[Shape]:
    """Shapes of a face in drawing order, before the rotation of the head.

    Args:
        who: The person.
        intensity: One number in [0, 1] for each of `DRAWN_AUS`.
        pose: Pose, of which only the gaze is used.
    """
    au = amplitudes(who, intensity)
    shapes = _head(who, au)
    _forehead(shapes, who, au)
    for side in (-1.0, 1.0):
        _eye(shapes, who, au, side, pose)
        _brow(shapes, who, au, side)
    _nose(shapes, who, au)
    _mouth(shapes, who, au)
    _chin(shapes, who, au)
    if who.glasses > 0:
        for side in (-1.0, 1.0):
            ring = ellipse(side * who.eye_x, who.eye_y + 0.03, 0.25, 0.20)
            shapes.append(Shape("glasses", np.concatenate([ring, ring[:1]]), 0.03, who.glasses, 0.04))
        bridge = np.array([(-who.eye_x + 0.25, who.eye_y), (who.eye_x - 0.25, who.eye_y)])
        shapes.append(Shape("glasses", bridge, 0.03, who.glasses, 0.06))
    return shapes


def amplitudes(who: Identity, intensity: Sequence[float]) -> dict[int, float]:
    """Amplitude of each of `DRAWN_AUS` on this person's face, as a share of the full displacement."""
    return {k: min(1.2, AMPLITUDE * who.expressive * float(v)) for k, v in zip(DRAWN_AUS, intensity, strict=True)}


def mouth_corner(who: Identity, au: dict[int, float]) -> tuple[float, float]:
    """Right corner of the mouth, x and y in face units; the left corner mirrors it."""
    x = who.mouth_w * (1 - 0.24 * au[23] - 0.04 * au[24] - 0.06 * au[17]) + 0.10 * au[12] + 0.035 * au[14]
    return x, who.mouth_y - 0.135 * au[12] + 0.135 * au[15] - 0.02 * au[14] + 0.02 * au[26]


def ellipse(x: float, y: float, a: float, b: float, tilt: float = 0.0) -> Floats:
    """Points (16, 2) of an ellipse with half axes `a` and `b`, rotated by `tilt` radians."""
    u, v = a * _COS, b * _SIN
    return np.stack([x + u * np.cos(tilt) - v * np.sin(tilt), y + u * np.sin(tilt) + v * np.cos(tilt)], axis=1)


_ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)
_T = np.linspace(-1, 1, 13)
_BUMP = 1 - _T**2


def _curve(x: Floats, y: Floats) -> Floats:
    return np.stack([x, y], axis=1)


def _both(shapes: list[Shape], material: Material, points: Floats, width: float, strength: float) -> None:
    """Add a shape of the right half and its mirror image, unless it is too faint to see."""
    if abs(strength) > 0.02:
        for side in (1.0, -1.0):
            shapes.append(Shape(material, points * (side, 1.0), width, strength))


def _one(shapes: list[Shape], material: Material, points: Floats, width: float, strength: float) -> None:
    if abs(strength) > 0.02:
        shapes.append(Shape(material, points, width, strength))


def _pts(*pairs: tuple[float, float]) -> Floats:
    return np.array(pairs, dtype=np.float64)


def _head(who: Identity, au: dict[int, float]) -> list[Shape]:
    """Hair, neck and outline; AU 26 lowers the chin."""
    w, jaw = who.width, who.width * who.jaw
    chin = who.chin_y + 0.10 * au[26] - 0.02 * au[17]
    right = _pts(
        (0.0, -1.12), (0.45 * w, -1.06), (0.85 * w, -0.75), (w, -0.30), (0.97 * w, 0.10),
        (0.5 * (0.94 * w + jaw), 0.42), (jaw * 0.90, 0.66), (jaw * 0.55, chin - 0.06), (0.0, chin),
    )  # fmt: skip
    outline = np.concatenate([right, right[-2:0:-1] * (-1.0, 1.0)])
    shapes: list[Shape] = []
    if who.hair_style >= 2:
        reach = 0.72 if who.hair_style == 2 else 1.4
        mane = _pts((0, -1.4), (0.8, -1.2), (1.06, -0.5), (1.08, reach), (0.72, reach), (0.7, 0.0))
        shapes.append(Shape("hair", np.concatenate([mane, mane[::-1] * (-1.0, 1.0)]), lift=-0.35))
    shapes.append(Shape("neck", _pts((-0.45, 0.55), (0.45, 0.55), (0.52, 1.6), (-0.52, 1.6)), lift=-0.25))
    shapes.append(Shape("skin", outline))
    if who.stubble > 0:
        beard = np.concatenate([right[5:], right[-2:4:-1] * (-1.0, 1.0)]) * (0.96, 0.98)
        shapes.append(Shape("relief", beard, 0.0, -who.stubble))
    if who.hair_style > 0:
        line = who.hairline_y
        fringe = _pts((0.6 * w, line + 0.06), (0.90 * w, -0.55), (1.02 * w, -0.25), (1.10 * w, -0.7), (0.7 * w, -1.35))
        middle = _pts((who.parting * 0.5, line))
        top = np.concatenate([middle, fringe, fringe[::-1] * (-1.0, 1.0)])
        shapes.append(Shape("hair", top, lift=0.02))
    return shapes


def _forehead(shapes: list[Shape], who: Identity, au: dict[int, float]) -> None:
    """Transverse lines: in the centre for AU 1, over the outer brows for AU 2; glabella furrows for AU 4."""
    for row in range(3):
        level = who.hairline_y + 0.10 + 0.07 * row
        _one(shapes, "furrow", _curve(0.25 * _T, level - 0.02 * _BUMP), 0.024, 0.85 * au[1] + 0.2 * who.age)
        if row > 0:
            outer = _curve(0.44 + 0.13 * _T, level + 0.03 - 0.03 * _BUMP)
            _both(shapes, "furrow", outer, 0.024, 0.85 * au[2] + 0.15 * who.age)
    low = who.eye_y - who.brow_gap + 0.05
    furrow = _pts((0.065, low - 0.09), (0.05, low), (0.065, low + 0.13))
    _both(shapes, "furrow", furrow, 0.034, 0.75 * au[4] + 0.2 * who.age)
    _one(shapes, "relief", ellipse(0, low - 0.02, 0.06, 0.10), 0.0, 0.30 * au[4])
    _both(shapes, "relief", ellipse(0.16, low - 0.02, 0.10, 0.06), 0.0, -0.22 * au[4])


def _brow(shapes: list[Shape], who: Identity, au: dict[int, float], side: float) -> None:
    """AU 1 raises the inner end, AU 2 the outer part; AU 4 lowers and draws together; AU 9 lowers the inner end."""
    t = np.linspace(0, 1, 7)
    inner, outer = (1 - t) ** 1.5, np.clip(1.25 * t**0.9 - 0.1, 0, 1)
    x = 0.15 + 0.45 * t - 0.075 * au[4] * (1 - 0.6 * t)
    rest = who.eye_y - who.brow_gap - who.brow_arch * np.sin(np.pi * np.clip(t * 1.25, 0, 1) * 0.9) + 0.03 * t**3
    y = rest - 0.15 * au[1] * inner - 0.14 * au[2] * outer * (1 - 0.35 * t**4)
    y = y + au[4] * (0.055 + 0.065 * inner) + 0.06 * au[9] * inner
    thick = who.brow_thick * (1.05 - 0.75 * t**2)
    body = np.concatenate([_curve(x, y - thick), _curve(x, y + thick)[::-1]])
    shapes.append(Shape("brow", body * (side, 1.0), 0.0, who.brow_dark, 0.03))


def _eye(shapes: list[Shape], who: Identity, au: dict[int, float], side: float, pose: Pose) -> None:
    """AU 5 raises the upper lid; AU 6 lifts the cheek; AU 7 straightens and lifts the lower lid."""
    narrow = min(1.0, 0.34 * au[6] + 0.55 * au[7] + 0.25 * au[9])
    up = who.eye_h * (1 + 0.85 * au[5] * (1 - 0.4 * au[7]) - 0.75 * narrow)
    low = 0.055 * (1 + 0.25 * au[5] - 0.45 * au[6] - 0.95 * au[7])
    w = who.eye_w
    slope = -who.eye_tilt * _T * side
    cx = side * who.eye_x
    upper = who.eye_y + slope - up * _BUMP**0.75
    # A tightened lid is a straight line: its curve flattens while its ends stay in place.
    lower = who.eye_y + slope + low * _BUMP ** (1 - 0.5 * min(1.0, au[7]))
    x = cx + w * _T
    shapes.append(Shape("sclera", np.concatenate([_curve(x, upper), _curve(x, lower)[::-1]])))
    gx, gy = cx + 0.085 * pose.gaze_x, who.eye_y - 0.012 + 0.05 * pose.gaze_y
    for material, radius in (("iris", 0.082), ("pupil", 0.040)):
        disc = ellipse(gx, gy, radius, radius)
        top, bottom = np.interp(disc[:, 0], x, upper), np.interp(disc[:, 0], x, lower)
        disc[:, 1] = np.clip(disc[:, 1], top, bottom)  # the lids cover what lies outside them
        shapes.append(Shape("iris" if material == "iris" else "pupil", disc))
    shapes.append(Shape("lash", _curve(x, upper), 0.034, 1.0))
    shapes.append(Shape("furrow", _curve(x, lower), 0.020, 0.35 + 0.4 * au[7]))
    crease = upper - 0.045 + 0.03 * au[5]
    shapes.append(Shape("furrow", _curve(x, crease), 0.016, 0.35 + 0.2 * who.age))
    if au[7] > 0.02:  # taut skin below the lid
        shapes.append(Shape("furrow", _curve(x, lower + 0.055), 0.020, 0.4 * au[7]))
    if au[6] > 0.02:  # bulge and pouch of the lifted cheek, crow's feet
        pouch = _curve(cx + 1.15 * w * _T, who.eye_y + 0.085 + 0.075 * _BUMP)
        shapes.append(Shape("furrow", pouch, 0.026, 0.55 * au[6]))
        shapes.append(Shape("relief", ellipse(cx + side * 0.03, who.eye_y + 0.30, 0.20, 0.11), 0.0, 0.34 * au[6]))
        shapes.append(Shape("relief", ellipse(cx + side * 0.02, who.eye_y + 0.43, 0.22, 0.05), 0.0, -0.22 * au[6]))
    feet = 0.7 * au[6] + 0.2 * who.age
    if feet > 0.02:
        root = who.eye_x + w + 0.03
        for rise in (-0.085, 0.0, 0.085):
            foot = _pts((root, who.eye_y + 0.25 * rise + 0.01), (root + 0.15, who.eye_y + rise + 0.01))
            shapes.append(Shape("furrow", foot * (side, 1.0), 0.024, feet))


def _nose(shapes: list[Shape], who: Identity, au: dict[int, float]) -> None:
    """AU 9 wrinkles the root and lifts the wings; AU 10 lifts the wings a little."""
    w, tip = who.nose_w * (1 + 0.16 * au[9] + 0.10 * au[10]), who.nose_y
    wing = tip + 0.01 - 0.07 * au[9] - 0.03 * au[10]
    _both(
        shapes,
        "relief",
        _pts((0.10, -0.25), (0.07, 0.0), (w, wing - 0.08), (0.05, wing - 0.05), (0.03, -0.2)),
        0.0,
        -0.16,
    )
    shapes.append(Shape("relief", ellipse(0, tip - 0.06, 0.06, 0.12), 0.0, 0.16, 0.12))
    for side in (1.0, -1.0):
        nostril = ellipse(side * w * 0.48, wing + 0.055, 0.042, 0.022, side * 0.3)
        shapes.append(Shape("nostril", nostril, 0.0, 0.85, 0.08))
        edge = _pts((w * 0.98, wing - 0.06), (w * 1.08, wing + 0.01), (w * 0.92, wing + 0.06))
        shapes.append(Shape("furrow", edge * (side, 1.0), 0.022, 0.5, 0.05))
    for row in range(3):
        y = -0.17 + 0.075 * row
        line = _pts((0.0, y - 0.015), (0.06, y), (0.12, y + 0.045))
        _both(shapes, "furrow", line, 0.024, 0.9 * au[9])


def _mouth(shapes: list[Shape], who: Identity, au: dict[int, float]) -> None:
    """Lips and the folds beside them: AUs 10, 12, 14, 15, 17, 23, 24, 25, 26."""
    corner_x, corner_y = mouth_corner(who, au)
    gap = 0.075 * au[25] + 0.19 * au[26] * max(au[25], 0.6)
    centre = who.mouth_y - 0.055 * au[17] + 0.02 * au[12] - 0.01 * au[26]
    arch = _BUMP**0.9
    square = np.clip(1.35 * (1 - np.abs(_T) ** 4), 0, 1)
    lift = 0.055 * au[10] * square
    x = corner_x * _T
    top = corner_y + (centre - corner_y) * arch - lift
    bottom = corner_y + (centre + gap - corner_y) * arch - lift * max(0.0, 1 - 3 * gap / 0.075 * 0.3)
    bow = arch**0.75 * (1 - 0.22 * np.exp(-((_T / 0.16) ** 2)))
    upper_thick = who.lip_upper * max(0.16, 1 - 0.65 * au[23] - 0.80 * au[24] - 0.25 * au[12] + 0.15 * au[10])
    lower_thick = who.lip_lower * max(0.16, 1 - 0.60 * au[23] - 0.80 * au[24] - 0.10 * au[12] + 0.30 * au[17])
    upper = top - upper_thick * bow - 0.6 * lift * (np.abs(_T) > 0.2)
    lower = bottom + lower_thick * arch**0.6
    shapes.append(Shape("lip", np.concatenate([_curve(x, upper), _curve(x, top + 0.01)[::-1]]), 0.0, 1.0, 0.04))
    shapes.append(Shape("lip", np.concatenate([_curve(x, bottom - 0.01), _curve(x, lower)[::-1]]), 0.0, 0.9, 0.04))
    if gap > 0.012:
        shapes.append(Shape("mouth", np.concatenate([_curve(x, top), _curve(x, bottom)[::-1]]), lift=0.03))
        edge = np.minimum(bottom, top + 0.055 + 0.02 * au[10])
        inside = np.abs(_T) < 0.8
        teeth = np.concatenate([_curve(x, top)[inside], _curve(x, edge)[inside][::-1]])
        shapes.append(Shape("teeth", teeth, 0.0, min(1.0, 0.35 + 0.5 * au[12] + 0.5 * au[10]), 0.03))
    else:
        shapes.append(Shape("lipline", _curve(x, top), 0.026 + 0.014 * au[24], 0.75 + 0.25 * au[24], 0.04))
    middle = 0.5 * (who.mouth_y + centre)
    # AU 24 presses the lips together, so the skin around them bulges. AU 23 tightens them, so it wrinkles.
    _one(shapes, "relief", ellipse(0, middle - 0.10, 0.22, 0.035), 0.0, 0.34 * au[24])
    _one(shapes, "relief", ellipse(0, middle + 0.11, 0.22, 0.040), 0.0, 0.34 * au[24])
    for place in (0.07, 0.16):
        above, below = float(upper[6]), float(lower[6])
        _both(shapes, "furrow", _pts((place, above - 0.09), (place * 0.92, above - 0.015)), 0.024, 1.0 * au[23])
        _both(shapes, "furrow", _pts((place * 0.92, below + 0.015), (place, below + 0.08)), 0.024, 0.9 * au[23])
    _cheek_folds(shapes, who, au, corner_x, corner_y)


def _cheek_folds(shapes: list[Shape], who: Identity, au: dict[int, float], corner_x: float, corner_y: float) -> None:
    """Nasolabial fold (10 above, 12 below), dimple (14), and the line under a drawn-down corner (15)."""
    wing_x, wing_y = who.nose_w + 0.045, who.nose_y - 0.02
    upper = _pts((wing_x - 0.01, wing_y - 0.10), (wing_x + 0.06, wing_y), (wing_x + 0.115, wing_y + 0.12))
    _both(shapes, "furrow", upper, 0.040, 0.22 * who.age + 0.25 * au[12] + 0.85 * au[10] + 0.3 * au[9])
    _both(shapes, "relief", ellipse(wing_x + 0.15, wing_y - 0.04, 0.07, 0.10, 0.4), 0.0, 0.34 * au[10])
    reach = corner_x + 0.10
    lower = _pts(
        (wing_x + 0.115, wing_y + 0.12),
        (reach - 0.01, 0.6 * wing_y + 0.4 * corner_y + 0.07),
        (reach + 0.02, corner_y + 0.05),
    )
    _both(shapes, "furrow", lower, 0.034, 0.15 * who.age + 0.75 * au[12] + 0.15 * au[10])
    _both(shapes, "relief", ellipse(reach + 0.09, 0.5 * (wing_y + corner_y), 0.10, 0.12), 0.0, 0.26 * au[12])
    t = _T[::2] * 1.2
    dimple = _curve(corner_x + 0.035 + 0.035 * np.cos(t), corner_y + 0.085 * np.sin(t))
    _both(shapes, "furrow", dimple, 0.050, 1.3 * au[14])
    _both(shapes, "relief", ellipse(corner_x + 0.13, corner_y, 0.045, 0.08), 0.0, 0.30 * au[14])
    pull = _pts((corner_x + 0.01, corner_y), (corner_x + 0.06, corner_y + 0.07), (corner_x + 0.05, corner_y + 0.17))
    _both(shapes, "furrow", pull, 0.030, 0.75 * au[15] + 0.12 * who.age)
    _both(shapes, "relief", ellipse(corner_x - 0.06, corner_y + 0.10, 0.06, 0.05), 0.0, 0.28 * au[15])


def _chin(shapes: list[Shape], who: Identity, au: dict[int, float]) -> None:
    """AU 17 pushes the chin boss up: a bulge, pits, and a deeper furrow below the lip."""
    y = 0.5 * (who.mouth_y + who.chin_y) + 0.055 + 0.07 * au[26] - 0.035 * au[17]
    _one(shapes, "relief", ellipse(0, y - 0.09, 0.17, 0.035), 0.0, -0.22 - 0.12 * au[17])
    _one(shapes, "relief", ellipse(0, y + 0.03, 0.15, 0.09), 0.0, 0.10 + 0.20 * au[17])
    if au[17] > 0.02:
        for px, py in (
            (-0.10, 0.0),
            (0.0, -0.03),
            (0.10, 0.0),
            (-0.055, 0.065),
            (0.055, 0.065),
            (0.0, 0.105),
        ):
            shapes.append(Shape("furrow", ellipse(px, y + py, 0.019, 0.015), 0.0, 0.7 * au[17]))
        shapes.append(Shape("furrow", _curve(0.17 * _T, y - 0.06 - 0.035 * _BUMP), 0.028, 0.6 * au[17]))
