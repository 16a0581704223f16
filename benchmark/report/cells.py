"""Tables in no format yet: cells of plain text with marks, and the format of numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmark.paper.tables import Mark
from benchmark.stats.bootstrap import Interval

UNRUN = "-"
UNDEFINED = "n/a"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: plain text, not yet escaped for any format.

    Attributes:
        text: The text.
        mark: Emphasis; None for none.
        hover: Tooltip on the HTML page; "" for none.
        link: Anchor on the HTML page that the text leads to; "" for none.
        anchor: Anchor of the row of this cell on the HTML page; "" for none.
    """

    text: str
    mark: Mark | None = None
    hover: str = ""
    link: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first column is text and whose others are numbers, unless all columns are `words`."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: bool = False


def table(header: list[str], rows: list[list[Cell]], *, words: bool = False) -> Table:
    """A table whose rows all have the header's length.

    Raises:
        ValueError: A row has another length.
    """
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"rows of {sorted({len(row) for row in rows})} cells under {len(header)} headers")
    return Table(tuple(header), tuple(tuple(row) for row in rows), words)


def cells(*texts: str) -> list[Cell]:
    """One unmarked cell for each text."""
    return [Cell(text) for text in texts]


def number(value: float | None, *, digits: int = 1, sign: bool = False) -> str:
    """A number with this many decimals: "-" for None, "n/a" for NaN, and no negative zero."""
    if value is None:
        return UNRUN
    if math.isnan(value):
        return UNDEFINED
    rounded = round(value, digits) + 0.0  # −0.0 + 0.0 is 0.0
    return f"{rounded:{'+' if sign else ''},.{digits}f}"


def with_interval(value: float, interval: Interval, *, sign: bool = False) -> str:
    """A value with its interval, such as `52.1 [49.0, 55.3]`; "n/a" for NaN."""
    if math.isnan(value):
        return UNDEFINED
    low, high = (number(end, sign=sign) for end in (interval.low, interval.high))
    return f"{number(value, sign=sign)} [{low}, {high}]"


def percent(interval: Interval) -> Interval:
    """An interval of fractions as one of F1 × 100."""
    return Interval(100 * interval.low, 100 * interval.high)
