"""Confusion counts of a method, and their average F1.

Three folds become one number by F1 per AU and part, averaged over parts, then over AUs (A8); F1 of the counts of all
parts together stands beside it as *pooled*. With several seeds, F1 is taken per seed and then averaged.

F1 is a fraction, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from benchmark.core.f1 import FN, FP, TN, TP, FloatArray, IntArray, f1, mean_defined


@dataclass(frozen=True)
class PartCounts:
    """Confusion counts of one test part.

    Attributes:
        part: Name of the part.
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
        parts: Test parts; no two share a subject.

    Raises:
        ValueError: There is no part or no seed, or the shape of an array is wrong.
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
        """Names of the parts, in their order."""
        return tuple(part.part for part in self.parts)

    def select(self, parts: Iterable[str], seeds: Iterable[int]) -> MethodCounts:
        """Select parts and seeds; their order stays.

        Args:
            parts: Names of the parts to keep.
            seeds: Seeds to keep.

        Returns:
            The selected counts; the object itself if all are selected.

        Raises:
            ValueError: No part or no seed is left.
        """
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
        per_au: (J,), score of each AU.
        ave: Average over AUs.
        by_seed: (R, J + 1), scores of each seed; the last column is the average over AUs.
    """

    per_au: FloatArray
    ave: float
    by_seed: FloatArray

    @property
    def ave_by_seed(self) -> FloatArray:
        """(R,), average over AUs of each seed."""
        return self.by_seed[:, -1]

    @property
    def columns(self) -> FloatArray:
        """(J + 1,), score of each AU, then the average."""
        return np.append(self.per_au, self.ave)


def average(values: FloatArray) -> Average:
    """Average a score over parts, then over AUs, then over seeds; each mean leaves undefined values out.

    Args:
        values: (R, P, J), seeds × parts × AUs; NaN is undefined.

    Returns:
        The averages, in the unit of `values`.

    Example:
        >>> average(np.array([[[0.5, 1.0], [0.5, np.nan]]])).ave
        0.75
    """
    by_seed = mean_defined(values, axis=1)
    ave_by_seed = mean_defined(by_seed, axis=1)
    return Average(
        mean_defined(by_seed, axis=0),
        float(mean_defined(ave_by_seed, axis=0)),
        np.column_stack([by_seed, ave_by_seed]),
    )


def mean_over_parts(method: MethodCounts) -> Average:
    """F1 per AU and part, averaged over parts (A8).

    Args:
        method: Counts of the method.

    Returns:
        F1 as a fraction.
    """
    return average(np.stack([f1(part.counts.sum(axis=1)) for part in method.parts], axis=1))


def pooled(method: MethodCounts) -> Average:
    """F1 of the counts of all parts together.

    Args:
        method: Counts of the method.

    Returns:
        F1 as a fraction.
    """
    totals = np.sum([part.counts.sum(axis=1) for part in method.parts], axis=0)
    return average(f1(totals)[:, None])


def seed_spread(ave_by_seed: FloatArray) -> float | None:
    """Sample standard deviation over seeds (ddof 1).

    Args:
        ave_by_seed: (R,), a score of each seed; NaN is undefined.

    Returns:
        The standard deviation; None with fewer than two defined values.

    Example:
        >>> seed_spread(np.array([0.5, 0.5, np.nan]))
        0.0
    """
    defined = ave_by_seed[~np.isnan(ave_by_seed)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else None


def all_positive(method: MethodCounts) -> MethodCounts:
    """Counts of a detector that finds every AU in every frame with a known label.

    Args:
        method: Counts of any method on the same labels.

    Returns:
        Counts of one seed: labels do not depend on the seed.
    """
    return replace(
        method,
        seeds=method.seeds[:1],
        parts=tuple(replace(part, counts=always_positive(part.counts[:1])) for part in method.parts),
    )


def always_positive(counts: IntArray) -> IntArray:
    """Counts (..., 4) of a detector that always fires, on the labels of these counts."""
    always = np.zeros_like(counts)
    always[..., TP] = counts[..., TP] + counts[..., FN]
    always[..., FP] = counts[..., FP] + counts[..., TN]
    return always
