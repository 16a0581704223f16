"""Whether settings, mark and place of a trial's folder are those of one trial. This module needs no pydantic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.core.errors import UserError
from benchmark.store.folder import DONE, SEALED, Mark, TrialFolder


def check_identity(folder: TrialFolder, keys: Iterable[str], place: tuple[str, str, str], mark: Mark) -> None:
    """Check that a finished trial is the one that its mark and its folder name.

    Args:
        folder: Folder of the trial.
        keys: Keys computed from its settings.
        place: Dataset, method and name of the folder that its settings ask for.
        mark: Content of `DONE`.

    Raises:
        UserError: It is another one.
    """
    for key in sorted(set(keys) - {mark.key}):
        raise UserError(
            "a finished trial is not the one that its settings describe",
            where=folder.path / DONE,
            expected=f"{key}, the key of the settings in trial.json",
            found=mark.key,
            remedy="put the files back as they were, or delete this trial's folder and run again",
        )
    here = folder.path.absolute().parts[-3:]
    if here != place:
        raise UserError(
            "a finished trial is not where its settings belong: its folder was renamed or moved",
            where=folder.path,
            expected="/".join(place),
            found="/".join(here),
            remedy="give the folder its name back, or take it out of the store",
        )


def check_unsealed(folder: TrialFolder, made: Mapping[str, Any]) -> None:
    """Check that a trial whose mark has no seals never had any.

    Raises:
        UserError: Its provenance says that it was sealed.
    """
    if made.items() >= SEALED.items():
        raise UserError(
            "the seals of a finished trial are gone",
            where=folder.path / DONE,
            expected="the trial's key, then one line per file: a digest and a name",
            found="the key alone",
            remedy="put the file back as it was, or delete this trial's folder and run again",
        )
