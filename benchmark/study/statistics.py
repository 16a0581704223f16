"""Statistics of a study: differences of rows, and weights of trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmark.report.cells import percent
from benchmark.report.groups import Row
from benchmark.report.ours import ONE_TRAINING
from benchmark.report.pairs import pair_rows
from benchmark.stats.bootstrap import Interval
from benchmark.store.results import Results

BETTER, WORSE = "better", "worse"
"""Verdicts on a difference whose interval is on one side of 0."""

END_SHARE = 0.1
"""Share of a training curve that counts as its start or its end."""


@dataclass(frozen=True)
class RowDifference:
    """Difference of two rows on their common parts and seeds.

    Attributes:
        f1: Difference in F1 x 100.
        interval: Interval of `f1` over subjects and trainings; NaN at both ends for one training.
        error: Standard error of `f1` over subjects and trainings; NaN for one training.
        freedom: Degrees of freedom of `error`.
        p: Two-sided p-value of the hypothesis that the true difference is 0; NaN for one training.
        detectable: Smallest true difference that the test finds with a chance of 80 %; NaN for one training.
        auc: Difference in AUC x 100.
        auc_interval: Interval of `auc` over trainings; NaN at both ends for one training.
        seeds: Seeds, in words.
        trainings: Number of trainings of each row; the smaller one if they differ.
    """

    f1: float
    interval: Interval
    error: float
    freedom: float
    p: float
    detectable: float
    auc: float
    auc_interval: Interval
    seeds: str
    trainings: int

    @classmethod
    def between(cls, a: Row, b: Row, rows: Iterable[Row] = ()) -> RowDifference | None:
        """The difference `a` - `b`, with the noise of training of all `rows`; None if they share no part."""
        paired = pair_rows(a, b, tuple(rows))
        if paired is None:
            return None
        auc, auc_interval = paired.auc()
        return cls(
            f1=100 * paired.difference.ave,
            interval=percent(paired.difference.ave_interval),
            error=100 * float(paired.difference.errors[-1]),
            freedom=float(paired.difference.freedom[-1]),
            p=float(paired.difference.p_values[-1]),
            detectable=100 * paired.difference.detectable(),
            auc=100 * auc,
            auc_interval=percent(auc_interval),
            seeds=paired.seeds_in_words,
            trainings=paired.difference.trainings,
        )

    @property
    def is_told(self) -> bool:
        """Whether the interval is on one side of 0."""
        return self.interval.low > 0 or self.interval.high < 0

    @property
    def verdict(self) -> str:
        """The difference in words: `better` or `worse` if its interval is on one side of 0."""
        if self.trainings == 1:
            return ONE_TRAINING
        if self.interval.low > 0:
            return BETTER
        return WORSE if self.interval.high < 0 else "not told apart"


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
