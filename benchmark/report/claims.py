"""The paper's claims, judged on its printed tables and on our runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmark import datasets
from benchmark.core.f1 import FloatArray
from benchmark.paper.expressions import Claim, Outcome, Printed, UnknownError, judge, paper_claims
from benchmark.paper.tables import AVE, paper_table
from benchmark.report.groups import Group, Row
from benchmark.stats.bootstrap import resampled
from benchmark.stats.counts import mean_over_parts

CURVES_FIGURE = "Figure 3"
"""The figure of training curves that §4.4 speaks of."""


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
class JudgedClaim:
    """A claim with its outcome on the printed tables and on our runs."""

    claim: Claim
    printed: Outcome
    ours: tuple[OurOutcome, ...]

    def as_json(self) -> dict[str, Any]:
        """JSON values; `follows` is the outcome on the printed tables, `ours` that on our runs, if there are any."""
        plain: dict[str, Any] = {
            "id": self.claim.id,
            "section": self.claim.section,
            "claim": self.claim.text,
            "expression": self.claim.expression,
            "follows": self.printed.holds,
            "evidence": self.printed.evidence,
        }
        if self.ours:
            plain["ours"] = [
                {"runs": our.runs, "standing": our.standing or "a test of the claim", **asdict(our.outcome)}
                for our in self.ours
            ]
        return plain


def judge_claims(groups: Iterable[Group] = ()) -> tuple[JudgedClaim, ...]:
    """Judge all claims on the printed tables, and on each set of runs with the same data, profile and settings."""
    printed, worlds = Printed(), _worlds(groups)
    return tuple(
        JudgedClaim(
            claim,
            judge(claim, printed),
            tuple(OurOutcome(name, world.standing, judge(claim, world)) for name, world in worlds.items()),
        )
        for claim in paper_claims()
    )


class OurRuns:
    """Runs of one origin and profile, one group per dataset; only rows with default settings."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = {group.dataset: group for group in groups}
        self._cells: dict[tuple[str, str], Mapping[str, FloatArray]] = {}

    @property
    def standing(self) -> str:
        """Reason why these runs are no test of the paper's claims; "" if they are one."""
        groups = list(self._groups.values())
        used = [(group, row) for group in groups for row in group.rows if row.paper_row and not row.variant]
        reasons = {
            f"other data ({groups[0].origin_label})": any(group.origin != "complete" for group in groups),
            "other settings": not all(group.is_protocol for group in groups),
            "stale": any(row.trials["stale"].any() for _, row in used),
            "incomplete": any(not group.is_complete(row) for group, row in used),
        }
        return next((reason for reason, applies in reasons.items() if applies), "")

    def cell(self, dataset: str, method: str, column: str) -> FloatArray | None:
        """F1 × 100: the point value, then the bootstrap draws; NaN for an average over fewer AUs than the paper's."""
        row = self._row(dataset, method)
        key = (dataset, method)
        if key not in self._cells:
            point, draws = mean_over_parts(row.counts), resampled(row.counts)
            values = {au: np.append(point.per_au[j], draws.per_au[:, j]) for j, au in enumerate(row.counts.aus)}
            values[AVE] = np.append(math.nan if np.isnan(point.per_au).any() else point.ave, draws.ave)
            self._cells[key] = {name: 100 * value for name, value in values.items()}
        return self._cells[key][column]

    def curve(self, method: str, series: str) -> Sequence[tuple[FloatArray, FloatArray]]:
        """Curves (steps, values) of all trials of the method on BP4D, so that two series cover the same trials."""
        dataset = _dataset_of_curves()
        row = self._row(dataset, method)
        table = self._groups[dataset].results.curves
        table = table[(table["series"] == series) & table["trial"].isin(row.trials["trial"])].sort_values("step")
        curves = [(t["step"].to_numpy(np.float64), t["value"].to_numpy(np.float64)) for _, t in table.groupby("trial")]
        if not curves:
            raise UnknownError(f"{method} stored no curve {series}")
        if len(curves) < len(row.trials):
            raise UnknownError(f"{method} stored no curve {series} in {len(row.trials) - len(curves)} of its trials")
        return curves

    def weight_statistic(self, method: str, name: str) -> FloatArray:
        """A statistic of the weights, one value per trial of the method on BP4D."""
        dataset = _dataset_of_curves()
        row = self._row(dataset, method)
        table = self._groups[dataset].results.weights
        table = table[(table["name"] == name) & table["trial"].isin(row.trials["trial"])].sort_values("trial")
        if table.empty:
            raise UnknownError(_WANTING.get(name, f"{method} stored no {name}"))
        if len(table) < len(row.trials):
            raise UnknownError(f"{method} stored no {name} in {len(row.trials) - len(table)} of its trials")
        return table["value"].to_numpy(np.float64)

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


_WANTING = {
    "spearman_consistency": "the FE data tell no consistency of their labels",
    **dict.fromkeys(
        ("with_au", "without_au", "with_related_au", "without_related_au"),
        "the AUs of the FE images are not known",
    ),
}


@cache
def _dataset_of_curves() -> str:
    """Name of the dataset of Figure 3."""
    return next(name for name, cls in datasets.au_classes().items() if cls.curves == CURVES_FIGURE)


def _worlds(groups: Iterable[Group]) -> dict[str, OurRuns]:
    """Sets of groups with one origin, profile and settings, one group per dataset, by a readable name.

    A second group of a dataset has other images or labels: its set has their fingerprint in the name.
    """
    worlds: dict[str, dict[str, Group]] = {}
    for group in groups:
        if not group.paper.is_printed:  # the paper makes no claim about it
            continue
        overrides = f", {group.shared_overrides}" if group.shared_overrides else ""
        name = f"{group.origin_label}, profile {group.profile}{overrides}"
        if group.dataset in worlds.get(name, {}):
            name += f", {group.paper.title} data {group.fingerprint}"
        worlds.setdefault(name, {})[group.dataset] = group
    return {name: OurRuns(list(by_dataset.values())) for name, by_dataset in worlds.items()}
