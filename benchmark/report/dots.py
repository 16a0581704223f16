"""The figure below the answer: average F1 of each row with its interval, and of each of its trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from benchmark.core.f1 import FloatArray
from benchmark.paper.tables import AVE
from benchmark.report.cells import percent
from benchmark.report.figures import BLUE, GREY, LABEL, TICK, VERMILLION, mark_origin, own_style
from benchmark.report.groups import Group
from benchmark.report.ours import Ours, OursOfGroup
from benchmark.report.readable import readable
from benchmark.stats.bootstrap import Interval, left_out
from benchmark.stats.counts import mean_over_parts
from benchmark.stats.scored import crossed_interval

WIDTH = 4.0
"""Width in inches: that of a telephone and of a column of print, so that text keeps its size in both."""
LONGEST_TITLE = 45
"""Longest title, characters; the page's headings have the whole of it."""
DRAWN = 40
"""Largest number of rows in the figure; the tables have all."""
FAINT = "#8A8A8A"
"""Grey of the single trainings: three times as dark as the paper, so that it is faint and still seen."""
BOTH, SUBJECTS = "subjects and trainings", "subjects alone"
_LINES = {BOTH: "-", SUBJECTS: (0, (3, 1.2))}


@dataclass(frozen=True)
class Dot:
    """One row of the figure; F1 × 100.

    Attributes:
        name: Name of the row, with the parts that it lacks.
        value: Average F1.
        interval: Its 95 % interval.
        noise: What the interval holds: `BOTH`, or `SUBJECTS`.
        trainings: (R,), average F1 of each training.
        printed: The paper's number; None where it prints none, or our data are not a complete copy of its own.
        is_submitted: Whether the predictions came from outside.
    """

    name: str
    value: float
    interval: Interval
    noise: str
    trainings: FloatArray
    printed: float | None
    is_submitted: bool


def dots_of(ours: OursOfGroup) -> list[Dot]:
    """Rows of the figure: those that have an average."""
    return [_dot(ours.group, o) for o in ours.rows if not math.isnan(o.values[AVE])]


def _dot(group: Group, ours: Ours) -> Dot:
    row = ours.row
    average = mean_over_parts(row.counts)
    crossed = percent(crossed_interval(average.by_seed, left_out(row.counts)))
    over_both = not math.isnan(crossed.low)
    printed = group.paper.row(row.paper_row) if group.is_judged else None
    parts = "" if group.is_complete(row) else f", {len(row.parts)} of {group.paper.folds} parts"
    return Dot(
        name=f"{ours.name}{parts}",
        value=ours.values[AVE],
        interval=crossed if over_both else ours.intervals[AVE],
        noise=BOTH if over_both else SUBJECTS,
        trainings=100 * average.ave_by_seed,
        printed=None if printed is None else printed.values[AVE],
        is_submitted=row.is_submitted,
    )


@own_style()
def dot_plot(ours: OursOfGroup) -> Figure | None:
    """Average F1 of each row; None if no row has one.

    Filled marks are our rows, with a line for the interval; small grey ones are their trainings, where there are
    several; hollow ones are the paper's.
    """
    dots = dots_of(ours)
    if not dots:
        return None
    shown = dots[:DRAWN]
    height = 1.05 + 0.21 * len(shown)
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, dot in enumerate(shown):
        _draw(axes, place, dot)
    axes.set_yticks(range(len(shown)), [readable(dot.name, 30) for dot in shown], parse_math=False)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=TICK)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(f"F1 × 100, averaged over AUs\n{_noise_in_words(shown)}", fontsize=TICK)
    has_legend = _legend(figure, shown)
    top = 1 - 0.08 / height
    title = readable(f"Average F1: {ours.group.paper.title}, profile {ours.group.profile}", LONGEST_TITLE)
    figure.text(0.01, top, title, fontsize=LABEL, va="top", parse_math=False)
    mark_origin(figure, ours.group.origin, top, ours.group.origin_label)
    more = len(dots) - len(shown)
    if more:
        figure.text(0.99, 0.01, f"{more} more rows in the tables", fontsize=TICK, ha="right", va="bottom")
    below = 0.22 / height if has_legend or more else 0
    ConstrainedLayoutEngine(rect=(0, below, 1, 1 - 0.3 / height - below)).execute(figure)
    return figure


def _draw(axes: Axes, place: int, dot: Dot) -> None:
    color, marker = (GREY, "s") if dot.is_submitted else (BLUE, "o")
    ends = [dot.interval.low, dot.interval.high]
    axes.plot(ends, [place, place], color=color, linewidth=1.5, linestyle=_LINES[dot.noise], zorder=2)
    if len(dot.trainings) > 1:
        # Below the line, which would hide them.
        axes.plot(dot.trainings, np.full(len(dot.trainings), place + 0.27), ".", color=FAINT, markersize=3.5, mew=0)
    axes.plot([dot.value], [place], marker, color=color, markersize=5, mew=0, zorder=3)
    if dot.printed is not None:
        axes.plot(
            [dot.printed], [place], "D", markerfacecolor="white", markeredgecolor=VERMILLION, markersize=6, zorder=4
        )


def _noise_in_words(dots: Sequence[Dot]) -> str:
    """The noise that the intervals of the figure hold, in a sentence."""
    held = {dot.noise for dot in dots}
    if held == {BOTH}:
        return f"lines: 95 % over {BOTH}"
    if held == {SUBJECTS}:
        return f"lines: 95 % over {SUBJECTS}, without the noise of training"
    return f"lines: 95 % over {BOTH}; dashed: over {SUBJECTS}"


def _legend(figure: Figure, dots: Sequence[Dot]) -> bool:
    """Name the marks of the figure, below it, and say whether they needed it; one kind of mark does not."""

    def mark(label: str, marker: str, color: str, size: float, face: str | None = None) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, color=color, markersize=size, label=label, mfc=face or color)

    kinds = (
        (any(not dot.is_submitted for dot in dots), mark("ours", "o", BLUE, 5)),
        (any(dot.is_submitted for dot in dots), mark("submitted", "s", GREY, 5)),
        (any(len(dot.trainings) > 1 for dot in dots), mark("each training", ".", FAINT, 4)),
        (any(dot.printed is not None for dot in dots), mark("printed in the paper", "D", VERMILLION, 6, "white")),
    )
    handles = [handle for is_drawn, handle in kinds if is_drawn]
    if len(handles) > 1:
        figure.legend(handles=handles, loc="lower left", ncols=len(handles), fontsize=TICK, frameon=False, borderpad=0)
    return len(handles) > 1
