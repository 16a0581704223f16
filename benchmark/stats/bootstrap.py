"""The paired bootstrap over subjects, the jackknife, and intervals from them.

Subjects are resampled within each test part. Intervals are bias-corrected and accelerated (Efron 1987), with Student's
t in place of the normal distribution, since there are few subjects.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from benchmark.core.f1 import FN, FP, TP, FloatArray, IntArray, f1, mean_defined
from benchmark.stats.counts import MethodCounts

DRAWS = 10_000
"""Draws of the bootstrap."""
LEVEL = 0.95
"""Coverage of an interval."""
CACHED = 1 << 16
"""Values per block of draws, few enough for the processor's cache."""
SEED = 2105_06620
"""Seed of the bootstrap; fixed, so that a report is reproducible."""

T = TypeVar("T")


@dataclass(frozen=True)
class Interval:
    """An interval.

    Attributes:
        low: Lower end; NaN if the interval is undefined.
        high: Upper end; NaN if the interval is undefined.
    """

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the ends."""
        return (self.high - self.low) / 2

    def holds(self, value: float, within: float = 0.0) -> bool:
        """Whether a value is in the interval, or outside by at most `within`.

        Example:
            >>> Interval(1.0, 2.0).holds(2.5), Interval(1.0, 2.0).holds(2.5, within=0.5)
            (False, True)
        """
        return self.low - within <= value <= self.high + within


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws of a score.

    Attributes:
        per_au: (D, J), draws × AUs.
        ave: (D,), average over AUs of each draw.
    """

    per_au: FloatArray
    ave: FloatArray

    def __sub__(self, other: Draws) -> Draws:
        return Draws(self.per_au - other.per_au, self.ave - other.ave)

    @property
    def columns(self) -> FloatArray:
        """(D, J + 1), draws of each AU, then of the average."""
        return np.column_stack([self.per_au, self.ave])


@dataclass(frozen=True)
class Jackknife:
    """A score without each subject in turn.

    Attributes:
        values: (S, J + 1), subjects × AUs; the last column is the average over AUs.
        parts: (S,), number of each subject's part.
    """

    values: FloatArray
    parts: IntArray

    @property
    def of_average(self) -> FloatArray:
        """(S,), average over AUs without each subject."""
        return self.values[:, -1]

    def __sub__(self, other: Jackknife) -> Jackknife:
        return Jackknife(self.values - other.values, self.parts)


@lru_cache(maxsize=8)
def subject_weights(sizes: tuple[int, ...], draws: int = DRAWS, seed: int = SEED) -> tuple[FloatArray, ...]:
    """Number of times that each subject is drawn.

    Subjects are resampled within each part, since the parts are fixed. Datasets with other sizes get independent
    draws.

    Args:
        sizes: Number of subjects of each part.
        draws: D, number of draws.
        seed: Seed of the draws.

    Returns:
        One read-only (D, S) matrix per part; each row sums to S.

    Example:
        >>> (weights,) = subject_weights((3,), draws=2)
        >>> weights.sum(axis=1)
        array([3., 3.])
    """
    generator = np.random.default_rng([seed, *sizes])
    weights = []
    for size in sizes:
        drawn = generator.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)
        drawn.flags.writeable = False  # the cache gives all methods the same array
        weights.append(drawn)
    return tuple(weights)


def bootstrap(method: MethodCounts, draws: int = DRAWS, seed: int = SEED) -> Draws:
    """F1 (mean over parts) of resampled subjects.

    Two methods with the same parts and subjects get the same resamples, so their draws can be subtracted.
    If the F1 of a cell is undefined in a draw, the averages of that draw leave the cell out.

    Args:
        method: Counts of the method.
        draws: D, number of draws.
        seed: Seed of the draws.

    Returns:
        Draws of F1 as a fraction.
    """
    weights = subject_weights(tuple(len(part.subjects) for part in method.parts), draws, seed)
    ratios = [_ratio(part.counts) for part in method.parts]
    seeds, aus = len(method.seeds), len(method.aus)
    block = min(draws, max(1, CACHED // (seeds * aus)))
    per_au, ave = np.empty((draws, aus)), np.empty(draws)
    # One matrix product per part and block: an array of draws × subjects × AUs would not fit into the processor's
    # cache, and new memory for each block would cost more than the arithmetic.
    parts = np.empty((len(ratios), block, seeds * aus))
    for first in range(0, draws, block):
        drawn = slice(first, min(first + block, draws))
        f1_of_parts = parts[:, : drawn.stop - first]
        for w, (above, below), out in zip(weights, ratios, f1_of_parts, strict=True):
            _resampled_f1(w[drawn], above, below, out)
        per_au[drawn], ave[drawn] = _means(f1_of_parts.reshape(len(ratios), -1, seeds, aus))
    return Draws(per_au, ave)


def _ratio(counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Numerator and denominator of F1 from counts (R, S, J, 4): (S, R × J) each."""
    cells = np.moveaxis(counts, 1, 0).reshape(counts.shape[1], -1, counts.shape[3]).astype(np.float64)
    hits = 2 * cells[..., TP]
    return hits, hits + cells[..., FP] + cells[..., FN]


def _resampled_f1(weights: FloatArray, above: FloatArray, below: FloatArray, out: FloatArray) -> None:
    """Fill `out` (D, N) with F1 of numerators and denominators (S, N), summed over subjects with weights (D, S).

    NaN where undefined.
    """
    np.matmul(weights, above, out=out)
    with np.errstate(invalid="ignore"):
        np.divide(out, weights @ below, out=out)


def _means(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means over parts and seeds of values (P, D, R, J): (D, J) of each AU, (D,) of their average."""
    parts, _, seeds, aus = values.shape
    by_seed = values.sum(axis=0)
    # Products with ones are ten times as fast as sums.
    per_au, ave = np.ones(seeds) @ by_seed, (by_seed @ np.ones(aus)) @ np.ones(seeds)
    if np.isnan(ave).any():  # undefined values are left out of each mean
        by_seed = mean_defined(values, axis=0)
        return mean_defined(by_seed, axis=1), mean_defined(mean_defined(by_seed, axis=2), axis=1)
    return per_au / (parts * seeds), ave / (parts * seeds * aus)


def jackknife(method: MethodCounts) -> Jackknife:
    """F1 (mean over parts) without each subject in turn.

    Args:
        method: Counts of the method.

    Returns:
        F1 as a fraction.
    """
    by_seed, parts = jackknife_by_seed(method)
    return Jackknife(mean_defined(by_seed, axis=1), parts)


def jackknife_by_seed(method: MethodCounts) -> tuple[FloatArray, IntArray]:
    """F1 (mean over parts) of each training without each subject in turn.

    Args:
        method: Counts of the method.

    Returns:
        (S, R, J + 1), subjects × seeds × AUs, F1 as a fraction, whose last column is the average over AUs; and (S,),
        number of each subject's part.
    """
    whole = [f1(part.counts.sum(axis=1)) for part in method.parts]  # (R, J) each
    rows = []
    for p, part in enumerate(method.parts):
        without = f1(part.counts.sum(axis=1, keepdims=True) - part.counts)  # (R, S, J)
        others = [np.broadcast_to(w[:, None], without.shape) for i, w in enumerate(whole) if i != p]
        by_seed = mean_defined(np.stack([without, *others]), axis=0)
        ave = mean_defined(by_seed, axis=2)
        rows.append(np.concatenate([by_seed, ave[..., None]], axis=2).swapaxes(0, 1))
    parts = np.repeat(np.arange(len(method.parts)), [len(part.subjects) for part in method.parts])
    return np.concatenate(rows), parts


def resampled(method: MethodCounts) -> Draws:
    """`bootstrap(method)`, computed once per object.

    Args:
        method: Counts of the method.

    Returns:
        The draws; later calls return the same object.
    """
    return _once(method, "_resampled", bootstrap)


def draws_of(method: MethodCounts, draws: int = DRAWS, seed: int = SEED) -> Draws:
    """Draws of a method; those with the usual number and seed are kept for the next comparison.

    Args:
        method: Counts of the method.
        draws: Number of draws.
        seed: Seed of the draws.

    Returns:
        Draws of F1 as a fraction.
    """
    return resampled(method) if (draws, seed) == (DRAWS, SEED) else bootstrap(method, draws, seed)


def left_out(method: MethodCounts) -> Jackknife:
    """`jackknife(method)`, computed once per object.

    Args:
        method: Counts of the method.

    Returns:
        The scores; later calls return the same object.
    """
    return _once(method, "_left_out", jackknife)


def _once(method: MethodCounts, name: str, compute: Callable[[MethodCounts], T]) -> T:
    """A value that is kept on the object, so that it goes when the counts go.

    Not a `cached_property`: up to Python 3.11 it has one lock for all objects, and threads would wait for each other.
    """
    kept = vars(method)
    if name not in kept:
        kept[name] = compute(method)
    value: T = kept[name]
    return value


def percentile_interval(draws: FloatArray, level: float = LEVEL) -> Interval:
    """Percentile interval of draws; undefined draws are left out.

    Args:
        draws: (D,), NaN where undefined.
        level: Coverage.

    Returns:
        The interval; NaN at both ends if no draw is defined.

    Example:
        >>> interval = percentile_interval(np.arange(101.0), level=0.9)
        >>> round(interval.low), round(interval.high)
        (5, 95)
    """
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bca_interval(
    draws: FloatArray, point: float, without: FloatArray, parts: IntArray, level: float = LEVEL
) -> Interval:
    """Bias-corrected and accelerated interval (Efron 1987) for subjects drawn within parts, expanded for few subjects.

    F1 is not linear in the counts: resamples have a lower F1 more often than a higher one, so percentile intervals
    are too low. The bias correction moves them back. Resamples also vary less than samples, above all with few
    subjects; `_quantile` corrects for that.

    Args:
        draws: (D,), NaN where undefined.
        point: Value of the whole sample.
        without: (S,), value without each subject.
        parts: (S,), part of each subject.
        level: Coverage.

    Returns:
        The interval. NaN at both ends if no draw is defined or the value is undefined. The percentile interval if all
        draws are on one side of the value, or the value depends on no subject.
    """
    terms = _Bca.from_draws(draws, point, without, parts)
    if terms is None:
        undefined = math.isnan(point) or np.isnan(draws).all()
        return Interval(math.nan, math.nan) if undefined else percentile_interval(draws, level)
    reach = _quantile(terms.subjects, terms.parts, level)
    low, high = np.quantile(terms.draws, [terms.share(terms.shift + way * reach) for way in (-1, 1)])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class _Bca:
    """Terms of a bias-corrected and accelerated interval.

    Attributes:
        draws: (D,), the defined draws.
        shift: Bias correction: z of the share of draws below the value.
        acceleration: Acceleration, from the skewness of the influence values.
        subjects: Number of subjects.
        parts: Number of parts.
    """

    draws: FloatArray
    shift: float
    acceleration: float
    subjects: int
    parts: int

    @classmethod
    def from_draws(cls, draws: FloatArray, point: float, without: FloatArray, parts: IntArray) -> _Bca | None:
        """The terms; None if nothing is defined, all draws are on one side of the value, or no subject matters."""
        defined = draws[~np.isnan(draws)]
        if not len(defined) or math.isnan(point):
            return None
        below = float(((defined < point).sum() + (defined == point).sum() / 2) / len(defined))
        influence = _influence(without, parts)
        spread = float((influence**2).sum())
        if not 0 < below < 1 or spread == 0:
            return None
        acceleration = float((influence**3).sum()) / (6 * spread**1.5)
        return cls(defined, float(ndtri(below)), acceleration, len(influence), len(np.unique(parts)))

    def share(self, z: float) -> float:
        """Share of draws below an end of the interval; `z` is that end without acceleration."""
        left = 1 - self.acceleration * z  # at or below 0, the end is beyond every draw
        return float(ndtr(self.shift + z / left)) if left > 0 else float(z > 0)


def _quantile(subjects: int, parts: int, level: float) -> float:
    """Distance of an end from the value, in standard errors of the bootstrap.

    The quantile of Student's t, times √(n / (n − 1)) with n subjects per part, by which the variance of resamples is
    too small (Hesterberg 2015, section 3.2).
    """
    freedom, size = subjects - parts, subjects / parts
    if freedom < 1:
        return float(ndtri((1 + level) / 2))
    return float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(size / (size - 1))


def _influence(without: FloatArray, parts: IntArray) -> FloatArray:
    """Influence of each subject on a value, from the values (subjects,) without each of them.

    It is (n − 1) / n × (mean over the subject's part of the values without a subject − the value without this one),
    with n subjects in the part.
    """
    influence = []
    for part in np.unique(parts):
        values = without[(parts == part) & ~np.isnan(without)]
        if len(values):
            influence.append((values.mean() - values) * (len(values) - 1) / len(values))
    return np.concatenate(influence) if influence else np.empty(0)
