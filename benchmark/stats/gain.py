"""The difference of two rules of selection on the same trained networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.stats.bootstrap import left_out
from benchmark.stats.counts import MethodCounts, mean_over_parts
from benchmark.stats.crossed import Difference, PairedNoise, difference, over_subjects, satterthwaite
from benchmark.stats.trainings import Trainings, pooled_spread

RulePair = tuple[MethodCounts, MethodCounts]
"""Counts of one method under two rules: the same seeds, parts and subjects."""


def gain(pair: RulePair, noise: PairedNoise | None = None) -> Difference:
    """F1 under the first rule − F1 under the second, of the same trained networks.

    Of several trainings the interval holds the noise of subjects and of training, for which the larger one of two
    estimates is taken: that of the method, and that of all methods. Of one training it holds other subjects alone.

    Args:
        pair: Counts of the method under both rules.
        noise: Noise of training of all methods, from `pooled_noise`; None for that of the method alone.

    Returns:
        The difference as a fraction.

    Raises:
        ValueError: AUs, parts, subjects or seeds of the pair differ.
    """
    first, second = pair
    if len(first.seeds) > 1:
        return difference(first, second, "by seed", noise)
    if first.seeds != second.seeds or first.aus != second.aus:
        raise ValueError("two rules of one method have the same seeds and AUs")
    variance, freedom = over_subjects(left_out(first) - left_out(second))
    errors, total = satterthwaite(variance[None], freedom[None])
    values = mean_over_parts(first).columns - mean_over_parts(second).columns
    return Difference(values, errors, total, 1)


def pooled_noise(methods: Sequence[RulePair]) -> PairedNoise | None:
    """Noise of training of a difference of rules, pooled over methods.

    Args:
        methods: Counts of methods under both rules, all with the same seeds and AUs.

    Returns:
        The noise, as `crossed.difference` takes it; None for fewer than two methods or trainings.
    """
    if len(methods) < 2 or len(methods[0][0].seeds) < 2:
        return None
    moved = [mean_over_parts(a).by_seed - mean_over_parts(b).by_seed for a, b in methods]
    spread = pooled_spread([Trainings(m[0].seeds, values) for m, values in zip(methods, moved, strict=True)])
    freedom = np.broadcast_to(spread.freedom[:, None], spread.variances.shape)
    _, degrees = satterthwaite(spread.variances, freedom)
    # `difference` takes the variance of one side, of which a difference has two. The degrees are those of the average.
    return PairedNoise(spread.variances.sum(axis=0) / 2, float(np.nan_to_num(degrees[-1])))
