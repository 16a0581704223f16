"""Verdicts on printed values."""

from __future__ import annotations

import math
from statistics import median
from typing import get_args

import pytest

from benchmark.paper.tables import AVE, paper_tables
from benchmark.stats.trainings import Prediction
from benchmark.stats.verdict import JUDGED, MARGIN_AU, MARGIN_AVE, Verdict, verdict

NONE = Prediction(math.nan, (math.nan,), (0.0,), 3)


def ours(half_width: float, mean: float = 50.0, trainings: int = 3) -> Prediction:
    """A prediction of 10 degrees of freedom, whose 97.5 % quantile is 2.228."""
    return Prediction(mean, ((half_width / 2.228139) ** 2,), (10.0,), trainings)


@pytest.mark.parametrize(
    ("paper", "prediction", "origin", "complete", "expected"),
    [
        (50.0, ours(1.5), "complete", True, "reproduced"),
        (48.0, ours(1.999), "complete", True, "reproduced"),  # 48.001 rounds to it
        (50.0, ours(2.1), "complete", True, "inconclusive"),  # inside, and too wide
        (60.0, ours(1.5), "complete", True, "differs"),
        (52.0, ours(1.5, mean=53.54), "complete", True, "reproduced"),  # an end of 52.04 is printed as 52.0
        (52.0, ours(1.5, mean=53.56), "complete", True, "differs"),
        (60.0, ours(7.5), "complete", True, "differs"),  # outside even a wide interval
        (50.0, NONE, "complete", True, "inconclusive"),
        (50.0, ours(1.5, trainings=2), "complete", True, "needs seeds"),
        (60.0, ours(1.5, trainings=1), "complete", True, "needs seeds"),
        (50.0, None, "complete", True, "not run"),
        (50.0, None, "stand-in", False, "not run"),
        (50.0, ours(1.5), "complete", False, "incomplete"),
        (50.0, ours(1.5), "stand-in", True, "other data"),
        (60.0, ours(1.5), "partial", True, "other data"),
        (60.0, ours(1.5, trainings=1), "partial", False, "other data"),
    ],
)
def test_verdicts(paper: float, prediction: Prediction | None, origin: str, complete: bool, expected: str) -> None:
    judged = verdict(paper, prediction, margin=MARGIN_AVE, origin=origin, complete=complete)  # type: ignore[arg-type]
    assert judged == expected


def test_other_settings_and_stale_code_say_nothing_about_the_paper() -> None:
    for paper in (50.0, 60.0):
        settled = {"prediction": ours(1.5), "margin": MARGIN_AVE, "complete": True}
        assert verdict(paper, **settled, origin="complete", protocol=False) == "other settings"
        assert verdict(paper, **settled, origin="complete", stale=True) == "stale"
        assert verdict(paper, **settled, origin="stand-in", protocol=False) == "other data"


def test_an_adjusted_p_value_decides_in_place_of_the_interval() -> None:
    settled = {"prediction": ours(1.5), "margin": MARGIN_AVE, "origin": "complete", "complete": True}
    assert verdict(51.7, **settled) == "differs"
    assert verdict(51.7, **settled, p_value=0.2) == "inconclusive"  # outside, though not among so many


def test_margins_follow_from_the_printed_tables() -> None:
    """The smallest printed difference between MAL and another multi-task method, and the median of single AUs."""
    averages, cells = [], []
    for table in paper_tables().values():
        mal = table.row("MAL")
        assert mal is not None
        for row in table.of_group("multitask"):
            for column, value in row.values.items():
                best = mal.values[column]
                if row is mal or value is None or best is None:
                    continue
                (averages if column == AVE else cells).append(abs(best - value))
    assert round(min(averages), 1) == 2.1
    assert min(averages) > MARGIN_AVE
    assert math.floor(10 * median(cells)) / 10 == MARGIN_AU
    assert len(cells) == 4 * (12 + 8 + 10)


def test_every_verdict_that_was_judged_is_a_verdict() -> None:
    assert set(JUDGED) <= set(get_args(Verdict))
