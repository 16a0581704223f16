"""The FE images of a finished trial and their weights, for Figures 5 and 6."""

from __future__ import annotations

from benchmark.core.errors import UserError
from benchmark.data.frames import PackedFaces
from benchmark.report.faces import WeighedFaces
from benchmark.store.folder import FE_WEIGHTS, TrialFolder
from benchmark.store.record import read_trial


def weighed_faces(folder: TrialFolder, fe: PackedFaces) -> WeighedFaces:
    """The FE images of a finished trial with their weights.

    Args:
        folder: Folder of the trial.
        fe: FE frames of the trial.

    Raises:
        UserError: The trial is not done, has no weights, or ran on other frames.
    """
    trial, made = read_trial(folder)
    if not (folder.is_done and (folder.path / FE_WEIGHTS).is_file()):
        raise UserError(
            "the trial has no weights of FE images",
            where=folder.path,
            expected="a finished trial of a method that weighs samples",
            remedy="name one that `malbench status` calls done, of mal for instance",
        )
    table = folder.read_table(FE_WEIGHTS, folder.seals())
    table = table.sort_values(["weight", "path"], kind="stable", ignore_index=True)
    if fe.fingerprint != trial.fingerprints[1]:
        raise UserError(
            "these are not the FE images that the trial ran on",
            where=fe.faces.root,
            expected=f"the fingerprint {trial.fingerprints[1]}, of images and labels",
            found=fe.fingerprint,
            remedy="name the data root that the trial ran on with --faces, or run the trial again",
        )
    title = f"{trial.label}, profile {trial.profile}"
    return WeighedFaces(table, fe.faces.root, title, made["origin"], fe.faces.label_names)
