"""False alarms of the suite's tests on the trials at hand, as a table and a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable

from benchmark.report.cells import UNRUN, Table, cells, table
from benchmark.report.groups import Group
from benchmark.stats.calibration import Calibration, Tally, calibrate


def calibrate_group(group: Group, *, alone: bool = True) -> Calibration:
    """False alarms among the trainings of a group's rows, those with the same parts together.

    Args:
        group: The group.
        alone: Also count the alarms of intervals over subjects alone, for comparison.
    """
    by_parts: dict[tuple[str, ...], list[int]] = {}
    for number, row in enumerate(group.rows):
        if not row.is_trained:
            continue
        by_parts.setdefault(row.parts, []).append(number)
    found = Calibration()
    for numbers in by_parts.values():
        found += calibrate([group.rows[number].counts for number in numbers], alone=alone)
    return found


def calibration_table(groups: Iterable[Group]) -> Table:
    """False alarms by group and in all."""
    rows, total = [], Calibration()
    for group in groups:
        found = calibrate_group(group)
        total += found
        rows.append(_line(f"{group.paper.title}, {group.origin_label}, profile {group.profile}", found))
    rows.append(_line("all", total))
    header = [
        "trials",
        "halves told apart",
        "cells that differ",
        "averages that differ",
        "by subjects alone: pairs told apart",
        "by subjects alone: cells that differ",
    ]
    return table(header, [cells(*row) for row in rows])


def _line(name: str, found: Calibration) -> list[str]:
    tallies = (found.halves, found.cells, found.averages, found.pairs_over_subjects, found.cells_over_subjects)
    return [name, *map(_words, tallies)]


def _words(tally: Tally) -> str:
    return UNRUN if math.isnan(tally.share) else f"{tally.alarms} of {tally.tests} ({100 * tally.share:.0f} %)"


def calibration_sentence(found: Calibration) -> str:
    """The false alarms in one sentence; "" if no method was trained often enough."""
    said = []
    if found.halves.tests:
        said.append(
            f"{found.halves.alarms} of {found.halves.tests} null pairs are told apart, halves of one method's trainings"
        )
    if found.cells.tests:
        together = found.cells + found.averages
        said.append(
            f"with one training as the paper, {together.alarms} of {together.tests} cells differ from its repetitions"
        )
    return f"False alarms in these trials, of which 5 % are expected: {'; '.join(said)}." if said else ""
