"""The list of trials at the end of the page, to which the numbers lead."""

from __future__ import annotations

from urllib.parse import quote

import pandas as pd

from benchmark.report.cells import UNRUN, Cell, Table, cells, table
from benchmark.report.groups import Group
from benchmark.report.provenance import read_provenance, staleness
from benchmark.store.results import SUBMITTED

LISTED = 300
"""Largest number of trials of a group that the page lists; but the first one of each row is always there."""
UNKNOWN = "unknown"
"""In place of a fact that the trials do not tell."""


def anchor_of(trial: str) -> str:
    """Anchor of a trial on the page.

    Example:
        >>> anchor_of("0f3a"), anchor_of('a "b"')
        ('trial-0f3a', 'trial-a%20%22b%22')
    """
    return f"trial-{quote(trial, safe='')}"


def trial_table(group: Group) -> Table:
    """Trials with their keys and commits, the trials of a row together; then those in no table."""
    header = ["trial", "method", "part", "seed", "settings that differ", "method version", "stale", "commit"]
    listed = _listed(group)
    rows = []
    for trial in listed.to_dict("records"):
        key, made = str(trial["trial"]), read_provenance(trial["provenance"])
        texts = cells(
            str(trial["method"]),
            str(trial["part"]),
            UNRUN if SUBMITTED in made else str(trial["seed"]),
            str(trial["variant"]) or UNRUN,
            str(trial["method_version"]),
            staleness([trial["provenance"]], [trial["stale"]]),
            str(made.get("commit") or UNKNOWN),
        )
        rows.append([Cell(key, anchor=anchor_of(key)), *texts])
    left_out = len(group.results.trials) - len(listed)
    if left_out:
        rows.append(cells(f"and {left_out:,} more in results.parquet", *[""] * (len(header) - 1)))
    return table(header, rows, words=True)


def _listed(group: Group) -> pd.DataFrame:
    """The trials that the page lists, in its order."""
    trials = group.results.trials
    of_each = LISTED if len(trials) <= LISTED else max(LISTED // len(group.rows), 1)
    shown = pd.concat([row.trials.head(of_each) for row in group.rows])
    in_rows = pd.concat([row.trials["trial"] for row in group.rows])
    others = trials[~trials["trial"].isin(in_rows)].sort_values(["method", "part", "seed", "trial"])
    return pd.concat([shown, others.head(max(LISTED - len(shown), 0))])
