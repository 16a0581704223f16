"""How often the tests of the suite speak where nothing is to be said, on trainings of one and the same method.

Two trainings of a method differ by noise alone, so a test that tells them apart is wrong. One training may play the
paper, which the others then reproduce perfectly; a verdict `differs` is wrong, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from benchmark.core.f1 import FloatArray, IntArray, mean_defined
from benchmark.stats.bootstrap import Jackknife, jackknife_by_seed
from benchmark.stats.compare import f1_with_intervals
from benchmark.stats.counts import MethodCounts, mean_over_parts
from benchmark.stats.crossed import difference_of_scores, over_subjects, t_interval
from benchmark.stats.trainings import Trainings, pooled_spread, predictions

SPLITS = 50
"""Largest number of pairs, and of splits into halves, of one method."""


@dataclass(frozen=True)
class Tally:
    """Number of alarms among a number of tests in which there is nothing to find."""

    alarms: int = 0
    tests: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.alarms + other.alarms, self.tests + other.tests)

    @property
    def share(self) -> float:
        """Share of alarms; NaN without a test."""
        return self.alarms / self.tests if self.tests else float("nan")


@dataclass(frozen=True)
class Calibration:
    """False alarms on trainings of the same methods; 5 % of the tests may raise one.

    Attributes:
        halves: Half of a method's trainings against the other half, by the interval over subjects and trainings.
        pairs_over_subjects: One training against another, by an interval over subjects alone.
        cells: One training as the paper, by the prediction interval of the others; single AUs.
        averages: The same of the average over AUs.
        cells_over_subjects: One training as the paper, by an interval over subjects alone; AUs and averages.
    """

    halves: Tally = Tally()
    pairs_over_subjects: Tally = Tally()
    cells: Tally = Tally()
    averages: Tally = Tally()
    cells_over_subjects: Tally = Tally()

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.halves + other.halves,
            self.pairs_over_subjects + other.pairs_over_subjects,
            self.cells + other.cells,
            self.averages + other.averages,
            self.cells_over_subjects + other.cells_over_subjects,
        )


def calibrate(methods: Sequence[MethodCounts], *, alone: bool = True) -> Calibration:
    """Count false alarms among the trainings of methods that were tested on the same parts and subjects.

    Args:
        methods: Counts of methods, each with the trainings of one setting.
        alone: Also count the alarms of intervals over subjects alone, for comparison.

    Returns:
        The tallies; a test that needs more trainings than there are is not made.

    Example:
        >>> calibrate([]).halves.tests
        0
    """
    halves = pairs = Tally()
    for method in methods:
        averages = _Averages.of(method)
        halves += _tally(_halves_differ(averages))
        pairs += _tally(_pairs_differ(averages) if alone else ())
    cells, of_averages, over_subjects_alone = _perfect_reproduction(methods, alone=alone)
    return Calibration(halves, pairs, cells, of_averages, over_subjects_alone)


def _tally(alarms: Iterable[bool]) -> Tally:
    raised = list(alarms)
    return Tally(sum(raised), len(raised))


@dataclass(frozen=True)
class _Averages:
    """Average F1 of each training of a method: computed once, since all splits choose among the same trainings.

    Attributes:
        scores: (R,), averages over AUs.
        without: (S, R), the same without each subject.
        parts: (S,), number of each subject's part.
    """

    scores: FloatArray
    without: FloatArray
    parts: IntArray

    @classmethod
    def of(cls, method: MethodCounts) -> _Averages:
        without, parts = jackknife_by_seed(method)
        return cls(mean_over_parts(method).ave_by_seed, without[..., -1], parts)

    def gap(self, ours: Sequence[int], theirs: Sequence[int]) -> tuple[FloatArray, FloatArray, Jackknife]:
        """Scores (R, 1) of some trainings and of others, and the difference of their means without each subject."""
        mean, other = (mean_defined(self.without[:, chosen], axis=1) for chosen in (ours, theirs))
        left = Jackknife((mean - other)[:, None], self.parts)
        return self.scores[ours, None], self.scores[theirs, None], left


def _halves_differ(averages: _Averages) -> Iterator[bool]:
    """Whether halves of the trainings are told apart, as if they were two methods."""
    count = len(averages.scores)
    half = count // 2
    if half < 2:
        return
    # The first is always on one side, so that no split comes twice.
    for more in _some(combinations(range(1, count), half - 1)):
        chosen = [0, *more]
        others = [number for number in range(count) if number not in chosen][:half]
        interval = difference_of_scores(*averages.gap(chosen, others)).ave_interval
        yield not interval.holds(0.0)


def _some(splits: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """At most `SPLITS` splits, spread evenly over the first 10,000."""
    listed = list(islice(splits, 10_000))
    step = max(1, -(-len(listed) // SPLITS))
    return listed[::step]


def _chosen(method: MethodCounts, seeds: Sequence[int]) -> MethodCounts:
    return method.select(method.part_names, seeds)


def _pairs_differ(averages: _Averages) -> Iterator[bool]:
    """Whether two trainings are told apart by an interval over subjects alone."""
    for one, other in _some(combinations(range(len(averages.scores)), 2)):
        ours, theirs, left = averages.gap([one], [other])
        variance, freedom = over_subjects(left)
        interval = t_interval(float(ours[0, 0] - theirs[0, 0]), float(np.sqrt(variance[0])), float(freedom[0]))
        yield not interval.holds(0.0)


def _perfect_reproduction(methods: Sequence[MethodCounts], *, alone: bool) -> tuple[Tally, Tally, Tally]:
    """Alarms where one training plays the paper: single AUs, averages, and both by intervals over subjects alone.

    Only methods with three trainings or more take part: two of them are ours then.
    """
    methods = [method for method in methods if len(method.seeds) > 2]
    cells = averages = by_subjects = Tally()
    shared = [seed for seed in (methods[0].seeds if methods else ()) if all(seed in m.seeds for m in methods)]
    trained = [Trainings(m.seeds, mean_over_parts(m).by_seed) for m in methods]
    for seed in shared[:SPLITS]:
        values = [made.of_seeds([other for other in made.seeds if other != seed]) for made in trained]
        spread = pooled_spread(values)
        for method, made, ours in zip(methods, trained, values, strict=True):
            (paper,) = made.of_seeds([seed]).values
            intervals = [prediction.interval() for prediction in predictions(ours.values, spread)]
            alarms = [
                not interval.holds(value)
                for interval, value in zip(intervals, paper.tolist(), strict=True)
                if not np.isnan([interval.low, value]).any()
            ]
            cells += _tally(alarms[:-1])
            averages += _tally(alarms[-1:])
            by_subjects += _tally(_outside_subjects(_chosen(method, ours.seeds), paper) if alone else ())
    return cells, averages, by_subjects


def _outside_subjects(method: MethodCounts, paper: FloatArray) -> Iterator[bool]:
    scored = f1_with_intervals(method, draws=1000)
    for interval, value in zip((*scored.per_au_intervals, scored.ave_interval), paper.tolist(), strict=True):
        if not np.isnan([interval.low, value]).any():
            yield not interval.holds(value)
