"""Statistics of ranks."""

from __future__ import annotations

import math

import numpy as np

from benchmark.core.f1 import FloatArray


def mann_whitney_auc(positive: FloatArray, negative: FloatArray) -> float:
    """Probability that a value of `positive` is above a value of `negative`; ties count half (Mann-Whitney).

    Args:
        positive: (N,) values.
        negative: (M,) values.

    Returns:
        The area under the ROC curve; NaN if either has no value.

    Example:
        >>> mann_whitney_auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
        0.875
    """
    ranks = _ranks(np.concatenate([positive, negative]))
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def spearman(a: FloatArray, b: FloatArray) -> float:
    """Spearman's rank correlation, with mean ranks for ties.

    Args:
        a: (N,) values.
        b: (N,) values.

    Returns:
        The correlation; NaN if one of the two is constant, or with fewer than two values.

    Example:
        >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
        1.0
    """
    if len(a) < 2:
        return math.nan
    one, other = (ranks - ranks.mean() for ranks in map(_ranks, (a, b)))
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / scale) if scale > 0 else math.nan


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; tied values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: FloatArray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return means
