"""Figures 3 and 4 of the paper from our runs: losses of MTL and MAL and sample weights of MAL during training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from benchmark.core.atomic import write_atomically
from benchmark.core.f1 import FloatArray
from benchmark.core.origin import Origin
from benchmark.report.groups import ORIGINS, Group, Row
from benchmark.report.readable import readable

# The palette of Okabe and Ito, which readers with any colour vision can distinguish.
BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#555555"

WIDTH = 7.0
"""Width in inches, that of a page with two columns, so that text keeps its size in print."""
TITLE, LABEL, TICK = 9, 8, 7
"""Font sizes in points."""
LONGEST_LINE = 160
"""Longest text in a figure, characters."""
SMOOTHING_SHARE = 1 / 15
"""Width of the moving mean, as a share of the number of points."""


@contextmanager
def own_style() -> Iterator[None]:
    """Matplotlib's own settings inside, whatever the user's `matplotlibrc` says: the same results, the same bytes.

    As a decorator, it holds for each call of a function.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        yield


@dataclass(frozen=True)
class Series:
    """One series of a panel."""

    series: str
    label: str
    color: str
    thin: bool = False


@dataclass(frozen=True)
class Column:
    """One column of panels."""

    paper_row: str
    title: str
    ylabel: str
    log: bool
    lines: tuple[Series, ...]


_LOSSES = (Series("loss_au", "AU", BLUE), Series("loss_fe", "FE", VERMILLION))
_WEIGHTS = (
    Series("weight_au", "AU", BLUE),
    Series("weight_fe", "FE", VERMILLION),
    Series("fe_share", "FE share", GREY, thin=True),
)
COLUMNS = (
    Column("MTL", "MTL: losses", "mean loss (nats)", True, _LOSSES),
    Column("MAL", "MAL: losses", "mean loss (nats)", True, _LOSSES),
    Column("MAL", "MAL: raw sample weights", "mean weight", False, _WEIGHTS),
)

Curves = dict[str, tuple[FloatArray, FloatArray]]
"""Steps and values by series."""


@own_style()
def training_curves(group: Group) -> Figure | None:
    """The paper's grid: a row of panels per test part, from the first seed with default settings.

    A panel without a trial shows "not run". All panels share a logarithmic axis of the loss: the AU loss is a sum over
    AUs and so larger than the FE loss, and equal slopes mean equal relative decreases.

    Returns:
        The figure; None if neither MTL nor MAL has a stored curve.
    """
    parts = group.expected_parts
    panels = [[_curves(group, column, part) for column in COLUMNS] for part in parts]
    if not any(len(values) for row in panels for panel in row if panel for _, values in panel.values()):
        return None
    height = 1.45 * len(parts) + 0.6
    below_title = (0, 0, 1, 1 - 0.32 / height)
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(parts), len(COLUMNS), squeeze=False)
    limits = [_limits([row[i] for row in panels], log=column.log) for i, column in enumerate(COLUMNS)]
    shared = _union([limit for limit, column in zip(limits, COLUMNS, strict=True) if column.log])
    for r, part in enumerate(parts):
        for c, column in enumerate(COLUMNS):
            axes = grid[r, c]
            if r == 0:
                axes.set_title(column.title, fontsize=TITLE, loc="left")
            _panel(axes, column, panels[r][c], shared if column.log else limits[c])
            if c == 0:
                axes.set_ylabel(
                    f"{readable(part, 40)} tested\n{column.ylabel}" if panels[r][c] else f"{readable(part, 40)} tested",
                    fontsize=LABEL,
                )
            if r == len(parts) - 1 and panels[r][c]:
                axes.set_xlabel("iteration", fontsize=LABEL)
    _titles(figure, group, height)
    # Lay out once: a figure with a layout engine would repeat it for each file.
    ConstrainedLayoutEngine(rect=below_title).execute(figure)
    return figure


@own_style()
def write_figure(
    figure: Figure, stem: Path, *, dpi: int = 200, kinds: tuple[str, ...] = ("png", "svg", "pdf")
) -> list[Path]:
    """Write `stem`.png, .svg and .pdf (README, page, LaTeX), each atomically; the same figure gives the same bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    nameless: dict[str, dict[str, None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    files = [stem.with_name(f"{stem.name}.{kind}") for kind in kinds]
    with mpl.rc_context({"svg.hashsalt": "mal-benchmark", "svg.fonttype": "path", "pdf.fonttype": 42}):
        for file, kind in zip(files, kinds, strict=True):
            content = BytesIO()
            figure.savefig(content, format=kind, dpi=dpi, metadata=nameless[kind])
            write_atomically(file, content.getvalue())
    return files


def _curves(group: Group, column: Column, part: str) -> Curves | None:
    """Series of a panel; None if it has no trial."""
    rows = [row for row in group.rows if row.paper_row == column.paper_row and not row.variant]
    trials = [trial for row in rows if (trial := _first_seed(row, part)) is not None]
    if not trials:
        return None
    table = group.results.curves
    table = table[table["trial"] == trials[0]].sort_values("step", kind="stable")
    return {line.series: _series(table, line.series) for line in column.lines}


def _first_seed(row: Row, part: str) -> str | None:
    of_part = row.trials[row.trials["part"] == part].sort_values("seed")
    return None if of_part.empty else str(of_part["trial"].iloc[0])


def _series(table: pd.DataFrame, series: str) -> tuple[FloatArray, FloatArray]:
    points = table[(table["series"] == series) & np.isfinite(table["value"])]
    return points["step"].to_numpy(dtype=np.float64), points["value"].to_numpy(dtype=np.float64)


def _limits(panels: list[Curves | None], *, log: bool) -> tuple[float, float] | None:
    """Limits of the vertical axis that hold all values; None if there are none."""
    values = np.concatenate([v for panel in panels if panel for _, v in panel.values()] or [np.empty(0)])
    if log:
        values = values[values > 0]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if log:
        return low / 1.15, high * 1.15
    # Weights start at 0.5 and may hardly move: the axis spans at least 0.1, so that noise does not look like a trend.
    pad = max(0.05 * (high - low), (0.1 - (high - low)) / 2)
    return low - pad, high + pad


def _union(limits: list[tuple[float, float] | None]) -> tuple[float, float] | None:
    defined = [limit for limit in limits if limit is not None]
    return (min(low for low, _ in defined), max(high for _, high in defined)) if defined else None


def _panel(axes: Axes, column: Column, curves: Curves | None, limits: tuple[float, float] | None) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    drawn = [] if curves is None else [line for line in column.lines if len(curves[line.series][0])]
    if curves is None or not drawn or limits is None:
        axes.set_xticks([])
        axes.yaxis.set_major_locator(NullLocator())
        axes.text(
            0.5,
            0.5,
            "not run" if curves is None else "no curve stored",
            transform=axes.transAxes,
            ha="center",
            va="center",
            color=GREY,
            fontsize=LABEL,
        )
        return
    if column.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(*limits)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylabel(column.ylabel, fontsize=LABEL)
    ends = []
    for line in drawn:
        steps, values = curves[line.series]
        smooth = smoothed(values)
        axes.plot(steps, values, color=line.color, alpha=0.35, linewidth=0.5)
        axes.plot(
            steps, smooth, color=line.color, linewidth=0.8 if line.thin else 1.3, dashes=(4, 2) if line.thin else ()
        )
        ends.append((float(steps[-1]), float(smooth[-1]), line))
    _label_ends(axes, ends)


def smoothed(values: FloatArray) -> FloatArray:
    """Centred moving mean (N,), with a shorter window at the ends."""
    half = int(len(values) * SMOOTHING_SHARE / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
    means: FloatArray = (sums[last] - sums[first]) / (last - first)
    return means


def _label_ends(axes: Axes, ends: list[tuple[float, float, Series]]) -> None:
    """Label each line at its right end; labels keep a distance where lines end close together."""
    gap = 0.16
    heights = [float(axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[1]) for x, y, _ in ends]
    order = np.argsort(heights)
    wanted = np.clip(np.array(heights)[order], 0.03, 0.97)
    placed = wanted.copy()
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    placed -= (placed - wanted).mean()  # centre the labels on the ends of their lines
    for i in range(len(placed) - 1, -1, -1):  # move them down if the top label is outside
        placed[i] = min(placed[i], 1.0 - gap * (len(placed) - 1 - i))
    for height, index in zip(placed, order, strict=True):
        line = ends[index][2]
        axes.text(
            1.01, height, line.label, transform=axes.transAxes, color=line.color, fontsize=LABEL, va="center", ha="left"
        )


def _titles(figure: Figure, group: Group, height: float) -> None:
    """Draw the title and the mark of the data's origin. Text from data is not parsed as mathematics."""
    top = 1 - 0.08 / height
    overrides = f", {group.shared_overrides}" if group.shared_overrides else ""
    title = f"Training curves ({group.curves_name}): {group.paper.title}, profile {group.profile}{overrides}"
    title = readable(title, LONGEST_LINE)
    figure.text(0.01, top, title, fontsize=TITLE, va="top", parse_math=False)
    mark_origin(figure, group.origin, top, group.origin_label)


def mark_origin(figure: Figure, origin: Origin, top: float, label: str = "") -> None:
    """Mark a figure, in its corner below `top`, if the data are not the paper's; `label` is more than the origin."""
    if origin != "complete":
        figure.text(
            0.99,
            top,
            label or ORIGINS[origin],
            fontsize=LABEL,
            va="top",
            ha="right",
            color="black",
            bbox={"boxstyle": "round,pad=0.3", "facecolor": "#F0E442", "edgecolor": "none"},
        )
