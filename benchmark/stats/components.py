"""Parts of the variance of a number that was measured on several splits with several seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import chdtri

from benchmark.core.f1 import FloatArray
from benchmark.stats.bootstrap import LEVEL, Interval


@dataclass(frozen=True)
class Components:
    """Standard deviations by the method of moments of a crossed design, splits × seeds; NaN with one seed or split.

    Attributes:
        split: Of the split, whatever the seed.
        seed: Of the seed, whatever the split.
        rest: Of the training itself: what a split and a seed do together, and all other noise.
    """

    split: float
    seed: float
    rest: float


def components(values: FloatArray) -> Components:
    """Components of variance from mean squares; an estimate below 0 is 0.

    Args:
        values: (K, R), splits × seeds.

    Example:
        >>> import numpy as np
        >>> made = components(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
        >>> round(made.split, 3), round(made.seed, 3), made.rest
        (2.0, 0.707, 0.0)
    """
    splits, seeds = values.shape
    if splits < 2 or seeds < 2:
        return Components(math.nan, math.nan, math.nan)
    of_split, of_seed, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    residual = values - of_split[:, None] - of_seed + mean
    rest = float((residual**2).sum()) / ((splits - 1) * (seeds - 1))
    between_splits = (float(of_split.var(ddof=1)) * seeds - rest) / seeds
    between_seeds = (float(of_seed.var(ddof=1)) * splits - rest) / splits
    return Components(*(math.sqrt(max(0.0, variance)) for variance in (between_splits, between_seeds, rest)))


def deviation_interval(deviation: float, freedom: int, level: float = LEVEL) -> Interval:
    """Interval of a standard deviation of normal values, from chi-squared; NaN at both ends without freedom.

    Example:
        >>> interval = deviation_interval(1.0, 9)
        >>> round(interval.low, 2), round(interval.high, 2)
        (0.69, 1.83)
    """
    if freedom < 1 or math.isnan(deviation):
        return Interval(math.nan, math.nan)
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = (deviation * math.sqrt(freedom / float(chdtri(freedom, tail))) for tail in tails)
    return Interval(low, high)
