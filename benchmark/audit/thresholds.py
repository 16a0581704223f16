"""F1 of every threshold, from sorted scores, and the thresholds that are best on labelled frames.

An AU is active above its threshold. Frames whose label is unknown count for nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmark.core.f1 import FloatArray, f1, mean_defined

Labels = npt.NDArray[np.int8]

DEFAULT = 0.0
"""Logit of the default threshold, a probability of 0.5 (A16)."""


def f1_by_threshold(scores: FloatArray, labels: Labels) -> tuple[FloatArray, FloatArray]:
    """F1 of every threshold that gives other predictions than the next one.

    Args:
        scores: (N,), finite.
        labels: (N,): 0, 1, or −1 for unknown.

    Returns:
        Thresholds (C + 1,), falling: above all C distinct scores, between them, and below all. And their F1, (C + 1,),
        NaN where neither a label nor a prediction is positive.

    Example:
        >>> thresholds, values = f1_by_threshold(np.array([3.0, 1.0, 2.0]), np.array([1, 0, 1], dtype=np.int8))
        >>> thresholds.tolist(), values.round(2).tolist()
        ([inf, 2.5, 1.5, -inf], [0.0, 0.67, 1.0, 0.8])
    """
    known = labels >= 0
    order = np.argsort(-scores[known], kind="stable")
    ranked, positive = scores[known][order].astype(np.float64), labels[known][order] == 1
    # The last frame of each distinct score: frames with one score are active together.
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, dtype=np.int64)
    hits = np.append(0, np.cumsum(positive)[last])
    active = np.append(0, last + 1)
    distinct = ranked[last]
    between = (distinct[1:] + distinct[:-1]) / 2
    ends = ([np.inf], between, [-np.inf]) if len(distinct) else ([np.inf],)
    counts = np.stack([hits, active - hits, positive.sum() - hits], axis=-1)
    return np.concatenate(ends), f1(counts)


def best_thresholds(scores: FloatArray, labels: Labels) -> FloatArray:
    """Best threshold of each AU on labelled frames; the default one where no known label is positive.

    Of equally good ones that nearest to the default is taken.

    Args:
        scores: (N, J), frames × AUs.
        labels: (N, J).

    Returns:
        (J,) thresholds.

    Example:
        >>> best_thresholds(np.array([[3.0], [1.0], [2.0]]), np.array([[1], [0], [1]], dtype=np.int8)).tolist()
        [1.5]
    """
    chosen = np.full(scores.shape[1], DEFAULT)
    for au in np.flatnonzero((labels == 1).any(axis=0)):
        thresholds, values = f1_by_threshold(scores[:, au], labels[:, au])
        at_default = values[_place(scores[:, au], labels[:, au], np.array([DEFAULT]))]
        chosen[au] = _nearest(np.append(thresholds, DEFAULT), np.append(values, at_default))
    return chosen


def best_common_threshold(scores: FloatArray, labels: Labels) -> tuple[float, float]:
    """Threshold that gives the best average F1 if all AUs have it, and that average.

    Args:
        scores: (N, J), frames × AUs.
        labels: (N, J).

    Returns:
        The threshold, nearest to the default of equally good ones, and the average over AUs, NaN if none is defined.

    Example:
        >>> best_common_threshold(np.array([[3.0], [1.0], [2.0]]), np.array([[1], [0], [1]], dtype=np.int8))
        (1.5, 1.0)
    """
    curves = [f1_by_threshold(scores[:, au], labels[:, au]) for au in range(scores.shape[1])]
    # Every AU's F1 is a step function of the threshold, so its own thresholds hold all the steps.
    common = np.unique(np.concatenate([thresholds for thresholds, _ in curves] + [[DEFAULT]]))
    # `thresholds` fall: the place of a common one among them is that of the scores above it.
    steps = [values[_place(scores[:, au], labels[:, au], common)] for au, (_, values) in enumerate(curves)]
    averages = mean_defined(np.stack(steps), axis=0)
    if np.isnan(averages).all():
        return DEFAULT, float("nan")
    threshold = _nearest(common, averages)
    return threshold, float(np.nanmax(averages))


def _place(scores: FloatArray, labels: Labels, thresholds: FloatArray) -> npt.NDArray[np.int64]:
    """Number of distinct known scores above each threshold."""
    distinct = np.unique(scores[labels >= 0].astype(np.float64))
    place: npt.NDArray[np.int64] = len(distinct) - np.searchsorted(distinct, thresholds, side="right")
    return place


def _nearest(thresholds: FloatArray, values: FloatArray) -> float:
    """Of the thresholds with the largest value that nearest to the default."""
    best = thresholds[values == np.nanmax(values)]
    return float(best[np.argmin(np.abs(best - DEFAULT))])


def average_f1(active: npt.NDArray[np.bool_], labels: Labels) -> float:
    """Average over AUs of the F1 of predictions (N, J); NaN if it is undefined for every AU.

    Example:
        >>> average_f1(np.array([[True], [True]]), np.array([[1], [0]], dtype=np.int8))
        0.6666666666666666
    """
    known, truth = labels >= 0, labels == 1
    cells = (active & truth, active & ~truth & known, ~active & truth)
    return float(mean_defined(f1(np.stack([cell.sum(axis=0) for cell in cells], axis=-1)), axis=0))
