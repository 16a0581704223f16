"""Averages of counts against scikit-learn and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmark.core.f1 import FN, TN, TP, f1
from benchmark.stats.counts import MethodCounts, PartCounts, all_positive, mean_over_parts, pooled, seed_spread
from tests.stats.made import AUS, method, random_method

# Two parts, two AUs, one seed. By hand:
#   part 1, AU1: TP 2+1 = 3, FP 1+0 = 1, FN 0+2 = 2 -> 6 / (6+1+2) = 6/9 = 2/3
#   part 1, AU2: TP 0, FP 0, FN 0                   -> 0/0, undefined
#   part 2, AU1: TP 1, FP 3, FN 1                   -> 2 / (2+3+1) = 1/3
#   part 2, AU2: TP 4, FP 2, FN 0                   -> 8 / (8+2) = 0.8
# Mean over parts: AU1 (2/3 + 1/3) / 2 = 0.5; AU2 0.8, of part 2 alone; ave 0.65.
# Pooled: AU1 TP 4, FP 4, FN 3 -> 8 / 15; AU2 TP 4, FP 2 -> 0.8; ave (8/15 + 4/5) / 2 = 2/3.
HAND = method(
    [[[[2, 1, 0, 5], [0, 0, 0, 6]], [[1, 0, 2, 4], [0, 0, 0, 7]]]],
    [[[[1, 3, 1, 3], [4, 2, 0, 2]]]],
)


def test_hand_computed_averages() -> None:
    ours, together = mean_over_parts(HAND), pooled(HAND)
    np.testing.assert_allclose(ours.per_au, [0.5, 0.8])
    assert ours.ave == pytest.approx(0.65)
    np.testing.assert_allclose(together.per_au, [8 / 15, 0.8])
    assert together.ave == pytest.approx(2 / 3)


def test_several_seeds_are_scored_before_they_are_averaged() -> None:
    # Seed 0: TP 1, FP 0, FN 1 -> 2/3. Seed 1: TP 2, FP 2, FN 0 -> 4/6 ... and of their summed counts
    # TP 3, FP 2, FN 1 -> 6/9 too; so use seed 1 with TP 1, FP 4, FN 1 -> 2/7. Mean (2/3 + 2/7) / 2 = 10/21.
    two = method([[[[1, 0, 1, 3]]], [[[1, 4, 1, 0]]]])
    ours = mean_over_parts(two)
    assert ours.ave == pytest.approx(10 / 21)
    # SD of two numbers a, b with ddof 1 is |a − b| / sqrt 2; here |14/21 − 6/21| = 8/21.
    assert seed_spread(ours.ave_by_seed) == pytest.approx(8 / 21 / math.sqrt(2))
    assert seed_spread(ours.ave_by_seed[:1]) is None


def test_f1_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    for share in (0.0, 0.02, 0.3, 0.9):
        truth, guess = rng.random((2, 400)) < share
        counts = np.array(
            [np.sum(truth & guess), np.sum(~truth & guess), np.sum(truth & ~guess), np.sum(~truth & ~guess)]
        )
        expected = f1_score(truth, guess, zero_division=np.nan)
        np.testing.assert_allclose(f1(counts), expected)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 0, 0, 9], math.nan),  # no positive in truth or prediction
        ([0, 0, 0, 0], math.nan),  # no known label
        ([0, 0, 4, 5], 0.0),  # positives, none found
        ([0, 4, 0, 5], 0.0),  # found where there is none
    ],
)
def test_f1_is_undefined_without_any_positive(counts: list[int], expected: float) -> None:
    np.testing.assert_equal(float(f1(np.array(counts))), expected)


def test_all_positive_is_two_p_over_one_plus_p() -> None:
    one_part = random_method(5, sizes=(6,), low=1)
    baseline = mean_over_parts(all_positive(one_part)).per_au
    totals = one_part.parts[0].counts[0].sum(axis=0)
    share = (totals[:, TP] + totals[:, FN]) / totals.sum(axis=1)
    np.testing.assert_allclose(baseline, 2 * share / (1 + share))


def test_all_positive_needs_labels_only() -> None:
    counts = HAND.parts[0].counts
    always = all_positive(HAND).parts[0].counts
    np.testing.assert_array_equal(always.sum(axis=-1), counts.sum(axis=-1))  # no frame lost
    np.testing.assert_array_equal(always[..., TP], counts[..., TP] + counts[..., FN])
    assert not always[..., [FN, TN]].any()


def test_counts_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        MethodCounts(AUS, (0,), (PartCounts("part1", ("a",), np.zeros((1, 2, 2, 4), dtype=np.int64)),))
    with pytest.raises(ValueError, match="no part"):
        HAND.select((), (0,))
    with pytest.raises(ValueError, match="no part or no seed"):
        HAND.select(("part1",), ())


def test_select_keeps_the_counts_of_what_it_names() -> None:
    ours = random_method(2, seeds=3)
    some = ours.select(("part1",), (2, 0))
    assert (some.part_names, some.seeds) == (("part1",), (0, 2))
    np.testing.assert_array_equal(some.parts[0].counts, ours.parts[1].counts[[0, 2]])
