"""Average F1, the paired bootstrap over subjects, the spread over seeds, and verdicts. NumPy alone.

Three folds become one number by F1 per AU and part, averaged over parts, then over AUs (A8); the F1 of the
counts of all parts stands beside it as *pooled*. With several seeds, F1 is taken per seed and then averaged.

F1 is a fraction, 0 to 1, everywhere but in `verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from benchmark.core.f1 import FN, FP, TN, TP, FloatArray, IntArray, f1, mean_defined

if TYPE_CHECKING:
    from benchmark.core.origin import Origin

DRAWS = 10_000
LEVEL = 0.95
CACHED = 1 << 16
"""Values that the bootstrap has in hand at a time."""

SEED = 2105_06620
"""Of the bootstrap. Fixed, so that a report has one reading."""

INCONCLUSIVE_ABOVE = 2.0
"""Half-width of an interval, in F1 points, above which holding the paper's value says little."""

HALF_DIGIT = 0.05 + 1e-9
"""By how much rounding to the digits that the paper prints may have moved a value."""

Verdict = Literal[
    "reproduced", "differs", "inconclusive", "not run", "other data", "other settings", "stale", "incomplete"
]


@dataclass(frozen=True)
class PartCounts:
    """Confusion counts of one test part.

    Attributes:
        subjects: S names.
        counts: (R, S, J, 4), seeds × subjects × AUs × (TP, FP, FN, TN), over known labels.
    """

    part: str
    subjects: tuple[str, ...]
    counts: IntArray


@dataclass(frozen=True)
class MethodCounts:
    """Confusion counts of one method on one dataset.

    Attributes:
        aus: J names.
        seeds: R numbers; every part has all of them.
        parts: The test parts, of which no two share a subject.
    """

    aus: tuple[str, ...]
    seeds: tuple[int, ...]
    parts: tuple[PartCounts, ...]

    def __post_init__(self) -> None:
        if not self.parts or not self.seeds:
            raise ValueError("counts of no part or no seed")
        for part in self.parts:
            shape = (len(self.seeds), len(part.subjects), len(self.aus), 4)
            if part.counts.shape != shape:
                raise ValueError(f"counts of {part.part} have shape {part.counts.shape}, not {shape}")
            if not part.subjects:
                raise ValueError(f"{part.part} has no subject")

    @property
    def part_names(self) -> tuple[str, ...]:
        return tuple(part.part for part in self.parts)

    @property
    def resampled(self) -> Draws:
        """Its `bootstrap`, drawn once however many rows it is compared with."""
        # Up to Python 3.11, `cached_property` has one lock for all instances: threads would draw one after the other.
        if "_resampled" not in vars(self):
            vars(self)["_resampled"] = bootstrap(self)
        draws: Draws = vars(self)["_resampled"]
        return draws

    @cached_property
    def left_out(self) -> Jackknife:
        """Its `jackknife`, likewise."""
        return jackknife(self)

    def select(self, parts: Iterable[str], seeds: Iterable[int]) -> MethodCounts:
        """The counts of these parts and seeds alone, in their present order; itself, if that is all of them."""
        names, numbers = set(parts), set(seeds)
        if names >= set(self.part_names) and numbers >= set(self.seeds):
            return self
        keep = [i for i, seed in enumerate(self.seeds) if seed in numbers]
        return MethodCounts(
            aus=self.aus,
            seeds=tuple(self.seeds[i] for i in keep),
            parts=tuple(replace(p, counts=p.counts[keep]) for p in self.parts if p.part in names),
        )


@dataclass(frozen=True)
class Average:
    """A score averaged over seeds.

    Attributes:
        per_au: (J,).
        ave: Over AUs.
        ave_by_seed: (R,), before the average over seeds.
    """

    per_au: FloatArray
    ave: float
    ave_by_seed: FloatArray


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws of F1: `per_au` (D, J) and `ave` (D,)."""

    per_au: FloatArray
    ave: FloatArray

    def __sub__(self, other: Draws) -> Draws:
        return Draws(self.per_au - other.per_au, self.ave - other.ave)


@dataclass(frozen=True)
class Jackknife:
    """A score without each subject in turn.

    Attributes:
        values: (S, J + 1); the last column is the average over AUs.
        parts: (S,), the number of each subject's part.
    """

    values: FloatArray
    parts: IntArray

    def __sub__(self, other: Jackknife) -> Jackknife:
        return Jackknife(self.values - other.values, self.parts)


@dataclass(frozen=True)
class Interval:
    """Ends of an interval; NaN at both where nothing is defined."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def holds(self, value: float, within: float = 0.0) -> bool:
        """Whether a value lies in it, or no further outside than `within`."""
        return self.low - within <= value <= self.high + within


@dataclass(frozen=True)
class Scored:
    """F1 with its interval over subjects: one of each AU, in the order of `aus`, and of their average.

    Attributes:
        per_au: (J,).
        per_au_intervals: J.
        ave: Over AUs.
        ave_interval: Its interval.
        per_au_p: (J,), two-sided p-values of 0, for differences.
        ave_p: The average's.
        draws: What the intervals are of.
    """

    per_au: FloatArray
    per_au_intervals: tuple[Interval, ...]
    ave: float
    ave_interval: Interval
    per_au_p: FloatArray
    ave_p: float
    draws: Draws


def average(values: FloatArray) -> Average:
    """Mean over parts, then over AUs for `ave`, then over seeds; undefined values are left out of each.

    Args:
        values: (R, P, J), seeds × parts × AUs.
    """
    by_seed = mean_defined(values, axis=1)
    ave_by_seed = mean_defined(by_seed, axis=1)
    return Average(mean_defined(by_seed, axis=0), float(mean_defined(ave_by_seed, axis=0)), ave_by_seed)


def mean_over_parts(method: MethodCounts) -> Average:
    """F1 per AU and part, averaged over parts (A8)."""
    return average(np.stack([f1(part.counts.sum(axis=1)) for part in method.parts], axis=1))


def pooled(method: MethodCounts) -> Average:
    """F1 of the counts of all parts together."""
    totals = np.sum([part.counts.sum(axis=1) for part in method.parts], axis=0)
    return average(f1(totals)[:, None])


def seed_spread(ave_by_seed: FloatArray) -> float | None:
    """Sample standard deviation over seeds (ddof 1), None with fewer than two defined values."""
    defined = ave_by_seed[~np.isnan(ave_by_seed)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else None


def all_positive(method: MethodCounts) -> MethodCounts:
    """The counts of a detector that finds every AU in every frame with a known label.

    Labels do not depend on the seed, so those of the first stand for all.
    """
    return replace(
        method,
        seeds=method.seeds[:1],
        parts=tuple(replace(part, counts=_always(part.counts[:1])) for part in method.parts),
    )


def _always(counts: IntArray) -> IntArray:
    always = np.zeros_like(counts)
    always[..., TP] = counts[..., TP] + counts[..., FN]
    always[..., FP] = counts[..., FP] + counts[..., TN]
    return always


@lru_cache(maxsize=8)
def subject_weights(sizes: tuple[int, ...], draws: int = DRAWS, seed: int = SEED) -> tuple[FloatArray, ...]:
    """How often each subject is drawn: one read-only (draws, S) matrix a part, each row summing to S.

    Subjects are resampled within each part, since the parts are fixed and not drawn. Datasets of other sizes have
    other, independent draws.

    Args:
        sizes: S of each part.
    """
    generator = np.random.default_rng([seed, *sizes])
    weights = []
    for size in sizes:
        drawn = generator.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)
        drawn.flags.writeable = False  # all methods share it
        weights.append(drawn)
    return tuple(weights)


def bootstrap(method: MethodCounts, draws: int = DRAWS, seed: int = SEED) -> Draws:
    """F1 (mean over parts) of resampled subjects.

    Two methods with the same parts and subjects get the same resamples, so their draws can be subtracted.
    A draw in which the F1 of a cell is undefined leaves the cell out of that draw's averages.
    """
    weights = subject_weights(tuple(len(part.subjects) for part in method.parts), draws, seed)
    ratios = [_ratio(part.counts) for part in method.parts]
    seeds, aus = len(method.seeds), len(method.aus)
    block = min(draws, max(1, CACHED // (seeds * aus)))
    per_au, ave = np.empty((draws, aus)), np.empty(draws)
    # One product a part. An array of draws × subjects × AUs never exists, and what does stays in the cache: new memory
    # for each block costs more than its arithmetic.
    parts = np.empty((len(ratios), block, seeds * aus))
    for first in range(0, draws, block):
        drawn = slice(first, min(first + block, draws))
        found = parts[:, : drawn.stop - first]
        for w, (above, below), out in zip(weights, ratios, found, strict=True):
            _resampled_f1(w[drawn], above, below, out)
        per_au[drawn], ave[drawn] = _means(found.reshape(len(ratios), -1, seeds, aus))
    return Draws(per_au, ave)


def _ratio(counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Numerator and denominator of F1 from counts (R, S, J, 4): (S, R × J) each."""
    cells = np.moveaxis(counts, 1, 0).reshape(counts.shape[1], -1, counts.shape[3]).astype(np.float64)
    hits = 2 * cells[..., TP]
    return hits, hits + cells[..., FP] + cells[..., FN]


def _resampled_f1(weights: FloatArray, above: FloatArray, below: FloatArray, out: FloatArray) -> None:
    """Fill `out` (D, N) with F1 of numerators and denominators (S, N) summed over subjects with weights (D, S): NaN
    where undefined."""
    np.matmul(weights, above, out=out)
    with np.errstate(invalid="ignore"):
        np.divide(out, weights @ below, out=out)


def _means(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean over parts and seeds, of each AU and of their average: (D, J) and (D,) from (P, D, R, J)."""
    parts, _, seeds, aus = values.shape
    by_seed = values.sum(axis=0)
    # Sums as products with ones, which are ten times as fast.
    per_au, ave = np.ones(seeds) @ by_seed, (by_seed @ np.ones(aus)) @ np.ones(seeds)
    if np.isnan(ave).any():  # undefined values are left out of each mean
        by_seed = mean_defined(values, axis=0)
        return mean_defined(by_seed, axis=1), mean_defined(mean_defined(by_seed, axis=2), axis=1)
    return per_au / (parts * seeds), ave / (parts * seeds * aus)


def jackknife(method: MethodCounts) -> Jackknife:
    """F1 (mean over parts) without each subject in turn."""
    whole = [f1(part.counts.sum(axis=1)) for part in method.parts]  # (R, J) each
    rows = []
    for p, part in enumerate(method.parts):
        without = f1(part.counts.sum(axis=1, keepdims=True) - part.counts)  # (R, S, J)
        others = [np.broadcast_to(w[:, None], without.shape) for i, w in enumerate(whole) if i != p]
        by_seed = mean_defined(np.stack([without, *others]), axis=0)
        ave = mean_defined(mean_defined(by_seed, axis=2), axis=0)
        rows.append(np.column_stack([mean_defined(by_seed, axis=0), ave]))
    parts = np.repeat(np.arange(len(method.parts)), [len(part.subjects) for part in method.parts])
    return Jackknife(np.concatenate(rows), parts)


def percentile_interval(draws: FloatArray, level: float = LEVEL) -> Interval:
    """Percentile interval of draws (D,), over those that are defined."""
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def bca_interval(
    draws: FloatArray, point: float, without: FloatArray, parts: IntArray, level: float = LEVEL
) -> Interval:
    """Bias-corrected and accelerated interval (Efron 1987), for subjects drawn within parts, expanded for few of them.

    F1 is curved: a resample's is lower more often than not, and percentile intervals sit low. This one moves them
    back. Resamples also vary less than samples do, the more so the fewer subjects; `_quantile` makes up for that.

    Args:
        draws: (D,).
        point: The value itself.
        without: (S,), the value without each subject.
        parts: (S,), each subject's part.
        level: Coverage.

    Returns:
        NaN at both ends where no draw or the value is undefined; the percentile interval where all draws are on one
        side of the value, or it depends on no subject.
    """
    found = _Bca.of(draws, point, without, parts)
    if found is None:
        undefined = math.isnan(point) or np.isnan(draws).all()
        return Interval(math.nan, math.nan) if undefined else percentile_interval(draws, level)
    reach = _quantile(found.subjects, found.parts, level)
    low, high = np.quantile(found.draws, [found.share(found.shift + way * reach) for way in (-1, 1)])
    return Interval(float(low), float(high))


def bca_p_value(draws: FloatArray, point: float, without: FloatArray, parts: IntArray) -> float:
    """Two-sided p-value of 0: one less the level at which `bca_interval` just reaches it.

    Never below what as many draws can show: 0 is taken to lie at least one draw from either end. NaN where no draw
    or the value is undefined; 1 where it depends on no subject.
    """
    found = _Bca.of(draws, point, without, parts)
    if found is None:
        return math.nan if math.isnan(point) or np.isnan(draws).all() else 1.0
    size = len(found.draws)
    below = float(((found.draws < 0).sum() + (found.draws == 0).sum() / 2) / size)
    at = float(ndtri(min(max(below, 1 / (size + 1)), size / (size + 1)))) - found.shift
    left = 1 + found.acceleration * at  # at 0 no interval ends there
    reach = abs(at / left - found.shift) if left > 0 else math.inf
    freedom, each = found.subjects - found.parts, found.subjects / found.parts
    p = float(2 * ndtr(-reach)) if freedom < 1 else float(2 * stdtr(freedom, -reach / math.sqrt(each / (each - 1))))
    return max(p, 2 / (size + 1))


@dataclass(frozen=True)
class _Bca:
    """What a bias-corrected and accelerated interval is made of.

    Attributes:
        draws: (D,), those that are defined.
        shift: z of the share of draws below the value.
        acceleration: From the skewness of the subjects' influences.
        subjects: S.
        parts: How many the subjects are of.
    """

    draws: FloatArray
    shift: float
    acceleration: float
    subjects: int
    parts: int

    @classmethod
    def of(cls, draws: FloatArray, point: float, without: FloatArray, parts: IntArray) -> _Bca | None:
        """None where nothing is defined, all draws are on one side of the value, or it depends on no subject."""
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
        """Share of draws below an end of an interval, from where the end were without acceleration."""
        left = 1 - self.acceleration * z  # at 0 the end is beyond every draw
        return float(ndtr(self.shift + z / left)) if left > 0 else float(z > 0)


def _quantile(subjects: int, parts: int, level: float) -> float:
    """How many standard errors of the bootstrap the interval reaches to a side.

    Of Student's t with the subjects' degrees of freedom, times √(n / (n − 1)), n being subjects a part: what a
    resample's variance lacks (Hesterberg 2015, section 3.2).
    """
    freedom, size = subjects - parts, subjects / parts
    if freedom < 1:
        return float(ndtri((1 + level) / 2))
    return float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(size / (size - 1))


def _influence(without: FloatArray, parts: IntArray) -> FloatArray:
    """What each subject adds to a value: (n - 1) / n of the way from the value without it to its part's mean of
    those, n being the subjects of the part."""
    found = []
    for part in np.unique(parts):
        values = without[(parts == part) & ~np.isnan(without)]
        if len(values):
            found.append((values.mean() - values) * (len(values) - 1) / len(values))
    return np.concatenate(found) if found else np.empty(0)


def holm(p_values: FloatArray) -> FloatArray:
    """p-values (J,) adjusted for their number (Holm 1979); undefined ones stay so and count for nothing."""
    adjusted = np.full_like(p_values, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def detectable(draws: FloatArray, level: float = LEVEL, power: float = 0.8) -> float:
    """The smallest difference that a test at this level finds with this power, from the spread of draws (D,)."""
    defined = draws[~np.isnan(draws)]
    return float((ndtri((1 + level) / 2) + ndtri(power)) * defined.std(ddof=1)) if len(defined) > 1 else math.nan


def auc_of(positive: FloatArray, negative: FloatArray) -> float:
    """The chance that a value of the first is above one of the second, ties counting half (Mann-Whitney)."""
    both = np.concatenate([positive, negative])
    _, place, count = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def spearman(a: FloatArray, b: FloatArray) -> float:
    """Rank correlation, mean ranks for ties; NaN where one of the two is constant or has fewer than two values."""
    if len(a) < 2:
        return math.nan
    one, other = (ranks - ranks.mean() for ranks in map(_ranks, (a, b)))
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / scale) if scale > 0 else math.nan


def _ranks(values: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: FloatArray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return means


def score(method: MethodCounts, draws: int = DRAWS, seed: int = SEED) -> Scored:
    """F1 (mean over parts) of each AU and of their average, with 95 % intervals over subjects."""
    return _scored(mean_over_parts(method), _draws(method, draws, seed), method.left_out)


def _draws(method: MethodCounts, draws: int, seed: int) -> Draws:
    return method.resampled if (draws, seed) == (DRAWS, SEED) else bootstrap(method, draws, seed)


def difference(a: MethodCounts, b: MethodCounts, draws: int = DRAWS, seed: int = SEED) -> Scored:
    """F1 of `a` − F1 of `b`, with intervals from the same resampled subjects for both.

    Raises:
        ValueError: Different AUs, parts or subjects: nothing to pair.
    """
    if a.aus != b.aus:
        raise ValueError(f"cannot pair AUs {a.aus} with {b.aus}")
    if [(p.part, p.subjects) for p in a.parts] != [(p.part, p.subjects) for p in b.parts]:
        raise ValueError(f"cannot pair: parts {a.part_names} and {b.part_names}, or their subjects, differ")
    ours, theirs = mean_over_parts(a), mean_over_parts(b)
    point = replace(ours, per_au=ours.per_au - theirs.per_au, ave=ours.ave - theirs.ave)
    return _scored(point, _draws(a, draws, seed) - _draws(b, draws, seed), a.left_out - b.left_out)


def _scored(point: Average, draws: Draws, left_out: Jackknife) -> Scored:
    columns = [*zip(draws.per_au.T, point.per_au, strict=True), (draws.ave, point.ave)]
    given = [(drawn, float(value), left_out.values[:, j], left_out.parts) for j, (drawn, value) in enumerate(columns)]
    intervals, p_values = [bca_interval(*each) for each in given], [bca_p_value(*each) for each in given]
    return Scored(
        per_au=point.per_au,
        per_au_intervals=tuple(intervals[:-1]),
        ave=point.ave,
        ave_interval=intervals[-1],
        per_au_p=np.array(p_values[:-1]),
        ave_p=p_values[-1],
        draws=draws,
    )


def verdict(
    paper: float,
    interval: Interval | None,
    *,
    origin: Origin,
    complete: bool,
    protocol: bool = True,
    stale: bool = False,
) -> Verdict:
    """What one cell of ours says about the paper's.

    The paper prints no spread, so its value can only be held against our interval.

    Args:
        paper: F1 × 100 as printed.
        interval: Ours, in F1 × 100; None where the method was not run, NaN where our F1 is undefined.
        origin: Of our data; only a complete copy of the dataset can reproduce a value or fail to.
        complete: Whether all of the paper's test parts were run.
        protocol: Whether the budget and the settings are the paper's.
        stale: Whether the code has changed since.

    Returns:
        `differs` where no value that the paper rounds so lies in our interval, however wide; `reproduced` where one
        does and the interval is narrow enough for that to mean something, else `inconclusive`.
    """
    # What stands in the way of a comparison, the first of it; then the comparison.
    reasons: tuple[tuple[bool, Verdict], ...] = (
        (interval is None, "not run"),
        (origin != "complete", "other data"),
        (not protocol, "other settings"),
        (stale, "stale"),
        (not complete, "incomplete"),
        (interval is not None and math.isnan(interval.low), "inconclusive"),
        (interval is not None and not interval.holds(paper, HALF_DIGIT), "differs"),
        (interval is not None and interval.half_width > INCONCLUSIVE_ABOVE, "inconclusive"),
    )
    return next((verdict for applies, verdict in reasons if applies), "reproduced")
