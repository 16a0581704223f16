"""The audit of a group: its methods under every rule of selection, from the counts in the results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from benchmark.audit.rules import HONEST, LOOKING, NORMALISED, OURS
from benchmark.core.errors import UserError
from benchmark.core.f1 import FN, FP, TN, TP
from benchmark.report.groups import Group, Row
from benchmark.report.pairs import pair_rows
from benchmark.stats.counts import MethodCounts, PartCounts, mean_over_parts
from benchmark.stats.crossed import Difference, PairedNoise
from benchmark.stats.gain import RulePair, gain, pooled_noise

_SeedsAndParts = tuple[tuple[int, ...], tuple[str, ...]]


@dataclass(frozen=True)
class AuditedRow:
    """A row of a group under every rule.

    Attributes:
        name: Name of the method, as in the other tables.
        row: The row.
        counts: Counts by name of the rule; those of the suite's rule are the row's.
    """

    name: str
    row: Row
    counts: Mapping[str, MethodCounts]

    def under(self, rule: str) -> Row:
        """The row with the counts of a rule."""
        return replace(self.row, counts=self.counts[rule])

    def ave(self, rule: str) -> float:
        """Average F1 × 100 under a rule."""
        return 100 * mean_over_parts(self.counts[rule]).ave


@dataclass(frozen=True)
class AuditedGroup:
    """The rows of a group that have snapshots, under every rule.

    Attributes:
        group: The group.
        rows: The rows.
        without: Names of rows without snapshots.
    """

    group: Group
    rows: tuple[AuditedRow, ...]
    without: tuple[str, ...]

    @property
    def trainings(self) -> int:
        """Number of trainings of the row that has fewest; 0 without rows."""
        return min((len(audited.row.seeds) for audited in self.rows), default=0)

    @property
    def rules(self) -> tuple[str, ...]:
        """Names of the rules that at least one row has, in the order of the tables."""
        names = (*(rule.name for rule in HONEST), *NORMALISED, *(rule.name for rule in LOOKING))
        return tuple(name for name in names if any(name in audited.counts for audited in self.rows))

    def comparable(self, rule: str) -> tuple[AuditedRow, ...]:
        """Rows that have the rule, and the same parts as all the others; fewer than two rows are none."""
        rows = tuple(audited for audited in self.rows if rule in audited.counts)
        same = len({audited.row.parts for audited in rows}) == 1
        return rows if same and len(rows) > 1 else ()

    def gain(self, audited: AuditedRow, rule: str, base: str = OURS.name) -> Difference | None:
        """F1 of a row under a rule − F1 under another; None if it lacks one of them."""
        if not {rule, base} <= set(audited.counts):
            return None
        if (rule, base) not in self._noise:
            self._noise[rule, base] = self._noise_of(rule, base)
        noise = self._noise[rule, base].get((audited.row.seeds, audited.row.parts))
        return gain((audited.counts[rule], audited.counts[base]), noise)

    @cached_property
    def _noise(self) -> dict[tuple[str, str], dict[_SeedsAndParts, PairedNoise | None]]:
        """Noise of training of differences of two rules, by the rules; filled when it is asked for."""
        return {}

    def _noise_of(self, rule: str, base: str) -> dict[_SeedsAndParts, PairedNoise | None]:
        """Noise of training of one difference, pooled over the rows with the same seeds and parts."""
        alike: dict[_SeedsAndParts, list[RulePair]] = {}
        for other in self.rows:
            if {rule, base} <= set(other.counts):
                pairs = alike.setdefault((other.row.seeds, other.row.parts), [])
                pairs.append((other.counts[rule], other.counts[base]))
        return {key: pooled_noise(pairs) for key, pairs in alike.items()}

    @cached_property
    def mal_minus_mtl(self) -> dict[str, Difference]:
        """MAL − MTL, both in their default settings, by rule; empty if one of them is missing."""
        named = {row.row.paper_row: row for row in reversed(self.rows) if not row.row.variant}
        if not {"MAL", "MTL"} <= set(named):
            return {}
        mal, mtl = named["MAL"], named["MTL"]
        made: dict[str, Difference] = {}
        for rule in self.rules:
            if {rule} <= set(mal.counts) & set(mtl.counts):
                rows = [row.under(rule) for row in self.comparable(rule)]
                paired = pair_rows(mal.under(rule), mtl.under(rule), rows)
                made |= {} if paired is None else {rule: paired.difference}
        return made


def audit_group(group: Group, names: Sequence[str]) -> AuditedGroup:
    """The rows of a group under every rule.

    Args:
        group: The group.
        names: Names of its rows.

    Raises:
        UserError: Counts of a rule do not fit the labels.
    """
    by_trial = {str(trial): rows for trial, rows in group.results.audit.groupby("trial")}
    rows, without = [], []
    for name, row in zip(names, group.rows, strict=True):
        if row.is_trained and all(key in by_trial for key in row.trials["trial"]):
            rows.append(AuditedRow(name, row, {OURS.name: row.counts, **_by_rule(row, by_trial)}))
        elif row.is_trained:
            without.append(name)
    return AuditedGroup(group, tuple(rows), tuple(without))


def _by_rule(row: Row, by_trial: Mapping[str, pd.DataFrame]) -> dict[str, MethodCounts]:
    """Counts of a row under the rules that all its trials have."""
    keys = {(p, int(s)): t for p, s, t in zip(*(row.trials[c] for c in ("part", "seed", "trial")), strict=True)}
    common = set.intersection(*(set(by_trial[key]["rule"].unique()) for key in keys.values()))
    made: dict[str, list[PartCounts]] = {rule: [] for rule in sorted(common)}
    for part in row.counts.parts:
        of_seeds = [
            _counts_of(by_trial[keys[part.part, seed]], part, part.counts[number], row.counts.aus)
            for number, seed in enumerate(row.seeds)
        ]
        for rule, parts in made.items():
            parts.append(replace(part, counts=np.stack([counts[rule] for counts in of_seeds])))
    return {rule: replace(row.counts, parts=tuple(parts)) for rule, parts in made.items()}


def _counts_of(audit: pd.DataFrame, part: PartCounts, ours: np.ndarray, aus: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Counts (S, J, 4) of one trial by rule; known labels are those of its own counts `ours` (S, J, 4)."""
    subject = pd.Index(part.subjects).get_indexer(pd.Index(audit["subject"]))
    au = pd.Index(aus).get_indexer(pd.Index(audit["au"]))
    rule, names = pd.factorize(audit["rule"])
    cells = np.zeros((len(names), *ours.shape), dtype=np.int64)
    cells[rule, subject, au, TP], cells[rule, subject, au, FP] = audit["tp"], audit["fp"]
    cells[..., FN] = ours[..., TP] + ours[..., FN] - cells[..., TP]
    cells[..., TN] = ours[..., FP] + ours[..., TN] - cells[..., FP]
    if (cells < 0).any() or (subject < 0).any() or (au < 0).any():
        raise UserError(
            "counts of a rule of selection do not fit the labels",
            where=f"trial {audit['trial'].iloc[0]}",
            expected="no more hits than positive labels, and subjects and AUs of the trial",
            remedy="run the trial again, or read the results with the version of the suite that wrote them",
        )
    return {str(name): cells[number] for number, name in enumerate(names)}
