"""Metrics of AU detection from confusion counts, and what a detector without skill gets under each.

scikit-learn has most of them for labels and predictions of single frames. Intervals over subjects need them for some
hundred thousand cells of counts at once, so here they are functions of arrays of counts; tests compare both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.core.f1 import FN, FP, TN, TP, FloatArray, IntArray, f1
from benchmark.stats.counts import always_positive

OfCounts = Callable[[IntArray], FloatArray]
"""Function of counts (..., J, 4) to scores (..., J), or (..., 1) for one score of all AUs; NaN where undefined."""


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: Short name.
        title: Name for readers.
        meaning: Meaning for readers.
        of_counts: Score from counts; None for a metric of the ranking, which counts do not give.
        of_random_ranking: Score of a random ranking of the frames, (J,), from counts; None for a metric of counts.
    """

    name: str
    title: str
    meaning: str
    of_counts: OfCounts | None = None
    of_random_ranking: OfCounts | None = None

    def without_skill(self, counts: IntArray) -> FloatArray:
        """Score of a detector without skill: it finds every AU in every frame, or ranks the frames at random.

        Args:
            counts: (..., J, 4) of any detector on the same labels.
        """
        if self.of_random_ranking is not None:
            return self.of_random_ranking(counts)
        assert self.of_counts is not None
        return self.of_counts(always_positive(counts))


def skew_normalised_f1(counts: IntArray) -> FloatArray:
    """F1 as if positives and negatives were equally many (Jeni, Cohn and De la Torre, ACII 2013).

    With the rates of true and false positives, it is 2 TPR / (TPR + FPR + 1). NaN where a label has one value only.
    """
    hit, false = _rates(counts)
    return 2 * hit / (hit + false + 1)


def balanced_accuracy(counts: IntArray) -> FloatArray:
    """Mean of the shares of positives and of negatives that are right; NaN where a label has one value only."""
    hit, false = _rates(counts)
    return (hit + 1 - false) / 2


def matthews(counts: IntArray) -> FloatArray:
    """Matthews' correlation of labels and predictions, −1 to 1.

    NaN where labels, or both labels and predictions, have one value only; 0 where only the predictions have.
    """
    tp, fp, fn, tn = _cells(counts)
    labels = (tp + fn) * (fp + tn)
    below = np.sqrt(labels * (tp + fp) * (fn + tn))
    return np.where(labels > 0, np.divide(tp * tn - fp * fn, below, out=np.zeros(below.shape), where=below > 0), np.nan)


def micro_f1(counts: IntArray) -> FloatArray:
    """F1 of all AUs' decisions together, (..., 1); frequent AUs weigh more."""
    return f1(np.asarray(counts).sum(axis=-2, keepdims=True))


def base_rates(counts: IntArray) -> FloatArray:
    """Share of positives among known labels, (..., J); NaN where no label is known.

    Example:
        >>> base_rates(np.array([[1, 2, 0, 1]])).tolist()
        [0.25]
    """
    tp, fp, fn, tn = _cells(counts)
    return _ratio(tp + fn, tp + fp + fn + tn)


def _rates(counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Rates of true and of false positives; both NaN where a label has one value only."""
    tp, fp, fn, tn = _cells(counts)
    hit, false = _ratio(tp, tp + fn), _ratio(fp, fp + tn)
    return hit + 0 * false, false + 0 * hit  # NaN in one makes both NaN


def _cells(counts: IntArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    cells = np.asarray(counts, dtype=np.float64)
    return cells[..., TP], cells[..., FP], cells[..., FN], cells[..., TN]


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    ratio: FloatArray = np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)
    return ratio


F1 = Metric(
    "f1", "F1", "the paper's metric; a detector that always fires gets more where an AU is common", of_counts=f1
)
METRICS: tuple[Metric, ...] = (
    F1,
    Metric(
        "f1_skew",
        "F1, skew-normalised",
        "F1 as if every AU were in half of the frames, so that AUs and datasets with other base rates compare",
        of_counts=skew_normalised_f1,
    ),
    Metric(
        "f1_micro",
        "F1 micro",
        "one F1 of all AUs' decisions together: common AUs decide it, rare ones hardly count",
        of_counts=micro_f1,
    ),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        "mean of sensitivity and specificity; no base rate in it",
        of_counts=balanced_accuracy,
    ),
    Metric("mcc", "MCC", "correlation of labels and predictions, -100 to 100; all four counts matter", matthews),
    Metric(
        "auc",
        "AUC",
        "the ranking of the frames alone: no threshold and no base rate in it",
        of_random_ranking=lambda counts: np.where(np.isnan(base_rates(counts)), np.nan, 0.5),
    ),
    Metric(
        "ap",
        "average precision",
        "the ranking, with weight on its top; a random ranking gets the base rate",
        of_random_ranking=base_rates,
    ),
)
"""All metrics, in the order of the tables."""
