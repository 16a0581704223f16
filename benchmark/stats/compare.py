"""F1 of a method with intervals over subjects, and p-values adjusted for their number."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.core.f1 import FloatArray
from benchmark.stats.bootstrap import (
    DRAWS,
    SEED,
    Draws,
    Interval,
    Jackknife,
    bca_interval,
    draws_of,
    left_out,
)
from benchmark.stats.counts import Average, MethodCounts, mean_over_parts


@dataclass(frozen=True)
class Scored:
    """F1 with 95 % intervals over subjects: other people, these trained networks. Fractions.

    Attributes:
        per_au: (J,), value of each AU, in the order of `MethodCounts.aus`.
        per_au_intervals: J intervals.
        ave: Average over AUs.
        ave_interval: Interval of the average.
        draws: Bootstrap draws that the intervals are computed from.
    """

    per_au: FloatArray
    per_au_intervals: tuple[Interval, ...]
    ave: float
    ave_interval: Interval
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
    return _scored(mean_over_parts(method), draws_of(method, draws, seed), left_out(method))


def _scored(point: Average, draws: Draws, without: Jackknife) -> Scored:
    """Values with their intervals."""
    columns = [*zip(draws.per_au.T, point.per_au, strict=True), (draws.ave, point.ave)]
    given = [(drawn, float(value), without.values[:, j], without.parts) for j, (drawn, value) in enumerate(columns)]
    intervals = [bca_interval(*arguments) for arguments in given]
    return Scored(
        per_au=point.per_au,
        per_au_intervals=tuple(intervals[:-1]),
        ave=point.ave,
        ave_interval=intervals[-1],
        draws=draws,
    )
