"""Results joined with the paper: all that the templates show, in plain text and in no format yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmark.paper.audit import Audit, audit
from benchmark.report.cells import Table, cells, number, table
from benchmark.report.groups import Group, group_results
from benchmark.report.ours import (
    beyond_table,
    compared_table,
    cost_table,
    difference_table,
    interval_table,
    printed_table,
    score_group,
    summary_table,
)
from benchmark.results import Results

UNKNOWN = "unknown"


@dataclass(frozen=True)
class GroupContext:
    """One section of the report."""

    group: Group
    title: str
    figure: str
    """Name of the figure's files, without ending."""
    figure_heading: str
    """Which figure of the paper it is."""
    facts: tuple[tuple[str, str], ...]
    """What the numbers were made with: name and value."""
    notes: tuple[str, ...]
    """What a reader would not expect of this group."""
    printed: Table
    compared: Table
    beyond: Table | None
    intervals: Table
    differences: Table
    summary: Table
    costs: Table


@dataclass(frozen=True)
class AuditContext:
    """Where the printed tables disagree with themselves."""

    averages: Table
    underlines: Table


@dataclass(frozen=True)
class ReportContext:
    """What a template gets."""

    groups: tuple[GroupContext, ...]
    audit: AuditContext

    def of_origin(self, origin: str) -> list[GroupContext]:
        return [context for context in self.groups if context.group.origin == origin]


def build_context(results: Results) -> ReportContext:
    """Everything that a report shows.

    Raises:
        UserError: The results hold no trial, or trials that do not fit together.
    """
    groups = group_results(results)
    names = _figure_names(groups)
    return ReportContext(
        groups=tuple(_group_context(group, name) for group, name in zip(groups, names, strict=True)),
        audit=_audit_context(audit()),
    )


def _group_context(group: Group, figure: str) -> GroupContext:
    ours = score_group(group)
    overrides = f", with {group.shared_overrides}" if group.shared_overrides else ""
    return GroupContext(
        group=group,
        title=f"{group.paper.title}, {group.origin_label}, profile {group.profile}{overrides}",
        figure=figure,
        figure_heading=group.curves_name,
        facts=_facts(group),
        notes=_notes(group),
        printed=printed_table(group),
        compared=compared_table(ours),
        beyond=beyond_table(ours),
        intervals=interval_table(ours),
        differences=difference_table(ours),
        summary=summary_table(ours),
        costs=cost_table(ours),
    )


def _figure_names(groups: Iterable[Group]) -> list[str]:
    """`figure3` and the like for the first group of a dataset, a suffix from profile, origin and data for others."""
    names: list[str] = []
    seen: set[str] = set()
    for group in groups:
        suffix = "-".join((group.profile, group.origin, group.fingerprint[:8]))
        name = re.sub(r"[^a-z0-9]+", "", group.curves_name.lower())
        if group.dataset in seen:
            name = f"{name}-{re.sub(r'[^a-z0-9.]+', '-', suffix.lower()).strip('-.')}"
        seen.add(group.dataset)
        copies = sum(other == name or other.startswith(f"{name}~") for other in names)
        names.append(f"{name}~{copies + 1}" if copies else name)
    return names


def _facts(group: Group) -> tuple[tuple[str, str], ...]:
    trials = group.results.trials
    made = [_provenance(text) for text in trials["provenance"]]
    return (
        ("backbone", _distinct(trials["backbone"])),
        ("weights", _distinct(trials["weights"])),
        ("steps", _distinct(f"{steps:,}" for steps in sorted(set(trials["steps"])))),
        ("seeds", _distinct(sorted(set(trials["seed"])))),
        ("parts", _distinct(sorted(set(trials["part"])))),
        ("data", _distinct(trials["data_note"])),
        ("fingerprint", group.fingerprint or UNKNOWN),
        ("device", _distinct(str(p.get("device") or UNKNOWN) for p in made)),
        ("torch", _distinct(_torch(p) for p in made)),
        ("trials", str(len(trials))),
    )


def _distinct(values: Iterable[object]) -> str:
    """The different values in order of appearance, sorted where they are text."""
    texts = list(dict.fromkeys(values))
    shown = sorted(texts) if all(isinstance(t, str) for t in texts) else texts  # type: ignore[type-var]
    return ", ".join(str(text) or UNKNOWN for text in shown)


def _provenance(text: Any) -> dict[str, Any]:
    """What a trial says of how it was made; nothing if that cannot be read."""
    try:
        read = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _torch(provenance: dict[str, Any]) -> str:
    packages = provenance.get("packages")
    return str(packages.get("torch") or UNKNOWN) if isinstance(packages, dict) else UNKNOWN


def _notes(group: Group) -> tuple[str, ...]:
    notes = []
    left_out = sum(row.left_out for row in group.rows)
    superseded = sum(row.superseded for row in group.rows)
    if left_out:
        notes.append(f"Not in any table, because their seed lacks a test part: {left_out} trials.")
    if superseded:
        notes.append(f"Not in any table, because another of the same part and seed is newer: {superseded} trials.")
    if len({row.parts for row in group.rows}) > 1:
        notes.append("Not all rows were tested on the same parts: their averages are not comparable.")
    if len({row.seeds for row in group.rows}) > 1:
        notes.append("Not all rows have the same seeds.")
    return tuple(notes)


def _audit_context(found: Audit) -> AuditContext:
    averages = [
        cells(
            f"Table {fault.table.number}, {fault.method}",
            number(fault.printed),
            number(fault.recomputed, digits=2),
            number(fault.size, digits=2, sign=True),
            "yes" if fault.rounding_explains else "no",
        )
        for fault in found.averages
    ]
    underlines = [
        cells(
            f"Table {fault.table.number}, {fault.method}",
            fault.column,
            number(fault.value),
            f"{fault.stands_in} only",
            number(fault.size),
        )
        for fault in found.underlines
    ]
    return AuditContext(
        averages=table(
            ["row", "printed average", "average of its cells", "difference", "rounding can explain it"],
            averages,
        ),
        underlines=table(["row", "column", "value", "underlined in", "size"], underlines),
    )
