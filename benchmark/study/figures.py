"""Figures of the page of a study: F1 of methods beside their differences, and the map of one difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from benchmark.report.cells import number
from benchmark.report.figures import BLUE, GREY, LABEL, TICK, TITLE, WIDTH, mark_origin, own_style
from benchmark.report.groups import Row
from benchmark.stats.counts import mean_over_parts
from benchmark.study.plan import Map
from benchmark.study.statistics import RowDifference

COLOURS = "PuOr"
"""Diverging colours that readers with any colour vision can distinguish."""


@own_style()
def question_figure(
    rows: Mapping[str, Row], differences: Sequence[tuple[str, str, RowDifference]], margin: float
) -> Figure | None:
    """F1 of every training on the left; differences of pairs with their intervals on the right.

    None if there is no pair, or no pair has an interval: there is nothing to compare then.

    Args:
        rows: Rows by method.
        differences: First method, second method, difference; F1 points.
        margin: Largest difference that counts as practically none, drawn as a band.
    """
    shown = [(a, b, d) for a, b, d in differences if not math.isnan(d.interval.low)]
    if not shown:
        return None
    height = 0.9 + 0.24 * max(len(rows), len(shown))
    below_mark = (0, 0, 1, 1 - 0.2 / height)
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(rect=below_mark))
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for place, row in enumerate(rows.values()):
        f1 = 100 * mean_over_parts(row.counts).ave_by_seed
        left.plot(f1, np.full(len(f1), place), "o", color=GREY, markersize=3, alpha=0.6, markeredgewidth=0)
        left.plot([f1.mean()], [place], "D", color=BLUE, markersize=5)
    _name_lines(left, list(rows), "F1 ave: each training, and their mean")
    right.axvspan(-margin, margin, color=GREY, alpha=0.15, linewidth=0)
    right.axvline(0, color="black", linewidth=0.5)
    for place, (_, _, difference) in enumerate(shown):
        ends = [[difference.f1 - difference.interval.low], [difference.interval.high - difference.f1]]
        right.errorbar([difference.f1], [place], xerr=ends, fmt="D", color=BLUE, markersize=4, capsize=2, linewidth=1.1)
    named = [f"{a} − {b}" for a, b, _ in shown]
    _name_lines(right, named, f"Difference of F1, 95 %; grey: ±{number(margin)}")
    mark_origin(figure, "stand-in", 0.995)
    return figure


def _name_lines(axes: Axes, names: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(labelsize=TICK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=LABEL, loc="left", parse_math=False)


@own_style()
def map_figure(asked: Map, differences: Mapping[tuple[int, int, int], RowDifference | None]) -> Figure | None:
    """A grid of cells per kind of data: difference and interval; bold where the interval is on one side of 0.

    None if no cell was run.

    Args:
        asked: The map.
        differences: F1 points, by the positions of panel, row and column; None where trials are not done.
    """
    run = [abs(difference.f1) for difference in differences.values() if difference is not None]
    if not run:
        return None
    panels, height = len(asked.panels), 0.75 + 0.55 * len(asked.rows)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, panels, squeeze=False)[0]
    limit = max([1.0, *run])
    for p, axes in enumerate(grid):
        values = np.full((len(asked.rows), len(asked.columns)), np.nan)
        for (panel, r, c), difference in differences.items():
            if panel != p:
                continue
            if difference is None:
                axes.text(c, r, "not run", fontsize=TICK, ha="center", va="center", color=GREY)
                continue
            values[r, c] = difference.f1
            _cell(axes, r, c, difference, dark=abs(difference.f1) > 0.6 * limit)
        axes.imshow(values, cmap=COLOURS, norm=TwoSlopeNorm(0, -limit, limit), aspect="auto")
        axes.set_xticks(range(len(asked.columns)), [column.title for column in asked.columns])
        axes.set_yticks(range(len(asked.rows)), [row.title for row in asked.rows] if p == 0 else [])
        axes.tick_params(labelsize=TICK, length=0)
        axes.set_xlabel(asked.column_title, fontsize=LABEL)
        axes.set_title(asked.panels[p].title, fontsize=LABEL, loc="left", parse_math=False)
    grid[0].set_ylabel(asked.row_title, fontsize=LABEL)
    a, b = asked.pair
    figure.suptitle(f"{a} − {b}: F1 points [95 %]", fontsize=TITLE, x=0.01, ha="left", parse_math=False)
    mark_origin(figure, "stand-in", 0.995)
    return figure


def _cell(axes: Axes, row: int, column: int, difference: RowDifference, *, dark: bool) -> None:
    text = number(difference.f1, sign=True)
    if difference.trainings > 1:
        low, high = (number(end, sign=True) for end in (difference.interval.low, difference.interval.high))
        text += f"\n[{low}, {high}]"
    axes.text(
        column, row, text, fontsize=TICK, ha="center", va="center", color="white" if dark else "black",
        fontweight="bold" if difference.is_told else "normal",
    )  # fmt: skip
