"""One more training of a method: its prediction interval, and the test of a printed number against it.

A paper prints one training. It scored the same people as we do, so the spread over subjects cancels between its number
and ours; the noise of training does not. The number of one more training lies in mean ± t · s · √(1 + 1/R), with R
trainings of ours and s the standard deviation over trainings, pooled over methods.

Methods that were trained with the same seeds share a part of that noise: in our trials one seed lowers them all. That
part is estimated with R − 1 degrees of freedom, however many methods there are; the rest with (M − 1)(R − 1). The
quantile t is the mean of both quantiles, weighted by their parts of the variance (Cochran 1964), which holds the level
for any size of the shared part. Degrees of freedom of M (R − 1) would not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from benchmark.core.f1 import FloatArray, mean_defined
from benchmark.stats.bootstrap import LEVEL, Interval


@dataclass(frozen=True)
class Spread:
    """Noise of training by column, pooled over methods, as a sum of estimated variances.

    Attributes:
        variances: (K, C), K estimates for C columns; NaN where there is none.
        freedom: (K,), their degrees of freedom.
    """

    variances: FloatArray
    freedom: FloatArray

    @property
    def deviations(self) -> FloatArray:
        """(C,), standard deviation over trainings."""
        deviations: FloatArray = np.sqrt(self.variances.sum(axis=0))
        return deviations


@dataclass(frozen=True)
class Trainings:
    """Values of one method by training.

    Attributes:
        seeds: R seeds.
        values: (R, C), trainings × columns; NaN where undefined.
    """

    seeds: tuple[int, ...]
    values: FloatArray

    def of_seeds(self, seeds: Sequence[int]) -> Trainings:
        """Trainings of these seeds alone, in their order.

        Example:
            >>> Trainings((0, 2), np.array([[1.0], [3.0]])).of_seeds([2]).values
            array([[3.]])
        """
        return Trainings(tuple(seeds), self.values[[self.seeds.index(seed) for seed in seeds]])


def pooled_spread(methods: Sequence[Trainings]) -> Spread:
    """Noise of one training, pooled over methods.

    Args:
        methods: Trainings of each method.

    Returns:
        Over the seeds that all methods have, if there are two or more: the variance that they share and the rest.
        Otherwise the trainings are independent, and each method with R of them adds R − 1 degrees of freedom.

    Example:
        >>> apart = [Trainings((0, 1), np.array([[1.0], [3.0]])), Trainings((2, 3, 4), np.array([[5.0], [5.0], [5.0]]))]
        >>> spread = pooled_spread(apart)
        >>> round(float(spread.deviations[0]), 3), spread.freedom.tolist()
        (0.816, [3.0])
        >>> together = [Trainings((0, 1), np.array([[1.0], [3.0]])), Trainings((0, 1), np.array([[5.0], [5.0]]))]
        >>> spread = pooled_spread(together)
        >>> round(float(spread.deviations[0]), 3), spread.freedom.tolist()
        (1.0, [1.0, 1.0])
    """
    shared = [seed for seed in methods[0].seeds if all(seed in method.seeds for method in methods)]
    if len(methods) > 1 and len(shared) > 1:
        return _two_way(np.stack([method.of_seeds(shared).values for method in methods]))
    columns = methods[0].values.shape[1]
    squares, freedom = np.zeros(columns), 0.0
    for method in methods:
        squares += ((method.values - method.values.mean(axis=0)) ** 2).sum(axis=0)
        freedom += len(method.seeds) - 1
    variance = squares / freedom if freedom else np.full(columns, np.nan)
    return Spread(variance[None], np.array([freedom]))


def _two_way(values: FloatArray) -> Spread:
    """Shared and other noise from values (M, R, C) of methods × seeds × columns."""
    methods, seeds, _ = values.shape
    rest, freedom = paired_variance(values)
    by_seed = values.mean(axis=0)
    between = methods * ((by_seed - by_seed.mean(axis=0)) ** 2).sum(axis=0) / (seeds - 1)
    # The expectation of `between` is that of `rest` plus `methods` times the shared variance.
    return Spread(np.stack([between / methods, (methods - 1) / methods * rest]), np.array([seeds - 1.0, freedom]))


def paired_variance(values: FloatArray) -> tuple[FloatArray, float]:
    """Variance of training within a seed, pooled over methods that were trained with the same seeds.

    What all methods of a seed share cancels in a difference of two, whose variance is twice this one.

    Args:
        values: (M, R, C), methods × seeds × columns.

    Returns:
        (C,) variances, and their (M − 1)(R − 1) degrees of freedom; NaN and 0 if those are none.

    Example:
        >>> variance, freedom = paired_variance(np.array([[[1.0], [2.0]], [[3.0], [6.0]]]))
        >>> float(variance[0]), freedom
        (1.0, 1.0)
    """
    freedom = float((values.shape[0] - 1) * (values.shape[1] - 1))
    if not freedom:
        return np.full(values.shape[2], np.nan), 0.0
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean(axis=(0, 1))
    return (rest**2).sum(axis=(0, 1)) / freedom, freedom


@dataclass(frozen=True)
class Prediction:
    """The number that one more training of a method would give.

    Attributes:
        mean: Mean of our trainings.
        variances: Estimated variances whose sum is that of one more training's distance from `mean`.
        freedom: Their degrees of freedom.
        trainings: R, number of our trainings.
    """

    mean: float
    variances: tuple[float, ...]
    freedom: tuple[float, ...]
    trainings: int

    @property
    def error(self) -> float:
        """Standard error of one more training's distance from `mean`; NaN if it cannot be estimated."""
        if not all(degrees > 0 for degrees in self.freedom):
            return math.nan
        return math.sqrt(sum(self.variances))

    def _reach(self, tail: float) -> float:
        """Distance from `mean` with a probability of `tail` beyond it, on one side, in standard errors."""
        total = sum(self.variances)
        parts = [
            (v / total if total else 1 / len(self.variances), f)
            for v, f in zip(self.variances, self.freedom, strict=True)
        ]
        return sum(share * float(stdtrit(degrees, 1 - tail)) for share, degrees in parts)

    def interval(self, level: float = LEVEL) -> Interval:
        """Prediction interval; NaN at both ends if the noise cannot be estimated."""
        error = self.error
        if math.isnan(error):
            return Interval(math.nan, math.nan)
        half = error * self._reach((1 - level) / 2)
        return Interval(self.mean - half, self.mean + half)

    def p_value(self, printed: float, within: float = 0.0) -> float:
        """Two-sided p-value of the hypothesis that `printed` is one more training of the method.

        Args:
            printed: The number.
            within: Distance that is not counted, such as half of the last printed digit.

        Returns:
            The p-value: 1 − the level of the interval that just reaches the number. NaN if the noise cannot be
            estimated.

        Example:
            >>> round(Prediction(50.0, (1.0,), (10.0,), 3).p_value(52.228), 3)
            0.05
        """
        error, distance = self.error, max(abs(self.mean - printed) - within, 0.0)
        if math.isnan(error) or math.isnan(distance):
            return math.nan
        if distance == 0:
            return 1.0
        if error == 0:
            return 0.0
        # In log10 of the tail, where it is smooth; beyond 1e-12 the search ends.
        ratio = distance / error
        if self._reach(1e-12) < ratio:
            return 2e-12
        tail = brentq(lambda power: self._reach(10.0**power) - ratio, -12.0, math.log10(0.5))
        return float(2 * 10.0**tail)


def predictions(values: FloatArray, spread: Spread) -> tuple[Prediction, ...]:
    """Predictions of one more training, by column.

    Args:
        values: (R, C), our trainings × columns; NaN is left out.
        spread: Noise of training of the C columns.

    Returns:
        C predictions.

    Example:
        >>> spread = Spread(np.array([[1.0]]), np.array([4.0]))
        >>> prediction, = predictions(np.array([[1.0], [3.0]]), spread)
        >>> round(prediction.interval().half_width, 2)
        3.4
    """
    count, mean = (~np.isnan(values)).sum(axis=0), mean_defined(values, axis=0)
    made = []
    for column, trainings in enumerate(count.tolist()):
        variances = spread.variances[:, column]
        is_defined = trainings > 0 and not np.isnan(variances).any()
        widened = variances * (1 + 1 / trainings) if is_defined else variances
        degrees = tuple(spread.freedom.tolist()) if is_defined else (0.0,) * len(variances)
        made.append(Prediction(float(mean[column]), tuple(widened.tolist()), degrees, trainings))
    return tuple(made)
