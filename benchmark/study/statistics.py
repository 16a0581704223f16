"""Statistics of a study: differences of rows over subjects and seeds, and weights of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

from benchmark.core.f1 import FloatArray
from benchmark.report.groups import Row
from benchmark.stats.bootstrap import Interval
from benchmark.stats.compare import difference
from benchmark.stats.counts import average, mean_over_parts
from benchmark.store.results import Results

END_SHARE = 0.1
"""Share of a training curve that counts as its start or its end."""


@dataclass(frozen=True)
class RowDifference:
    """Difference of two rows on their common parts and seeds.

    Attributes:
        f1: Difference in F1 x 100.
        subjects: Interval of `f1` over subjects.
        seeds: Interval of `f1` over seeds; None for a single seed.
        auc: Difference in AUC x 100.
        auc_seeds: Interval of `auc` over seeds; None for a single seed.
        count: Number of seeds.
    """

    f1: float
    subjects: Interval
    seeds: Interval | None
    auc: float
    auc_seeds: Interval | None
    count: int

    @classmethod
    def between(cls, a: Row, b: Row) -> RowDifference | None:
        """The difference `a` - `b`; None if they share no part or no seed."""
        parts = tuple(part for part in a.parts if part in b.parts)
        seeds = tuple(seed for seed in a.seeds if seed in b.seeds)
        if not parts or not seeds:
            return None
        scored = difference(a.counts.select(parts, seeds), b.counts.select(parts, seeds))
        f1 = 100 * np.subtract(*(mean_over_parts(row.counts.select(parts, seeds)).ave_by_seed for row in (a, b)))
        auc = 100 * np.subtract(*(_auc_by_seed(row, parts, seeds) for row in (a, b)))
        return cls(
            100 * scored.ave,
            Interval(100 * scored.ave_interval.low, 100 * scored.ave_interval.high),
            over_seeds(f1),
            float(np.mean(auc)),
            over_seeds(auc),
            len(seeds),
        )

    @property
    def verdict(self) -> str:
        """The difference in words. Both intervals, rounded as printed, must agree: an end of 0.0 counts as 0."""
        intervals = [self.subjects, *([self.seeds] if self.seeds is not None else [])]
        if all(round(interval.low, 1) > 0 for interval in intervals):
            return "better" if self.seeds is not None else "better over subjects, of one seed"
        if all(round(interval.high, 1) < 0 for interval in intervals):
            return "worse" if self.seeds is not None else "worse over subjects, of one seed"
        return "not told apart"


def _auc_by_seed(row: Row, parts: Sequence[str], seeds: Sequence[int]) -> FloatArray:
    chosen = row.auc[np.ix_([row.seeds.index(s) for s in seeds], [row.parts.index(p) for p in parts])]
    return average(chosen).ave_by_seed


def over_seeds(values: FloatArray) -> Interval | None:
    """Student's 95 % interval of the mean over seeds; None for fewer than two."""
    if len(values) < 2:
        return None
    half = float(scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def trial_weights(results: Results, row: Row) -> dict[str, list[float]]:
    """Statistics of the final weights of a row's FE images, by name: one value per trial, sorted by seed and part."""
    order = row.trials.sort_values(["seed", "part"])["trial"]
    values = results.weights[results.weights["trial"].isin(order)].pivot_table("value", "trial", "name")
    return {str(name): values[name].reindex(order).dropna().tolist() for name in values}


def fe_share_ends(row: Row, results: Results) -> tuple[float, float] | None:
    """FE samples' share of all weight at the start and the end of training, averaged over trials; None for none."""
    ends: list[tuple[float, float]] = []
    curves = results.curves[
        results.curves["trial"].isin(row.trials["trial"]) & (results.curves["series"] == "fe_share")
    ]
    for _, curve in curves.groupby("trial"):
        values = curve.sort_values("step")["value"].to_numpy(float)
        width = max(1, round(END_SHARE * len(values)))
        ends.append((float(values[:width].mean()), float(values[-width:].mean())))
    if not ends:
        return None
    start, end = (float(np.mean(side)) for side in zip(*ends, strict=True))
    return start, end
