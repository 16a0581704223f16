"""The difference of two methods, with one interval that holds both noises: other test subjects, and other trainings.

The variance of a difference is s²_subjects + s²_trainings: the jackknife's variance over subjects, drawn within each
test part, and the variance over trainings of a mean of R of them. Both are estimates, with few degrees of freedom each;
the degrees of freedom of their sum are Satterthwaite's (1946), and intervals and p-values are Student's t. With one
training the second variance cannot be estimated, and there is no interval and no p-value.

Three trainings can be alike by luck. So the variance over trainings is the larger one of two estimates: that of the
pair, and that of all methods of the table. Alone, the first raises 7 % false alarms with three trainings where training
is most of the noise, and the second 10 % for methods that are noisier than others, however many trainings there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import nctdtrinc, stdtr, stdtrit

from benchmark.core.f1 import FloatArray, mean_defined
from benchmark.stats.bootstrap import LEVEL, Interval, Jackknife, left_out
from benchmark.stats.counts import MethodCounts, mean_over_parts

POWER = 0.8
"""Probability that a test finds a difference of the size called *detectable*."""

Pairing = Literal["by seed", "none", "fixed"]
"""Noise of trainings in a difference: of pairs with one seed each; of two methods apart; of the first method alone."""


@dataclass(frozen=True)
class Difference:
    """A difference of F1 by column: each AU, then the average; fractions.

    Attributes:
        values: (J + 1,), the difference.
        errors: (J + 1,), its standard error over subjects and trainings; NaN where it cannot be estimated.
        freedom: (J + 1,), degrees of freedom of the standard error.
        trainings: Number of trainings of each method; the smaller one if they differ.
    """

    values: FloatArray
    errors: FloatArray
    freedom: FloatArray
    trainings: int

    @property
    def ave(self) -> float:
        """Difference of the averages over AUs."""
        return float(self.values[-1])

    @property
    def per_au(self) -> FloatArray:
        """(J,), difference of each AU."""
        return self.values[:-1]

    @property
    def ave_interval(self) -> Interval:
        """95 % interval of `ave`; NaN at both ends if there is none."""
        return self.interval(-1)

    @property
    def p_values(self) -> FloatArray:
        """(J + 1,), two-sided p-values of the hypothesis that the difference is 0; NaN where there is none."""
        return t_p_values(self.values, self.errors, self.freedom)

    def interval(self, column: int, level: float = LEVEL) -> Interval:
        """Interval of a column; NaN at both ends if there is none."""
        value, error, freedom = (float(x[column]) for x in (self.values, self.errors, self.freedom))
        return t_interval(value, error, freedom, level)

    def detectable(self, column: int = -1, level: float = LEVEL, power: float = POWER) -> float:
        """Smallest true difference that the test finds with this power; NaN if there is no test.

        Example:
            >>> three = Difference(np.zeros(1), np.array([1.0]), np.array([8.0]), 5)
            >>> round(three.detectable(), 2)
            3.2
        """
        error, freedom = float(self.errors[column]), float(self.freedom[column])
        if math.isnan(error) or math.isnan(freedom):
            return math.nan
        critical = float(stdtrit(freedom, (1 + level) / 2))
        # The other tail is negligible: with a true difference of this size, the wrong sign is never significant.
        return error * float(nctdtrinc(freedom, 1 - power, critical))


def t_interval(value: float, error: float, freedom: float, level: float = LEVEL) -> Interval:
    """Student's interval; NaN at both ends without a standard error.

    Example:
        >>> interval = t_interval(1.0, 0.5, 10)
        >>> round(interval.low, 2), round(interval.high, 2)
        (-0.11, 2.11)
    """
    half = error * float(stdtrit(freedom, (1 + level) / 2)) if freedom > 0 else math.nan
    return Interval(value - half, value + half)


def t_p_values(values: FloatArray, errors: FloatArray, freedom: FloatArray) -> FloatArray:
    """Two-sided p-values of the hypothesis that the true values are 0.

    Args:
        values: (C,), estimates.
        errors: (C,), their standard errors; NaN for none.
        freedom: (C,), degrees of freedom of the errors.

    Returns:
        (C,), NaN without a standard error. A value of 0 without any spread has p = 1.

    Example:
        >>> t_p_values(np.array([2.228]), np.array([1.0]), np.array([10.0])).round(3)
        array([0.05])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(values == 0, np.where(np.isnan(errors), np.nan, 0.0), np.abs(values) / errors)
        p: FloatArray = 2 * stdtr(freedom, -ratio)
    return np.where(np.isnan(errors), np.nan, p)


@dataclass(frozen=True)
class PairedNoise:
    """Variance of training within a seed, pooled over methods.

    Attributes:
        variance: (J + 1,), of one method and one training; a difference of two methods has twice as much.
        freedom: Degrees of freedom; 0 for none.
    """

    variance: FloatArray
    freedom: float


def difference(
    a: MethodCounts, b: MethodCounts, pairing: Pairing = "by seed", pooled: PairedNoise | None = None
) -> Difference:
    """F1 of `a` − F1 of `b`, with the noise of subjects and of trainings.

    Args:
        a: Counts of one method.
        b: Counts of the other, on the same AUs, parts and subjects.
        pairing: `by seed`: both have the same seeds, and noise that both trainings of a seed share cancels. `none`:
            trainings are independent, as between machines. `fixed`: `b` is not trained.
        pooled: Noise of training of all methods, for pairs by seed; None if there are no other methods.

    Returns:
        The difference as a fraction.

    Raises:
        ValueError: AUs, parts, subjects, or the seeds to pair differ.
    """
    if a.aus != b.aus:
        raise ValueError(f"cannot pair AUs {a.aus} with {b.aus}")
    if [(p.part, p.subjects) for p in a.parts] != [(p.part, p.subjects) for p in b.parts]:
        raise ValueError(f"cannot pair: parts {a.part_names} and {b.part_names}, or their subjects, differ")
    if pairing == "by seed" and a.seeds != b.seeds:
        raise ValueError(f"cannot pair seeds {a.seeds} with {b.seeds}")
    ours, theirs = mean_over_parts(a).by_seed, mean_over_parts(b).by_seed
    return difference_of_scores(ours, theirs, left_out(a) - left_out(b), pairing, pooled)


def difference_of_scores(
    ours: FloatArray,
    theirs: FloatArray,
    without: Jackknife,
    pairing: Pairing = "by seed",
    pooled: PairedNoise | None = None,
) -> Difference:
    """The `difference` of two methods from their scores.

    Args:
        ours: (R, C), trainings of one method × columns; NaN is left out.
        theirs: (R', C), the same of the other; R' = R for pairs by seed.
        without: The difference of their means without each subject, (S, C).
        pairing: As for `difference`.
        pooled: As for `difference`.

    Returns:
        The difference of each column, in the unit of the scores.

    Example:
        >>> a, b = np.array([[0.75], [0.75]]), np.array([[0.5], [0.25]])
        >>> without = Jackknife(np.array([[0.25], [0.5]]), np.array([0, 0]))
        >>> difference_of_scores(a, b, without).values.tolist()
        [0.375]
    """
    over_trainings = _over_trainings(ours, theirs, pairing)
    if pairing == "by seed" and pooled is not None:
        over_trainings = [larger(over_trainings[0], pooled, 2 / len(ours))]
    terms = [over_subjects(without), *over_trainings]
    variances, freedom = (np.stack(side) for side in zip(*terms, strict=True))
    errors, total = satterthwaite(variances, freedom)
    trainings = len(ours) if pairing == "fixed" else min(len(ours), len(theirs))
    return Difference(mean_defined(ours, axis=0) - mean_defined(theirs, axis=0), errors, total, trainings)


def satterthwaite(variances: FloatArray, freedom: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Standard error of a sum of estimated variances, and its degrees of freedom (Satterthwaite 1946).

    Args:
        variances: (K, C), K independent estimates for C columns.
        freedom: (K, C), their degrees of freedom; an estimate with none makes the sum undefined.

    Returns:
        Standard errors and degrees of freedom, (C,) each; NaN where undefined.

    Example:
        >>> error, freedom = satterthwaite(np.array([[3.0], [1.0]]), np.array([[10.0], [2.0]]))
        >>> float(error[0]), round(float(freedom[0]), 2)
        (2.0, 11.43)
    """
    total = variances.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = (variances**2 / freedom).sum(axis=0)
        # Without any spread every estimate agrees, and the degrees of freedom add up.
        summed = np.where(total == 0, freedom.sum(axis=0), total**2 / below)
    defined = (freedom > 0).all(axis=0) & ~np.isnan(total)
    return np.where(defined, np.sqrt(total), np.nan), np.where(defined, summed, np.nan)


def _over_trainings(ours: FloatArray, theirs: FloatArray, pairing: Pairing) -> list[tuple[FloatArray, FloatArray]]:
    """Variances of means over trainings, (J + 1,) each, and their degrees of freedom; values are (R, J + 1)."""
    if pairing == "by seed":
        return [variance_of_mean(ours - theirs)]
    if pairing == "fixed":
        return [variance_of_mean(ours)]
    return [variance_of_mean(ours), variance_of_mean(theirs)]


def larger(variance: tuple[FloatArray, FloatArray], pooled: PairedNoise, share: float) -> tuple[FloatArray, FloatArray]:
    """The larger one of two estimates of a variance over trainings, by column, with its degrees of freedom.

    Args:
        variance: The estimate of a pair, and its degrees of freedom, (C,) each.
        pooled: Noise of training of all methods.
        share: Factor on the pooled variance.

    Returns:
        (C,) each; the estimate of the pair where the other one, or itself, is undefined.

    Example:
        >>> pooled = PairedNoise(np.array([4.0, 4.0]), 8.0)
        >>> variance, freedom = larger((np.array([1.0, 5.0]), np.array([2.0, 2.0])), pooled, 0.5)
        >>> variance.tolist(), freedom.tolist()
        ([2.0, 5.0], [8.0, 2.0])
    """
    of_pair, freedom = variance
    other = share * pooled.variance
    takes = (freedom > 0) & (pooled.freedom > 0) & (other > of_pair)  # False for NaN
    return np.where(takes, other, of_pair), np.where(takes, pooled.freedom, freedom)


def over_subjects(without: Jackknife) -> tuple[FloatArray, FloatArray]:
    """Jackknife variance over subjects, drawn within each part (Efron & Stein 1981), and its degrees of freedom.

    Args:
        without: Values without each subject, (S, C).

    Returns:
        (C,) each; NaN and 0 for fewer than two defined values in a part.

    Example:
        >>> variance, freedom = over_subjects(Jackknife(np.array([[1.0], [3.0]]), np.array([0, 0])))
        >>> float(variance[0]), float(freedom[0])
        (1.0, 1.0)
    """
    variance, freedom = np.zeros(without.values.shape[1]), np.zeros(without.values.shape[1])
    for part in np.unique(without.parts):
        values = without.values[without.parts == part]
        count = (~np.isnan(values)).sum(axis=0)
        several = count > 1
        mean = np.where(several, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)
        squares = np.where(several, np.nansum((values - mean) ** 2, axis=0), np.nan)
        variance += squares * (count - 1) / np.maximum(count, 1)
        freedom += np.maximum(count - 1, 0)
    return variance, np.where(np.isnan(variance), 0.0, freedom)


def variance_of_mean(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Variance of a mean over trainings, and its degrees of freedom.

    Args:
        values: (R, C), trainings × columns; NaN is left out.

    Returns:
        (C,) each; NaN and 0 for fewer than two values.

    Example:
        >>> variance, freedom = variance_of_mean(np.array([[1.0], [3.0]]))
        >>> float(variance[0]), float(freedom[0])
        (1.0, 1.0)
    """
    count = (~np.isnan(values)).sum(axis=0)
    several = count > 1
    mean = np.where(several, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(several, np.nansum((values - mean) ** 2, axis=0), np.nan)
    return squares / np.maximum(count * (count - 1), 1), np.where(several, count - 1.0, 0.0)
