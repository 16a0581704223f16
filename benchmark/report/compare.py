"""Comparison of two results files: differences of scores, settings and test frames."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.report.cells import UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.groups import Group, Row, group_results
from benchmark.report.ours import ONE_TRAINING
from benchmark.report.readable import readable_results
from benchmark.report.templating import markdown_template
from benchmark.stats.compare import f1_with_intervals
from benchmark.stats.counts import MethodCounts, PartCounts, mean_over_parts
from benchmark.stats.crossed import difference
from benchmark.stats.multiple import holm
from benchmark.stats.verdict import ALPHA
from benchmark.store.results import Results

PAGE = "compare.md"
_PROVENANCE = ("commit", "source_hash", "device", "threads")
_LABELS = {"profile", "shared_overrides", "variant", "row", "reading", "shared_digest"}
"""Fields left out: names and digests of settings, since the settings are compared."""


@dataclass(frozen=True)
class Pair:
    """Rows of one method on one dataset in both files."""

    dataset: str
    name: str
    groups: tuple[Group, Group]
    rows: tuple[Row, Row]


@dataclass(frozen=True)
class Comparison:
    """Context of the template.

    Attributes:
        averages: One line per pair of rows.
        per_au: Differences per AU, for pairs on the same subjects.
        settings: Settings and facts of the provenance that differ.
        frames: Test subjects whose numbers of labelled or positive frames differ.
        only: Rows that are in one file only.
    """

    averages: Table
    per_au: tuple[tuple[str, Table], ...]
    settings: Table
    frames: Table
    only: Table


def write_comparison(
    a: Results, b: Results, out: Path, *, templates: Path | None = None, names: tuple[str, str]
) -> Path:
    """Write `compare.md` below `out`.

    Raises:
        UserError: One of the two holds no trial, or they have no row in common.
    """
    comparison = compare(readable_results(a), readable_results(b))
    out.mkdir(parents=True, exist_ok=True)
    page = out / PAGE
    text = markdown_template(f"{PAGE}.j2", templates).render(found=comparison, names=names)
    write_atomically(page, text.encode())
    return page


def compare(a: Results, b: Results) -> Comparison:
    """Compare two results.

    Raises:
        UserError: One of the two holds no trial, or they have no row in common.
    """
    sides = group_results(a), group_results(b)
    pairs, only = _pairs(sides)
    if not pairs:
        raise UserError(
            "the two results have no row in common",
            expected="a dataset and method that both have",
            found=" against ".join("; ".join(f"{n} {d}" for d, n in _rows(side)) for side in sides),
            remedy="name two files with trials of one method on one dataset",
        )
    header = ["row", "F1 ave in A [95 %]", "F1 ave in B [95 %]", "B − A [95 %]", "subjects", "parts and seeds"]
    return Comparison(
        averages=table(header, [_average_line(pair) for pair in pairs]),
        per_au=tuple((pair.name, _au_table(pair)) for pair in pairs),
        settings=table(
            ["row", "what", "in A", "in B"], [line for pair in pairs for line in _settings(pair)], words=True
        ),
        frames=table(
            ["dataset", "part", "subject", "labelled cells in A", "in B", "positive in A", "in B"],
            [line for pair in _one_a_dataset(pairs) for line in _frames(pair)],
        ),
        only=table(["row", "only in"], [cells(name, side) for name, side in only], words=True),
    )


def _rows(groups: tuple[Group, ...]) -> dict[tuple[str, str], list[tuple[Group, Row]]]:
    """Rows by dataset and name; several groups may have one, such as runs of two profiles."""
    rows: dict[tuple[str, str], list[tuple[Group, Row]]] = {}
    for group in groups:
        for row in group.rows:
            name = f"{row.paper_row or row.method}{f' [{row.variant}]' if row.variant else ''}"
            rows.setdefault((group.dataset, name), []).append((group, row))
    return rows


def _pairs(sides: tuple[tuple[Group, ...], tuple[Group, ...]]) -> tuple[list[Pair], list[tuple[str, str]]]:
    a, b = map(_rows, sides)
    pairs: list[Pair] = []
    only: list[tuple[str, str]] = []
    for key in dict.fromkeys([*a, *b]):
        dataset, name = key
        in_a, in_b = a.get(key, []), b.get(key, [])
        several = len(in_a) > 1 or len(in_b) > 1
        for (group_a, row_a), (group_b, row_b) in _matched(in_a, in_b):
            of = f", {group_a.title}" if several else f", {group_a.paper.title}"
            pairs.append(Pair(dataset, f"{name}{of}", (group_a, group_b), (row_a, row_b)))
        for side, left in (("A", in_a), ("B", in_b)):
            for group, _ in left:
                aus = f" ({', '.join(group.paper.aus)})" if key in a and key in b and not several else ""
                only.append((f"{name}, {group.title if several else dataset}{aus}", side))
    return pairs, only


_ALIKE: tuple[Callable[[Group], object], ...] = (
    lambda group: (group.fingerprint, group.profile, group.shared_overrides, group.paper.aus),
    lambda group: (group.profile, group.shared_overrides, group.paper.aus),
    lambda group: group.paper.aus,
)
"""Facts that two groups must share to be compared; the closest likeness comes first."""


def _matched(
    a: list[tuple[Group, Row]], b: list[tuple[Group, Row]]
) -> Iterator[tuple[tuple[Group, Row], tuple[Group, Row]]]:
    """Pairs of a row of A and the row of B whose group is most alike; both are taken out of their lists."""
    for alike in _ALIKE:
        for ours in list(a):
            theirs = next((other for other in b if alike(other[0]) == alike(ours[0])), None)
            if theirs is not None:
                # By identity: rows hold tables, which have no equality.
                a[:], b[:] = [each for each in a if each is not ours], [each for each in b if each is not theirs]
                yield ours, theirs


def _common(pair: Pair) -> tuple[MethodCounts, MethodCounts] | None:
    """Counts of both rows on their common parts and seeds; None if there are none, or the subjects differ."""
    a, b = (row.counts for row in pair.rows)
    parts, seeds = [p for p in a.part_names if p in b.part_names], [s for s in a.seeds if s in b.seeds]
    if not parts or not seeds:
        return None
    chosen = a.select(parts, seeds), b.select(parts, seeds)
    subjects = [[part.subjects for part in counts.parts] for counts in chosen]
    return chosen if subjects[0] == subjects[1] else None


def _average_line(pair: Pair) -> list[Cell]:
    scored = [f1_with_intervals(row.counts) for row in pair.rows]
    sides = [with_interval(100 * score.ave, percent(score.ave_interval)) for score in scored]
    common = _common(pair)
    if common is None:
        return cells(pair.name, *sides, UNRUN, "differ, or no part and seed in common", UNRUN)
    paired = difference(common[1], common[0])
    interval = percent(paired.ave_interval)
    shown = (
        f"{number(100 * paired.ave, sign=True)} ({ONE_TRAINING})"
        if math.isnan(interval.low)
        else with_interval(100 * paired.ave, interval, sign=True)
    )
    where = f"{', '.join(common[0].part_names)}; {', '.join(map(str, common[0].seeds))}"
    return cells(pair.name, *sides, shown, "the same", where)


def _au_table(pair: Pair) -> Table:
    aus = pair.groups[0].paper.aus
    common = _common(pair)
    points = [mean_over_parts(row.counts).per_au for row in pair.rows]
    rows = [cells(side, *[number(100 * v) for v in values]) for side, values in zip(("A", "B"), points, strict=True)]
    if common is not None:
        paired = difference(common[1], common[0])
        p_values = holm(paired.p_values[:-1])
        shown = [
            Cell(number(100 * d, sign=True), "bold" if p < ALPHA else None)  # False for NaN
            for d, p in zip(paired.per_au.tolist(), p_values.tolist(), strict=True)
        ]
        rows.append([Cell("B − A"), *shown])
    return table(["", *aus], rows)


def _settings(pair: Pair) -> Iterator[list[Cell]]:
    """Differences in settings, provenance and data between the first trials."""
    first = [row.trials.iloc[0] for row in pair.rows]
    described = []
    for trial in first:
        settings = _flat({k: v for k, v in _json(trial["settings"]).items() if k not in _LABELS})
        made = _json(trial["provenance"])
        described.append(
            {
                **settings,
                **{f"provenance: {name}": made.get(name) for name in _PROVENANCE},
                **{f"package: {name}": v for name, v in (made.get("packages") or {}).items()},
                "origin of the data": trial["origin"],
                "data": trial["data_note"],
                "fingerprint of the data": trial["fingerprint"],
                "weights": trial["weights"],
                "steps": int(trial["steps"]),
            }
        )
    a, b = described
    for name in dict.fromkeys([*a, *b]):
        if name not in {"part", "seed"} and a.get(name) != b.get(name):
            yield cells(pair.name, name, *[_shown(side.get(name)) for side in (a, b)])


def _json(text: Any) -> dict[str, Any]:
    read = json.loads(text)
    return read if isinstance(read, dict) else {}


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _shown(value: object) -> str:
    return UNRUN if value is None else str(value)


def _one_a_dataset(pairs: list[Pair]) -> list[Pair]:
    return list({pair.dataset: pair for pair in reversed(pairs)}.values())[::-1]


def _frames(pair: Pair) -> Iterator[list[Cell]]:
    """Subjects whose numbers of labels differ; all rows of a dataset have the same labels."""
    a, b = ({part.part: part for part in group.reference.parts} for group in pair.groups)
    for part in dict.fromkeys([*a, *b]):
        counts = [_labels(side[part]) if part in side else {} for side in (a, b)]
        for subject in dict.fromkeys([*counts[0], *counts[1]]):
            one, other = (side.get(subject, (math.nan, math.nan)) for side in counts)
            if one != other:
                shown = [number(v, digits=0) for v in (one[0], other[0], one[1], other[1])]
                yield cells(pair.groups[0].paper.title, part, subject, *shown)


def _labels(part: PartCounts) -> dict[str, tuple[float, float]]:
    """Numbers of known and of positive labels by subject, over all AUs."""
    of_subject = part.counts[0].sum(axis=1)
    return {
        subject: (float(row.sum()), float(row[0] + row[2]))
        for subject, row in zip(part.subjects, of_subject, strict=True)
    }
