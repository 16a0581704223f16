"""One more training of a method: its prediction interval, and the test of a printed number against it.

A paper prints one training. It scored the same people as we do, so the spread over subjects cancels between its number
and ours; the noise of training does not. The number of one more training lies in mean ± t · s · √(1 + 1/R), with R
trainings of ours and s the standard deviation over trainings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from benchmark.core.f1 import FloatArray, mean_defined
from benchmark.stats.bootstrap import LEVEL, Interval


@dataclass(frozen=True)
class Spread:
    """Noise of training by column, pooled over methods.

    Attributes:
        deviations: (C,), standard deviation over trainings; NaN with no degree of freedom.
        freedom: (C,), degrees of freedom.
    """

    deviations: FloatArray
    freedom: FloatArray


def pooled_spread(methods: Sequence[FloatArray]) -> Spread:
    """Standard deviation over trainings, pooled over methods.

    Args:
        methods: Values (R, C) of each method, trainings × columns; R may differ. NaN is left out.

    Returns:
        The spread; each method with R values adds R − 1 degrees of freedom.

    Example:
        >>> spread = pooled_spread([np.array([[1.0], [3.0]]), np.array([[5.0], [5.0], [5.0]])])
        >>> round(float(spread.deviations[0]), 3), int(spread.freedom[0])
        (0.816, 3)
    """
    columns = methods[0].shape[1]
    squares, freedom = np.zeros(columns), np.zeros(columns)
    for values in methods:
        count = (~np.isnan(values)).sum(axis=0)
        squares += np.nansum((values - mean_defined(values, axis=0)) ** 2, axis=0)
        freedom += np.maximum(count - 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Spread(np.where(freedom > 0, np.sqrt(squares / freedom), np.nan), freedom)


@dataclass(frozen=True)
class Prediction:
    """The number that one more training of a method would give.

    Attributes:
        mean: Mean of our trainings.
        error: Standard error of one more training's distance from `mean`; NaN with no degree of freedom.
        freedom: Degrees of freedom of `error`.
        trainings: R, number of our trainings.
    """

    mean: float
    error: float
    freedom: float
    trainings: int

    def interval(self, level: float = LEVEL) -> Interval:
        """Prediction interval; NaN at both ends with no degree of freedom."""
        if not self.freedom > 0:
            return Interval(math.nan, math.nan)
        half = self.error * float(stdtrit(self.freedom, (1 + level) / 2))
        return Interval(self.mean - half, self.mean + half)

    def p_value(self, printed: float, within: float = 0.0) -> float:
        """Two-sided p-value of the hypothesis that `printed` is one more training of the method.

        Args:
            printed: The number.
            within: Distance that is not counted, such as half of the last printed digit.

        Returns:
            The p-value; NaN with no degree of freedom.

        Example:
            >>> round(Prediction(50.0, 1.0, 10.0, 3).p_value(52.228), 3)
            0.05
        """
        distance = max(abs(self.mean - printed) - within, 0.0)
        if not self.freedom > 0 or math.isnan(distance):
            return math.nan
        if distance == 0:
            return 1.0
        return float(2 * stdtr(self.freedom, -distance / self.error)) if self.error > 0 else 0.0


def predictions(values: FloatArray, spread: Spread) -> tuple[Prediction, ...]:
    """Predictions of one more training, by column.

    Args:
        values: (R, C), our trainings × columns; NaN is left out.
        spread: Noise of training of the C columns.

    Returns:
        C predictions.

    Example:
        >>> prediction, = predictions(np.array([[1.0], [3.0]]), Spread(np.array([1.0]), np.array([4.0])))
        >>> round(prediction.interval().half_width, 2)
        3.4
    """
    count, mean = (~np.isnan(values)).sum(axis=0), mean_defined(values, axis=0)
    with np.errstate(divide="ignore"):
        errors = spread.deviations * np.sqrt(1 + 1 / count)
    return tuple(
        Prediction(float(m), float(e), float(f) if n else 0.0, int(n))
        for m, e, f, n in zip(mean, errors, spread.freedom, count, strict=True)
    )


def paired_variance(methods: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Variance of training within a seed, pooled over methods that were trained with the same seeds.

    What all methods of a seed share cancels in a difference of two, whose variance is twice this one.

    Args:
        methods: Values (R, C) of each of M methods, trainings × columns, in the same order of seeds.

    Returns:
        (C,) variances, and their (M − 1)(R − 1) degrees of freedom; NaN and 0 where a value is undefined.

    Example:
        >>> variance, freedom = paired_variance([np.array([[1.0], [2.0]]), np.array([[3.0], [6.0]])])
        >>> float(variance[0]), float(freedom[0])
        (2.25, 1.0)
    """
    values = np.stack(methods)  # (M, R, C)
    freedom = float((values.shape[0] - 1) * (values.shape[1] - 1))
    columns = values.shape[2]
    if freedom < 1:
        return np.full(columns, np.nan), np.zeros(columns)
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean(axis=(0, 1))
    variance = (rest**2).sum(axis=(0, 1)) / freedom
    return variance, np.where(np.isnan(variance), 0.0, freedom)
