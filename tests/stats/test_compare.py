"""F1 with intervals, paired differences, and adjusted p-values."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from benchmark.core.f1 import FN, TP
from benchmark.stats.bootstrap import Interval
from benchmark.stats.compare import detectable, difference, f1_with_intervals, holm
from benchmark.stats.counts import MethodCounts, PartCounts, mean_over_parts
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
    scored = difference(ours, ours)
    assert scored.ave == 0
    assert scored.ave_interval == Interval(0, 0)
    assert set(scored.per_au_intervals) == {Interval(0, 0)}


def test_pairing_is_by_subject() -> None:
    """Two methods that are good and bad on the same people differ by less than unpaired intervals say."""
    base = random_method(17, seeds=1, sizes=(12,), cells=1)
    better = base.parts[0].counts.copy()
    found = better[..., FN] // 4
    better[..., TP] += found
    better[..., FN] -= found
    other = MethodCounts(base.aus, base.seeds, (PartCounts("part0", base.parts[0].subjects, better),))
    paired = difference(other, base)
    assert paired.ave == pytest.approx(mean_over_parts(other).ave - mean_over_parts(base).ave)
    assert paired.ave_interval.half_width < 0.5 * f1_with_intervals(base).ave_interval.half_width
    assert paired.ave_interval.low > 0


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


def test_holm_by_hand() -> None:
    # 0.01 * 3, 0.02 * 2, 0.04 * 1, and no smaller than the one before.
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, np.nan, 0.02])), [0.04, 0.03, np.nan, 0.04])


def test_detectable() -> None:
    draws = np.random.default_rng(0).normal(0, 0.01, 200_000)
    assert detectable(draws) == pytest.approx(2.8016 * 0.01, rel=0.01)


def test_statistics_and_reports_do_not_import_torch() -> None:
    code = "import sys, benchmark.report.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
