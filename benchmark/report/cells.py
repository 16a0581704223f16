"""Tables before they take a format: cells of plain text with marks, and how numbers are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmark.paper.tables import Mark
from benchmark.stats.bootstrap import Interval

UNRUN = "-"
UNDEFINED = "n/a"


@dataclass(frozen=True)
class Cell:
    """Plain text, not yet escaped for any format.

    Attributes:
        text: What it says.
        mark: How it is set off.
        hover: What a page tells of it when it is pointed at.
    """

    text: str
    mark: Mark | None = None
    hover: str = ""


@dataclass(frozen=True)
class Table:
    """The first column is text, the others are numbers and aligned as such, unless it is a table of `words`."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: bool = False


def table(header: list[str], rows: list[list[Cell]], *, words: bool = False) -> Table:
    """A table whose rows all have the header's length.

    Raises:
        ValueError: One has not.
    """
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"rows of {sorted({len(row) for row in rows})} cells under {len(header)} headers")
    return Table(tuple(header), tuple(tuple(row) for row in rows), words)


def cells(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def number(value: float | None, *, digits: int = 1, sign: bool = False) -> str:
    """A number to so many decimals: "-" for None, "n/a" for NaN, and never a negative zero."""
    if value is None:
        return UNRUN
    if math.isnan(value):
        return UNDEFINED
    rounded = round(value, digits) + 0.0  # −0.0 + 0.0 is 0.0
    return f"{rounded:{'+' if sign else ''},.{digits}f}"


def with_interval(value: float, interval: Interval, *, sign: bool = False) -> str:
    """`52.1 [49.0, 55.3]`, or "n/a"."""
    if math.isnan(value):
        return UNDEFINED
    low, high = (number(end, sign=sign) for end in (interval.low, interval.high))
    return f"{number(value, sign=sign)} [{low}, {high}]"


def percent(interval: Interval) -> Interval:
    """From fractions to F1 × 100."""
    return Interval(100 * interval.low, 100 * interval.high)
