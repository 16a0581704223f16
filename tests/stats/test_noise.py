"""False alarms, coverage and power where training is noisy, by simulation.

Methods differ in how well they find an AU from subject to subject, from training to training, and from both together.
The truth is the F1 of a great many subjects and trainings.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.stats.counts import MethodCounts, PartCounts, mean_over_parts
from benchmark.stats.crossed import Difference, difference
from benchmark.stats.trainings import Trainings, pooled_spread, predictions
from benchmark.stats.verdict import HALF_DIGIT, MARGIN_AVE, verdict

PARTS = {41: (13, 14, 14), 27: (9, 9, 9), 18: (6, 6, 6)}
FRAMES, AUS = 300, 3


def counts(hit: np.ndarray, positives: np.ndarray, sizes: tuple[int, ...], rng: np.random.Generator) -> MethodCounts:
    """Counts of trainings with hit rates (R, S, J) on subjects with numbers of positives (S, J)."""
    found = rng.binomial(np.broadcast_to(positives, hit.shape), np.clip(hit, 0.02, 0.98))
    wrong = rng.binomial(np.broadcast_to(FRAMES - positives, hit.shape), 0.12)
    cells = np.stack([found, wrong, positives - found, FRAMES - positives - wrong], axis=-1)
    blocks = np.split(cells, np.cumsum(sizes)[:-1], axis=1)
    parts = tuple(PartCounts(f"p{i}", tuple(map(str, range(b.shape[1]))), b) for i, b in enumerate(blocks))
    return MethodCounts(tuple(f"AU{j}" for j in range(AUS)), tuple(range(len(hit))), parts)


def two_methods(
    trainings: int, subjects: int, rng: np.random.Generator, gain: float = 0.0
) -> tuple[MethodCounts, MethodCounts]:
    """Two methods on the same subjects, the first with a hit rate that is higher by `gain`.

    The difference of averages has an SD of about 1 F1 point over trainings, and of about .5 over draws of the subjects.
    """
    sizes = PARTS[subjects]
    positives = rng.binomial(FRAMES, rng.beta(2, 5, (subjects, AUS)))
    skill = rng.normal(0.65, 0.08, (subjects, AUS))
    shared = rng.normal(0, 0.01, (trainings, 1, AUS))  # of a seed, for both methods
    made = []
    for better in (gain, 0.0):
        of_subject = rng.normal(0, 0.04, (subjects, AUS))
        of_training = rng.normal(0, 0.018, (trainings, 1, AUS))
        of_both = rng.normal(0, 0.02, (trainings, subjects, AUS))
        made.append(counts(skill + better + of_subject + shared + of_training + of_both, positives, sizes, rng))
    return made[0], made[1]


@pytest.mark.parametrize("subjects", PARTS)
@pytest.mark.parametrize(("trainings", "most"), [(3, 0.08), (5, 0.06), (12, 0.06)])
def test_equal_methods_are_seldom_told_apart(trainings: int, most: float, subjects: int) -> None:
    """The interval over subjects alone tells them apart several times as often."""
    rng = np.random.default_rng([trainings, subjects])
    alarms, repeats = 0, 1000
    for _ in range(repeats):
        alarms += not difference(*two_methods(trainings, subjects, rng)).ave_interval.holds(0.0)
    assert alarms / repeats <= most


def test_one_training_says_nothing_of_methods() -> None:
    made = difference(*two_methods(1, 27, np.random.default_rng(0)))
    assert np.isnan([made.ave_interval.low, made.ave_interval.high]).all()
    assert np.isnan(made.p_values).all()
    assert np.isnan(made.detectable())


@pytest.mark.parametrize("subjects", PARTS)
def test_the_interval_of_a_difference_holds_the_truth(subjects: int) -> None:
    rng = np.random.default_rng(subjects)
    gain, repeats, held, values = 0.05, 600, 0, []
    found = [difference(*two_methods(3, subjects, rng, gain)) for _ in range(repeats)]
    values = [made.ave for made in found]
    truth = float(np.mean(values))  # F1 of few subjects has a bias, which is not what is tested here
    held = sum(made.ave_interval.holds(truth) for made in found)
    assert truth > 0.015
    assert held / repeats >= 0.93


def test_power_is_what_detectable_says() -> None:
    """Students' tests of R differences with SD 1, against the table of the noncentral t distribution."""
    table = {3: 3.3, 5: 1.7, 8: 1.2, 12: 0.9}
    rng = np.random.default_rng(0)
    for trainings, expected in table.items():
        error, freedom = np.array([trainings**-0.5]), np.array([trainings - 1.0])
        size = Difference(np.zeros(1), error, freedom, trainings).detectable()
        assert round(size, 1) == expected
        drawn = rng.normal(size, 1, (20_000, trainings))
        ratio = drawn.mean(1) / (drawn.std(1, ddof=1) / trainings**0.5)
        critical = Difference(np.zeros(1), error, freedom, trainings).interval(0).high / error[0]
        assert (np.abs(ratio) > critical).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("shared", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("trainings", [3, 5, 12])
def test_a_perfect_reproduction_seldom_differs(trainings: int, shared: float) -> None:
    """One more training of the same code plays the paper; methods of one seed share a part of their noise."""
    rng, methods, repeats = np.random.default_rng([trainings, int(10 * shared)]), 5, 1500
    alarms = 0
    for _ in range(repeats):
        values = rng.normal(0, shared**0.5, (1, trainings + 1)) + rng.normal(
            0, (1 - shared) ** 0.5, (methods, trainings + 1)
        )
        ours = [Trainings(tuple(range(trainings)), row[:-1, None]) for row in values]
        spread = pooled_spread(ours)
        for row, of_method in zip(values, ours, strict=True):
            (prediction,) = predictions(of_method.values, spread)
            alarms += not prediction.interval().holds(float(row[-1]))
    assert alarms / (repeats * methods) <= 0.06


def test_methods_of_one_seed_are_not_independent() -> None:
    """Degrees of freedom of M (R − 1), as if they were, would raise twice as many alarms."""
    rng, repeats, naive, ours = np.random.default_rng(1), 1000, 0, 0
    for _ in range(repeats):
        values = rng.normal(0, 0.9**0.5, (1, 4)) + rng.normal(0, 0.1**0.5, (5, 4))
        together = [Trainings((0, 1, 2), row[:-1, None]) for row in values]
        apart = [Trainings((i, i + 10, i + 20), row[:-1, None]) for i, row in enumerate(values)]
        for row, of_method in zip(values, together, strict=True):
            printed = float(row[-1])
            ours += not predictions(of_method.values, pooled_spread(together))[0].interval().holds(printed)
            naive += not predictions(of_method.values, pooled_spread(apart))[0].interval().holds(printed)
    assert naive / (5 * repeats) > 0.10
    assert ours / (5 * repeats) <= 0.06


def test_a_printed_value_of_known_distance() -> None:
    """By hand: SD 1 with 10 degrees of freedom, 3 trainings: the interval is ± 2.228 · √(4/3) = 2.573."""
    values = np.array([[49.0], [50.0], [51.0]])
    spread = pooled_spread([Trainings((i, i + 10, i + 20), values + i) for i in range(5)])
    assert spread.deviations[0] == pytest.approx(1.0)
    assert spread.freedom.tolist() == [10.0]
    (prediction,) = predictions(values, spread)
    assert prediction.interval().high == pytest.approx(50 + 2.228139 * (4 / 3) ** 0.5, abs=1e-5)
    settled = {"margin": 3.0, "origin": "complete", "complete": True}
    assert verdict(52.6, prediction, **settled) == "reproduced"  # 52.55 rounds to it
    assert verdict(52.7, prediction, **settled) == "differs"
    assert verdict(50.0, prediction, **{**settled, "margin": MARGIN_AVE}) == "inconclusive"
    assert prediction.p_value(50 + 2.228139 * (4 / 3) ** 0.5) == pytest.approx(0.05, abs=1e-6)
    assert prediction.p_value(50.04, HALF_DIGIT) == 1.0


def test_a_method_that_is_better_by_a_known_amount() -> None:
    """Two methods that are equal, and two that are not, by hand."""
    base = np.array([[[[60, 20, 40, 180]]], [[[62, 20, 38, 180]]], [[[58, 20, 42, 180]]]])
    found = np.array([1, 0, -1, 0])
    four = np.concatenate([base, base + 2 * found, base - 3 * found, base + found], axis=1)
    usual = MethodCounts(("AU1",), (0, 1, 2), (PartCounts("p", ("a", "b", "c", "d"), four),))
    raised = four + 20 * found
    better = MethodCounts(("AU1",), (0, 1, 2), (PartCounts("p", ("a", "b", "c", "d"), raised),))
    same, gain = difference(usual, usual), difference(better, usual)
    assert same.ave == 0
    assert same.p_values[-1] == 1
    by_hand = [2 * 320 / (2 * 320 + 80 + 80) - 2 * 240 / (2 * 240 + 80 + 160)]  # seed 0: 240 of 400 found, then 320
    assert mean_over_parts(better).by_seed[0, 0] - mean_over_parts(usual).by_seed[0, 0] == pytest.approx(by_hand[0])
    assert gain.ave_interval.low > 0
    assert gain.p_values[-1] < 0.01
