"""The verdict on one cell of the paper: our interval against the printed value."""

from __future__ import annotations

import math
from typing import Literal

from benchmark.core.origin import Origin
from benchmark.stats.bootstrap import Interval

INCONCLUSIVE_ABOVE = 2.0
"""Half-width of an interval, in F1 points, above which an interval that holds the paper's value is inconclusive."""

HALF_DIGIT = 0.05 + 1e-9
"""Largest distance of a value from its printed form, which has one decimal."""

Verdict = Literal[
    "reproduced", "differs", "inconclusive", "not run", "other data", "other settings", "stale", "incomplete"
]


def verdict(
    paper: float,
    interval: Interval | None,
    *,
    origin: Origin,
    complete: bool,
    protocol: bool = True,
    stale: bool = False,
) -> Verdict:
    """Judge one printed value by our interval; the paper prints no interval of its own.

    Args:
        paper: F1 × 100 as printed.
        interval: Our interval, in F1 × 100; None if the method was not run, NaN if our F1 is undefined.
        origin: Origin of our data; only a complete copy of the dataset can reproduce a value.
        complete: Whether all of the paper's test parts were run.
        protocol: Whether budget and settings are the paper's.
        stale: Whether the code has changed since the run.

    Returns:
        The first obstacle to a comparison, if there is one. `differs` if no value that rounds to the printed one is in
        our interval. Else `reproduced`, or `inconclusive` if the interval is too wide.

    Example:
        >>> verdict(50.0, Interval(48.5, 51.5), origin="complete", complete=True)
        'reproduced'
    """
    # The obstacles come first, in the order of their weight.
    reasons: tuple[tuple[bool, Verdict], ...] = (
        (interval is None, "not run"),
        (origin != "complete", "other data"),
        (not protocol, "other settings"),
        (stale, "stale"),
        (not complete, "incomplete"),
        (interval is not None and math.isnan(interval.low), "inconclusive"),
        (interval is not None and not interval.holds(paper, HALF_DIGIT), "differs"),
        (interval is not None and interval.half_width > INCONCLUSIVE_ABOVE, "inconclusive"),
    )
    return next((verdict for applies, verdict in reasons if applies), "reproduced")
