"""F1 from counts, computed with NumPy alone.

F1 = 2 TP / (2 TP + FP + FN). It is undefined where neither labels nor predictions have a
positive, or no label is known. An undefined F1 is NaN here and "n/a" in reports; averages leave it out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TP, FP, FN, TN = range(4)
"""Indices of TP, FP, FN, TN in the last axis of counts."""


def f1(counts: npt.NDArray[np.int64] | FloatArray) -> FloatArray:
    """F1 of each cell of `counts` (..., >= 3), whose last axis starts with TP, FP, FN; NaN where undefined."""
    cells = np.asarray(counts, dtype=np.float64)
    hits = 2 * cells[..., TP]
    return _divide(hits, hits + cells[..., FP] + cells[..., FN])


def mean_defined(values: FloatArray, axis: int) -> FloatArray:
    """Mean over the values that are not NaN; NaN where all are NaN."""
    defined = ~np.isnan(values)
    number = np.asarray(defined.sum(axis=axis), dtype=np.float64)
    total = np.asarray(np.where(defined, values, 0.0).sum(axis=axis), dtype=np.float64)
    return _divide(total, number)


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    ratio = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio
