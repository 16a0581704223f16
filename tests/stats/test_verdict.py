"""Verdicts on printed values."""

from __future__ import annotations

import math

import pytest

from benchmark.stats.bootstrap import Interval
from benchmark.stats.verdict import verdict


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
    assert verdict(paper, interval, origin=origin, complete=complete) == expected  # type: ignore[arg-type]


def test_other_settings_and_stale_code_say_nothing_about_the_paper() -> None:
    ours = Interval(48.5, 51.5)
    for paper in (50.0, 60.0):
        assert verdict(paper, ours, origin="complete", complete=True, protocol=False) == "other settings"
        assert verdict(paper, ours, origin="complete", complete=True, stale=True) == "stale"
        assert verdict(paper, ours, origin="stand-in", complete=True, protocol=False) == "other data"
