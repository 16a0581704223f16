"""The provenance of trials in words: machine, size of the AU validation set, whether a trial is stale."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

from benchmark.store.folder import UNSEALED


def read_provenance(text: Any) -> dict[str, Any]:
    """Provenance of a trial from JSON; empty if it cannot be read."""
    try:
        read = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def machine_of(provenance: Any) -> str:
    """Device and version of torch of a trial, in words."""
    return machine_in(read_provenance(provenance))


def machine_in(made: dict[str, Any]) -> str:
    """Device and version of torch in a provenance, in words."""
    return f"{made.get('device') or 'an unknown device'} with torch {torch_of(made) or 'of unknown version'}"


def torch_of(made: dict[str, Any]) -> str:
    """Version of torch in a provenance; "" if it does not say one."""
    packages = made.get("packages")
    return str(packages.get("torch") or "") if isinstance(packages, dict) else ""


def reserve_of(trials: pd.DataFrame) -> str:
    """Number of AU validation frames, K, of the trials: the least and the most; "" if no trial says it."""
    made = [read_provenance(text).get("frames") for text in trials["provenance"]]
    sizes = [frames["au_val"] for frames in made if isinstance(frames, dict) and frames.get("au_val")]
    return " to ".join(dict.fromkeys(f"{size:,}" for size in (min(sizes), max(sizes)))) if sizes else ""


def staleness(provenances: Iterable[Any], stale: Iterable[bool]) -> str:
    """Whether trials are stale: `yes`, `unsealed`, `no`, or `no` with the verification that made them fresh.

    Args:
        provenances: Provenance of each trial, JSON.
        stale: Whether each trial is stale.
    """
    made = [read_provenance(text) for text in provenances]
    if any(facts.get(UNSEALED) for facts in made):
        return UNSEALED
    if any(stale):
        return "yes"
    marks = [facts.get("verified") for facts in made]
    said = sorted({_verification(mark) for mark in marks if isinstance(mark, dict)})
    return f"no: verified, {' and '.join(said)}" if said else "no"


def stale_note(stale: Iterable[bool]) -> str:
    """Sentence about stale trials, after a space; "" if none is stale."""
    marks = [bool(mark) for mark in stale]
    return f" {sum(marks)} of {len(marks)} trials are stale: the code has changed since." if any(marks) else ""


def _verification(mark: dict[str, Any]) -> str:
    """A verification in words."""
    return UNSEALED if mark.get(UNSEALED) else f"{mark.get('steps', 0)} steps {mark.get('agreement', '')}"
