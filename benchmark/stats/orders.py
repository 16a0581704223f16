"""Agreement of two orders of methods, with intervals over subjects and trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmark.core.f1 import FloatArray, IntArray
from benchmark.stats.bootstrap import SEED, Interval, percentile_interval

DRAWS = 4000
"""Redraws of all scores."""


@dataclass(frozen=True)
class Board:
    """One score of each method, and how it changes with subjects and trainings.

    Attributes:
        scores: (M,), of M methods.
        by_seed: (M, R), of each training; all methods have the same R seeds.
        without: (M, S), without each of S subjects, whom all methods tested.
        parts: (S,), test part of each subject.
    """

    scores: FloatArray
    by_seed: FloatArray
    without: FloatArray
    parts: IntArray


@dataclass(frozen=True)
class Agreement:
    """Agreement of two orders of the same methods.

    Attributes:
        tau: Kendall's tau-b: 1 for the same order, −1 for the reverse.
        interval: 95 % interval of tau over subjects and trainings; NaN at both ends for one training.
        swapped: Pairs of methods that change places, of `pairs`.
        pairs: Number of pairs.
        own: Mean tau between the second order and its own redraws; NaN for one training.
    """

    tau: float
    interval: Interval
    swapped: int
    pairs: int
    own: float


def kendall(a: FloatArray, b: FloatArray) -> FloatArray:
    """Kendall's tau-b of two scores of M methods, for many draws at once.

    Args:
        a: (..., M) scores.
        b: (..., M) scores.

    Returns:
        (...,) from −1 to 1; NaN if all methods tie under one score.

    Example:
        >>> float(kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).round(3))
        0.333
    """
    i, j = np.triu_indices(a.shape[-1], k=1)
    one, other = np.sign(a[..., i] - a[..., j]), np.sign(b[..., i] - b[..., j])
    below = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    tau: FloatArray = np.divide((one * other).sum(axis=-1), below, out=np.full(below.shape, np.nan), where=below > 0)
    return tau


def agreement(
    a: Board, b: Board, draws: int = DRAWS, seed: int = SEED, redrawn_a: FloatArray | None = None
) -> Agreement:
    """Agreement of the orders under two metrics.

    Args:
        a: Methods under one metric.
        b: The same methods, subjects and seeds under the other.
        draws: Number of redraws.
        seed: Seed of the redraws.
        redrawn_a: `redrawn(a, draws, seed)`, where it is known.
    """
    i, j = np.triu_indices(len(a.scores), k=1)
    swapped = int(((a.scores[i] - a.scores[j]) * (b.scores[i] - b.scores[j]) < 0).sum())
    one = redrawn(a, draws, seed) if redrawn_a is None else redrawn_a
    other = redrawn(b, draws, seed)
    return Agreement(
        tau=float(kendall(a.scores, b.scores)),
        interval=percentile_interval(kendall(one, other)),
        swapped=swapped,
        pairs=len(i),
        own=float(kendall(b.scores, other).mean()),
    )


def redrawn(board: Board, draws: int = DRAWS, seed: int = SEED) -> FloatArray:
    """Scores of methods as other test people and other trainings would give them, to first order.

    The multiplier bootstrap: each subject's and each seed's influence on the scores gets an independent normal factor,
    the same one for all methods and metrics. The variance over subjects is that of the jackknife within parts. With few
    seeds their variance is itself uncertain, so their part of a draw has Student's distribution with R − 1 degrees.

    Args:
        board: Scores of M methods.
        draws: D, number of draws.
        seed: Seed of the draws; two metrics with one seed get the same factors.

    Returns:
        (D, M); NaN for one training, whose noise is unknown.
    """
    methods, seeds = board.by_seed.shape
    if seeds < 2:
        return np.full((draws, methods), np.nan)
    generator = np.random.default_rng([seed, methods, seeds, board.without.shape[1]])
    over_subjects = generator.standard_normal((draws, board.without.shape[1]))
    over_seeds = generator.standard_normal((draws, seeds))
    influence = np.zeros(board.without.shape)
    for part in np.unique(board.parts):
        values = board.without[:, board.parts == part]
        count = values.shape[1]
        influence[:, board.parts == part] = (values.mean(axis=1, keepdims=True) - values) * math.sqrt(
            (count - 1) / count
        )
    spread = (board.by_seed - board.by_seed.mean(axis=1, keepdims=True)) / math.sqrt(seeds * (seeds - 1))
    tails = np.sqrt((seeds - 1) / generator.chisquare(seeds - 1, size=(draws, 1)))
    drawn: FloatArray = board.scores + over_subjects @ influence.T + tails * (over_seeds @ spread.T)
    return drawn
