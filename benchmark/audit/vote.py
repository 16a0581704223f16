"""Votes over windows of frames: an AU is active where enough frames around are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.core.f1 import FloatArray, IntArray, f1, mean_defined

RADII = range(8)
"""Radii that are tried: windows of 1 to 15 frames, as in SSM's code."""
PERCENTILES = np.arange(1, 100)
"""Percentiles of the scores that are tried as thresholds, beside the default; SSM's code tries 99 probabilities."""


@dataclass(frozen=True)
class Vote:
    """A vote: a frame is active if `needed` of the 2 `radius` + 1 frames around it are.

    Attributes:
        radius: Frames on either side. Beyond the ends of a sequence, its first or last frame counts again.
        needed: Active frames that are needed.
    """

    radius: int
    needed: int


MAJORITY = Vote(radius=2, needed=3)
"""The vote of the honest rule: a majority of five frames, fixed in advance."""


def voted(active: npt.NDArray[np.bool_], sequences: IntArray, vote: Vote) -> npt.NDArray[np.bool_]:
    """Predictions after a vote.

    Args:
        active: (N, J), predictions of frames; those of a sequence stand together.
        sequences: (N,), number of the sequence.
        vote: The vote.

    Returns:
        (N, J).

    Example:
        >>> active = np.array([[True], [False], [True], [True], [False]])
        >>> voted(active, np.array([0, 0, 0, 0, 1]), Vote(radius=1, needed=2)).ravel().tolist()
        [True, True, True, True, False]
    """
    *_, sums = _window_sums(active, sequences, vote.radius)
    enough: npt.NDArray[np.bool_] = sums >= vote.needed
    return enough


def _window_sums(active: npt.NDArray[np.bool_], sequences: IntArray, radius: int) -> Iterator[IntArray]:
    """Numbers of active frames (N, J) in the windows of radius 0, 1, ... `radius`."""
    count = active.astype(np.int64)
    rows = np.arange(len(sequences))
    starts = np.flatnonzero(np.append(True, sequences[1:] != sequences[:-1]))
    number = np.cumsum(np.append(False, sequences[1:] != sequences[:-1]))
    first, last = starts[number], np.append(starts[1:], len(rows))[number] - 1
    sums = count.copy()
    yield sums
    for reach in range(1, radius + 1):
        sums = sums + count[np.maximum(rows - reach, first)] + count[np.minimum(rows + reach, last)]
        yield sums


def best_vote(scores: FloatArray, labels: npt.NDArray[np.int8], sequences: IntArray) -> tuple[float, Vote]:
    """Common threshold and vote with the best average F1 on labelled frames, of all `PERCENTILES` and `RADII`.

    Args:
        scores: (N, J), active above 0 by default.
        labels: (N, J): 0, 1, or −1 for unknown.
        sequences: (N,), number of the sequence.

    Returns:
        The threshold, and the vote; the first of equally good ones.
    """
    best, chosen = -1.0, (0.0, Vote(0, 1))
    for threshold in [0.0, *np.unique(np.percentile(scores, PERCENTILES)).tolist()]:
        for radius, sums in enumerate(_window_sums(scores > threshold, sequences, RADII[-1])):
            averages = mean_defined(f1(_counts_by_votes(sums, labels, 2 * radius + 1)), axis=1)
            top = float(np.nanmax(np.append(averages, -1.0)))
            if top > best:
                best, chosen = top, (threshold, Vote(radius, int(np.nanargmax(averages)) + 1))
    return chosen


def _counts_by_votes(sums: IntArray, labels: npt.NDArray[np.int8], window: int) -> IntArray:
    """TP, FP, FN (V, J, 3) if 1, 2, ... V = `window` active frames are needed."""
    aus = sums.shape[1]
    cell = (np.arange(aus) * 2 + (labels == 1)) * (window + 1) + sums
    number = np.bincount(cell[labels >= 0], minlength=aus * 2 * (window + 1)).reshape(aus, 2, window + 1)
    at_least = number[..., ::-1].cumsum(axis=-1)[..., ::-1]
    (fp, tp), positives = at_least[..., 1:].transpose(1, 2, 0), at_least[:, 1, 0]
    return np.stack([tp, fp, positives - tp], axis=-1)
