"""Averages and jackknives of any metric against those of F1, and scores of people against loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.metrics import f1_score

from benchmark.core.f1 import f1
from benchmark.stats.bootstrap import Jackknife, jackknife
from benchmark.stats.counts import mean_over_parts
from benchmark.stats.crossed import difference, over_subjects
from benchmark.stats.metrics import micro_f1
from benchmark.stats.orders import Board, agreement, kendall, redrawn
from benchmark.stats.people import by_person, compare_groups, of_group
from benchmark.stats.scored import MethodScores, crossed_interval
from tests.stats.made import method, random_method


def test_f1_as_any_metric_is_f1() -> None:
    counts = random_method(1, seeds=3, low=0)
    made, expected = MethodScores.of_counts(counts, f1), mean_over_parts(counts)
    assert np.array_equal(made.average.by_seed, expected.by_seed)
    assert np.allclose(made.left_out().values, jackknife(counts).values, equal_nan=True)
    assert np.array_equal(made.left_out().parts, jackknife(counts).parts)


def test_crossed_interval_is_that_of_a_difference_from_nothing() -> None:
    counts = random_method(2, seeds=4)
    wrong = [replace(part, counts=np.full((1, *part.counts.shape[1:]), 1) * [0, 1, 1, 0]) for part in counts.parts]
    nothing = replace(counts, seeds=(0,), parts=tuple(wrong))
    expected = difference(counts, nothing, "fixed").ave_interval
    made = MethodScores.of_counts(counts, f1)
    found = crossed_interval(made.average.by_seed, made.left_out())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_no_interval_of_one_training() -> None:
    made = MethodScores.of_counts(random_method(3, seeds=1), f1)
    assert np.isnan(crossed_interval(made.average.by_seed, made.left_out()).low)


def test_one_score_of_all_aus() -> None:
    counts = random_method(4, seeds=1, sizes=(3,))
    tp, fp, fn, _ = counts.parts[0].counts[0].sum(axis=(0, 1))
    assert MethodScores.of_counts(counts, micro_f1).average.ave == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_kendall_against_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 50, 5)).astype(float)
    expected = [kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)]
    assert np.allclose(kendall(a, b), expected, equal_nan=True)


def board(seed: int, methods: int = 4, seeds: int = 3, sizes: tuple[int, ...] = (6, 5)) -> Board:
    rng = np.random.default_rng(seed)
    by_seed = rng.normal(size=(methods, seeds))
    parts = np.repeat(np.arange(len(sizes)), sizes)
    return Board(by_seed.mean(axis=1), by_seed, rng.normal(size=(methods, len(parts))), parts)


def test_redraws_have_the_variances_of_subjects_and_of_trainings() -> None:
    made = board(0, seeds=12)
    drawn = redrawn(made, draws=200_000)
    subjects, _ = over_subjects(Jackknife(made.without.T, made.parts))
    trainings = made.by_seed.var(axis=1, ddof=1) / 12
    heavier = 11 / 9  # variance of Student's t with 11 degrees of freedom
    assert drawn.var(axis=0) == pytest.approx(subjects + heavier * trainings, rel=0.03)
    assert drawn.mean(axis=0) == pytest.approx(made.scores, abs=0.02)


def test_two_metrics_share_their_redraws() -> None:
    made = board(1)
    doubled = Board(2 * made.scores, 2 * made.by_seed, 2 * made.without, made.parts)
    found = agreement(made, doubled)
    assert (found.tau, found.interval.low, found.interval.high, found.swapped, found.pairs) == (1, 1, 1, 0, 6)
    assert found.own == kendall(doubled.scores, redrawn(doubled)).mean()
    reverse = agreement(made, Board(-made.scores, -made.by_seed, -made.without, made.parts))
    assert (reverse.tau, reverse.swapped) == (-1, 6)


def test_no_interval_of_tau_with_one_training() -> None:
    assert np.isnan(agreement(board(2, seeds=1), board(3, seeds=1)).interval.low)


def test_people_are_scored_over_the_aus_that_they_show() -> None:
    shown, absent = [6, 2, 1, 11], [0, 3, 0, 17]
    counts = method([[[shown, absent], [[2, 0, 6, 12], [1, 1, 1, 17]]]], subjects=(("F001", "M001"),))
    found = by_person(counts, f1)
    truth, predicted = np.repeat([1, 0, 1, 0], shown), np.repeat([1, 1, 0, 0], shown)
    scores = dict(zip(found.names, found.scores.tolist(), strict=True))
    assert scores["F001"] == pytest.approx(f1_score(truth, predicted))
    assert scores["M001"] == pytest.approx((4 / 10 + 2 / 4) / 2)
    assert found.names == ("M001", "F001")
    assert found.worst == (pytest.approx(0.45), 1)


def test_worst_decile_is_a_tenth_of_the_people_rounded_up() -> None:
    counts = random_method(5, sizes=(21,), low=1)
    found = by_person(counts, f1)
    value, people = found.worst
    assert (value, people) == (pytest.approx(np.sort(found.scores)[:3].mean()), 3)
    assert found.deviation == pytest.approx(np.std(found.scores, ddof=1))


def test_groups_of_people_are_scored_apart() -> None:
    counts = random_method(6, seeds=3, sizes=(6, 4), low=1)
    groups = {"a": ["0-0", "0-1", "0-2", "1-0", "1-3"], "b": ["0-3", "0-4", "0-5", "1-1", "1-2"]}
    found = compare_groups(counts, groups, f1)
    by_hand = []
    for members in groups.values():
        parts = [
            part.counts[:, [i for i, name in enumerate(part.subjects) if name in members]].sum(axis=1)
            for part in counts.parts
        ]
        by_hand.append(np.mean([f1(totals) for totals in parts], axis=0).mean())
    assert [found[name].value for name in groups] == pytest.approx(by_hand)
    assert found["a − b"].value == pytest.approx(by_hand[0] - by_hand[1])


def test_the_difference_of_groups_has_the_noise_of_both() -> None:
    counts = random_method(7, seeds=2, sizes=(8,), low=1)
    twice = [replace(part, counts=np.repeat(part.counts[:1], 2, axis=0)) for part in counts.parts]
    counts = replace(counts, parts=tuple(twice))  # no noise of training
    groups = {"a": [f"0-{i}" for i in range(4)], "b": [f"0-{i}" for i in range(4, 8)]}
    errors = []
    for members in groups.values():
        one = MethodScores.of_counts(of_group(counts, members), f1).left_out().values[:, -1]
        errors.append((len(one) - 1) / len(one) * ((one - one.mean()) ** 2).sum())
    half = compare_groups(counts, groups, f1)["a − b"].interval.half_width
    # 6 degrees of freedom: 3 of each group; t is 2.447.
    assert half == pytest.approx(2.4469 * np.sqrt(sum(errors)), rel=1e-3)
