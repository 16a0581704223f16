"""Sampling of AUs in BP4D-like sequences.

The base rates of BP4D's twelve AUs are the shares of positive cells over all 146,847 coded frames, computed from the
frame lists published with MDHR. All other numbers are our plausible choices: the rates of AUs 5, 9, 25 and 26, the
correlations and the effects of tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from benchmark.standin.terms import DRAWN_AUS, Floats

SUBJECTS = (*(f"F{k:03d}" for k in range(1, 24)), *(f"M{k:03d}" for k in range(1, 19)))
TASKS = ("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8")
"""Tasks of BP4D: happiness, sadness, surprise, embarrassment, fear, pain, anger, disgust."""

BASE_RATES = MappingProxyType(
    {
        1: 0.2114, 2: 0.1710, 4: 0.2026, 6: 0.4609, 7: 0.5490, 10: 0.5943, 12: 0.5620, 14: 0.4656, 15: 0.1694,
        17: 0.3433, 23: 0.1654, 24: 0.1514,
        5: 0.04, 9: 0.05, 25: 0.25, 26: 0.12,
    }
)  # fmt: skip
"""Share of active frames of each drawn AU; of the first twelve as in BP4D, of the last four ours."""

SCORED_AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
UNKNOWN_SHARE = 0.005
"""Share of cells coded 9 (unknown), as a test of masking; BP4D's scored AUs have none."""

_FACTORS: tuple[dict[int, float], ...] = (
    {1: 0.75, 2: 0.75, 5: 0.55, 26: 0.25},
    {6: 0.70, 12: 0.70, 7: 0.45, 10: 0.55, 14: 0.35, 25: 0.30, 15: -0.25},
    {4: 0.70, 7: 0.40, 9: 0.50, 10: 0.20},
    {15: 0.60, 17: 0.65, 24: 0.20, 23: 0.15},
    {23: 0.60, 24: 0.60, 17: 0.30, 14: 0.25, 25: -0.50, 26: -0.40},
    {25: 0.50, 26: 0.60, 5: 0.2},
)
"""Loadings of common factors: groups of muscles that move together."""

_TASK_SHIFT: tuple[dict[int, float], ...] = (
    {6: 1.0, 12: 1.1, 10: 0.5, 7: 0.4, 25: 0.5, 4: -0.4},
    {1: 0.7, 4: 0.6, 15: 0.7, 17: 0.5, 12: -0.8, 6: -0.7},
    {1: 0.9, 2: 1.0, 5: 0.9, 26: 0.9, 25: 0.7, 4: -0.3},
    {12: 0.6, 6: 0.5, 14: 0.6, 24: 0.4, 7: 0.2},
    {1: 0.5, 2: 0.3, 4: 0.5, 5: 0.5, 25: 0.4, 7: 0.2},
    {4: 0.8, 6: 0.7, 7: 0.8, 9: 0.5, 10: 0.5, 25: 0.3},
    {4: 0.7, 23: 0.8, 24: 0.7, 17: 0.5, 14: 0.3, 12: -0.6},
    {9: 1.0, 10: 0.9, 4: 0.6, 7: 0.5, 17: 0.5, 15: 0.3},
)


@dataclass(frozen=True)
class Sequences:
    """AUs of all frames: S subjects, T tasks, F frames, K = 16 `DRAWN_AUS`.

    Attributes:
        intensity: (S, T, F, K) in [0, 1].
        occurrence: (S, T, F, K) bool. Coded frames match the base rates, to one cell.
        unknown: (S, T, F, K) bool, cells coded 9, which no rate counts.
    """

    intensity: Floats
    occurrence: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.bool_]


def draw_sequences(rng: np.random.Generator, coded: npt.NDArray[np.bool_]) -> Sequences:
    """Draw the AUs of all sequences by a Gaussian copula.

    Args:
        rng: Seeded generator.
        coded: (S, T, F) bool, frames with a row in the coding files. Task t has the emotion of BP4D's task t modulo 8.
    """
    subjects, tasks, frames = coded.shape
    loadings = np.array([[factor.get(au, 0.0) for au in DRAWN_AUS] for factor in _FACTORS])
    residual_sd = np.sqrt(np.clip(1 - np.square(loadings).sum(axis=0), 0.2, None))

    def correlated(*shape: int) -> Floats:
        common = rng.standard_normal((*shape, len(_FACTORS)))
        return np.asarray(common @ loadings + residual_sd * rng.standard_normal((*shape, len(DRAWN_AUS))))

    shift = np.array([[_TASK_SHIFT[t % len(_TASK_SHIFT)].get(au, 0.0) for au in DRAWN_AUS] for t in range(tasks)])
    # Onset, apex and offset; the position and the width of the apex vary by sequence.
    clock = np.linspace(0, 1, frames)
    apex = rng.uniform(0.3, 0.8, size=(subjects, tasks, 1))
    width = rng.uniform(0.15, 0.45, size=(subjects, tasks, 1))
    course = np.exp(-0.5 * ((clock - apex) / width) ** 2)[..., None]
    # Two slow movements in each sequence, so that AUs have different onsets and offsets.
    slow = np.cos(np.pi * clock)[:, None], np.sin(2 * np.pi * clock)[:, None]
    score = (
        0.35 * correlated(subjects, 1, 1)
        + (0.5 * shift[None, :, None] + 0.45 * correlated(subjects, tasks, 1)) * (0.25 + course)
        + 0.50 * correlated(subjects, tasks, 1) * slow[0]
        + 0.45 * correlated(subjects, tasks, 1) * slow[1]
        + 0.35 * correlated(subjects, tasks, frames)
    )
    unknown = rng.random(score.shape) < UNKNOWN_SHARE
    occurrence = np.zeros(score.shape, dtype=bool)
    intensity = np.zeros(score.shape)
    for k, au in enumerate(DRAWN_AUS):
        counted = coded & ~unknown[..., k]
        ranked = np.sort(score[..., k][counted])
        active = round(BASE_RATES[au] * len(ranked))
        # The threshold lies halfway between the last inactive and the first active cell, so rounding moves no cell.
        edge = (
            ranked[0] - 1
            if active == len(ranked)
            else ranked[-1] + 1
            if active == 0
            else ranked[-active - 1 : len(ranked) - active + 1].mean()
        )
        excess = (score[..., k] - edge) / max(float(score[..., k].std()), 1e-9)
        occurrence[..., k] = excess > 0
        intensity[..., k] = intensity_of(excess)
    return Sequences(intensity, occurrence, unknown)


def intensity_of(excess: Floats) -> Floats:
    """Intensity in [0, 1] of a latent score minus its threshold: from .4 if active (above 0), else a trace up to .3."""
    above = 0.40 + 0.60 * (1 - np.exp(-np.clip(excess, 0, None) / 0.9))
    below = 0.30 * np.exp(np.clip(excess, None, 0) / 0.25)
    return np.where(excess > 0, above, below)
