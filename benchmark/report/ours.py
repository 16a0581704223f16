"""Our F1 × 100 with intervals, and tables that compare it between methods."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmark.core.machine import available_cores
from benchmark.paper.tables import AVE, PaperRow
from benchmark.report.cells import UNDEFINED, UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.groups import Group, Row
from benchmark.report.pairs import pair_rows
from benchmark.report.provenance import staleness
from benchmark.report.trial_list import anchor_of
from benchmark.report.verdicts import Cells, judge_rows
from benchmark.stats.bootstrap import Interval, resampled
from benchmark.stats.compare import Scored, f1_with_intervals
from benchmark.stats.counts import MethodCounts, all_positive, average, mean_over_parts, pooled, seed_spread
from benchmark.stats.crossed import Difference, difference
from benchmark.stats.multiple import holm
from benchmark.stats.verdict import ALPHA

BASELINES = ("STL", "MTL")
"""Rows of the paper that every other method is compared with, besides all-positive."""

ALL_POSITIVE = "all positive"

NAMED = 9
"""Largest number of trials that the tooltip of a value lists."""

OURS, SUBMITTED = "ours", "submitted"
"""Whose rows are: those of our trainings, and those of predictions from outside."""

ONE_TRAINING = "one training"
"""In place of a test of two methods that were trained once: the noise of training is unknown."""


@dataclass(frozen=True)
class Ours:
    """One of our rows and its F1 × 100 by column."""

    row: Row
    name: str
    label: str
    """Name with the origin of the data, as in the tables."""
    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    judged: Cells
    """Verdicts by column, where the paper prints a value for this row."""

    @property
    def link(self) -> str:
        """Anchor of the row's first trial in the list of trials; the others follow it there."""
        return anchor_of(str(self.row.trials["trial"].iloc[0]))

    @property
    def seeds_in_words(self) -> str:
        """Its seeds; "-" for a submitted row, of whose training nothing is known."""
        return UNRUN if self.row.is_submitted else ", ".join(map(str, self.row.seeds))

    def line(self, *texts: str) -> list[Cell]:
        """A line of a table: the label, then these texts, which lead to the trials behind them."""
        return [Cell(text, link=self.link) for text in (self.label, *texts)]

    def shown(self, column: str) -> str:
        """A value for readers; "-" for an AU that submitted predictions lack, and for an average without it."""
        return UNRUN if self._is_blank(column) else number(self.values[column])

    def shown_with_interval(self, column: str) -> str:
        """As `shown`, with the interval over subjects."""
        return UNRUN if self._is_blank(column) else with_interval(self.values[column], self.intervals[column])

    def _is_blank(self, column: str) -> bool:
        return column in self.row.lacking or (column == AVE and bool(self.row.lacking))

    def describe(self, column: str) -> str:
        """A value with its interval, seeds and trials."""
        seeds = self.seeds_in_words
        keys = list(self.row.trials["trial"])
        trials = ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
        over_people = with_interval(self.values[column], self.intervals[column])
        cell = self.judged.get(column)
        interval = None if cell is None else cell.prediction.interval()
        one_more = (
            ""
            if interval is None or math.isnan(interval.low)
            else f"; one more training [{number(interval.low)}, {number(interval.high)}]"
        )
        return f"{over_people} over subjects{one_more}; seeds {seeds}; trials {trials}"


@dataclass(frozen=True)
class OursOfGroup:
    """Scored rows of a group, and the all-positive detector."""

    group: Group
    rows: tuple[Ours, ...]
    reference: MethodCounts
    """Counts of the all-positive detector on all parts of the group."""
    reference_label: str
    reference_values: Mapping[str, float]
    reference_intervals: Mapping[str, Interval]

    def rows_of(self, printed: PaperRow) -> list[Ours]:
        """Our rows of a method of the paper."""
        return [ours for ours in self.rows if ours.row.paper_row == printed.method]

    @property
    def whose(self) -> tuple[str, ...]:
        """Whose the rows are: `ours`, `submitted`, or both."""
        return tuple(dict.fromkeys(SUBMITTED if ours.row.is_submitted else OURS for ours in self.rows))

    @property
    def beyond(self) -> list[Ours]:
        """Our rows of methods that the paper's table lacks."""
        return [ours for ours in self.rows if self.group.paper.row(ours.row.paper_row) is None]

    @property
    def ranked(self) -> list[Ours]:
        """Our rows of the paper's multi-task methods; empty unless there are several, all on the same parts."""
        rows = [ours for printed in self.group.paper.of_group("multitask") for ours in self.rows_of(printed)]
        return rows if len(rows) > 1 and len({ours.row.parts for ours in rows}) == 1 else []

    def default_row(self, paper_row: str) -> Ours | None:
        """Our row of a method of the paper in its default settings; None if there is none."""
        return next((o for o in self.rows if o.row.paper_row == paper_row and not o.row.variant), None)

    @cached_property
    def paired(self) -> list[tuple[Ours, Ours | None, ComparedPair | None]]:
        """Rows to compare, from `_pairs`, with their difference."""
        return [(a, b, _pair(self, a, b)) for a, b in _pairs(self)]

    def pair_of(self, a: Ours, b: Ours) -> ComparedPair | None:
        """Difference of two rows that the table of differences compares; None without parts in common."""
        return next((pair for one, other, pair in self.paired if one is a and other is b), None)


def score_groups(groups: Sequence[Group]) -> tuple[OursOfGroup, ...]:
    """Score and judge all rows of all groups. The bootstrap runs here."""
    rows = [row for group in groups for row in group.rows]
    # NumPy releases the GIL, so these threads run in parallel; BLAS threads inside them would wait for one another.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(lambda row: resampled(row.counts), rows))
    return tuple(_scored(group, judged) for group, judged in zip(groups, judge_rows(groups), strict=True))


def _scored(group: Group, judged: Sequence[Cells]) -> OursOfGroup:
    reference = all_positive(group.reference)
    scored = f1_with_intervals(reference)
    return OursOfGroup(
        group=group,
        rows=tuple(_score(group, row, cells) for row, cells in zip(group.rows, judged, strict=True)),
        reference=reference,
        reference_label=f"{ALL_POSITIVE} ({group.origin_label})",
        reference_values=_values(group, scored),
        reference_intervals=_intervals(group, scored),
    )


def _score(group: Group, row: Row, judged: Cells) -> Ours:
    scored = f1_with_intervals(row.counts)
    name = _spelled(group, row)
    parts = "" if group.is_complete(row) else f", {len(row.parts)} of {group.paper.folds} parts"
    label = label_of(name, group, parts, whose=SUBMITTED if row.is_submitted else OURS)
    values = _values(group, scored)
    if row.lacking:
        values[AVE] = math.nan  # an average over fewer AUs is another quantity
    return Ours(row, row_name(group, row), label, values, _intervals(group, scored), judged)


def row_name(group: Group, row: Row) -> str:
    """Name of a row for readers, which says of predictions from outside that they were submitted."""
    name = _spelled(group, row)
    return f"{name} ({SUBMITTED})" if row.is_submitted else name


def _spelled(group: Group, row: Row) -> str:
    """The paper's spelling of the method if its table has it, and the settings that differ from other rows."""
    if group.paper.row(row.paper_row) is None:
        name = row.method
    else:
        rivals = {other.method for other in group.rows if other.paper_row == row.paper_row}
        name = row.paper_row if len(rivals) == 1 else f"{row.paper_row} by {row.method}"
    return f"{name} [{row.variant}]" if row.variant else name


def label_of(name: str, group: Group, parts: str = "", whose: str = OURS) -> str:
    """Name of a row in a table: of which method, whose, on which data."""
    return f"{name} ({whose}, {group.origin_label}{parts})"


def _values(group: Group, scored: Scored) -> dict[str, float]:
    return dict(zip(group.paper.columns, (100 * np.append(scored.per_au, scored.ave)).tolist(), strict=True))


def _intervals(group: Group, scored: Scored) -> dict[str, Interval]:
    intervals = (*scored.per_au_intervals, scored.ave_interval)
    return dict(zip(group.paper.columns, map(percent, intervals), strict=True))


def interval_table(ours: OursOfGroup) -> Table:
    """Our values with their 95 % intervals over subjects."""
    columns = ours.group.paper.columns
    rows = [o.line(*map(o.shown_with_interval, columns)) for o in ours.rows]
    reference = zip(ours.reference_values.values(), ours.reference_intervals.values(), strict=True)
    rows.append(cells(ours.reference_label, *[with_interval(value, ends) for value, ends in reference]))
    return table(["method", *columns], rows)


def difference_table(ours: OursOfGroup) -> Table:
    """Differences in `ave` F1 with both noises, on the common parts and seeds of two rows."""
    header = ["pair", "difference in ave F1 [95 %]", "told apart?", "p", "detectable", "parts", "seeds"]
    return table(header, [_pair_row(ours, *pair) for pair in ours.paired])


def au_difference_table(ours: OursOfGroup) -> Table:
    """Differences per AU of each row against the baselines, with p-values adjusted for the number of AUs (Holm)."""
    rows = []
    for a, b, pair in ours.paired:
        if b is None or pair is None:
            continue
        p_values = holm(pair.difference.p_values[:-1])
        shown = [
            Cell(f"{number(100 * d, sign=True)} (p {number(p, digits=3)})", "bold" if p < ALPHA else None)
            if not math.isnan(p)
            else Cell(number(100 * d, sign=True))
            for d, p in zip(pair.difference.per_au.tolist(), p_values.tolist(), strict=True)
        ]
        rows.append([Cell(f"{a.name} − {b.name} ({ours.group.origin_label})"), *shown])
    return table(["pair", *ours.group.paper.aus], rows)


def _pairs(ours: OursOfGroup) -> Iterator[tuple[Ours, Ours | None]]:
    """Each row against all-positive (None), then against each baseline in its default setting.

    A row that lacks AUs has no average to compare.
    """
    rows = [o for o in ours.rows if not o.row.lacking]
    yield from ((o, None) for o in rows)
    seen: set[tuple[str, str]] = set()
    for name in BASELINES:
        for base in ours.rows:
            if base.row.paper_row != name or base.row.variant:
                continue
            for other in rows:
                if other is not base and (base.label, other.label) not in seen:
                    seen.add((other.label, base.label))
                    yield other, base


class ComparedPair(NamedTuple):
    """A difference of two rows, and what it comes from."""

    difference: Difference
    parts: tuple[str, ...]
    seeds: str
    """Seeds of both rows, in words."""
    trainings: tuple[int, ...]
    """Numbers of trainings of the two rows; one number where they are paired by seed."""


def _pair(ours: OursOfGroup, a: Ours, b: Ours | None) -> ComparedPair | None:
    """Difference of a row and another (or all-positive) on their common parts; None if there are none."""
    if b is None:
        theirs = ours.reference.select(a.row.parts, ours.reference.seeds)
        seeds = a.seeds_in_words
        return ComparedPair(difference(a.row.counts, theirs, "fixed"), a.row.parts, seeds, (len(a.row.seeds),))
    paired = pair_rows(a.row, b.row, [other.row for other in ours.rows])
    if paired is None:
        return None
    trainings = tuple(map(len, paired.seeds)) if paired.pairing == "none" else (len(paired.seeds[0]),)
    return ComparedPair(paired.difference, paired.parts, paired.seeds_in_words, trainings)


def _pair_row(ours: OursOfGroup, a: Ours, b: Ours | None, pair: ComparedPair | None) -> list[Cell]:
    name = f"{a.name} − {ALL_POSITIVE if b is None else b.name} ({ours.group.origin_label})"
    if pair is None:
        return cells(name, *[UNRUN] * 4, "none in common", UNRUN)
    return cells(name, *difference_cells(pair.difference), ", ".join(pair.parts), pair.seeds)


def difference_cells(found: Difference) -> list[str]:
    """Difference in `ave` with its interval, whether it is told apart from 0, p, and the detectable difference."""
    interval = percent(found.ave_interval)
    if math.isnan(interval.low):
        why = f"unknown ({ONE_TRAINING})" if found.trainings == 1 else UNDEFINED
        return [number(100 * found.ave, sign=True), why, UNRUN, UNRUN]
    return [
        with_interval(100 * found.ave, interval, sign=True),
        "no" if interval.holds(0.0) else "yes",
        number(float(found.p_values[-1]), digits=4),
        number(100 * found.detectable()),
    ]


def summary_table(ours: OursOfGroup) -> Table:
    """One line per row: its parts, seeds and trials, averages, and spreads over subjects and seeds."""
    header = [
        "method",
        "parts",
        "seeds",
        "F1 ave, mean over parts [95 % over subjects]",
        "F1 ave, pooled",
        "SD over seeds",
        "AUC",
        "stale",
    ]
    rows = [_summary_row(ours.group, o) for o in ours.rows]
    reference = with_interval(ours.reference_values[AVE], ours.reference_intervals[AVE])
    of_all = number(100 * pooled(ours.reference).ave)
    parts = _parts(ours.reference.part_names, ours.group)
    rows.append(cells(ours.reference_label, parts, UNRUN, reference, of_all, *[UNRUN] * (len(header) - 5)))
    return table(header, rows)


def _summary_row(group: Group, ours: Ours) -> list[Cell]:
    row, trials = ours.row, ours.row.trials
    spread = seed_spread(mean_over_parts(row.counts).ave_by_seed)
    partial = bool(row.lacking)
    return ours.line(
        _parts(row.parts, group),
        ours.seeds_in_words,
        ours.shown_with_interval(AVE),
        UNRUN if partial else number(100 * pooled(row.counts).ave),
        number(None if spread is None else 100 * spread),
        UNRUN if partial else number(average(row.auc).ave, digits=3),
        UNRUN if row.is_submitted else staleness(trials["provenance"], trials["stale"]),
    )


def _parts(names: tuple[str, ...], group: Group) -> str:
    return f"{len(names)} of {group.paper.folds}"
