"""Methods of a group under every metric, on the parts and seeds that they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.report.by_trial import CountsByTrial, ScoresByTrial
from benchmark.report.groups import Group, Row
from benchmark.report.ours import row_name
from benchmark.stats.counts import MethodCounts
from benchmark.stats.metrics import METRICS
from benchmark.stats.orders import Board
from benchmark.stats.scored import MethodScores


@dataclass(frozen=True)
class Entry:
    """One method of a board.

    Attributes:
        name: Name for readers.
        counts: Counts of the common parts and seeds.
        scores: Scores by the name of the metric.
    """

    name: str
    counts: MethodCounts
    scores: Mapping[str, MethodScores]


@dataclass(frozen=True)
class Boards:
    """Trained methods of a group that were tested on the same parts.

    Attributes:
        entries: The methods, in the order of the group's rows.
        parts: Common test parts.
        seeds: Common seeds; none if there is no common one, and then the entries have all seeds of their own.
        left_out: Names of submitted rows beside them. They count as one training, so that a common seed with them
            would take all other trainings away.
    """

    entries: tuple[Entry, ...]
    parts: tuple[str, ...]
    seeds: tuple[int, ...]
    left_out: tuple[str, ...] = ()

    def board(self, metric: str) -> Board:
        """The methods' averages under a metric.

        Raises:
            ValueError: The methods have no seed in common.
        """
        if not self.seeds:
            raise ValueError("the methods have no seed in common")
        averages = [entry.scores[metric].average for entry in self.entries]
        jackknives = [entry.scores[metric].left_out() for entry in self.entries]
        return Board(
            np.array([average.ave for average in averages]),
            np.stack([average.ave_by_seed for average in averages]),
            np.stack([without.of_average for without in jackknives]),
            jackknives[0].parts,
        )


def boards_of(group: Group) -> Boards | None:
    """Scores of the group's trained rows that have most parts; None if no row is trained.

    Submitted rows stand here only if there are no others.
    """
    submitted = [row for row in group.rows if row.is_submitted]
    trained = [row for row in group.rows if row.is_trained and not row.is_submitted]
    trained, left_out = (trained, submitted) if trained else (submitted, [])
    if not trained:
        return None
    parts = max((row.parts for row in trained), key=len)
    rows = [row for row in trained if row.parts == parts]
    shared = tuple(seed for seed in rows[0].seeds if all(seed in row.seeds for row in rows))
    ranked = _Ranked(group)
    entries = tuple(_entry(group, row, shared or row.seeds, ranked) for row in rows)
    return Boards(entries, parts, shared, tuple(row_name(group, row) for row in left_out))


def _entry(group: Group, row: Row, seeds: Sequence[int], ranked: _Ranked) -> Entry:
    counts = row.counts.select(row.parts, seeds)
    scores = {
        metric.name: ranked.scores(row, counts, metric.name)
        if metric.of_counts is None
        else MethodScores.of_counts(counts, metric.of_counts)
        for metric in METRICS
    }
    return Entry(row_name(group, row), counts, scores)


class _Ranked:
    """Scores of rankings in the results of a group, which counts do not give."""

    def __init__(self, group: Group) -> None:
        self._scores = ScoresByTrial(group.results.scores, group.paper.aus)
        self._counts = CountsByTrial(group.results.counts, group.paper.aus)

    def scores(self, row: Row, counts: MethodCounts, name: str) -> MethodScores:
        """Scores of the seeds of `counts` by part; NaN where a trial of an earlier version did not store them."""
        columns = (row.trials[column] for column in ("part", "seed", "trial"))
        keys = {(part, seed): str(trial) for part, seed, trial in zip(*columns, strict=True)}
        whole, without = [], []
        for part in counts.parts:
            trials = [keys[part.part, seed] for seed in counts.seeds]
            whole.append(self._scores.of_trials(trials, name))
            without.append(self._counts.scores_without(trials, part.subjects, f"{name}_without"))
        return MethodScores(tuple(whole), tuple(without))
