"""Scores of a method under any metric, with intervals over subjects and trainings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.core.f1 import FloatArray, mean_defined
from benchmark.stats.bootstrap import Interval, Jackknife
from benchmark.stats.counts import Average, MethodCounts, average
from benchmark.stats.crossed import over_subjects, satterthwaite, t_interval, variance_of_mean
from benchmark.stats.metrics import OfCounts


@dataclass(frozen=True)
class MethodScores:
    """Scores of one method by test part, with all its subjects and without each in turn.

    Attributes:
        whole: (R, J) of each part, seeds × AUs; NaN where undefined.
        without: (R, S, J) of each part, seeds × left-out subjects × AUs.
    """

    whole: tuple[FloatArray, ...]
    without: tuple[FloatArray, ...]

    @classmethod
    def of_counts(cls, method: MethodCounts, score: OfCounts) -> MethodScores:
        """Scores of counts.

        Args:
            method: Counts of the method.
            score: The metric.
        """
        counts = [part.counts for part in method.parts]
        return cls(
            tuple(score(c.sum(axis=1)) for c in counts),
            tuple(score(c.sum(axis=1, keepdims=True) - c) for c in counts),
        )

    @property
    def average(self) -> Average:
        """Scores averaged over parts, then over AUs, then over seeds (A8)."""
        return average(np.stack(self.whole, axis=1))

    def left_out(self) -> Jackknife:
        """Averages without each subject in turn: of each AU, then over AUs; NaN if no such score is known."""
        known = any(not np.isnan(without).all() for without in self.without)
        rows = []
        for number, without in enumerate(self.without):
            others = [
                np.broadcast_to(w[:, None], without.shape) for other, w in enumerate(self.whole) if other != number
            ]
            by_seed = mean_defined(np.stack([without, *others]), axis=0)
            ave = mean_defined(mean_defined(by_seed, axis=2), axis=0)
            columns = np.column_stack([mean_defined(by_seed, axis=0), ave])
            rows.append(columns if known else np.full(columns.shape, np.nan))
        parts = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        return Jackknife(np.concatenate(rows), parts)


def crossed_interval(by_seed: FloatArray, without: Jackknife) -> Interval:
    """95 % interval of an average over AUs, over subjects and trainings; NaN at both ends for one training.

    Args:
        by_seed: (R, J + 1), the scores of each seed, as in `Average`; the last column counts.
        without: The scores without each subject.
    """
    column = slice(by_seed.shape[1] - 1, None)
    terms = [over_subjects(Jackknife(without.values[:, column], without.parts)), variance_of_mean(by_seed[:, column])]
    variances, freedom = (np.stack(side) for side in zip(*terms, strict=True))
    error, total = satterthwaite(variances, freedom)
    return t_interval(float(mean_defined(by_seed[:, -1], axis=0)), float(error[0]), float(total[0]))
