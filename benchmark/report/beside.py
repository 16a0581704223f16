"""Content of the audit page besides the rules of selection: metrics, the split, and other datasets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmark.report.cross import CrossContext, cross_context
from benchmark.report.groups import Group
from benchmark.report.metrics import MetricsOfGroup, metrics_of_groups
from benchmark.report.splits import SplitsOfFamily, splits_of
from benchmark.store.results import Results


@dataclass(frozen=True)
class Beside:
    """Further tables of the audit page.

    Attributes:
        metrics: Methods under each metric, by group of results.
        splits: Methods on random splits, by dataset and profile.
        cross: Methods on other datasets; None without such trials.
    """

    metrics: tuple[MetricsOfGroup, ...] = ()
    splits: tuple[SplitsOfFamily, ...] = ()
    cross: CrossContext | None = None


def audit_beside(groups: Iterable[Group], splits: Sequence[Results] = (), cross: Results | None = None) -> Beside:
    """Tables of groups, and of the results of splits and of other datasets.

    Args:
        groups: Groups of the report.
        splits: Results of `malbench splits`, one for each dataset.
        cross: Results of `malbench cross`.

    Raises:
        UserError: Trials do not fit together, or results of splits or of other datasets hold none.
    """
    return Beside(
        metrics=metrics_of_groups(groups),
        splits=tuple(family for of_dataset in splits for family in splits_of(of_dataset)),
        cross=None if cross is None else cross_context(cross),
    )
