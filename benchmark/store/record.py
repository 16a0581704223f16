"""The settings and the provenance of one trial, read from its folder and validated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from benchmark.config.trial import Trial
from benchmark.store.folder import PROVENANCE, TRIAL, VERIFIED, TrialFolder, unreadable


def read_trial(folder: TrialFolder, seals: Mapping[str, str] | None = None) -> tuple[Trial, dict[str, Any]]:
    """Read the trial of a folder, and its provenance.

    Args:
        folder: Folder of the trial.
        seals: Result of `folder.seals()`, if it is known.

    Returns:
        The trial, and the content of `provenance.json`, with that of `verified.json` under `verified` if there is one.
        The provenance is empty while the trial runs.

    Raises:
        UserError: A file is damaged, or has changed since the trial was finished.
    """
    seals = folder.seals() if seals is None else seals
    try:
        trial = Trial.model_validate_json(folder.read(TRIAL, seals))
        made = _object(folder, PROVENANCE, seals)
        verified = _object(folder, VERIFIED, {})  # written after the trial was sealed
        return trial, made | {"verified": verified} if verified else made
    except (ValidationError, ValueError) as error:
        raise unreadable(folder.path, str(error).splitlines()[0]) from error


def _object(folder: TrialFolder, name: str, seals: Mapping[str, str]) -> dict[str, Any]:
    """Content of a JSON file of a trial; empty if there is no such file.

    Raises:
        UserError: The file has changed since the trial was finished.
        ValueError: The file is damaged.
    """
    if not (folder.path / name).is_file():
        return {}
    content = json.loads(folder.read(name, seals))
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds no object")
    return content


def is_current(made: Mapping[str, Any], present: str | None) -> bool:
    """Whether the present sources of a method made a finished trial, or verified it last.

    Args:
        made: Provenance of the trial, from `read_trial`.
        present: Hash of the present sources of its method; None if the method is gone.

    Example:
        >>> made = {"source_hash": "a", "verified": {"source_hash": "b"}}
        >>> [is_current(made, present) for present in ("a", "b", "c", None)]
        [True, True, False, False]
    """
    hashes = (made.get("source_hash"), made.get("verified", {}).get("source_hash"))
    return present is not None and present in hashes
