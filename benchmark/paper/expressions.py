"""The language of the paper's claims, and its evaluation on printed numbers or on ours.

An expression has Python's syntax. It is evaluated on its syntax tree; no code is executed. Names denote methods and
datasets (`MAL`, `BP4D`); a name that is no identifier is quoted (`'L2T-WW'`).

    ave(DATASET, METHOD)                    the column `ave`
    about(x, c)                             x is c: to the printed precision, or as one more training of ours would be
    within(x, c)                            x is between -c and c
    each(A > B, DATASET, ..., on='AU1 AU2') in every cell of the tables (all AUs without `on`); also A >= B.
                                            on='ave': the average, on='cells': the average of the printed cells
    most(A > B, DATASET, ...)               in more than half of them; of several B, against all in most of the AUs
    fall(DATASET, METHOD, SERIES)           1 - end / start of a training curve, one for each trial
    trend(DATASET, METHOD, SERIES)          rank correlation of a training curve with the step, one for each trial
    weights(DATASET, METHOD, NAME)          a statistic of the final weights of the FE images, one for each trial
    network(METHOD, NAME)                   parameters or operations of the network that is kept after training
    share_of_peak(METHOD, DATASET)          operations of the paper's training over those that its card can do
    mean(x), abs(x), + - < <= > >=, and

B is one method, several ('DRML, ROI'), `GROUP_AU` (the AU detection methods that the paper cites) or `OTHERS` (all
other rows of the table). Empty cells are left out.

On printed numbers a statement is true or false. On ours it holds if its 95 % interval, over subjects and trainings, is
on the claimed side; of many cells at once, if it holds in 95 % of the draws. It fails if that is so of the opposite.
Otherwise the numbers cannot say, and never can those of one training.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from benchmark.core.f1 import FloatArray
from benchmark.paper.budget import network_size, share_of_peak
from benchmark.paper.tables import AVE, PaperTable, paper_tables
from benchmark.stats.bootstrap import LEVEL, Interval
from benchmark.stats.ranks import spearman
from benchmark.stats.samples import Sample, crossed_draws
from benchmark.stats.verdict import HALF_DIGIT, MARGIN_AVE, TRAININGS

NAMED = 5
"""Maximum number of contradicting cells that the evidence names."""

GROUP_AU, OTHERS, CELLS = "GROUP_AU", "OTHERS", "cells"


class UnknownError(Exception):
    """Numbers that do not decide a claim; the message gives the reason."""


@dataclass(frozen=True)
class Curve:
    """A training curve: its seed, steps (P,) and values (P,)."""

    seed: int
    steps: FloatArray
    values: FloatArray


class Numbers(Protocol):
    """Numbers on which a claim is evaluated."""

    def cell(self, dataset: str, method: str, column: str) -> Sample | None:
        """F1 × 100 of a cell; None for an empty cell.

        Raises:
            UnknownError: There is no such row.
        """

    def curves(self, dataset: str, method: str, series: str) -> Sequence[Curve]:
        """A training curve of each trial of the method.

        Raises:
            UnknownError: There is no such curve.
        """

    def weight_statistic(self, dataset: str, method: str, name: str) -> Sequence[tuple[int, float]]:
        """Seed and a statistic of the final weights of the FE images, for each trial.

        Raises:
            UnknownError: There are no such weights.
        """


@dataclass(frozen=True)
class Outcome:
    """Result of evaluating a claim.

    Attributes:
        holds: Whether the claim holds; None if the numbers do not decide it.
        evidence: Values that decide the claim, or the reason why they do not.
        probability: Share of the draws over subjects and trainings in which a claim on many cells holds.
    """

    holds: bool | None
    evidence: str
    probability: float | None = None


@dataclass(frozen=True)
class _PerTrial:
    """One value for each trial, and its seed."""

    seeds: tuple[int, ...]
    values: FloatArray


@dataclass(frozen=True)
class _Truth:
    """A statement.

    Attributes:
        point: Its truth on the values themselves: 1, 0 or NaN.
        draws: (D,), its truth in each draw over subjects and trainings; empty without such draws.
        is_exact: Whether the values have no noise.
        trainings: Number of trainings behind it.
        side: The side of an interval on which it lies: 1 true, 0 false, NaN both; None for a statement without one.
    """

    point: float
    draws: FloatArray
    is_exact: bool
    trainings: int
    side: float | None = None


@dataclass(frozen=True)
class _Size:
    """A number and its claimed value."""

    number: Sample
    claimed: float


@dataclass(frozen=True)
class _Name:
    text: str


_Value = Sample | _PerTrial | _Truth | _Size | _Name


class Printed:
    """The paper's tables."""

    def __init__(self, tables: Mapping[str, PaperTable] | None = None) -> None:
        self.tables = paper_tables() if tables is None else tables

    def cell(self, dataset: str, method: str, column: str) -> Sample | None:
        """F1 × 100 of a cell."""
        table = self.tables[dataset]
        row = table.row(method)
        if row is None:
            raise UnknownError(f"Table {table.number} has no row {method}")
        if column == CELLS:
            values = [value for au in table.aus if (value := row.values[au]) is not None]
            return Sample(sum(values) / len(values)) if len(values) == len(table.aus) else None
        value = row.values[column]
        return None if value is None else Sample(value)

    def curves(self, dataset: str, method: str, series: str) -> Sequence[Curve]:
        """Raise `UnknownError`: the paper prints curves as pictures only."""
        raise UnknownError("the paper prints no numbers of its curves")

    def weight_statistic(self, dataset: str, method: str, name: str) -> Sequence[tuple[int, float]]:
        """Raise `UnknownError`: the paper prints the weights of few faces."""
        raise UnknownError("the paper prints the weights of some chosen images alone")


def judge(expression: str, numbers: Numbers) -> Outcome:
    """Evaluate a reading of a claim.

    Args:
        expression: The reading.
        numbers: Printed numbers or ours.

    Returns:
        The outcome with its evidence.

    Raises:
        ValueError: The expression is not valid.

    Example:
        >>> judge("about(ave(BP4D, MAL) - ave(BP4D, MTL), 2.5)", Printed()).holds
        True
    """
    walker = _Walker(numbers)
    try:
        value = walker.value(ast.parse(expression, mode="eval").body)
    except UnknownError as why:
        return Outcome(None, str(why))
    except SyntaxError as error:
        raise ValueError(f"{expression}: {error}") from error
    evidence = "; ".join(walker.evidence)
    if isinstance(value, _Size):
        return _judge_size(value, evidence)
    if not isinstance(value, _Truth):
        raise ValueError(f"{expression}: no statement")
    return _judge_truth(value, evidence)


def _judge_truth(truth: _Truth, evidence: str) -> Outcome:
    if math.isnan(truth.point):
        return Outcome(None, f"a value is undefined; {evidence}" if evidence else "a value is undefined")
    if truth.is_exact:
        return Outcome(bool(truth.point), evidence)
    if truth.trainings < 2:
        return Outcome(None, f"one training; {evidence}")
    if truth.side is not None:  # an interval that holds both sides says neither, whatever the draws are
        return Outcome(None if math.isnan(truth.side) else bool(truth.side), evidence)
    if not len(truth.draws):
        return Outcome(None, evidence)
    defined = truth.draws[~np.isnan(truth.draws)]
    share = float(defined.mean()) if len(defined) else math.nan
    holds = True if share >= LEVEL else False if share <= 1 - LEVEL else None
    return Outcome(holds, evidence, None if math.isnan(share) else share)


def _judge_size(size: _Size, evidence: str) -> Outcome:
    """Judge a claim of size.

    A printed size must agree to the last digit. Ours refutes it if it is not among the differences that one more
    training would give, and confirms it if it is and they reach no more than `MARGIN_AVE` to either side.
    """
    ours = size.number
    if math.isnan(ours.value):
        return Outcome(None, "a value is undefined")
    if ours.is_exact:
        return Outcome(abs(ours.value - size.claimed) <= HALF_DIGIT, evidence)
    count = len(ours.trainings)
    if count < TRAININGS:
        return Outcome(None, f"{'one training' if count == 1 else f'{count} trainings'}; {evidence}")
    interval = ours.one_more().interval()
    said = f"{evidence}; one more training {_bracket(interval)}"
    if math.isnan(interval.low):
        return Outcome(None, f"{evidence}; fewer than two trainings have a value")
    if not interval.holds(size.claimed, HALF_DIGIT):
        return Outcome(False, said)
    return Outcome(True if interval.half_width <= MARGIN_AVE else None, said)


def _bracket(interval: Interval) -> str:
    return f"[{interval.low:+.1f}, {interval.high:+.1f}]"


@dataclass
class _Walker:
    numbers: Numbers
    evidence: list[str] = field(default_factory=list)

    def value(self, node: ast.expr) -> _Value:
        """Value of a node of the syntax tree."""
        if isinstance(node, ast.Constant | ast.Name):
            return _leaf(node.value if isinstance(node, ast.Constant) else node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self.call(node.func.id, node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Add):
            return self.arithmetic(node.left, node.right, 1.0 if isinstance(node.op, ast.Add) else -1.0)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            return _all([self.truth(part) for part in node.values])
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return self.compare(node)
        raise ValueError(f"not in the language of claims: {ast.unparse(node)}")

    def arithmetic(self, left: ast.expr, right: ast.expr, sign: float) -> _Value:
        a, b = self.value(left), self.value(right)
        if isinstance(a, _PerTrial) and isinstance(b, _PerTrial):
            return _PerTrial(a.seeds, a.values + sign * b.values)
        return self.number(a).plus(self.number(b), sign)

    def compare(self, node: ast.Compare) -> _Truth:
        operation = _COMPARISONS.get(type(node.ops[0]))
        if operation is None:
            raise ValueError(f"not in the language of claims: {ast.unparse(node)}")
        left, right = self.number(self.value(node.left)), self.number(self.value(node.comparators[0]))
        rest = left.plus(right, -1.0)
        value, other = (_shown(side.value) for side in (left, right))
        # A number in the statement is a bound that the paper's words set; anything else is a second value.
        is_bound = isinstance(node.comparators[0], ast.Constant)
        self.evidence.append(
            f"{value}; claimed: {_BOUNDS[operation]} {other}" if is_bound else f"{value} against {other}"
        )
        side = None
        if not rest.is_exact:
            interval = rest.interval()
            if not math.isnan(interval.low):
                self.evidence.append(f"difference {rest.value:+.2g} [{interval.low:+.2g}, {interval.high:+.2g}]")
                side = _side(interval, operation)
        (truth,) = _truths([rest], operation)
        return replace(truth, side=side)

    def number(self, value: _Value) -> Sample:
        if isinstance(value, Sample):
            return value
        raise ValueError(f"a number is wanted, not {type(value).__name__.lstrip('_')}")

    def truth(self, node: ast.expr) -> _Truth:
        value = self.value(node)
        if not isinstance(value, _Truth):
            raise ValueError(f"a statement is wanted: {ast.unparse(node)}")
        return value

    def call(self, name: str, node: ast.Call) -> _Value:
        """Value of a function call."""
        functions: dict[str, Callable[[ast.Call], _Value]] = {
            "ave": self._ave,
            "about": self._about,
            "within": self._within,
            "abs": self._abs,
            "each": lambda call: _all([truth for cell in self._wins(call).values() for truth in cell]),
            "most": lambda call: _most([_all(cell) for cell in self._wins(call, of_all=True).values()]),
            "mean": self._mean,
            "fall": lambda call: self._of_curves(call, fall),
            "trend": lambda call: self._of_curves(call, trend),
            "weights": self._weights,
            "network": self._network,
            "share_of_peak": self._share_of_peak,
        }
        if name not in functions:
            raise ValueError(f"not in the language of claims: {name}")
        return functions[name](node)

    def _names(self, call: ast.Call) -> list[str]:
        return [self._name(argument) for argument in call.args]

    def _name(self, node: ast.expr) -> str:
        value = self.value(node)
        if not isinstance(value, _Name):
            raise ValueError(f"a name is wanted: {ast.unparse(node)}")
        return value.text

    def _ave(self, call: ast.Call) -> Sample:
        dataset, method = self._names(call)
        value = self.numbers.cell(dataset.lower(), method, AVE)
        if value is None:
            raise UnknownError(f"{method} has no average on {dataset}")
        return value

    def _abs(self, call: ast.Call) -> Sample:
        value = self.number(self.value(call.args[0]))
        if not value.is_exact:
            raise ValueError(f"abs is for exact numbers, `within` for others: {ast.unparse(call)}")
        return Sample(abs(value.value))

    def _about(self, call: ast.Call) -> _Size:
        difference, claimed = (self.number(self.value(argument)) for argument in call.args)
        self.evidence.append(f"{difference.value:+.1f}, claimed {claimed.value:+.1f}")
        return _Size(difference, claimed.value)

    def _within(self, call: ast.Call) -> _Truth:
        difference, margin = (self.number(self.value(argument)) for argument in call.args)
        limit = margin.value
        point = math.nan if math.isnan(difference.value) else float(abs(difference.value) <= limit)
        self.evidence.append(f"{difference.value:+.1f}")
        side = None
        if not difference.is_exact:
            interval = difference.interval()
            if not math.isnan(interval.low):
                self.evidence[-1] += f" {_bracket(interval)}"
                inside = -limit <= interval.low and interval.high <= limit
                outside = interval.low > limit or interval.high < -limit
                side = float(inside) if inside or outside else math.nan
        return _Truth(point, np.empty(0), difference.is_exact, len(difference.trainings), side)

    def _of_curves(self, call: ast.Call, measure: Callable[[FloatArray, FloatArray], float]) -> _PerTrial:
        dataset, method, series = self._names(call)
        curves = self.numbers.curves(dataset.lower(), method, series)
        return _PerTrial(
            tuple(curve.seed for curve in curves), np.array([measure(curve.steps, curve.values) for curve in curves])
        )

    def _weights(self, call: ast.Call) -> _PerTrial:
        dataset, method, name = self._names(call)
        seeds, values = zip(*self.numbers.weight_statistic(dataset.lower(), method, name), strict=True)
        return _PerTrial(seeds, np.array(values))

    def _network(self, call: ast.Call) -> Sample:
        method, name = self._names(call)
        size = network_size(method, name)
        self.evidence.append(f"{method} {size:,}")
        return Sample(float(size))

    def _share_of_peak(self, call: ast.Call) -> Sample:
        method, dataset = self._names(call)
        self.evidence.append("operations of the training over those that the card can do in its time")
        return Sample(share_of_peak(method, dataset.lower()))

    def _mean(self, call: ast.Call) -> Sample:
        """Mean over trials: first over the parts of a seed, then over seeds."""
        trials = self.value(call.args[0])
        if not isinstance(trials, _PerTrial):
            raise ValueError(f"one value for each trial is wanted: {ast.unparse(call)}")
        is_defined = ~np.isnan(trials.values)
        if not is_defined.any():
            raise UnknownError("no trial has it")
        defined, seeds = trials.values[is_defined], np.array(trials.seeds)[is_defined]
        self.evidence.append(f"above 0 in {int((defined > 0).sum())} of {len(defined)} trials")
        by_seed = np.array([defined[seeds == seed].mean() for seed in np.unique(seeds)])
        return Sample(float(by_seed.mean()), trainings=by_seed)

    def _wins(self, call: ast.Call, *, of_all: bool = False) -> dict[tuple[str, str], list[_Truth]]:
        """The statement A > B, or A >= B, by dataset and AU, for each B that has the cell as well.

        With `of_all`, the evidence counts the AUs in which it holds for all B.
        """
        comparison, *datasets = call.args
        operation = _COMPARISONS.get(type(comparison.ops[0])) if isinstance(comparison, ast.Compare) else None
        if not isinstance(comparison, ast.Compare) or operation not in (operator.gt, operator.ge):
            raise ValueError(f"A > B is wanted: {ast.unparse(comparison)}")
        better, rivals = self._name(comparison.left), self._name(comparison.comparators[0])
        on = next((self._name(keyword.value).split() for keyword in call.keywords if keyword.arg == "on"), None)
        differences, places, broken = list[Sample](), list[tuple[str, str]](), dict[tuple[str, str], list[str]]()
        for dataset in (self._name(argument).lower() for argument in datasets):
            table = paper_tables()[dataset]
            for column in table.aus if on is None else on:
                if column not in (*table.columns, CELLS):
                    continue
                for rival in _rivals(table, better, rivals):
                    ours, theirs = (self.numbers.cell(dataset, m, column) for m in (better, rival))
                    if ours is None or theirs is None:
                        continue
                    differences.append(ours.plus(theirs, -1.0))
                    places.append((dataset, column))
                    if not operation(ours.value, theirs.value):
                        place = "average of the cells" if column == CELLS else column
                        said = f"{table.title} {place} {ours.value:.1f} against {rival}'s {theirs.value:.1f}"
                        broken.setdefault((dataset, column), []).append(said)
        if not differences:
            raise UnknownError("there is no cell to compare")
        cells, against = set(places), [said for of_cell in broken.values() for said in of_cell]
        if of_all and len(cells) < len(places):
            held = f"{len(cells) - len(broken)} of {len(cells)} AUs"
        else:
            held = f"{len(places) - len(against)} of {len(places)} cells"
        more = f" and {len(against) - NAMED} more" if len(against) > NAMED else ""
        self.evidence.append(f"{held}; not in {', '.join(against[:NAMED])}{more}" if against else held)
        wins: dict[tuple[str, str], list[_Truth]] = {}
        for cell, truth in zip(places, _truths(differences, operation), strict=True):
            wins.setdefault(cell, []).append(truth)
        return wins


def _shown(value: float) -> str:
    """F1 × 100 with one decimal, smaller numbers with three digits."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _leaf(value: object) -> _Value:
    return Sample(float(value)) if isinstance(value, int | float) else _Name(str(value))


_Operation = Callable[[Any, Any], Any]

_COMPARISONS: Mapping[type[ast.cmpop], _Operation] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}

_BOUNDS: Mapping[_Operation, str] = {
    operator.gt: "more than",
    operator.ge: "at least",
    operator.lt: "less than",
    operator.le: "at most",
}
"""Words for a comparison with a number."""


def _side(interval: Interval, operation: _Operation) -> float:
    """Whether a whole interval is on the side of 0 that the comparison states, 1 or 0; NaN if 0 is in it."""
    if interval.holds(0.0):
        return math.nan
    return float(bool(operation(interval.low, 0.0)))


def _truths(differences: Sequence[Sample], operation: _Operation) -> list[_Truth]:
    """The statement of each difference that it is above, or below, 0."""
    made = []
    for difference, drawn in zip(differences, crossed_draws(differences), strict=True):
        # A printed difference of equal values is not 0 in floating point.
        value = round(difference.value, 9)
        point = math.nan if math.isnan(value) else float(bool(operation(value, 0.0)))
        truths = np.where(np.isnan(drawn), np.nan, np.asarray(operation(drawn, 0.0), dtype=np.float64))
        made.append(_Truth(point, truths, difference.is_exact, len(difference.trainings)))
    return made


def _rivals(table: PaperTable, better: str, rivals: str) -> list[str]:
    if rivals == GROUP_AU:
        return [row.method for row in table.of_group("au")]
    if rivals == OTHERS:
        return [row.method for row in table.rows if row.method != better]
    return [name.strip() for name in rivals.split(",")]


def _all(truths: Sequence[_Truth]) -> _Truth:
    """Conjunction: 0 where any is false, else NaN where any is undefined, else 1."""
    return _together(
        truths, lambda some: np.where((some == 0).any(0), 0.0, np.where(np.isnan(some).any(0), np.nan, 1.0))
    )


def _most(truths: Sequence[_Truth]) -> _Truth:
    """Majority: 1 where more than half are true, NaN where undefined values decide."""

    def majority(some: FloatArray) -> FloatArray:
        yes, no, half = (some == 1).sum(0), (some == 0).sum(0), len(some) / 2
        return np.where(yes > half, 1.0, np.where(no >= half, 0.0, np.nan))

    return _together(truths, majority)


def _together(truths: Sequence[_Truth], combine: Callable[[FloatArray], FloatArray]) -> _Truth:
    """One statement from several: on the values themselves, and in each draw."""
    noisy = [truth for truth in truths if not truth.is_exact]
    have_draws = bool(noisy) and all(len(truth.draws) for truth in noisy)
    columns = [truth.draws if len(truth.draws) else np.array([truth.point]) for truth in truths]
    return _Truth(
        point=float(combine(np.array([[truth.point] for truth in truths]))[0]),
        draws=combine(np.stack(np.broadcast_arrays(*columns))) if have_draws else np.empty(0),
        is_exact=not noisy,
        trainings=min((truth.trainings for truth in noisy), default=0),
    )


def fall(steps: FloatArray, values: FloatArray) -> float:
    """1 − end / start of a curve, both means over a tenth of the points (at least one)."""
    tenth = max(len(values) // 10, 1)
    start, end = float(np.mean(values[:tenth])), float(np.mean(values[-tenth:]))
    return 1 - end / start if start > 0 else float("nan")


def trend(steps: FloatArray, values: FloatArray) -> float:
    """Spearman's rank correlation of a curve with the step; NaN for a constant curve."""
    return spearman(steps, values)
