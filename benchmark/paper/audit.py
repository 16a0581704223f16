"""Audit of the printed tables: averages and underlines that disagree with the printed cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchmark.paper.tables import AVE, PaperTable, paper_tables, printed_underlines

ROUNDING = 0.05
"""Half of the last printed digit."""

_EPS = 1e-9


@dataclass(frozen=True)
class AverageFault:
    """A printed average that differs from the rounded average of the printed cells."""

    table: PaperTable
    method: str
    printed: float
    recomputed: float

    @property
    def size(self) -> float:
        """Printed − recomputed, in F1 points."""
        return self.printed - self.recomputed

    @property
    def rounding_explains(self) -> bool:
        """Whether rounding in print can explain the difference.

        The cells and the average can each be off by half of the last digit.
        """
        return abs(self.size) <= 2 * ROUNDING + _EPS


@dataclass(frozen=True)
class UnderlineFault:
    """A cell that is underlined in print but not by the rule, or vice versa."""

    table: PaperTable
    column: str
    method: str
    stands_in: Literal["print", "rule"]
    """The side that underlines the cell."""
    value: float
    size: float
    """F1 points below the best of the group in the column (print), or above the second best (rule)."""


@dataclass(frozen=True)
class Audit:
    """Printed averages and underlines that the paper's own numbers contradict."""

    averages: tuple[AverageFault, ...]
    underlines: tuple[UnderlineFault, ...]


def audit(
    tables: Iterable[PaperTable] | None = None, underlines: frozenset[tuple[str, str, str]] | None = None
) -> Audit:
    """Recompute averages and underlines of the printed tables.

    Args:
        tables: Tables by dataset; None for the paper's three.
        underlines: (dataset, method, column) of each printed underline; None for the paper's.
    """
    chosen = list(paper_tables().values() if tables is None else tables)
    printed = printed_underlines() if underlines is None else underlines
    return Audit(
        averages=tuple(fault for table in chosen for fault in _averages(table)),
        underlines=tuple(fault for table in chosen for fault in _underlines(table, printed)),
    )


def _averages(table: PaperTable) -> list[AverageFault]:
    faults = []
    for row in table.rows:
        printed, cells = row.values[AVE], [row.values[au] for au in table.aus]
        defined = [cell for cell in cells if cell is not None]
        if printed is None or len(defined) < len(cells):
            continue  # gBN: an average without cells cannot be recomputed
        recomputed = sum(defined) / len(defined)
        if abs(printed - recomputed) > ROUNDING + _EPS:
            faults.append(AverageFault(table, row.method, printed, recomputed))
    return faults


def _underlines(table: PaperTable, printed: frozenset[tuple[str, str, str]]) -> list[UnderlineFault]:
    faults = []
    for column in table.columns:
        by_rule = table.best("au", column)
        values = {row.method: value for row in table.of_group("au") if (value := row.values[column]) is not None}
        for method, value in values.items():
            in_print = (table.dataset, method, column) in printed
            if in_print == (method in by_rule):
                continue
            others = max((v for name, v in values.items() if name != method), default=value)
            stands_in: Literal["print", "rule"] = "print" if in_print else "rule"
            faults.append(UnderlineFault(table, column, method, stands_in, value, abs(value - others)))
    return faults
