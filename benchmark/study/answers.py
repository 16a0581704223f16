"""Answers to a question: its primary differences, tested together, and against the margin of practical equality."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchmark.report.cells import number
from benchmark.report.groups import Row
from benchmark.stats.multiple import equivalence_p, holm
from benchmark.study.plan import Question
from benchmark.study.statistics import RowDifference


class Answer(StrEnum):
    """Possible answers on a difference of two methods."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "practically the same"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True)
class Comparison:
    """A primary pair with its answer.

    Attributes:
        first: Name of the first method.
        second: Name of the other.
        difference: F1 of the first − F1 of the second.
        p: p-value, adjusted by Holm's rule for the primary pairs of the question; NaN for one training.
        equal_p: p-value of the test that the difference lies outside the margin; NaN for one training.
        margin: Largest difference that counts as practically none, F1 points.
        alpha: Level of both tests.
    """

    first: str
    second: str
    difference: RowDifference
    p: float
    equal_p: float
    margin: float
    alpha: float

    @property
    def differs(self) -> bool:
        """Whether the difference is significant."""
        return self.p <= self.alpha

    @property
    def is_small(self) -> bool:
        """Whether the difference is shown to lie within the margin."""
        return self.equal_p <= self.alpha

    @property
    def answer(self) -> Answer:
        """The answer; a significant difference counts before a small one."""
        if self.differs:
            return Answer.BETTER if self.difference.f1 > 0 else Answer.WORSE
        return Answer.SAME if self.is_small else Answer.UNKNOWN

    @property
    def sentence(self) -> str:
        """The answer as one sentence with its numbers."""
        difference = self.difference
        pair = f"{self.first} and {self.second}"
        value = number(difference.f1, sign=True)
        if math.isnan(self.p):
            return f"{pair} cannot be compared: {value} F1 points of {difference.verdict}."
        low, high = (number(end, sign=True) for end in (difference.interval.low, difference.interval.high))
        numbers = f"{value} F1 points, {low} to {high}, {difference.trainings} trainings each, p = {_p(self.p)}"
        margin = number(self.margin)
        if self.differs:
            within = f", by less than {margin} points" if self.is_small else ""
            return f"{self.first} is {self.answer} than {self.second}{within}: {numbers}."
        if self.is_small:
            return f"{pair} are practically the same, within {margin} points: {numbers}."
        detectable = number(difference.detectable)
        return (
            f"{pair} cannot be told apart, and a difference beyond {margin} points is not excluded: {numbers};"
            f" {detectable} points would be found with a chance of 80 %."
        )


def answer(
    question: Question, differences: Mapping[tuple[str, str], RowDifference | None], *, margin: float, alpha: float
) -> tuple[Comparison, ...]:
    """Answers on the primary pairs of a question that have trials.

    Pairs without trials count in the adjustment of the p-values: what is decided does not depend on which trials are
    done first.

    Args:
        question: The question.
        differences: Differences by pair of methods; None for a pair without common trials.
        margin: Largest difference that counts as practically none, F1 points.
        alpha: Level of the tests.
    """
    asked = [differences.get(pair) for pair in question.primary]
    adjusted = holm([math.nan if difference is None else difference.p for difference in asked], planned=True)
    return tuple(
        Comparison(
            first=a,
            second=b,
            difference=difference,
            p=float(p),
            equal_p=equivalence_p(difference.f1, difference.error, difference.freedom, margin),
            margin=margin,
            alpha=alpha,
        )
        for (a, b), difference, p in zip(question.primary, asked, adjusted, strict=True)
        if difference is not None
    )


def overall(done: Mapping[str, Sequence[Comparison]], asked: Sequence[str]) -> str:
    """The answer of all primary questions of a plan together, as one sentence.

    *Yes*: the first method of every primary pair is better. *No*: that of the first pair of every question is worse, or
    practically the same. Anything else is *cannot say*, and questions that lack a trial leave it open.

    Args:
        done: Comparisons of the primary questions that have all trials, by name; each in the order of the plan.
        asked: Names of all primary questions.

    Returns:
        The sentence; "" for a plan without primary questions.
    """
    if not asked:
        return ""
    waiting = [name for name in asked if name not in done]
    if waiting:
        return f"not yet, since trials of {', '.join(f'`{name}`' for name in waiting)} are to be run"
    answers = [[comparison.answer for comparison in done[name]] for name in asked]
    if all(said is Answer.BETTER for question in answers for said in question):
        return "yes"
    if all(question[0] in (Answer.WORSE, Answer.SAME) for question in answers):
        return "no"
    return "cannot say"


def agreement(
    one: Mapping[str, Row], other: Mapping[str, Row]
) -> tuple[Sequence[tuple[str, str, RowDifference, RowDifference]], str]:
    """Differences of all pairs of methods in two questions, and a sentence on whether their signs agree.

    Args:
        one: Rows of a question by method.
        other: Rows of the other question.

    Returns:
        Tuples (first method, second method, difference in one question, difference in the other); the sentence.
    """
    names = [name for name in one if name in other]
    pairs = []
    for position, a in enumerate(names):
        for b in names[position + 1 :]:
            both = [RowDifference.between(rows[a], rows[b], rows.values()) for rows in (one, other)]
            if both[0] is not None and both[1] is not None:
                pairs.append((a, b, both[0], both[1]))
    told = [(x, y) for _, _, x, y in pairs if x.is_told and y.is_told]
    agree = sum((x.f1 > 0) == (y.f1 > 0) for x, y in told)
    single = sum(x.is_told != y.is_told for _, _, x, y in pairs)
    return pairs, (
        f"Of {len(pairs)} pairs of methods, {len(told)} are told apart in both, {agree} of them with the same sign;"
        f" {single} are told apart in one alone, and {len(pairs) - len(told) - single} in neither."
    )


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else number(value, digits=3)
