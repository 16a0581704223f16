"""Content of the report: results beside the paper's, as plain text in no format yet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pandas as pd

from benchmark.core.errors import UserError
from benchmark.paper.audit import Audit, audit
from benchmark.paper.tables import ambiguities
from benchmark.report.answer import answers
from benchmark.report.calibration import calibrate_group, calibration_sentence
from benchmark.report.cells import UNRUN, Table, cells, number, table
from benchmark.report.claims import judge_claims
from benchmark.report.claims_table import ClaimsContext, claims_context
from benchmark.report.comparison import beyond_table, compared_table, printed_table, submitted_table
from benchmark.report.groups import Group, group_results, titles_of
from benchmark.report.ours import (
    OURS,
    SUBMITTED,
    OursOfGroup,
    au_difference_table,
    difference_table,
    interval_table,
    score_groups,
    summary_table,
)
from benchmark.report.provenance import read_provenance, reserve_of, torch_of
from benchmark.report.row_cost import cost_table
from benchmark.report.selection import audit_group
from benchmark.report.selection_tables import SelectionContext, selection_context
from benchmark.report.trial_list import UNKNOWN, trial_table
from benchmark.report.verdicts import VerdictCounts, count_verdicts, readings_in_words
from benchmark.stats.verdict import JUDGED, Verdict
from benchmark.store.results import SUBMITTED as SUBMITTED_FROM
from benchmark.store.results import Results

LONGEST_STEM = 60
"""Longest part of a figure's file name, characters."""


_RUNS = {OURS: "our runs", SUBMITTED: "submitted rows"}


@dataclass(frozen=True)
class GroupContext:
    """One section of the report."""

    group: Group
    ours: OursOfGroup
    """Its scored rows."""
    title: str
    answer: str
    """The finding of these runs on MAL and MTL, in a sentence."""
    dots: str
    """Name of the files of the figure below the answer, without extension."""
    figure: str
    """Name of the files of the training curves, without extension."""
    figure_heading: str
    """Heading of the training curves: the figure of the paper that they repeat."""
    facts: tuple[tuple[str, str], ...]
    """Names and values of the settings and versions behind the numbers."""
    notes: tuple[str, ...]
    """Warnings about this group, one sentence each."""
    readings: tuple[str, ...]
    """Verdicts on averages under several readings of the paper, one sentence for each method."""
    calibration: str
    """False alarms of the tests on these trials, in a sentence; "" if no method was trained often enough."""
    printed: Table
    compared: Table
    beyond: Table | None
    """Our rows of methods that the paper's table lacks."""
    submitted: Table | None
    """Submitted rows."""
    intervals: Table
    differences: Table
    au_differences: Table
    summary: Table
    costs: Table
    trials: Table
    verdicts: VerdictCounts
    selection: SelectionContext
    """The methods under other rules of selection."""

    @property
    def whose(self) -> str:
        """Whose the rows of its tables are, in the words of a heading."""
        return " and ".join(self.ours.whose)

    @property
    def runs(self) -> str:
        """The rows of its tables, in the words of a heading."""
        return " and ".join(_RUNS[whose] for whose in self.ours.whose)


@dataclass(frozen=True)
class AuditContext:
    """Contradictions within the printed tables."""

    averages: Table
    underlines: Table


@dataclass(frozen=True)
class ReportContext:
    """Context of the templates."""

    groups: tuple[GroupContext, ...]
    audit: AuditContext
    claims: ClaimsContext
    verdicts: Table | None
    """Cells by verdict, of the groups that are held against the paper; None if none is."""
    ambiguities: Table
    faults: tuple[UserError, ...] = ()
    """Errors of the groups that cannot be shown."""
    notice: str = ""
    """Sentences at the top of the pages; "" for none."""

    @property
    def unjudged(self) -> list[GroupContext]:
        """Groups that are not held against the paper's table, since their data are not its own."""
        return [context for context in self.groups if context.group.paper.is_printed and not context.group.is_judged]

    def of_origin(self, origin: str) -> list[GroupContext]:
        """Groups of one origin of data, in the order of the report."""
        return [context for context in self.groups if context.group.origin == origin]


def build_context(results: Results, notice: str = "") -> ReportContext:
    """Build the content of a report.

    Args:
        results: Finished trials.
        notice: Sentences at the top of the pages; "" for none.

    Raises:
        UserError: The results hold no trial, or trials that do not fit together.
    """
    faults: list[UserError] = []
    groups = group_results(results, faults)
    scored = score_groups(groups)
    dots = _figure_names(groups, [group.dataset for group in groups], "answer-")
    curves = _figure_names(groups, [group.curves_name for group in groups])
    contexts = tuple(map(_group_context, scored, titles_of(groups), answers(scored), dots, curves))
    return ReportContext(
        groups=contexts,
        audit=_audit_context(audit()),
        claims=claims_context(judge_claims(groups)),
        verdicts=_verdict_table(contexts),
        ambiguities=_ambiguity_table(groups),
        faults=tuple(faults),
        notice=notice,
    )


def _group_context(ours: OursOfGroup, title: str, answer: str, dots: str, figure: str) -> GroupContext:
    group = ours.group
    judged = [row.judged for row in ours.rows]
    return GroupContext(
        group=group,
        ours=ours,
        title=title,
        answer=answer,
        dots=dots,
        figure=figure,
        figure_heading=group.curves_name,
        facts=_facts(group),
        notes=_notes(group),
        readings=tuple(readings_in_words(group, judged)) if group.is_judged else (),
        calibration=calibration_sentence(calibrate_group(group, alone=False)),
        printed=printed_table(group),
        compared=compared_table(ours),
        beyond=beyond_table(ours),
        submitted=submitted_table(ours),
        intervals=interval_table(ours),
        differences=difference_table(ours),
        au_differences=au_difference_table(ours),
        summary=summary_table(ours),
        costs=cost_table(ours),
        trials=trial_table(group),
        verdicts=count_verdicts(group, judged),
        selection=selection_context(audit_group(group, [row.name for row in ours.rows]), title),
    )


def _figure_names(groups: Sequence[Group], stems: Sequence[str], before: str = "") -> list[str]:
    """File names of figures, such as `figure3`; later groups of a dataset get a suffix: profile, origin and data."""
    names: list[str] = []
    seen: set[str] = set()
    for group, stem in zip(groups, stems, strict=True):
        suffix = "-".join((group.profile[:LONGEST_STEM], group.origin, group.fingerprint[:8]))
        name = before + re.sub(r"[^a-z0-9]+", "", stem.lower())[:LONGEST_STEM]
        if group.dataset in seen:
            name = f"{name}-{re.sub(r'[^a-z0-9.]+', '-', suffix.lower()).strip('-.')}"
        seen.add(group.dataset)
        copies = sum(other == name or other.startswith(f"{name}~") for other in names)
        names.append(f"{name}~{copies + 1}" if copies else name)
    return names


def _facts(group: Group) -> tuple[tuple[str, str], ...]:
    trials = _trained_here(group.results.trials)
    made = [read_provenance(text) for text in trials["provenance"]]
    changed = (("changed settings", group.shared_overrides),) if group.shared_overrides else ()
    return (
        *changed,
        ("backbone", _distinct(trials["backbone"])),
        ("weights", _distinct(trials["weights"])),
        ("steps", _distinct(f"{steps:,}" for steps in sorted(set(trials["steps"])))),
        ("seeds", _distinct(sorted(set(trials["seed"])))),
        ("parts", _distinct(sorted(set(trials["part"])))),
        ("AU validation frames (K; about 1,900 on BP4D in the paper)", reserve_of(trials) or UNKNOWN),
        ("data", _distinct(trials["data_note"])),
        ("fingerprint", group.fingerprint or UNKNOWN),
        ("device", _distinct(str(p.get("device") or UNKNOWN) for p in made)),
        ("torch", _distinct(torch_of(p) or UNKNOWN for p in made)),
        ("trials", str(len(trials))),
    )


def _trained_here(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials that are not submitted: of the others nothing is known. All of them, if all are submitted."""
    own = trials[[SUBMITTED_FROM not in read_provenance(text) for text in trials["provenance"]]]
    return trials if own.empty else own


def _distinct(values: Iterable[object]) -> str:
    """Distinct values, joined: sorted if they are text, else in order of appearance."""
    texts = list(dict.fromkeys(values))
    shown = sorted(texts) if all(isinstance(t, str) for t in texts) else texts  # type: ignore[type-var]
    return ", ".join(str(text) or UNKNOWN for text in shown)


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
    if len({row.seeds for row in group.rows if not row.is_submitted}) > 1:
        notes.append("Not all rows have the same seeds.")
    notes += _machine_notes(group)
    return tuple(notes)


def _machine_notes(group: Group) -> list[str]:
    """Where the trainings ran, if not all on one machine: a difference of rows then holds that of the machines."""
    rows: dict[str, list[str]] = {}
    for row in (row for row in group.rows if not row.is_submitted):
        seeds: dict[str, list[int]] = {}
        for seed, machine in row.machines.items():
            seeds.setdefault(machine, []).append(seed)
        words = [
            machine if len(seeds) == 1 else f"seed {', '.join(map(str, some))} on {machine}"
            for machine, some in seeds.items()
        ]
        rows.setdefault("; ".join(words), []).append(f"{row.method}{f' [{row.variant}]' if row.variant else ''}")
    if len(rows) < 2 and not any(";" in where for where in rows):
        return []
    where = ". ".join(f"{', '.join(methods)}: {place}" for place, methods in rows.items())
    return [f"Not all trainings ran on one kind of machine with one version of torch. {where}."]


def _audit_context(paper_audit: Audit) -> AuditContext:
    averages = [
        cells(
            f"Table {fault.table.number}, {fault.method}",
            number(fault.printed),
            number(fault.recomputed, digits=2),
            number(fault.size, digits=2, sign=True),
            "yes" if fault.rounding_explains else "no",
        )
        for fault in paper_audit.averages
    ]
    underlines = [
        cells(
            f"Table {fault.table.number}, {fault.method}",
            fault.column,
            number(fault.value),
            f"{fault.stands_in} only",
            number(fault.size),
        )
        for fault in paper_audit.underlines
    ]
    return AuditContext(
        averages=table(
            ["row", "printed average", "average of its cells", "difference", "rounding can explain it"],
            averages,
        ),
        underlines=table(["row", "column", "value", "underlined in", "size"], underlines),
    )


def _verdict_table(contexts: Iterable[GroupContext]) -> Table | None:
    """Cells by verdict; where cells were held against the paper, also the number of single AUs to differ by chance.

    None if no group has data that can be held against the paper.
    """
    judged = [context for context in contexts if context.group.paper.is_printed and context.group.is_judged]
    if not judged:
        return None
    names = [verdict for verdict in get_args(Verdict) if any(verdict in c.verdicts.cells for c in judged)]
    chance = ["differ by chance alone"] if any(verdict in JUDGED for verdict in names) else []
    rows = [
        cells(
            context.title,
            *[str(context.verdicts.cells.get(name, 0)) for name in names],
            *[number(context.verdicts.by_chance) for _ in chance],
        )
        for context in judged
    ]
    return table(["runs", *names, *chance], rows)


def _ambiguity_table(groups: Iterable[Group]) -> Table:
    """Open questions of the paper, with their defaults and the values of the runs."""
    listed = list(groups)
    names = [f"{group.paper.title}, {group.origin_label}, profile {group.profile}" for group in listed]
    settings = [_settings(group) for group in listed]
    rows = [
        cells(
            ambiguity.id,
            ambiguity.question,
            ambiguity.default,
            *[_settings_of(made, ambiguity.settings) for made in settings],
        )
        for ambiguity in ambiguities()
    ]
    return table(["id", "question", "default", *names], rows, words=True)


def _settings(group: Group) -> list[tuple[str, dict[str, Any]]]:
    """Method and settings of the trials, parsed once for all questions."""
    trials = group.results.trials
    return [(method, read_provenance(text)) for method, text in zip(trials["method"], trials["settings"], strict=True)]


def _settings_of(made: list[tuple[str, dict[str, Any]]], names: tuple[str, ...]) -> str:
    shown = []
    for name in names:
        section, key = name.split(".")
        part = "data" if section == "data" else "hparams"
        values_made = [
            settings.get(part, {}).get(key) for method, settings in made if section != "mal" or method == "mal"
        ]
        values = _distinct(str(value) for value in values_made if value is not None)
        shown.append(f"{key} {values}" if values else f"{key} {UNRUN}")
    return ", ".join(shown) or UNRUN
