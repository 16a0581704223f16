"""Pairs of rows: whose noise of training they share."""

from __future__ import annotations

from benchmark.report.groups import group_results
from benchmark.report.pairs import paired_noise
from tests.report.conftest import make_results

SEEDS = (0, 1, 2)


def test_a_control_that_learns_nothing_is_not_in_the_noise_of_training() -> None:
    """Like any method it has a network; but it records no loss, and its scores are the same after every training."""
    (group,) = group_results(make_results(("stl", "mtl", "mal", "all_positive"), seeds=SEEDS))
    (control,) = (row for row in group.rows if row.method == "all_positive")
    learning = [row for row in group.rows if row is not control]
    assert control.trials["parameters"].all()
    assert [row.is_trained for row in (control, *learning)] == [False, True, True, True]
    made, expected = (paired_noise(rows, group.expected_parts, SEEDS) for rows in (group.rows, learning))
    assert made is not None
    assert expected is not None
    assert made.freedom == expected.freedom == 4  # (3 rows - 1) * (3 seeds - 1)
    assert made.variance.tolist() == expected.variance.tolist()


def test_a_row_counts_once_however_often_it_is_named() -> None:
    (group,) = group_results(make_results(seeds=SEEDS))
    (copies,) = group_results(make_results(seeds=SEEDS))
    made = paired_noise((*group.rows, *copies.rows), group.expected_parts, SEEDS)
    assert made is not None
    assert made.freedom == 4
