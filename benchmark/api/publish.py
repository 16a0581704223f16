"""Conditions under which a report may replace the committed one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.config.names import profile_names
from benchmark.config.profile import load_profile
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.core.places import default_reports
from benchmark.report.groups import Group, group_results
from benchmark.report.provenance import read_provenance
from benchmark.store.folder import UNSEALED
from benchmark.store.results import SUBMITTED, Results
from benchmark.trials.expand import profile_of
from methods import names

RESULTS = "results.parquet"
NAMED = 15
"""Largest number of methods with their parts that a message names for one fault: the five of the paper on three."""


def check_publishable(results: Results, source: Path, beside: Iterable[Path] = ()) -> None:
    """Refuse to commit a report of results that are not clean and complete.

    The committed results themselves pass: no result changes if their report is built again.

    Args:
        results: All that the report would show.
        source: Where they were read.
        beside: Further files that they were read from.

    Raises:
        UserError: A trial of a profile's grid is missing: the paper's methods, all parts, the planned seeds; or a trial
            is stale, unsealed, or made from a changed or unknown checkout.
    """
    committed = default_reports() / RESULTS
    if not list(beside) and source.is_file() and committed.is_file() and source.read_bytes() == committed.read_bytes():
        return
    faults = [fault for group in group_results(results) for fault in _faults(group)]
    if faults:
        raise UserError(
            "these results are not clean and complete, so their report is not published",
            where=source,
            expected="every trial of the grid, fresh, sealed, and made from a commit",
            found="\n            ".join(faults),
            remedy="train what is missing with `malbench run`, and verify what is stale with `malbench verify`; or "
            "leave --publish away",
        )


def _faults(group: Group) -> Iterator[str]:
    """Everything that keeps the results of a group from being published, one line each."""
    shown = [trial for row in group.rows for trial in row.trials.to_dict("records")]
    made = {trial["trial"]: read_provenance(trial["provenance"]) for trial in shown}
    ours = [trial for trial in shown if SUBMITTED not in made[trial["trial"]]]
    there = {_place(trial) for trial in group.results.trials.to_dict("records") if _is_plain(trial)}
    wanted = [(m, part, seed) for m in names("paper") for part in group.expected_parts for seed in _seeds(group)]
    kinds = {
        "missing": [place for place in wanted if place not in there],
        "stale": [_place(t) for t in ours if t["stale"] and not made[t["trial"]].get(UNSEALED)],
        "unsealed": [_place(t) for t in ours if made[t["trial"]].get(UNSEALED)],
        "made from a changed checkout": [_place(t) for t in ours if made[t["trial"]].get("dirty")],
        "made from an unknown commit": [_place(t) for t in ours if made[t["trial"]].get("dirty") is None],
    }
    for kind, places in kinds.items():
        if places:
            yield f"{group.title}: {kind}: {_listed(places)}"


def _listed(places: Iterable[tuple[str, str, int]]) -> str:
    """Trials in words, the seeds of one method and part together."""
    seeds: dict[str, list[int]] = {}
    for method, part, seed in places:
        seeds.setdefault(f"{method} {part}", []).append(seed)
    words = [f"{name} seed {', '.join(map(str, sorted(of_part)))}" for name, of_part in seeds.items()]
    return "; ".join(words[:NAMED]) + (f"; and {len(words) - NAMED} more" if len(words) > NAMED else "")


def _place(trial: Mapping[Any, Any]) -> tuple[str, str, int]:
    return str(trial["method"]), str(trial["part"]), int(trial["seed"])


def _is_plain(trial: Mapping[Any, Any]) -> bool:
    """Whether a trial has the profile's own settings of its method, on the profile's own backbone."""
    own = json.loads(str(trial["settings"]))
    return not trial["variant"] and not own.get("row") and SUBMITTED not in read_provenance(trial["provenance"])


def _seeds(group: Group) -> tuple[int, ...]:
    """The seeds that the group's profile plans; none for predictions of others alone."""
    for trial in group.results.trials.to_dict("records"):
        made = read_provenance(trial["provenance"])
        if SUBMITTED not in made:
            if trial["profile"] in profile_names():
                return tuple(load_profile(trial["profile"])[0].seeds)
            return tuple(profile_of(Trial.model_validate_json(trial["settings"]), made)[0].seeds)
    return ()
