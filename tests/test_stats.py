"""Statistics against scikit-learn, SciPy, plain loops and numbers worked out by hand."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import f1_score

from benchmark import stats
from benchmark.core.f1 import f1
from benchmark.stats import Interval, MethodCounts, PartCounts

AUS = ("AU1", "AU2")


def method(*parts: list[list[list[list[int]]]], subjects: tuple[tuple[str, ...], ...] = ()) -> MethodCounts:
    """Counts from nested lists, (R, S, J, 4) a part."""
    made = []
    for i, nested in enumerate(parts):
        counts = np.array(nested, dtype=np.int64)
        names = subjects[i] if subjects else tuple(f"p{i}s{k}" for k in range(counts.shape[1]))
        made.append(PartCounts(f"part{i + 1}", names, counts))
    first = made[0].counts
    return MethodCounts(AUS[: first.shape[2]], tuple(range(len(first))), tuple(made))


def random_method(
    seed: int, *, seeds: int = 2, sizes: tuple[int, ...] = (5, 4), cells: int = 3, low: int = 0
) -> MethodCounts:
    rng = np.random.default_rng(seed)
    parts = tuple(
        PartCounts(f"part{i}", tuple(f"{i}-{s}" for s in range(n)), rng.integers(low, 20, (seeds, n, cells, 4)))
        for i, n in enumerate(sizes)
    )
    return MethodCounts(tuple(f"AU{j}" for j in range(cells)), tuple(range(seeds)), parts)


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
    ours, pooled = stats.mean_over_parts(HAND), stats.pooled(HAND)
    np.testing.assert_allclose(ours.per_au, [0.5, 0.8])
    assert ours.ave == pytest.approx(0.65)
    np.testing.assert_allclose(pooled.per_au, [8 / 15, 0.8])
    assert pooled.ave == pytest.approx(2 / 3)


def test_several_seeds_are_scored_before_they_are_averaged() -> None:
    # Seed 0: TP 1, FP 0, FN 1 -> 2/3. Seed 1: TP 2, FP 2, FN 0 -> 4/6 ... and of their summed counts
    # TP 3, FP 2, FN 1 -> 6/9 too; so use seed 1 with TP 1, FP 4, FN 1 -> 2/7. Mean (2/3 + 2/7) / 2 = 10/21.
    two = method([[[[1, 0, 1, 3]]], [[[1, 4, 1, 0]]]])
    ours = stats.mean_over_parts(two)
    assert ours.ave == pytest.approx(10 / 21)
    # SD of two numbers a, b with ddof 1 is |a − b| / sqrt 2; here |14/21 − 6/21| = 8/21.
    assert stats.seed_spread(ours.ave_by_seed) == pytest.approx(8 / 21 / math.sqrt(2))
    assert stats.seed_spread(ours.ave_by_seed[:1]) is None


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


def test_all_undefined_stays_undefined_and_quiet() -> None:
    blank = method([[[[0, 0, 0, 4], [0, 0, 0, 0]]]])
    with np.errstate(all="raise"):
        scored = stats.score(blank, draws=50)
    assert math.isnan(scored.ave)
    assert math.isnan(scored.ave_interval.low)
    assert np.isnan(scored.per_au).all()


def test_all_positive_is_two_p_over_one_plus_p() -> None:
    one_part = random_method(5, sizes=(6,), low=1)
    baseline = stats.mean_over_parts(stats.all_positive(one_part)).per_au
    totals = one_part.parts[0].counts[0].sum(axis=0)
    share = (totals[:, stats.TP] + totals[:, stats.FN]) / totals.sum(axis=1)
    np.testing.assert_allclose(baseline, 2 * share / (1 + share))


def test_all_positive_needs_labels_only() -> None:
    counts = HAND.parts[0].counts
    always = stats.all_positive(HAND).parts[0].counts
    np.testing.assert_array_equal(always.sum(axis=-1), counts.sum(axis=-1))  # no frame lost
    np.testing.assert_array_equal(always[..., stats.TP], counts[..., stats.TP] + counts[..., stats.FN])
    assert not always[..., [stats.FN, stats.TN]].any()


def test_weights_resample_within_each_part() -> None:
    weights = stats.subject_weights((5, 3), draws=200)
    assert [w.shape for w in weights] == [(200, 5), (200, 3)]
    for w, size in zip(weights, (5, 3), strict=True):
        assert (w.sum(axis=1) == size).all()
        assert w.std() > 0
    np.testing.assert_array_equal(weights[0], stats.subject_weights((5, 3), draws=200)[0])
    assert (weights[0] != stats.subject_weights((5, 3), draws=200, seed=1)[0]).any()


def test_bootstrap_agrees_with_a_loop_over_the_same_draws() -> None:
    ours = random_method(7)
    draws = stats.bootstrap(ours, draws=40, seed=9)
    weights = stats.subject_weights((5, 4), draws=40, seed=9)
    for d in range(40):
        per_seed = []
        for r in range(2):
            per_part = []
            for part, w in zip(ours.parts, weights, strict=True):
                drawn = [s for s in range(len(part.subjects)) for _ in range(int(w[d, s]))]
                tp, fp, fn, _ = part.counts[r][drawn].sum(axis=0).T
                per_part.append(2 * tp / (2 * tp + fp + fn))
            per_seed.append(np.mean(per_part, axis=0))
        np.testing.assert_allclose(draws.per_au[d], np.mean(per_seed, axis=0))
        np.testing.assert_allclose(draws.ave[d], np.mean(per_seed))


def test_bootstrap_loop_with_undefined_cells() -> None:
    # Only one of three subjects has a positive: a draw without it leaves AU1 undefined, and `ave` is AU2 alone.
    ours = method([[[[2, 1, 0, 5], [3, 1, 1, 5]], [[0, 0, 0, 8], [2, 2, 2, 4]], [[0, 0, 0, 8], [1, 0, 3, 6]]]])
    draws = stats.bootstrap(ours, draws=300)
    (weights,) = stats.subject_weights((3,), draws=300)
    without = weights[:, 0] == 0
    assert 0 < without.sum() < 300
    np.testing.assert_array_equal(np.isnan(draws.per_au[:, 0]), without)
    np.testing.assert_allclose(draws.ave[without], draws.per_au[without, 1])
    np.testing.assert_allclose(draws.ave[~without], draws.per_au[~without].mean(axis=1))
    # F1 of AU1 is 4/5 in every draw that has the subject, so the interval over the defined draws is a point.
    interval = stats.percentile_interval(draws.per_au[:, 0])
    assert interval == Interval(pytest.approx(0.8), pytest.approx(0.8))


def test_interval_agrees_with_scipy() -> None:
    ours = random_method(11, seeds=1, sizes=(30,), cells=1)
    tp, fp, fn, _ = ours.parts[0].counts[0, :, 0].T

    def statistic(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, axis: int = -1) -> np.ndarray:
        hits = 2 * tp.sum(axis=axis)
        return hits / (hits + fp.sum(axis=axis) + fn.sum(axis=axis))

    theirs = scipy_bootstrap(
        (tp, fp, fn),
        statistic,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    interval = stats.percentile_interval(stats.score(ours, draws=20_000).draws.per_au[:, 0])
    # Two Monte-Carlo runs of 20,000 draws each: their ends agree to a few thousandths.
    assert interval.low == pytest.approx(theirs.low, abs=0.004)
    assert interval.high == pytest.approx(theirs.high, abs=0.004)


def test_a_method_differs_from_itself_by_exactly_nothing() -> None:
    ours = random_method(13)
    scored = stats.difference(ours, ours)
    assert scored.ave == 0
    assert scored.ave_interval == Interval(0, 0)
    assert set(scored.per_au_intervals) == {Interval(0, 0)}


def test_pairing_is_by_subject() -> None:
    """Two methods that are good and bad on the same people differ by less than unpaired intervals say."""
    base = random_method(17, seeds=1, sizes=(12,), cells=1)
    better = base.parts[0].counts.copy()
    found = better[..., stats.FN] // 4
    better[..., stats.TP] += found
    better[..., stats.FN] -= found
    other = MethodCounts(base.aus, base.seeds, (PartCounts("part0", base.parts[0].subjects, better),))
    paired = stats.difference(other, base)
    assert paired.ave == pytest.approx(stats.mean_over_parts(other).ave - stats.mean_over_parts(base).ave)
    assert paired.ave_interval.half_width < 0.5 * stats.score(base).ave_interval.half_width
    assert paired.ave_interval.low > 0


def test_what_cannot_be_paired_is_refused() -> None:
    ours = random_method(1)
    with pytest.raises(ValueError, match="cannot pair"):
        stats.difference(ours, ours.select(("part0",), ours.seeds))
    renamed = MethodCounts(
        ours.aus, ours.seeds, tuple(PartCounts(p.part, (*p.subjects[:-1], "x"), p.counts) for p in ours.parts)
    )
    with pytest.raises(ValueError, match="subjects"):
        stats.difference(ours, renamed)
    with pytest.raises(ValueError, match="AUs"):
        stats.difference(ours, random_method(1, cells=2))


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


@pytest.mark.parametrize(
    ("paper", "interval", "origin", "complete", "expected"),
    [
        (50.0, Interval(48.5, 51.5), "complete", True, "reproduced"),
        (48.5, Interval(48.5, 52.5), "complete", True, "reproduced"),  # ends count; half-width exactly 2
        (50.0, Interval(47.0, 52.0), "complete", True, "inconclusive"),  # half-width 2.5
        (60.0, Interval(48.5, 51.5), "complete", True, "differs"),
        (52.0, Interval(52.04, 53.0), "complete", True, "reproduced"),  # 52.04 is printed as 52.0
        (52.0, Interval(52.06, 53.0), "complete", True, "differs"),
        (60.0, Interval(40.0, 55.0), "complete", True, "differs"),  # outside even a wide interval
        (50.0, Interval(math.nan, math.nan), "complete", True, "inconclusive"),
        (50.0, None, "complete", True, "not run"),
        (50.0, None, "stand-in", False, "not run"),
        (50.0, Interval(48.5, 51.5), "complete", False, "incomplete"),
        (50.0, Interval(48.5, 51.5), "stand-in", True, "other data"),
        (60.0, Interval(48.5, 51.5), "partial", True, "other data"),
        (60.0, Interval(48.5, 51.5), "partial", False, "other data"),
    ],
)
def test_verdicts(paper: float, interval: Interval | None, origin: str, complete: bool, expected: str) -> None:
    assert stats.verdict(paper, interval, origin=origin, complete=complete) == expected  # type: ignore[arg-type]


def test_other_settings_and_stale_code_say_nothing_about_the_paper() -> None:
    ours = Interval(48.5, 51.5)
    for paper in (50.0, 60.0):
        assert stats.verdict(paper, ours, origin="complete", complete=True, protocol=False) == "other settings"
        assert stats.verdict(paper, ours, origin="complete", complete=True, stale=True) == "stale"
        assert stats.verdict(paper, ours, origin="stand-in", complete=True, protocol=False) == "other data"


def test_statistics_and_reports_do_not_import_torch() -> None:
    code = "import sys, benchmark.report.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_methods_are_resampled_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the other: with a lock that two methods share, neither would come to an end."""
    both = threading.Barrier(2, timeout=20)
    monkeypatch.setattr(stats, "bootstrap", lambda method: both.wait())
    methods = [random_method(0), random_method(1)]
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(lambda each: each.resampled, methods)) == {0, 1}
