"""Several tests at once (Holm 1979), and the test that two methods are practically the same (Schuirmann 1987)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr

from benchmark.core.f1 import FloatArray


def holm(p_values: Sequence[float] | FloatArray, *, planned: bool = False) -> FloatArray:
    """p-values adjusted for their number by the step-down rule of Holm (1979).

    A hypothesis whose adjusted p-value is at most α is rejected; the chance that any true one is rejected is then at
    most α, whatever the dependence of the tests.

    Args:
        p_values: (K,), p-values between 0 and 1, NaN where undefined. NaN stays NaN.
        planned: Whether a p-value that is NaN counts as a test: one that was planned and not made does not make the
            others easier.

    Returns:
        (K,), adjusted p-values, at most 1.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
        [0.03, 0.06, 0.06]
        >>> holm([0.01, float("nan")]).tolist(), holm([0.01, float("nan")], planned=True).tolist()
        ([0.01, nan], [0.02, nan])
    """
    p = np.asarray(p_values, dtype=float)
    defined = np.flatnonzero(~np.isnan(p))
    order = defined[np.argsort(p[defined], kind="stable")]
    factors = (len(p) if planned else len(order)) - np.arange(len(order))
    adjusted = np.full_like(p, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return adjusted


def equivalence_p(value: float, error: float, freedom: float, margin: float) -> float:
    """p-value of two one-sided t-tests that a true difference lies outside -`margin` to `margin`.

    It is below α if and only if the interval of level 1 - 2α lies within the margin.

    Args:
        value: Estimate of the difference.
        error: Its standard error; NaN for none.
        freedom: Degrees of freedom of the error.
        margin: Largest difference that counts as practically none, in the unit of `value`.

    Returns:
        The larger one of the two p-values; NaN without a standard error.

    Raises:
        ValueError: The margin is not above 0.

    Example:
        >>> round(equivalence_p(0.0, 1.0, 10, 1.812), 3)
        0.05
    """
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, and is {margin}")
    if math.isnan(error) or not freedom > 0:
        return math.nan
    if error == 0:
        return 0.0 if abs(value) < margin else 1.0
    return float(stdtr(freedom, (abs(value) - margin) / error))
