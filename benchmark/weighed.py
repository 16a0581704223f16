"""The FE images of a finished trial and their weights, for Figures 5 and 6; drawing them needs no torch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.errors import UserError
from benchmark.report.faces import WeighedFaces
from benchmark.store import FE_WEIGHTS, TrialFolder, read_trial


def weighed_faces(folder: TrialFolder, root: Path) -> WeighedFaces:
    """What a finished trial left of its FE images.

    Args:
        folder: Of the trial.
        root: The data root that it ran on.

    Raises:
        UserError: The trial is not done or gave no weights, or the root lacks an image.
    """
    trial, made = read_trial(folder)
    file = folder.path / FE_WEIGHTS
    if not (folder.is_done and file.is_file()):
        raise UserError(
            "the trial has no weights of FE images",
            where=folder.path,
            expected="a finished trial of a method that weighs samples",
            remedy="name one that `malbench status` calls done, of mal for instance",
        )
    table = pd.read_parquet(file).sort_values(["weight", "path"], kind="stable", ignore_index=True)
    lost = [path for path in table["path"] if not (root / path).is_file()]
    if lost:
        raise UserError(
            "an FE image of the trial is missing",
            where=root,
            found=f"no {lost[0]}" + (f", and {len(lost) - 1} others" if lost[1:] else ""),
            remedy="name the data root that the trial ran on with --faces",
        )
    return WeighedFaces(table, root, f"{trial.label}, profile {trial.profile}", made["origin"])
