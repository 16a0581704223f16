"""F1 with intervals, paired differences, and adjusted p-values."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import ttest_ind

from benchmark.core.f1 import FN, TP
from benchmark.stats.bootstrap import Interval, left_out
from benchmark.stats.compare import f1_with_intervals
from benchmark.stats.counts import MethodCounts, PartCounts, all_positive, mean_over_parts
from benchmark.stats.crossed import difference, over_subjects, satterthwaite, t_p_values, variance_of_mean
from tests.stats.made import method, random_method


def test_all_undefined_stays_undefined_and_quiet() -> None:
    blank = method([[[[0, 0, 0, 4], [0, 0, 0, 0]]]])
    with np.errstate(all="raise"):
        scored = f1_with_intervals(blank, draws=50)
    assert math.isnan(scored.ave)
    assert math.isnan(scored.ave_interval.low)
    assert np.isnan(scored.per_au).all()


def test_a_method_differs_from_itself_by_exactly_nothing() -> None:
    ours = random_method(13)
    nothing = difference(ours, ours)
    assert nothing.ave == 0
    assert {nothing.interval(column) for column in range(len(nothing.values))} == {Interval(0, 0)}
    assert set(nothing.p_values) == {1.0}


def test_pairing_is_by_subject() -> None:
    """Two methods that are good and bad on the same people differ by less than unpaired intervals say."""
    base = random_method(17, seeds=3, sizes=(12,), cells=1)
    better = base.parts[0].counts.copy()
    found = better[..., FN] // 4
    better[..., TP] += found
    better[..., FN] -= found
    other = MethodCounts(base.aus, base.seeds, (PartCounts("part0", base.parts[0].subjects, better),))
    assert difference(other, base).ave == pytest.approx(mean_over_parts(other).ave - mean_over_parts(base).ave)
    paired, alone = (
        float(over_subjects(without)[0][-1]) for without in (left_out(other) - left_out(base), left_out(base))
    )
    assert paired < 0.25 * alone


def test_what_cannot_be_paired_is_refused() -> None:
    ours = random_method(1)
    with pytest.raises(ValueError, match="cannot pair"):
        difference(ours, ours.select(("part0",), ours.seeds))
    renamed = MethodCounts(
        ours.aus, ours.seeds, tuple(PartCounts(p.part, (*p.subjects[:-1], "x"), p.counts) for p in ours.parts)
    )
    with pytest.raises(ValueError, match="subjects"):
        difference(ours, renamed)
    with pytest.raises(ValueError, match="AUs"):
        difference(ours, random_method(1, cells=2))


def test_noise_of_subjects_and_trainings_by_hand() -> None:
    """Satterthwaite's degrees of freedom against scipy's Welch test, which has two groups and no pairs."""
    rng = np.random.default_rng(4)
    one, other = rng.normal(0, 1, 7), rng.normal(0, 3, 4)
    variances, freedom = zip(*(variance_of_mean(side[:, None]) for side in (one, other)), strict=True)
    error, total = satterthwaite(np.stack(variances), np.stack(freedom))
    theirs = ttest_ind(one, other, equal_var=False)
    assert total[0] == pytest.approx(theirs.df)
    values = np.array([one.mean() - other.mean()])
    assert t_p_values(values, error, total)[0] == pytest.approx(theirs.pvalue)


def test_a_detector_that_is_not_trained_has_no_noise_of_training() -> None:
    ours = random_method(19, seeds=3)
    fixed = all_positive(ours)
    found = difference(ours, fixed, "fixed")
    both = (left_out(ours) - left_out(fixed)).values
    by_part = [both[:5], both[5:]]
    subjects = sum(((p - p.mean(0)) ** 2).sum(0) * (len(p) - 1) / len(p) for p in by_part)
    trainings = mean_over_parts(ours).by_seed.var(axis=0, ddof=1) / 3
    np.testing.assert_allclose(found.errors, np.sqrt(subjects + trainings))
    assert found.trainings == 3


def test_trainings_apart_are_noisier_than_pairs() -> None:
    """With a noise that both methods of a seed share, pairs cancel it."""
    base = random_method(23, seeds=4, sizes=(10,), cells=1, low=8)
    counts = base.parts[0].counts.copy()
    counts[..., TP] += (20 * np.arange(4))[:, None, None]
    noisy = MethodCounts(base.aus, base.seeds, (PartCounts("part0", base.parts[0].subjects, counts),))
    better = counts.copy()
    better[..., TP] += 5
    other = MethodCounts(base.aus, base.seeds, (PartCounts("part0", base.parts[0].subjects, better),))
    assert difference(other, noisy).errors[-1] < 0.5 * difference(other, noisy, "none").errors[-1]


def test_statistics_and_reports_do_not_import_torch() -> None:
    code = "import sys, benchmark.report.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
