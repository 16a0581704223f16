"""Verdicts on the paper's cells, by our rows. Printed values are held against one more training of ours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.paper.tables import AVE
from benchmark.report.groups import Group, Row
from benchmark.stats.counts import mean_over_parts
from benchmark.stats.multiple import holm
from benchmark.stats.trainings import Prediction, Spread, Trainings, pooled_spread, predictions
from benchmark.stats.verdict import ALPHA, HALF_DIGIT, JUDGED, MARGIN_AU, MARGIN_AVE, Verdict, verdict


@dataclass(frozen=True)
class JudgedCell:
    """A printed value beside ours.

    Attributes:
        difference: Ours − paper, F1 × 100.
        prediction: Number that one more training of ours would give, F1 × 100.
        verdict: The verdict.
        p_value: p-value behind the verdict; of `ave`, adjusted for the other averages (Holm).
    """

    difference: float
    prediction: Prediction
    verdict: Verdict
    p_value: float


Cells = Mapping[str, JudgedCell]
"""Judged cells of one of our rows, by column; without the columns where the paper prints no value."""


def judge_rows(groups: Sequence[Group]) -> list[list[Cells]]:
    """Judge every row of every group that stands for a row of the paper; other rows have no judged cell.

    The averages of the rows in default settings are adjusted together (Holm), over all datasets with the same origin,
    profile and settings; those of each other setting, too.
    """
    found = [[_predictions(group, row) for row in group.rows] for group in groups]
    adjusted = _adjusted(groups, found)
    return [
        [
            {column: _judge(group, row, column, p, adjusted.get((g, r))) for column, p in found[g][r].items()}
            for r, row in enumerate(group.rows)
        ]
        for g, group in enumerate(groups)
    ]


def _predictions(group: Group, row: Row) -> dict[str, Prediction]:
    """Predictions of the columns where the paper prints a value for this row."""
    printed = group.paper.row(row.paper_row)
    if printed is None:
        return {}
    spread = spread_of(group, row)
    columns = zip(group.paper.columns, predictions(by_training(row).values, spread), strict=True)
    return {column: prediction for column, prediction in columns if printed.values[column] is not None}


def by_training(row: Row) -> Trainings:
    """F1 × 100 of a row by training and column. An average over fewer AUs than the paper's is NaN."""
    values = 100 * mean_over_parts(row.counts).by_seed
    values[np.isnan(values[:, :-1]).any(axis=1), -1] = np.nan
    return Trainings(row.seeds, values)


def spread_of(group: Group, row: Row) -> Spread:
    """Noise of training, pooled over the rows of the paper's methods that have the parts and all seeds of this row."""
    alike = [
        other
        for other in group.rows
        if other is not row
        and _is_multitask(group, other)
        and other.parts == row.parts
        and set(other.seeds) >= set(row.seeds)
    ]
    trainings = [by_training(other) for other in (row, *alike)]
    return pooled_spread([some.of_seeds(row.seeds) for some in trainings])


def _is_multitask(group: Group, row: Row) -> bool:
    printed = group.paper.row(row.paper_row)
    return printed is not None and printed.group == "multitask"


def _judge(group: Group, row: Row, column: str, prediction: Prediction, adjusted: float | None) -> JudgedCell:
    printed = group.paper.row(row.paper_row)
    paper = None if printed is None else printed.values[column]
    assert paper is not None  # `_predictions` leaves such columns out
    is_average = column == AVE
    p_value = adjusted if is_average and adjusted is not None else prediction.p_value(paper, HALF_DIGIT)
    judged = verdict(
        paper,
        prediction,
        margin=MARGIN_AVE if is_average else MARGIN_AU,
        origin=group.origin,
        complete=group.is_complete(row),
        protocol=group.is_protocol and row.is_protocol,
        stale=bool(row.trials["stale"].any()),
        p_value=p_value,
    )
    return JudgedCell(prediction.mean - paper, prediction, judged, p_value)


def _adjusted(groups: Sequence[Group], found: list[list[dict[str, Prediction]]]) -> dict[tuple[int, int], float]:
    """Adjusted p-values of the averages, by numbers of group and row."""
    families: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for g, group in enumerate(groups):
        for r, row in enumerate(group.rows):
            if AVE in found[g][r]:
                family = (group.origin, group.profile, group.shared_overrides, row.variant)
                families.setdefault(family, []).append((g, r))
    adjusted: dict[tuple[int, int], float] = {}
    for places in families.values():
        p_values = []
        for g, r in places:
            printed = groups[g].paper.row(groups[g].rows[r].paper_row)
            value = None if printed is None else printed.values[AVE]
            p_values.append(math.nan if value is None else found[g][r][AVE].p_value(value, HALF_DIGIT))
        adjusted |= dict(zip(places, holm(np.array(p_values)).tolist(), strict=True))
    return adjusted


@dataclass(frozen=True)
class VerdictCounts:
    """Verdicts on the paper's multi-task rows, under the default settings.

    Attributes:
        cells: Numbers of cells by verdict.
        by_chance: Number of single AUs that would differ by chance, if all were reproduced.
    """

    cells: Mapping[str, int]
    by_chance: float


def count_verdicts(group: Group, judged: Sequence[Cells]) -> VerdictCounts:
    """Count the verdicts on the paper's multi-task rows; a row that was not run counts as `not run`."""
    counts: Counter[str] = Counter()
    single = 0
    for printed in group.paper.of_group("multitask"):
        runs = [
            cells
            for row, cells in zip(group.rows, judged, strict=True)
            if row.paper_row == printed.method and not row.variant
        ]
        if not runs:
            counts["not run"] += sum(value is not None for value in printed.values.values())
        for cells in runs:
            counts.update(cell.verdict for cell in cells.values())
            single += sum(cell.verdict in JUDGED for column, cell in cells.items() if column != AVE)
    return VerdictCounts(counts, ALPHA * single)


def readings_in_words(group: Group, judged: Sequence[Cells]) -> Iterator[str]:
    """Sentences on the average of each method that was run under several readings of the paper."""
    for printed in group.paper.of_group("multitask"):
        by_reading = {
            row.reading: cells[AVE]
            for row, cells in zip(group.rows, judged, strict=True)
            if row.paper_row == printed.method and row.reading and row.is_protocol and AVE in cells
        }
        if len(by_reading) < 2:
            continue
        by_verdict: dict[str, list[str]] = {}
        for reading, cell in by_reading.items():
            by_verdict.setdefault(cell.verdict, []).append(reading)
        words = [
            f"{said} under {len(readings)} of {len(by_reading)} readings: {', '.join(readings)}"
            for said, readings in by_verdict.items()
        ]
        yield f"{printed.method}, average F1: {'; '.join(words)}."
