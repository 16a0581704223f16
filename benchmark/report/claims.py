"""The paper's claims, judged on its printed tables and on our runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, count
from typing import Any

import numpy as np

from benchmark.core.f1 import FloatArray
from benchmark.paper.claims import Claim, paper_claims
from benchmark.paper.expressions import CELLS, Curve, Outcome, Printed, UnknownError, judge
from benchmark.paper.tables import AVE, paper_table
from benchmark.report.groups import Group, Row
from benchmark.report.pairs import paired_noise
from benchmark.stats.bootstrap import left_out, resampled
from benchmark.stats.counts import mean_over_parts
from benchmark.stats.samples import Sample


@dataclass(frozen=True)
class OurOutcome:
    """Outcome of a claim on one set of runs.

    Attributes:
        runs: Origin of the data, profile and settings of the runs.
        standing: Reason why the runs are no test of the paper's claim; "" if they are one.
        outcome: Outcome of the claim.
    """

    runs: str
    standing: str
    outcome: Outcome


@dataclass(frozen=True)
class JudgedReading:
    """A reading of a claim with its outcome on the printed tables and on our runs."""

    name: str
    expression: str
    printed: Outcome
    ours: tuple[OurOutcome, ...]

    def as_json(self) -> dict[str, Any]:
        """JSON values; `follows` is the outcome on the printed tables, `ours` that on our runs, if there are any."""
        plain: dict[str, Any] = {
            "reading": self.name,
            "expression": self.expression,
            "follows": self.printed.holds,
            "evidence": self.printed.evidence,
        }
        if self.ours:
            plain["ours"] = [
                {"runs": our.runs, "standing": our.standing or "a test of the claim", **asdict(our.outcome)}
                for our in self.ours
            ]
        return plain


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with the outcomes of its readings, the strict one first."""

    claim: Claim
    readings: tuple[JudgedReading, ...]

    @property
    def printed(self) -> Outcome:
        """Outcome of the strict reading on the printed tables."""
        return self.readings[0].printed

    @property
    def ours(self) -> tuple[OurOutcome, ...]:
        """Outcomes of the strict reading on our runs."""
        return self.readings[0].ours

    @property
    def follows(self) -> bool | None:
        """Whether the claim follows from the printed tables: by all readings, by none, or None for all else."""
        said = {reading.printed.holds for reading in self.readings}
        return said.pop() if len(said) == 1 else None

    @property
    def depends(self) -> bool:
        """Whether the claim follows from the printed tables by one reading and not by another."""
        return {True, False} <= {reading.printed.holds for reading in self.readings}

    def as_json(self) -> dict[str, Any]:
        """JSON values of the claim and of all its readings."""
        return {
            "id": self.claim.id,
            "section": self.claim.section,
            "claim": self.claim.text,
            "readings": [reading.as_json() for reading in self.readings],
        }


def judge_claims(groups: Iterable[Group] = ()) -> tuple[JudgedClaim, ...]:
    """Judge all claims on the printed tables, and on each set of runs with the same data, profile and settings."""
    printed, worlds = Printed(), _worlds(groups)
    return tuple(
        JudgedClaim(
            claim,
            tuple(
                JudgedReading(
                    reading.name,
                    reading.expression,
                    judge(reading.expression, printed),
                    tuple(
                        OurOutcome(name, world.standing, judge(reading.expression, world))
                        for name, world in worlds.items()
                    ),
                )
                for reading in claim.readings
            ),
        )
        for claim in paper_claims()
    )


class OurRuns:
    """Runs of one origin and profile, one group per dataset; only rows with default settings.

    Numbers of a dataset are over the parts and seeds that all these rows share, so that differences are paired.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = {group.dataset: group for group in groups}
        self._cells: dict[tuple[str, str], Mapping[str, Sample]] = {}
        self._noise: dict[str, tuple[FloatArray, float]] = {}

    @property
    def standing(self) -> str:
        """Reason why these runs are no test of the paper's claims; "" if they are one."""
        groups = list(self._groups.values())
        used = [(group, row) for group in groups for row in _default_rows(group)]
        reasons = {
            f"other data ({groups[0].origin_label})": any(group.origin != "complete" for group in groups),
            "other settings": not all(group.is_protocol for group in groups),
            "stale": any(row.trials["stale"].any() for _, row in used),
            "incomplete": any(not group.is_complete(row) for group, row in used),
        }
        return next((reason for reason, applies in reasons.items() if applies), "")

    def cell(self, dataset: str, method: str, column: str) -> Sample | None:
        """F1 × 100 of a cell; NaN for an average over fewer AUs than the paper's."""
        row = self._row(dataset, method)
        key = (dataset, method)
        if key not in self._cells:
            self._cells[key] = self._samples(dataset, row)
        return self._cells[key][AVE if column == CELLS else column]

    def _samples(self, dataset: str, row: Row) -> Mapping[str, Sample]:
        parts, seeds = self._shared(dataset)
        counts = row.counts.select(parts, seeds)
        point = mean_over_parts(counts)
        values, by_seed, draws = 100 * point.columns, 100 * point.by_seed, 100 * resampled(counts).columns
        if np.isnan(point.per_au).any():
            values[-1] = math.nan
        variance, freedom = self._paired(dataset)
        without = left_out(counts)
        return {
            column: Sample(
                value=float(values[j]),
                draws=draws[:, j],
                trainings=by_seed[:, j],
                left_out=100 * without.values[:, j],
                parts=without.parts,
                dataset=dataset,
                paired=(float(variance[j]), freedom),
            )
            for j, column in enumerate((*counts.aus, AVE))
        }

    def _shared(self, dataset: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Parts and seeds that all default rows share."""
        rows = _default_rows(self._groups[dataset])
        parts = tuple(part for part in rows[0].parts if all(part in row.parts for row in rows))
        seeds = tuple(seed for seed in rows[0].seeds if all(seed in row.seeds for row in rows))
        if not parts or not seeds:
            raise UnknownError(f"the methods share no part or no seed ({self._groups[dataset].paper.title})")
        return parts, seeds

    def _paired(self, dataset: str) -> tuple[FloatArray, float]:
        """Noise of training within a seed, F1 × 100 squared, pooled over the rows of the dataset."""
        if dataset not in self._noise:
            parts, seeds = self._shared(dataset)
            pooled = paired_noise(self._groups[dataset].rows, parts, seeds)
            columns = len(self._groups[dataset].paper.columns)
            self._noise[dataset] = (
                (np.full(columns, np.nan), 0.0) if pooled is None else (1e4 * pooled.variance, pooled.freedom)
            )
        return self._noise[dataset]

    def curves(self, dataset: str, method: str, series: str) -> Sequence[Curve]:
        """Curves of all trials of the method, so that two series cover the same trials."""
        row = self._row(dataset, method)
        table = self._groups[dataset].results.curves
        table = table[(table["series"] == series) & table["trial"].isin(row.trials["trial"])].sort_values("step")
        seeds = dict(zip(row.trials["trial"], row.trials["seed"], strict=True))
        curves = [
            Curve(int(seeds[trial]), t["step"].to_numpy(np.float64), t["value"].to_numpy(np.float64))
            for trial, t in table.groupby("trial")
        ]
        if not curves:
            raise UnknownError(f"{method} stored no curve {series}")
        if len(curves) < len(row.trials):
            raise UnknownError(f"{method} stored no curve {series} in {len(row.trials) - len(curves)} of its trials")
        return curves

    def weight_statistic(self, dataset: str, method: str, name: str) -> Sequence[tuple[int, float]]:
        """Seed and a statistic of the weights, for each trial of the method."""
        row = self._row(dataset, method)
        table = self._groups[dataset].results.weights
        table = table[(table["name"] == name) & table["trial"].isin(row.trials["trial"])].sort_values("trial")
        if table.empty:
            raise UnknownError(_WANTING.get(name, f"{method} stored no {name}"))
        if len(table) < len(row.trials):
            raise UnknownError(f"{method} stored no {name} in {len(row.trials) - len(table)} of its trials")
        seeds = dict(zip(row.trials["trial"], row.trials["seed"], strict=True))
        return [(int(seeds[trial]), float(value)) for trial, value in zip(table["trial"], table["value"], strict=True)]

    def _row(self, dataset: str, method: str) -> Row:
        group = self._groups.get(dataset)
        if group is None:
            raise UnknownError(f"nothing was run on {paper_table(dataset).title}")
        matching = [row for row in group.rows if row.paper_row == method and not row.variant]
        if not matching:
            printed = group.paper.row(method)
            cited = printed is not None and printed.group == "au"
            raise UnknownError(
                f"{method} {'is not trained by this suite' if cited else 'was not run'} ({group.paper.title})"
            )
        if len(matching) > 1:
            standing = " and ".join(row.method for row in matching)
            raise UnknownError(f"{standing} both stand for {method} ({group.paper.title})")
        return matching[0]


def _default_rows(group: Group) -> list[Row]:
    """Rows of the paper's methods in default settings."""
    return [row for row in group.rows if row.paper_row and not row.variant]


_WANTING = {
    "spearman_consistency": "the FE data tell no consistency of their labels",
    "spearman_consistency_within": "the FE data tell no consistency of their labels",
    **dict.fromkeys(
        ("with_au", "without_au", "with_related_au", "without_related_au"),
        "the AUs of the FE images are not known",
    ),
}


def _worlds(groups: Iterable[Group]) -> dict[str, OurRuns]:
    """Sets of groups with one origin, profile and settings, one group per dataset, by a readable name.

    The set of a second group of a dataset has the fingerprint of its images and labels in the name, and a number if
    that does not tell it apart: settings differ then that have no name.
    """
    worlds: dict[str, dict[str, Group]] = {}
    for group in groups:
        if not group.paper.is_printed:  # the paper makes no claim about it
            continue
        overrides = f", {group.shared_overrides}" if group.shared_overrides else ""
        name = f"{group.origin_label}, profile {group.profile}{overrides}"
        apart = f"{name}, {group.paper.title} data {group.fingerprint}"
        names = chain([name, apart], (f"{apart} ({number})" for number in count(2)))
        free = next(each for each in names if group.dataset not in worlds.get(each, {}))
        worlds.setdefault(free, {})[group.dataset] = group
    return {name: OurRuns(list(by_dataset.values())) for name, by_dataset in worlds.items()}
