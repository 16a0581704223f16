"""Scores of single people, and of groups of people, from counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmark.core.f1 import FN, TP, FloatArray, mean_defined
from benchmark.stats.bootstrap import Interval, Jackknife
from benchmark.stats.counts import MethodCounts
from benchmark.stats.metrics import OfCounts
from benchmark.stats.scored import MethodScores, crossed_interval

WORST = 0.1
"""Share of the people in the worst decile."""


@dataclass(frozen=True)
class Spread:
    """Spread of a score over people. A score that is undefined for a person leaves the person out.

    Attributes:
        names: People, from the lowest score to the highest.
        scores: (S,), their scores.
    """

    names: tuple[str, ...]
    scores: FloatArray

    @property
    def mean(self) -> float:
        """Mean over people: each counts the same, however many frames there are."""
        return float(self.scores.mean()) if len(self.scores) else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation over people (ddof 1); NaN for fewer than two."""
        return float(self.scores.std(ddof=1)) if len(self.scores) > 1 else math.nan

    @property
    def worst(self) -> tuple[float, int]:
        """Mean over the worst tenth of the people, rounded up, and their number."""
        count = math.ceil(WORST * len(self.scores))
        return (float(self.scores[:count].mean()) if count else math.nan), count


def by_person(method: MethodCounts, score: OfCounts) -> Spread:
    """Score of each person: over the AUs that he or she shows at all, then over seeds.

    A person who never shows an AU has no F1 above 0 for it, whatever the detector does, so such AUs are left out.

    Args:
        method: Counts of the method.
        score: A metric with one score per AU.
    """
    names: list[str] = []
    scores: list[float] = []
    for part in method.parts:
        shown = part.counts[..., TP] + part.counts[..., FN] > 0
        by_seed = mean_defined(np.where(shown, score(part.counts), np.nan), axis=2)  # (R, S)
        names += part.subjects
        scores += mean_defined(by_seed, axis=0).tolist()
    order = [i for i in np.argsort(scores, kind="stable") if not math.isnan(scores[i])]
    return Spread(tuple(names[i] for i in order), np.array([scores[i] for i in order]))


@dataclass(frozen=True)
class GroupScore:
    """Score of one group of people, or the difference of two.

    Attributes:
        value: Average over AUs.
        interval: 95 % interval over subjects and trainings; NaN at both ends for one training.
    """

    value: float
    interval: Interval


def of_group(method: MethodCounts, members: Sequence[str]) -> MethodCounts:
    """Counts of some people alone; parts without any of them are left out.

    Raises:
        ValueError: No part has any of them.
    """
    wanted, parts = set(members), []
    for part in method.parts:
        keep: npt.NDArray[np.bool_] = np.array([name in wanted for name in part.subjects])
        if keep.any():
            subjects = tuple(name for name in part.subjects if name in wanted)
            parts.append(replace(part, subjects=subjects, counts=part.counts[:, keep]))
    return replace(method, parts=tuple(parts))


def compare_groups(method: MethodCounts, groups: Mapping[str, Sequence[str]], score: OfCounts) -> dict[str, GroupScore]:
    """Score of each group of people, and the difference of the first two under the name "A − B".

    Args:
        method: Counts of the method.
        groups: Names of the members by group; nobody is in two.
        score: A metric.
    """
    scores = {name: MethodScores.of_counts(of_group(method, members), score) for name, members in groups.items()}
    sides = {name: (made.average.by_seed, made.left_out()) for name, made in scores.items()}
    made = {
        name: GroupScore(scores[name].average.ave, crossed_interval(by_seed, without))
        for name, (by_seed, without) in sides.items()
    }
    if len(sides) > 1:
        (a, (ours, out)), (b, (theirs, other)) = list(sides.items())[:2]
        # A person is in one group: without him or her, the score of the other group stays.
        values = np.concatenate([out.values - scores[b].average.columns, scores[a].average.columns - other.values])
        parts = np.concatenate([out.parts, other.parts + out.parts.max() + 1])
        value = scores[a].average.ave - scores[b].average.ave
        made[f"{a} − {b}"] = GroupScore(value, crossed_interval(ours - theirs, Jackknife(values, parts)))
    return made
