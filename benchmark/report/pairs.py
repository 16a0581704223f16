"""Two rows of a group on what they have in common: parts, and seeds or at least several trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.core.f1 import FloatArray
from benchmark.report.cells import UNRUN
from benchmark.report.groups import Row
from benchmark.stats.bootstrap import LEVEL, Interval
from benchmark.stats.counts import average, mean_over_parts
from benchmark.stats.crossed import (
    Difference,
    PairedNoise,
    Pairing,
    difference,
    satterthwaite,
    t_interval,
    variance_of_mean,
)
from benchmark.stats.trainings import paired_variance


@dataclass(frozen=True)
class PairedRows:
    """The difference of two rows, and the trials it comes from.

    Attributes:
        rows: Both rows.
        difference: F1 of the first − F1 of the second, fractions.
        parts: Common test parts.
        seeds: Seeds of each row.
        pairing: Whether the trainings are paired by seed.
    """

    rows: tuple[Row, Row]
    difference: Difference
    parts: tuple[str, ...]
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    pairing: Pairing

    @property
    def seeds_in_words(self) -> str:
        """Seeds of the pair, and whether both rows were trained on the same machines; "-" with a submitted row."""
        if any(row.is_submitted for row in self.rows):
            return UNRUN
        one, other = (", ".join(map(str, seeds)) for seeds in self.seeds)
        if self.pairing == "fixed":
            return one
        seeds = one if self.pairing == "by seed" else f"{one} against {other}, not paired"
        machines = [{row.machines[seed] for seed in chosen} for row, chosen in zip(self.rows, self.seeds, strict=True)]
        return seeds if machines[0] == machines[1] else f"{seeds}; other machines"

    def auc(self) -> tuple[float, Interval]:
        """Difference in AUC, and its 95 % interval over trainings; fractions. NaN at both ends for one training."""
        seeds = (self.seeds[0], self.rows[1].seeds[:1]) if self.pairing == "fixed" else self.seeds
        sides = [_auc_by_seed(row, self.parts, some)[:, None] for row, some in zip(self.rows, seeds, strict=True)]
        value = float(np.nanmean(sides[0]) - np.nanmean(sides[1]))
        paired = sides if self.pairing == "none" else [sides[0] - sides[1]]
        variances, freedom = zip(*map(variance_of_mean, paired), strict=True)
        error, total = satterthwaite(np.stack(variances), np.stack(freedom))
        return value, t_interval(value, float(error[0]), float(total[0]), LEVEL)


def pair_rows(a: Row, b: Row, rows: Sequence[Row] = ()) -> PairedRows | None:
    """The difference of two rows on their common parts; None if there are none.

    Args:
        a: One row.
        b: The other.
        rows: All rows of the table, whose noise of training is pooled.

    Trainings are paired by seed if the rows share two seeds or more, or share one and one of the rows has no other; the
    other seeds do not count then. Otherwise trainings are independent of one another, and all of them count.
    """
    parts = tuple(part for part in a.parts if part in b.parts)
    if not parts:
        return None
    if not b.is_trained:
        theirs = b.counts.select(parts, b.seeds[:1])
        fixed = difference(a.counts.select(parts, a.seeds), theirs, "fixed")
        return PairedRows((a, b), fixed, parts, (a.seeds, a.seeds), "fixed")
    common = tuple(seed for seed in a.seeds if seed in b.seeds)
    by_seed = len(common) > 1 or (len(common) == 1 and min(len(a.seeds), len(b.seeds)) == 1)
    seeds = (common, common) if by_seed else (a.seeds, b.seeds)
    pairing: Pairing = "by seed" if by_seed else "none"
    ours, theirs = (row.counts.select(parts, chosen) for row, chosen in zip((a, b), seeds, strict=True))
    pooled = paired_noise((a, b, *rows), parts, common) if by_seed else None
    return PairedRows((a, b), difference(ours, theirs, pairing, pooled), parts, seeds, pairing)


def paired_noise(rows: Sequence[Row], parts: Sequence[str], seeds: Sequence[int]) -> PairedNoise | None:
    """Noise of training within a seed, as fractions, pooled over the trained rows with these parts and seeds.

    None if there are fewer than two such rows, or one seed.
    """
    fitting = {
        tuple(row.trials["trial"]): row  # two copies of a row count once
        for row in rows
        if row.is_trained and set(parts) <= set(row.parts) and set(seeds) <= set(row.seeds)
    }
    if len(fitting) < 2 or len(seeds) < 2:
        return None
    values = [mean_over_parts(row.counts.select(parts, seeds)).by_seed for row in fitting.values()]
    return PairedNoise(*paired_variance(np.stack(values)))


def _auc_by_seed(row: Row, parts: Sequence[str], seeds: Sequence[int]) -> FloatArray:
    chosen = row.auc[np.ix_([row.seeds.index(s) for s in seeds], [row.parts.index(p) for p in parts])]
    return average(chosen).ave_by_seed
