"""The timeline of a video: the probability of each AU over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from benchmark.predict.table import ACTIVE
from benchmark.report.figures import BLUE, GREY, LABEL, TICK, TITLE, WIDTH, own_style

_ROW = 0.5
"""Height of the panel of one AU, inches."""


@own_style()
def timeline(table: pd.DataFrame, aus: tuple[str, ...], title: str, warning: str) -> Figure:
    """Plot the probabilities of a video, one panel an AU. Frames without a face are a gap.

    Args:
        table: Rows of one video, as from `prediction_table`, with every frame that was looked at; a frame without a
            face has NaN.
        aus: Names of the J AUs.
        title: Title.
        warning: Sentence below the title; "" for none.
    """
    height = _ROW * len(aus) + 0.9
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(aus), 1, sharex=True, squeeze=False)[:, 0]
    times = table["time_s"].to_numpy(dtype=np.float64)
    for axes, au in zip(panels, aus, strict=True):
        values = table[au].to_numpy(dtype=np.float64)
        axes.axhline(ACTIVE, color=GREY, linewidth=0.5, linestyle=":")
        axes.plot(times, values, color=BLUE, linewidth=0.9, marker="." if len(times) < 40 else None, markersize=3)
        axes.set_ylim(-0.05, 1.05)
        axes.set_yticks([0, 1])
        axes.set_ylabel(au, fontsize=LABEL, rotation=0, ha="right", va="center")
        axes.tick_params(labelsize=TICK)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    panels[-1].set_xlabel(f"time (s); dotted: {ACTIVE}", fontsize=LABEL)
    figure.text(0.01, 1 - 0.08 / height, title, fontsize=TITLE, va="top", parse_math=False)
    if warning:
        figure.text(0.01, 1 - 0.28 / height, warning, fontsize=TICK, va="top", color="#D55E00", wrap=True)
    ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - 0.5 / height)).execute(figure)
    return figure
