"""The verdict on one cell of the paper: the printed value against the prediction of one more training of ours."""

from __future__ import annotations

import math
from typing import Literal

from benchmark.core.origin import Origin
from benchmark.stats.trainings import Prediction

MARGIN_AVE = 2.0
"""Largest half-width, in F1 points, of an interval of `ave` that can reproduce a value.

The smallest difference that the paper prints between MAL and another multi-task method is 2.1: a wider interval could
not tell the two apart."""

MARGIN_AU = 3.3
"""Largest half-width, in F1 points, of an interval of one AU that can reproduce a value.

Half of the differences that the paper prints between MAL and another multi-task method in one AU are larger."""

TRAININGS = 3
"""Smallest number of our trainings that can reproduce or refute a value."""

HALF_DIGIT = 0.05 + 1e-9
"""Largest distance of a value from its printed form, which has one decimal."""

ALPHA = 0.05
"""A printed value with a p-value below it differs."""

Verdict = Literal[
    "reproduced",
    "differs",
    "inconclusive",
    "needs seeds",
    "not run",
    "other data",
    "other settings",
    "stale",
    "incomplete",
]

JUDGED: tuple[Verdict, ...] = ("reproduced", "differs", "inconclusive")
"""Verdicts of cells that were held against the paper."""


def verdict(
    paper: float,
    prediction: Prediction | None,
    *,
    margin: float,
    origin: Origin,
    complete: bool,
    protocol: bool = True,
    stale: bool = False,
    p_value: float | None = None,
) -> Verdict:
    """Judge one printed value, which is one training, by the prediction of one more training of ours.

    Args:
        paper: F1 × 100 as printed.
        prediction: Prediction of one more training, in F1 × 100; None if the method was not run.
        margin: Largest half-width of the prediction interval that can reproduce a value: `MARGIN_AVE` or `MARGIN_AU`.
        origin: Origin of our data; only a complete copy of the dataset can reproduce a value.
        complete: Whether all of the paper's test parts were run.
        protocol: Whether budget and settings are the paper's.
        stale: Whether the code has changed since the run.
        p_value: p-value of the printed value after adjustment for other cells; None for that of this cell alone.

    Returns:
        The first obstacle to a comparison, if there is one. `differs` if the p-value is below `ALPHA`. `reproduced` if
        the interval holds a value that rounds to the printed one and is narrow enough. Else `inconclusive`.

    Example:
        >>> ours = Prediction(mean=50.0, variances=(0.25,), freedom=(10,), trainings=3)
        >>> verdict(50.9, ours, margin=MARGIN_AVE, origin="complete", complete=True)
        'reproduced'
        >>> verdict(53.0, ours, margin=MARGIN_AVE, origin="complete", complete=True)
        'differs'
    """
    # The obstacles come first, in the order of their weight.
    obstacles: tuple[tuple[bool, Verdict], ...] = (
        (prediction is None, "not run"),
        (origin != "complete", "other data"),
        (not protocol, "other settings"),
        (stale, "stale"),
        (not complete, "incomplete"),
    )
    for applies, obstacle in obstacles:
        if applies:
            return obstacle
    assert prediction is not None  # the first obstacle
    if math.isnan(prediction.mean):
        return "inconclusive"
    if prediction.trainings < TRAININGS:
        return "needs seeds"
    p = prediction.p_value(paper, HALF_DIGIT) if p_value is None else p_value
    if p < ALPHA:
        return "differs"
    interval = prediction.interval()
    fits = interval.holds(paper, HALF_DIGIT) and interval.half_width <= margin
    return "reproduced" if fits else "inconclusive"
