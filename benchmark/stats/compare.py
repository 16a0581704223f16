"""F1 of a method and the difference of two methods, with intervals over subjects and p-values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from benchmark.core.f1 import FloatArray
from benchmark.stats.bootstrap import (
    DRAWS,
    LEVEL,
    SEED,
    Draws,
    Interval,
    Jackknife,
    bca_interval,
    bca_p_value,
    bootstrap,
    left_out,
    resampled,
)
from benchmark.stats.counts import Average, MethodCounts, mean_over_parts


@dataclass(frozen=True)
class Scored:
    """F1, or a difference of F1, with 95 % intervals over subjects; fractions.

    Attributes:
        per_au: (J,), value of each AU, in the order of `MethodCounts.aus`.
        per_au_intervals: J intervals.
        ave: Average over AUs.
        ave_interval: Interval of the average.
        per_au_p: (J,), two-sided p-values of the hypothesis that the value is 0; for differences.
        ave_p: p-value of the average.
        draws: Bootstrap draws that the intervals are computed from.
    """

    per_au: FloatArray
    per_au_intervals: tuple[Interval, ...]
    ave: float
    ave_interval: Interval
    per_au_p: FloatArray
    ave_p: float
    draws: Draws


def f1_with_intervals(method: MethodCounts, draws: int = DRAWS, seed: int = SEED) -> Scored:
    """F1 (mean over parts) of each AU and of their average, with 95 % intervals over subjects.

    Args:
        method: Counts of the method.
        draws: Number of bootstrap draws.
        seed: Seed of the draws.

    Returns:
        F1 as a fraction.
    """
    return _scored(mean_over_parts(method), _draws(method, draws, seed), left_out(method))


def _draws(method: MethodCounts, draws: int, seed: int) -> Draws:
    """Draws of a method; those with the usual number and seed are kept for the next comparison."""
    return resampled(method) if (draws, seed) == (DRAWS, SEED) else bootstrap(method, draws, seed)


def difference(a: MethodCounts, b: MethodCounts, draws: int = DRAWS, seed: int = SEED) -> Scored:
    """F1 of `a` − F1 of `b`, with intervals from the same resampled subjects for both.

    Args:
        a: Counts of one method.
        b: Counts of the other, on the same AUs, parts and subjects.
        draws: Number of bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The difference as a fraction.

    Raises:
        ValueError: AUs, parts or subjects differ, so that nothing can be paired.
    """
    if a.aus != b.aus:
        raise ValueError(f"cannot pair AUs {a.aus} with {b.aus}")
    if [(p.part, p.subjects) for p in a.parts] != [(p.part, p.subjects) for p in b.parts]:
        raise ValueError(f"cannot pair: parts {a.part_names} and {b.part_names}, or their subjects, differ")
    ours, theirs = mean_over_parts(a), mean_over_parts(b)
    point = replace(ours, per_au=ours.per_au - theirs.per_au, ave=ours.ave - theirs.ave)
    return _scored(point, _draws(a, draws, seed) - _draws(b, draws, seed), left_out(a) - left_out(b))


def _scored(point: Average, draws: Draws, without: Jackknife) -> Scored:
    """Values with their intervals and p-values."""
    columns = [*zip(draws.per_au.T, point.per_au, strict=True), (draws.ave, point.ave)]
    given = [(drawn, float(value), without.values[:, j], without.parts) for j, (drawn, value) in enumerate(columns)]
    intervals, p_values = (
        [bca_interval(*arguments) for arguments in given],
        [bca_p_value(*arguments) for arguments in given],
    )
    return Scored(
        per_au=point.per_au,
        per_au_intervals=tuple(intervals[:-1]),
        ave=point.ave,
        ave_interval=intervals[-1],
        per_au_p=np.array(p_values[:-1]),
        ave_p=p_values[-1],
        draws=draws,
    )


def holm(p_values: FloatArray) -> FloatArray:
    """p-values adjusted for their number (Holm 1979).

    Args:
        p_values: (J,), NaN where undefined; undefined ones are not counted.

    Returns:
        (J,), NaN where undefined.

    Example:
        >>> holm(np.array([0.01, 0.04, np.nan]))
        array([0.02, 0.04,  nan])
    """
    adjusted = np.full_like(p_values, np.nan)
    defined = np.flatnonzero(~np.isnan(p_values))
    order = defined[np.argsort(p_values[defined], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def detectable(draws: FloatArray, level: float = LEVEL, power: float = 0.8) -> float:
    """Smallest difference that a two-sided test detects.

    Args:
        draws: (D,), bootstrap draws of a difference; NaN where undefined.
        level: 1 − significance level of the test.
        power: Probability that the test finds a difference of this size.

    Returns:
        The difference, in the unit of `draws`; NaN with fewer than two defined draws.
    """
    defined = draws[~np.isnan(draws)]
    return float((ndtri((1 + level) / 2) + ndtri(power)) * defined.std(ddof=1)) if len(defined) > 1 else math.nan
