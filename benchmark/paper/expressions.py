"""The paper's claims as expressions, and their evaluation on printed numbers or on ours.

An expression has Python's syntax. It is evaluated on its syntax tree; no code is executed. Names denote methods and
datasets (`MAL`, `BP4D`); a name that is no identifier is quoted (`'L2T-WW'`).

    ave(DATASET, METHOD)                    the column `ave`
    about(x, c)                             x is c, to the printed precision
    each(A > B, DATASET, ..., on='AU1 AU2') in every cell of the tables (all AUs without `on`)
    most(A > B, DATASET, ...)               in more than half of them
    fall(METHOD, SERIES)                    1 - end / start of a training curve, one for each trial
    trend(METHOD, SERIES)                   rank correlation of a training curve with the step, one for each trial
    weights(METHOD, NAME)                   a statistic of the final weights of the FE images, one for each trial
    mean(x), abs(x), + - < <= > >=, and

B is one method, several ('DRML, ROI'), `GROUP_AU` (the AU detection methods that the paper cites) or `OTHERS` (all
other rows of the table). Empty cells are left out.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Protocol

import numpy as np

from benchmark.core.f1 import FloatArray
from benchmark.paper.tables import AVE, PaperTable, paper_tables
from benchmark.stats.bootstrap import Interval, percentile_interval
from benchmark.stats.ranks import spearman
from benchmark.stats.verdict import HALF_DIGIT

NAMED = 5
"""Maximum number of contradicting cells that the evidence names."""

GROUP_AU, OTHERS = "GROUP_AU", "OTHERS"


@dataclass(frozen=True)
class Claim:
    """One claim of the paper's text."""

    id: str
    section: str
    text: str
    expression: str


class UnknownError(Exception):
    """Numbers that do not decide a claim; the message gives the reason."""


class Numbers(Protocol):
    """Numbers on which a claim is evaluated.

    Every value is an array (D,): the point value first, then the bootstrap draws, if any. Draws of two cells of one
    dataset are paired.
    """

    def cell(self, dataset: str, method: str, column: str) -> FloatArray | None:
        """F1 × 100 of a cell, (D,); None for an empty cell.

        Raises:
            UnknownError: There is no such row.
        """

    def curve(self, method: str, series: str) -> Sequence[tuple[FloatArray, FloatArray]]:
        """Steps and values of a training curve, both (P,), for each trial of the method on BP4D.

        Raises:
            UnknownError: There is no such curve.
        """

    def weight_statistic(self, method: str, name: str) -> FloatArray:
        """Statistic of the final weights of the FE images, one value for each trial.

        Raises:
            UnknownError: There are no such weights.
        """


@dataclass(frozen=True)
class Outcome:
    """Result of evaluating a claim.

    Attributes:
        holds: Whether the claim holds; None if the numbers do not decide it.
        evidence: Values that decide the claim, or the reason why they do not.
        probability: Share of the bootstrap draws in which the claim holds; for a claim of size, in which the sign is
            right.
    """

    holds: bool | None
    evidence: str
    probability: float | None = None


@dataclass(frozen=True)
class _Number:
    """Draws of a number, (D,)."""

    draws: FloatArray


@dataclass(frozen=True)
class _PerTrial:
    """One value for each trial, without draws."""

    values: FloatArray


@dataclass(frozen=True)
class _Truth:
    """Draws of a truth value, (D,): 1, 0 or NaN."""

    draws: FloatArray


@dataclass(frozen=True)
class _Size:
    """Draws of a number, (D,), and its claimed value."""

    draws: FloatArray
    claimed: float


@dataclass(frozen=True)
class _Name:
    text: str


_Value = _Number | _PerTrial | _Truth | _Size | _Name


@cache
def paper_claims() -> tuple[Claim, ...]:
    """All claims, in order."""
    text = (resources.files("benchmark.paper") / "claims.csv").read_text(encoding="utf-8")
    return tuple(
        Claim(row["id"], row["section"], row["claim"], row["expression"]) for row in csv.DictReader(text.splitlines())
    )


class Printed:
    """The paper's tables."""

    def __init__(self, tables: Mapping[str, PaperTable] | None = None) -> None:
        self.tables = paper_tables() if tables is None else tables

    def cell(self, dataset: str, method: str, column: str) -> FloatArray | None:
        """F1 × 100 of a cell, (1,), without draws."""
        row = self.tables[dataset].row(method)
        if row is None:
            raise UnknownError(f"Table {self.tables[dataset].number} has no row {method}")
        value = row.values[column]
        return None if value is None else np.array([value])

    def curve(self, method: str, series: str) -> Sequence[tuple[FloatArray, FloatArray]]:
        """Raise `UnknownError`: the paper prints curves as pictures only."""
        raise UnknownError("the paper prints no numbers of its curves")

    def weight_statistic(self, method: str, name: str) -> FloatArray:
        """Raise `UnknownError`: the paper prints the weights of few faces."""
        raise UnknownError("the paper prints the weights of some chosen images alone")


def judge(claim: Claim, numbers: Numbers) -> Outcome:
    """Evaluate a claim.

    Args:
        claim: The claim.
        numbers: Printed numbers or ours.

    Returns:
        The outcome with its evidence.

    Raises:
        ValueError: The expression is not valid.
    """
    walker = _Walker(numbers)
    try:
        value = walker.value(ast.parse(claim.expression, mode="eval").body)
    except UnknownError as why:
        return Outcome(None, str(why))
    except SyntaxError as error:
        raise ValueError(f"{claim.id}: {error}") from error
    evidence = "; ".join(walker.evidence)
    if isinstance(value, _Size):
        return _judge_size(value, evidence)
    if not isinstance(value, _Truth):
        raise ValueError(f"{claim.id}: the expression is no statement")
    point, draws = value.draws[0], value.draws[1:]
    if np.isnan(point):
        return Outcome(None, f"a value is undefined; {evidence}" if evidence else "a value is undefined")
    defined = draws[~np.isnan(draws)]
    return Outcome(bool(point), evidence, float(defined.mean()) if len(defined) else None)


def _judge_size(size: _Size, evidence: str) -> Outcome:
    """Judge a claim of size: a printed size must agree to the last digit, ours must include it in its 95 % interval."""
    point, draws = float(size.draws[0]), size.draws[1:]
    if np.isnan(point):
        return Outcome(None, "a value is undefined")
    if not len(draws):
        return Outcome(abs(point - size.claimed) <= HALF_DIGIT, evidence)
    interval = percentile_interval(draws)
    defined = draws[~np.isnan(draws)]
    same_sign = float((np.sign(defined) == np.sign(size.claimed)).mean())
    return Outcome(interval.holds(size.claimed, HALF_DIGIT), f"{evidence} {_bracket(interval)}", same_sign)


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
            sign = 1.0 if isinstance(node.op, ast.Add) else -1.0
            return self.arithmetic(node.left, node.right, lambda a, b: a + sign * b)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            return _Truth(_all([self.truth(part) for part in node.values]))
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return self.compare(node)
        raise ValueError(f"not in the language of claims: {ast.unparse(node)}")

    def arithmetic(
        self, left: ast.expr, right: ast.expr, operation: Callable[[FloatArray, FloatArray], FloatArray]
    ) -> _Value:
        a, b = self.value(left), self.value(right)
        if isinstance(a, _PerTrial) and isinstance(b, _PerTrial):
            return _PerTrial(operation(a.values, b.values))
        return _Number(operation(self.draws(a), self.draws(b)))

    def compare(self, node: ast.Compare) -> _Truth:
        operation = _COMPARISONS.get(type(node.ops[0]))
        if operation is None:
            raise ValueError(f"not in the language of claims: {ast.unparse(node)}")
        left, right = self.draws(self.value(node.left)), self.draws(self.value(node.comparators[0]))
        self.evidence.append(f"{ast.unparse(node.left)} = {left[0]:.3g}")
        undefined = np.isnan(left) | np.isnan(right)
        return _Truth(np.where(undefined, np.nan, operation(left, right).astype(np.float64)))

    def draws(self, value: _Value) -> FloatArray:
        if isinstance(value, _Number):
            return value.draws
        raise ValueError(f"a number is wanted, not {type(value).__name__[1:]}")

    def truth(self, node: ast.expr) -> FloatArray:
        value = self.value(node)
        if not isinstance(value, _Truth):
            raise ValueError(f"a statement is wanted: {ast.unparse(node)}")
        return value.draws

    def call(self, name: str, node: ast.Call) -> _Value:
        """Value of a function call."""
        functions: dict[str, Callable[[ast.Call], _Value]] = {
            "ave": self._ave,
            "about": self._about,
            "abs": lambda call: _Number(np.abs(self.draws(self.value(call.args[0])))),
            "each": lambda call: _Truth(_all(self._wins(call))),
            "most": lambda call: _Truth(_most(self._wins(call))),
            "mean": self._mean,
            "fall": lambda call: _PerTrial(np.array([fall(*c) for c in self.numbers.curve(*self._names(call))])),
            "trend": lambda call: _PerTrial(np.array([trend(*c) for c in self.numbers.curve(*self._names(call))])),
            "weights": lambda call: _PerTrial(self.numbers.weight_statistic(*self._names(call))),
        }
        if name not in functions:
            raise ValueError(f"not in the language of claims: {name}")
        return functions[name](node)

    def _names(self, call: ast.Call) -> tuple[str, str]:
        one, other = (self._name(argument) for argument in call.args)
        return one, other

    def _name(self, node: ast.expr) -> str:
        value = self.value(node)
        if not isinstance(value, _Name):
            raise ValueError(f"a name is wanted: {ast.unparse(node)}")
        return value.text

    def _ave(self, call: ast.Call) -> _Number:
        dataset, method = self._names(call)
        value = self.numbers.cell(dataset.lower(), method, AVE)
        if value is None:
            raise UnknownError(f"{method} has no average on {dataset}")
        return _Number(value)

    def _about(self, call: ast.Call) -> _Size:
        difference, claimed = (self.draws(self.value(argument)) for argument in call.args)
        self.evidence.append(f"{difference[0]:+.1f}, claimed {claimed[0]:+.1f}")
        return _Size(difference, float(claimed[0]))

    def _mean(self, call: ast.Call) -> _Number:
        value = self.value(call.args[0])
        if not isinstance(value, _PerTrial):
            raise ValueError(f"one value for each trial is wanted: {ast.unparse(call)}")
        defined = value.values[~np.isnan(value.values)]
        if not len(defined):
            raise UnknownError("no trial has it")
        self.evidence.append(f"above 0 in {int((defined > 0).sum())} of {len(defined)} trials")
        return _Number(np.array([defined.mean()]))

    def _wins(self, call: ast.Call) -> list[FloatArray]:
        """Truth values (D,) of A > B, for every cell that both rows have."""
        comparison, *datasets = call.args
        if not (isinstance(comparison, ast.Compare) and isinstance(comparison.ops[0], ast.Gt)):
            raise ValueError(f"A > B is wanted: {ast.unparse(comparison)}")
        better, rivals = self._name(comparison.left), self._name(comparison.comparators[0])
        on = next((self._name(keyword.value).split() for keyword in call.keywords if keyword.arg == "on"), None)
        wins, broken = [], []
        for dataset in (self._name(argument).lower() for argument in datasets):
            table = paper_tables()[dataset]
            for column in table.aus if on is None else on:
                if column not in table.columns:
                    continue
                for rival in _rivals(table, better, rivals):
                    ours, theirs = (self.numbers.cell(dataset, m, column) for m in (better, rival))
                    if ours is None or theirs is None:
                        continue
                    undefined = np.isnan(ours) | np.isnan(theirs)
                    wins.append(np.where(undefined, np.nan, (ours > theirs).astype(np.float64)))
                    if not ours[0] > theirs[0]:
                        broken.append(f"{table.title} {column} {ours[0]:.1f} against {rival}'s {theirs[0]:.1f}")
        if not wins:
            raise UnknownError("there is no cell to compare")
        held = f"{len(wins) - len(broken)} of {len(wins)} cells"
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        self.evidence.append(f"{held}; not in {', '.join(broken[:NAMED])}{more}" if broken else held)
        return wins


def _leaf(value: object) -> _Value:
    return _Number(np.array([float(value)])) if isinstance(value, int | float) else _Name(str(value))


_COMPARISONS: Mapping[type[ast.cmpop], Callable[[FloatArray, FloatArray], FloatArray]] = {
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
}


def _rivals(table: PaperTable, better: str, rivals: str) -> list[str]:
    if rivals == GROUP_AU:
        return [row.method for row in table.of_group("au")]
    if rivals == OTHERS:
        return [row.method for row in table.rows if row.method != better]
    return [name.strip() for name in rivals.split(",")]


def _all(truths: Sequence[FloatArray]) -> FloatArray:
    """Conjunction by draw: 0 where any is false, else NaN where any is undefined, else 1."""
    columns = np.stack(np.broadcast_arrays(*truths))
    return np.where((columns == 0).any(0), 0.0, np.where(np.isnan(columns).any(0), np.nan, 1.0))


def _most(truths: Sequence[FloatArray]) -> FloatArray:
    """Majority by draw: 1 where more than half are true, NaN where undefined values decide."""
    columns = np.stack(np.broadcast_arrays(*truths))
    yes, no, half = (columns == 1).sum(0), (columns == 0).sum(0), len(columns) / 2
    return np.where(yes > half, 1.0, np.where(no >= half, 0.0, np.nan))


def fall(steps: FloatArray, values: FloatArray) -> float:
    """1 − end / start of a curve, both means over a tenth of the points (at least one)."""
    tenth = max(len(values) // 10, 1)
    start, end = float(np.mean(values[:tenth])), float(np.mean(values[-tenth:]))
    return 1 - end / start if start > 0 else float("nan")


def trend(steps: FloatArray, values: FloatArray) -> float:
    """Spearman's rank correlation of a curve with the step; NaN for a constant curve."""
    return spearman(steps, values)
