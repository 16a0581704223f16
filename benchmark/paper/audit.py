"""Where the printed tables disagree with themselves: averages and underlines, each recomputed."""

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
    """A printed average that is not the average of the printed cells, rounded."""

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
        """Whether the average of cells that were rounded only in print can have come out so.

        Each cell and the average itself may be off by half a digit.
        """
        return abs(self.size) <= 2 * ROUNDING + _EPS


@dataclass(frozen=True)
class UnderlineFault:
    """A cell that is underlined in print and not by the rule, or the other way round."""

    table: PaperTable
    column: str
    method: str
    stands_in: Literal["print", "rule"]
    """Which of the two underlines it."""
    value: float
    size: float
    """Print: how far below the best of the group in the column. Rule: how far above the next best of the group."""


@dataclass(frozen=True)
class Audit:
    averages: tuple[AverageFault, ...]
    underlines: tuple[UnderlineFault, ...]


def audit(
    tables: Iterable[PaperTable] | None = None, underlines: frozenset[tuple[str, str, str]] | None = None
) -> Audit:
    """Recompute averages and underlines of the printed tables.

    Args:
        tables: The paper's three, if not given.
        underlines: (dataset, method, column) as printed; those of the paper, if not given.
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
        known = [cell for cell in cells if cell is not None]
        if printed is None or len(known) < len(cells):
            continue  # gBN: an average without cells cannot be recomputed
        recomputed = sum(known) / len(known)
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
