"""The bootstrap against SciPy and plain loops."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from benchmark.stats import bootstrap as bootstrap_module
from benchmark.stats.bootstrap import Interval, bootstrap, left_out, percentile_interval, resampled, subject_weights
from benchmark.stats.compare import f1_with_intervals
from tests.stats.made import method, random_method


def test_weights_resample_within_each_part() -> None:
    weights = subject_weights((5, 3), draws=200)
    assert [w.shape for w in weights] == [(200, 5), (200, 3)]
    for w, size in zip(weights, (5, 3), strict=True):
        assert (w.sum(axis=1) == size).all()
        assert w.std() > 0
    np.testing.assert_array_equal(weights[0], subject_weights((5, 3), draws=200)[0])
    assert (weights[0] != subject_weights((5, 3), draws=200, seed=1)[0]).any()


def test_bootstrap_agrees_with_a_loop_over_the_same_draws() -> None:
    ours = random_method(7)
    draws = bootstrap(ours, draws=40, seed=9)
    weights = subject_weights((5, 4), draws=40, seed=9)
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
    draws = bootstrap(ours, draws=300)
    (weights,) = subject_weights((3,), draws=300)
    without = weights[:, 0] == 0
    assert 0 < without.sum() < 300
    np.testing.assert_array_equal(np.isnan(draws.per_au[:, 0]), without)
    np.testing.assert_allclose(draws.ave[without], draws.per_au[without, 1])
    np.testing.assert_allclose(draws.ave[~without], draws.per_au[~without].mean(axis=1))
    # F1 of AU1 is 4/5 in every draw that has the subject, so the interval over the defined draws is a point.
    interval = percentile_interval(draws.per_au[:, 0])
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
    interval = percentile_interval(f1_with_intervals(ours, draws=20_000).draws.per_au[:, 0])
    # Two Monte-Carlo runs of 20,000 draws each: their ends agree to a few thousandths.
    assert interval.low == pytest.approx(theirs.low, abs=0.004)
    assert interval.high == pytest.approx(theirs.high, abs=0.004)


def test_methods_are_resampled_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the other: with a lock that two methods share, neither would come to an end."""
    both = threading.Barrier(2, timeout=20)
    monkeypatch.setattr(bootstrap_module, "bootstrap", lambda method: both.wait())
    methods = [random_method(0), random_method(1)]
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(resampled, methods)) == {0, 1}


def test_draws_are_made_once_per_object() -> None:
    ours = random_method(0)
    assert resampled(ours) is resampled(ours)
    assert left_out(ours) is left_out(ours)
    again = random_method(0)
    assert resampled(again) is not resampled(ours)
    np.testing.assert_array_equal(resampled(again).per_au, resampled(ours).per_au)
