"""Tests at once: Holm's rule against the closed test procedure, equivalence against Student's interval."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from benchmark.stats.multiple import equivalence_p, holm


def closed_bonferroni(p: list[float]) -> list[float]:
    """Holm's rule by its definition: the closed test procedure with Bonferroni's test of every set of hypotheses."""
    sets = [s for size in range(1, len(p) + 1) for s in combinations(range(len(p)), size)]
    return [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if k in s) for k in range(len(p))]


def test_holm_is_the_closed_test_procedure_with_bonferroni() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 5):
        for _ in range(20):
            p = rng.random(count) ** 3
            assert holm(p.tolist()) == pytest.approx(closed_bonferroni(p.tolist()))


def test_holm_by_hand() -> None:
    # 0.01 * 3, 0.02 * 2, 0.04 * 1, and no smaller than the one before; a NaN is no test.
    np.testing.assert_allclose(holm([0.04, 0.01, np.nan, 0.02]), [0.04, 0.03, np.nan, 0.04])


def test_a_planned_test_that_was_not_made_still_counts() -> None:
    adjusted = holm([0.03, math.nan], planned=True)
    assert adjusted[0] == pytest.approx(0.06)
    assert math.isnan(adjusted[1])


def test_equivalence_is_told_when_the_90_percent_interval_lies_within_the_margin() -> None:
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(200):
        value, error, freedom = rng.normal(0, 1), rng.uniform(0.2, 1.5), rng.uniform(2, 30)
        low, high = stats.t.interval(0.9, freedom, loc=value, scale=error)
        within = low > -1.5 and high < 1.5
        assert (equivalence_p(value, error, freedom, 1.5) < 0.05) == within
        told += within
    assert 20 < told < 180


def test_equivalence_holds_its_level_at_the_edge_of_the_margin() -> None:
    """A true difference of just the margin is called practically none in 5 % of samples at most."""
    rng = np.random.default_rng(2)
    samples = rng.normal(1.5, 1.0, size=(4000, 8))
    means, errors = samples.mean(axis=1), samples.std(axis=1, ddof=1) / np.sqrt(8)
    told = np.mean([equivalence_p(m, e, 7, 1.5) <= 0.05 for m, e in zip(means, errors, strict=True)])
    assert 0.035 < told < 0.065


def test_without_an_error_or_a_margin_there_is_no_equivalence() -> None:
    assert math.isnan(equivalence_p(0.0, math.nan, math.nan, 1.5))
    assert equivalence_p(1.0, 0.0, 5, 1.5) == 0.0
    assert equivalence_p(2.0, 0.0, 5, 1.5) == 1.0
    with pytest.raises(ValueError, match="margin"):
        equivalence_p(0.0, 1.0, 5, 0.0)
