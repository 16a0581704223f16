"""Our F1 × 100 with intervals, and tables that compare it with the paper and between methods."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmark.core.machine import available_cores
from benchmark.paper.tables import AVE, PaperRow, best_of
from benchmark.report.cells import UNDEFINED, UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.groups import Group, Row, staleness
from benchmark.stats.bootstrap import Interval, resampled
from benchmark.stats.compare import Scored, detectable, difference, f1_with_intervals, holm
from benchmark.stats.counts import MethodCounts, all_positive, average, mean_over_parts, pooled, seed_spread
from benchmark.stats.verdict import Verdict, verdict

BASELINES = ("STL", "MTL")
"""Rows of the paper that every other method is compared with, besides all-positive."""

ALL_POSITIVE = "all positive"

NAMED = 9
"""Largest number of trials that the tooltip of a value lists."""

ALPHA = 0.05
"""Adjusted p-values below it are bold."""


@dataclass(frozen=True)
class Ours:
    """One of our rows and its F1 × 100 by column."""

    row: Row
    name: str
    label: str
    """Name with the origin of the data, as in the tables."""
    values: Mapping[str, float]
    intervals: Mapping[str, Interval]

    def describe(self, column: str) -> str:
        """A value with its interval, seeds and trials."""
        seeds = ", ".join(map(str, self.row.seeds))
        keys = list(self.row.trials["trial"])
        trials = ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
        return f"{with_interval(self.values[column], self.intervals[column])}; seeds {seeds}; trials {trials}"


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
    def beyond(self) -> list[Ours]:
        """Our rows of methods that the paper's table lacks."""
        return [ours for ours in self.rows if self.group.paper.row(ours.row.paper_row) is None]

    @property
    def ranked(self) -> list[Ours]:
        """Our rows of the paper's multi-task methods; empty unless there are several, all on the same parts."""
        rows = [ours for printed in self.group.paper.of_group("multitask") for ours in self.rows_of(printed)]
        return rows if len(rows) > 1 and len({ours.row.parts for ours in rows}) == 1 else []

    @cached_property
    def paired(self) -> list[tuple[Ours, Ours | None, _Pair | None]]:
        """Rows to compare, from `_pairs`, with their difference."""
        return [(a, b, _pair(self, a, b)) for a, b in _pairs(self)]


def score_group(group: Group) -> OursOfGroup:
    """Score all rows of a group. The bootstrap runs here."""
    reference = all_positive(group.reference)
    # NumPy releases the GIL, so these threads run in parallel; BLAS threads inside them would wait for one another.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(lambda row: resampled(row.counts), group.rows))
    scored = f1_with_intervals(reference)
    return OursOfGroup(
        group=group,
        rows=tuple(_score(group, row) for row in group.rows),
        reference=reference,
        reference_label=f"{ALL_POSITIVE} ({group.origin_label})",
        reference_values=_values(group, scored),
        reference_intervals=_intervals(group, scored),
    )


def _score(group: Group, row: Row) -> Ours:
    scored = f1_with_intervals(row.counts)
    name = _name(group, row)
    parts = "" if group.is_complete(row) else f", {len(row.parts)} of {group.paper.folds} parts"
    label = _label(name, group, parts)
    return Ours(row, name, label, _values(group, scored), _intervals(group, scored))


def _name(group: Group, row: Row) -> str:
    """The paper's spelling of the method if its table has it, and the settings that differ from other rows."""
    if group.paper.row(row.paper_row) is None:
        name = row.method
    else:
        rivals = {other.method for other in group.rows if other.paper_row == row.paper_row}
        name = row.paper_row if len(rivals) == 1 else f"{row.paper_row} by {row.method}"
    return f"{name} [{row.variant}]" if row.variant else name


def _label(name: str, group: Group, parts: str = "") -> str:
    return f"{name} (ours, {group.origin_label}{parts})"


def _values(group: Group, scored: Scored) -> dict[str, float]:
    return dict(zip(group.paper.columns, (100 * np.append(scored.per_au, scored.ave)).tolist(), strict=True))


def _intervals(group: Group, scored: Scored) -> dict[str, Interval]:
    intervals = (*scored.per_au_intervals, scored.ave_interval)
    return dict(zip(group.paper.columns, map(percent, intervals), strict=True))


def printed_table(group: Group) -> Table:
    """The paper's rows, with the best values marked by the paper's rule."""
    rows = [
        [Cell(f"{row.method} *" if row.reported else row.method), *_paper_cells(group, row)] for row in group.paper.rows
    ]
    return table(["method", *group.paper.columns], rows)


def _paper_cells(group: Group, row: PaperRow) -> list[Cell]:
    return [Cell(number(row.values[c]), group.paper.mark(row, c)) for c in group.paper.columns]


def compared_table(ours: OursOfGroup) -> Table:
    """The paper's value, ours, difference and verdict of each multi-task method and of other methods that we ran."""
    group, columns = ours.group, ours.group.paper.columns
    best = {column: best_of({o.label: o.values[column] for o in ours.ranked}) for column in columns}
    rows = []
    for printed in group.paper.rows:
        runs = ours.rows_of(printed)
        if not runs and printed.group != "multitask":
            continue
        rows.append([Cell(f"{printed.method} (paper)"), *_paper_cells(group, printed)])
        if not runs:
            rows += _unrun(group, printed)
        for run in runs:
            values = [
                Cell(number(run.values[c]), "bold" if run.label in best[c] else None, run.describe(c)) for c in columns
            ]
            rows += [[Cell(run.label), *values], *_against(group, printed, run)]
    rows.append(cells(ours.reference_label, *[number(ours.reference_values[c]) for c in columns]))
    return table(["method", *columns], rows)


def _unrun(group: Group, printed: PaperRow) -> list[list[Cell]]:
    blank = [UNRUN] * len(group.paper.columns)
    judged = verdict(np.nan, None, origin=group.origin, complete=False)
    return [
        cells(_label(printed.method, group), *blank),
        cells(_difference_name(printed.method, group), *blank),
        cells(f"{printed.method} verdict", *[judged] * len(blank)),
    ]


def _difference_name(name: str, group: Group) -> str:
    return f"{name} difference ({group.origin_label} − paper)"


def _against(group: Group, printed: PaperRow, run: Ours) -> list[list[Cell]]:
    """Lines with difference and verdict of a row against the paper's; "-" where the paper prints no value."""
    differences, verdicts = [], []
    for column in group.paper.columns:
        verdict = _verdict(group, printed, run, column)
        if verdict is None:
            differences.append(UNRUN)
            verdicts.append(UNRUN)
            continue
        shown = number(verdict.difference, sign=True)
        differences.append(shown)
        verdicts.append(f"differs by {shown}" if verdict.verdict == "differs" else verdict.verdict)
    return [cells(_difference_name(run.name, group), *differences), cells(f"{run.name} verdict", *verdicts)]


class _Judged(NamedTuple):
    difference: float
    verdict: Verdict


def _verdict(group: Group, printed: PaperRow, run: Ours, column: str) -> _Judged | None:
    """Verdict on one of our cells against the paper's; None where the paper prints no value."""
    paper = printed.values[column]
    if paper is None:
        return None
    value, interval = run.values[column], run.intervals[column]
    if column == AVE and any(math.isnan(run.values[c]) for c in group.paper.columns):
        value, interval = math.nan, Interval(math.nan, math.nan)  # an average of fewer AUs than the paper's
    judged = verdict(
        paper,
        interval,
        origin=group.origin,
        complete=group.is_complete(run.row),
        protocol=group.is_protocol and not run.row.variant,
        stale=bool(run.row.trials["stale"].any()),
    )
    return _Judged(value - paper, judged)


def verdict_counts(ours: OursOfGroup) -> Counter[str]:
    """Numbers of cells of the paper's multi-task rows by verdict; a row that we ran several times counts each time."""
    counts: Counter[str] = Counter()
    for printed in ours.group.paper.of_group("multitask"):
        runs = ours.rows_of(printed)
        judged = [_verdict(ours.group, printed, run, c) for run in runs for c in ours.group.paper.columns]
        counts.update(cell.verdict for cell in judged if cell is not None)
        if not runs:
            counts["not run"] += sum(value is not None for value in printed.values.values())
    return counts


def beyond_table(ours: OursOfGroup) -> Table | None:
    """Our rows of methods that the paper's table lacks; None if there are none."""
    columns = ours.group.paper.columns
    rows = [cells(o.label, *[number(o.values[c]) for c in columns]) for o in ours.beyond]
    return table(["method", *columns], rows) if rows else None


def interval_table(ours: OursOfGroup) -> Table:
    """Our values with their 95 % intervals over subjects."""
    columns = ours.group.paper.columns
    rows = [(o.label, o.values, o.intervals) for o in ours.rows]
    rows.append((ours.reference_label, ours.reference_values, ours.reference_intervals))
    return table(
        ["method", *columns],
        [cells(label, *[with_interval(values[c], ends[c]) for c in columns]) for label, values, ends in rows],
    )


def difference_table(ours: OursOfGroup) -> Table:
    """Differences in `ave` F1, paired by subject, on the common parts and seeds of two rows."""
    header = ["pair", "difference in ave F1 [95 %]", "interval without 0", "p", "detectable", "parts", "seeds"]
    return table(header, [_pair_row(ours, *pair) for pair in ours.paired])


def au_difference_table(ours: OursOfGroup) -> Table:
    """Differences per AU of each row against the baselines, with p-values adjusted for the number of AUs (Holm)."""
    rows = []
    for a, b, pair in ours.paired:
        if b is None or pair is None:
            continue
        p_values = holm(pair.scored.per_au_p)
        shown = [
            Cell(f"{number(100 * d, sign=True)} (p {number(p, digits=3)})", "bold" if p < ALPHA else None)
            if not math.isnan(p)
            else Cell(UNDEFINED)
            for d, p in zip(pair.scored.per_au.tolist(), p_values.tolist(), strict=True)
        ]
        rows.append([Cell(f"{a.name} − {b.name} ({ours.group.origin_label})"), *shown])
    return table(["pair", *ours.group.paper.aus], rows)


def _pairs(ours: OursOfGroup) -> Iterator[tuple[Ours, Ours | None]]:
    """Each row against all-positive (None), then against each baseline in its default setting."""
    yield from ((o, None) for o in ours.rows)
    seen: set[tuple[str, str]] = set()
    for name in BASELINES:
        for base in ours.rows:
            if base.row.paper_row != name or base.row.variant:
                continue
            for other in ours.rows:
                if other is not base and (base.label, other.label) not in seen:
                    seen.add((other.label, base.label))
                    yield other, base


class _Pair(NamedTuple):
    scored: Scored
    parts: tuple[str, ...]
    seeds: tuple[int, ...]


def _pair(ours: OursOfGroup, a: Ours, b: Ours | None) -> _Pair | None:
    """Difference of a row and another (or all-positive) on their common parts and seeds; None if there are none."""
    if b is None:
        parts, seeds = a.row.parts, a.row.seeds
        theirs = ours.reference.select(parts, ours.reference.seeds)
    else:
        parts = tuple(part for part in a.row.parts if part in b.row.parts)
        seeds = tuple(seed for seed in a.row.seeds if seed in b.row.seeds)
        if not parts or not seeds:
            return None
        theirs = b.row.counts.select(parts, seeds)
    return _Pair(difference(a.row.counts.select(parts, seeds), theirs), parts, seeds)


def _pair_row(ours: OursOfGroup, a: Ours, b: Ours | None, pair: _Pair | None) -> list[Cell]:
    name = f"{a.name} − {ALL_POSITIVE if b is None else b.name} ({ours.group.origin_label})"
    if pair is None:
        return cells(name, *[UNRUN] * 4, "none in common", UNRUN)
    interval = percent(pair.scored.ave_interval)
    return cells(
        name,
        with_interval(100 * pair.scored.ave, interval, sign=True),
        "no" if interval.holds(0.0) else "yes",
        number(pair.scored.ave_p, digits=4),
        number(100 * detectable(pair.scored.draws.ave)),
        ", ".join(pair.parts),
        ", ".join(map(str, pair.seeds)),
    )


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
    return cells(
        ours.label,
        _parts(row.parts, group),
        ", ".join(map(str, row.seeds)),
        with_interval(ours.values[AVE], ours.intervals[AVE]),
        number(100 * pooled(row.counts).ave),
        number(None if spread is None else 100 * spread),
        number(average(row.auc).ave, digits=3),
        staleness(trials),
    )


def cost_table(ours: OursOfGroup) -> Table:
    """Cost of every row: parameters, time and memory."""
    header = [
        "method",
        "trained parameters",
        "time per step (ms)",
        "× STL",
        "training (s)",
        "stages before (s)",
        "peak memory (MiB)",
        "above the start (MiB)",
    ]
    stl = [_per_step(o) for o in ours.rows if o.row.paper_row == "STL" and not o.row.variant]
    return table(header, [_cost_row(o, stl[0] if stl else float("nan")) for o in ours.rows])


def _per_step(ours: Ours) -> float:
    """Mean time per step over all trials of a row, in milliseconds."""
    trials = ours.row.trials
    return 1000 * float(trials["time_train_s"].sum(skipna=False)) / max(int(trials["steps"].sum()), 1)


def _cost_row(ours: Ours, stl: float) -> list[Cell]:
    trials = ours.row.trials
    parameters = sorted(set(trials["parameters"]))
    above = trials["peak_memory_mb"] - trials["base_memory_mb"]
    return cells(
        ours.label,
        " to ".join(f"{count:,}" for count in dict.fromkeys((parameters[0], parameters[-1]))),
        number(_per_step(ours)),
        number(_per_step(ours) / stl),
        number(float(trials["time_train_s"].sum(skipna=False))),
        # All parts of a seed share one stage, so it counts once per seed.
        number(float(trials.drop_duplicates("seed")["time_before_s"].sum(skipna=False))),
        number(float(trials["peak_memory_mb"].max(skipna=False)), digits=0),
        number(float(above.max(skipna=False)), digits=0),
    )


def _parts(names: tuple[str, ...], group: Group) -> str:
    return f"{len(names)} of {group.paper.folds}"
