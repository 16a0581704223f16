"""Action units as blends of the face units of ARKit.

The mapping follows the appearance changes of FACS (Ekman, Friesen & Hager 2002); the gains are our choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from benchmark.standin.head.person import Head
from benchmark.standin.terms import DRAWN_AUS, Floats

BLENDS: Mapping[int, Mapping[str, float]] = MappingProxyType(
    {
        1: {"browInnerUp": 1.0},
        2: {"browOuterUp?": 1.0},
        4: {"browDown?": 1.0},
        5: {"eyeWide?": 1.0},
        6: {"cheekSquint?": 1.0, "eyeSquint?": 0.4},
        7: {"eyeSquint?": 0.8, "eyeBlink?": 0.25},
        9: {"noseSneer?": 1.0, "browDown?": 0.2},
        10: {"mouthUpperUp?": 1.0},
        12: {"mouthSmile?": 1.0},
        14: {"mouthDimple?": 1.0},
        15: {"mouthFrown?": 1.0},
        17: {"mouthShrugLower": 1.0},
        23: {"mouthRollLower": 0.6, "mouthRollUpper": 0.6, "mouthPucker": 0.35},
        24: {"mouthPress?": 1.0, "mouthRollLower": 0.25},
        25: {"mouthLowerDown?": 0.6, "jawOpen": 0.12},
        26: {"jawOpen": 0.55},
    }
)
"""Face units of each of `DRAWN_AUS` with their gains; `?` stands for both sides, `Left` and `Right`."""
GAINS: Mapping[int, float] = MappingProxyType(
    {
        1: 2.1, 2: 2.4, 4: 1.3, 5: 1.1, 6: 1.7, 7: 1.0, 9: 1.1, 10: 1.5, 12: 1.15, 14: 1.85, 15: 2.0, 17: 1.8, 23: 1.7,
        24: 1.3, 25: 1.0, 26: 1.0,
    }
)  # fmt: skip
"""Share of its blend that an AU of intensity 1 reaches on an average person: the difficulty of each AU."""
MOST = 2.6
"""Maximum weight of a face unit."""
SIDES = ("Left", "Right")
"""Sides of the person, in the order in which asymmetry counts."""


def unit_names() -> list[str]:
    """Names of all face units that the blends need."""
    return sorted({unit.replace("?", side) for blend in BLENDS.values() for unit in blend for side in SIDES})


def unit_weights(who: Head, intensity: Sequence[float]) -> Floats:
    """Weight of each of `unit_names()`, for one person and intensities in [0, 1] of `DRAWN_AUS`."""
    weights = dict.fromkeys(unit_names(), 0.0)
    for au, value, lean in zip(DRAWN_AUS, intensity, who.asymmetry, strict=True):
        strength = GAINS[au] * who.expressive * float(value)
        for unit, gain in BLENDS[au].items():
            if "?" in unit:
                for side, sign in zip(SIDES, (1, -1), strict=True):
                    weights[unit.replace("?", side)] += strength * gain * (1 + sign * lean)
            else:
                weights[unit] += strength * gain
    return np.clip(list(weights.values()), 0.0, MOST)
