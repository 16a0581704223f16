"""Order of the columns of a file of labels, held against the known rates of the AUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.data.faces import UNKNOWN
from benchmark.data.findings import few
from benchmark.data.known import Known

LOOSE = 6.0
"""Percentage points by which the rate of an AU may differ in lists that lack subjects: parts differ by some five."""
TIGHT = 0.5
"""The same in a list of a whole part, beside the share of its frames that the list lacks."""
WHOLE = 0.9
"""Minimum share of the known frames of a part with which a list holds the whole part."""
JUDGED_FROM = 1000
"""Minimum number of rows from which rates are judged."""
CLEARLY = 1.0
"""Minimum percentage points, summed over AUs and averaged over groups, by which another order must fit better."""


@dataclass(frozen=True)
class _Group:
    """Rates of some rows beside the known ones, %.

    Attributes:
        name: Name of a part, or `all`.
        seen: Rates of the columns, (J,).
        known: Rates of the protocol's AUs, (J,).
        tolerance: Maximum difference.
    """

    name: str
    seen: npt.NDArray[np.float64]
    known: npt.NDArray[np.float64]
    tolerance: float


def check_order(
    labels: npt.NDArray[np.int8], subjects: Sequence[str], protocol: Protocol, known: Known, where: Path
) -> tuple[str, ...]:
    """Refuse labels whose columns are not the protocol's AUs in its order, by their rates.

    Each whole part is judged on its own rates: those of two AUs can be equal over all frames, and differ there. Lists
    that lack subjects are judged loosely, as one.

    Args:
        labels: (N, J) of 0, 1 or `UNKNOWN`.
        subjects: Subject of each row.
        protocol: AUs and parts.
        known: Known rates and frames.
        where: File of the labels, for an error.

    Returns:
        Pairs of AUs that the rates cannot tell from one another, such as `AU1 and AU15`; all pairs if there are too few
        rows to judge.

    Raises:
        UserError: The rate of an AU is far from the known one, or another order fits clearly better.
    """
    groups = _groups(labels, np.asarray(subjects), protocol, known)
    wrong = [
        f"{au} {seen:.1f} % for {full:.1f} % ({group.name})"
        for group in groups
        for au, seen, full in zip(protocol.au_names, group.seen, group.known, strict=True)
        if abs(seen - full) > group.tolerance
    ]
    best = _best_order(groups, protocol.au_names)
    if wrong or best != protocol.au_names:
        raise UserError(
            f"the columns of the labels are not {', '.join(protocol.au_names)}, or not of this dataset",
            where=where,
            expected=f"rates within {groups[0].tolerance:.1f} percentage points of the known ones",
            found=few(wrong) or "rates that fit another order clearly better",
            remedy="put the columns into this order"
            + ("" if best == protocol.au_names else f"; by their rates they are {', '.join(best)}"),
        )
    return tuple(
        f"{protocol.au_names[i]} and {protocol.au_names[j]}"
        for i, j in combinations(range(len(protocol.au_names)), 2)
        if _alike(groups, i, j)
    )


def _groups(
    labels: npt.NDArray[np.int8], subjects: npt.NDArray[np.str_], protocol: Protocol, known: Known
) -> list[_Group]:
    """Whole parts among the rows; without any, all rows with the rates that their parts have on average."""
    frames = _frames_of_parts(protocol, known)
    rows = {part: np.isin(subjects, names) for part, names in protocol.parts.items() if part in known.rates}
    groups = []
    for part, inside in rows.items():
        share = int(inside.sum()) / max(frames.get(part, 0), 1)
        if int(inside.sum()) >= JUDGED_FROM and WHOLE <= share <= 1:
            groups.append(_Group(part, _rates(labels[inside]), _known(known, part, protocol), _tight(share)))
    if groups or len(labels) < JUDGED_FROM:
        return groups
    weights = {part: int(inside.sum()) for part, inside in rows.items()}
    if not sum(weights.values()):
        return []
    mean = sum(weight * _known(known, part, protocol) for part, weight in weights.items()) / sum(weights.values())
    return [_Group("all", _rates(labels), np.asarray(mean), LOOSE)]


def _tight(share: float) -> float:
    """Tolerance of a part of which a list lacks a share: each missing frame may have been active, or none."""
    return TIGHT + 100 * (1 - share)


def _frames_of_parts(protocol: Protocol, known: Known) -> Mapping[str, int]:
    return {
        part: sum(r.frames for name, r in known.ranges.items() if name.partition("/")[0] in names)
        for part, names in protocol.parts.items()
    }


def _rates(labels: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    sure = (labels != UNKNOWN).sum(axis=0)
    return np.asarray(100 * (labels == 1).sum(axis=0) / np.maximum(sure, 1), dtype=np.float64)


def _known(known: Known, part: str, protocol: Protocol) -> npt.NDArray[np.float64]:
    return np.array([known.rates[part][au] for au in protocol.au_names], dtype=np.float64)


def _alike(groups: Sequence[_Group], i: int, j: int) -> bool:
    """Whether two columns could change places without a contradiction."""
    apart = [abs(group.known[i] - group.known[j]) for group in groups]
    inside = all(distance <= group.tolerance for distance, group in zip(apart, groups, strict=True))
    return inside and 2 * sum(apart) <= _clearly(groups) * len(groups)


def _clearly(groups: Sequence[_Group]) -> float:
    """Points by which another order must fit better: in lists that lack subjects, as many as the rates may differ."""
    return max(CLEARLY, 2 * max((group.tolerance for group in groups if group.name == "all"), default=0.0))


def _best_order(groups: Sequence[_Group], names: tuple[str, ...]) -> tuple[str, ...]:
    """AUs of the columns by the rates of all groups; the protocol's order unless another fits clearly better."""
    if not groups:
        return names
    cost = np.mean([np.abs(group.seen[:, None] - group.known[None, :]) for group in groups], axis=0)
    columns, aus = linear_sum_assignment(cost)
    better = float(np.trace(cost) - cost[columns, aus].sum())
    return tuple(names[au] for au in aus) if better > _clearly(groups) else names
