"""The settings and the provenance of one trial, read from its folder and validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from benchmark.config.key import key_of, place_of
from benchmark.config.trial import Trial
from benchmark.core.files import json_object
from benchmark.store.folder import PROVENANCE, TRIAL, UNSEALED, TrialFolder, unreadable
from benchmark.store.identity import check_identity, check_unsealed


def read_trial(folder: TrialFolder, seals: Mapping[str, str] | None = None) -> tuple[Trial, dict[str, Any]]:
    """Read the trial of a folder, and its provenance.

    Args:
        folder: Folder of the trial.
        seals: Result of `folder.seals()`, if it is known.

    Returns:
        The trial, and the content of `provenance.json`, with that of `verified.json` under `verified` if there is one,
        and `unsealed` if a version made the trial that did not seal. The provenance is empty while the trial runs.

    Raises:
        UserError: A file is damaged, or has changed since the trial was finished; the key of the settings, the key in
            `DONE` and the place of the folder are not those of one trial.
    """
    try:
        mark = folder.mark()
        seals = ({} if mark is None else mark.seals) if seals is None else seals
        content = folder.read(TRIAL, seals)
        trial = Trial.model_validate_json(content)
        made = _object(folder, PROVENANCE, seals)
        if mark is not None:
            check_identity(folder, {trial.key, key_of(json_object(content))}, place_of(json_object(content)), mark)
            if not mark.seals:
                check_unsealed(folder, made)
                made[UNSEALED] = True
            verified = folder.read_verification(seals)
            made |= {"verified": verified} if verified else {}
        return trial, made
    except (ValidationError, ValueError, KeyError, OSError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError | OSError) else str(error)
        raise unreadable(folder.path, reason.splitlines()[0]) from error


def _object(folder: TrialFolder, name: str, seals: Mapping[str, str]) -> dict[str, Any]:
    """Content of a JSON file of a trial; empty if there is no such file.

    Raises:
        UserError: The file has changed since the trial was finished.
        ValueError: The file is damaged.
    """
    if name not in seals and not (folder.path / name).exists():
        return {}
    return json_object(folder.read(name, seals))


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
    return present is not None and present in hashes and not made.get(UNSEALED)
