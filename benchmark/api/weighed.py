"""Images and weights of Figures 5 and 6, from a store or from the files of an earlier report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.config.trial import Trial
from benchmark.core.errors import UserError, near_keys
from benchmark.data.frames import PackedFaces
from benchmark.report.faces import WeighedFaces
from benchmark.report.weighed import check_images, faces_of_trial, read_weights_file, weighed_faces
from benchmark.store.folder import FE_WEIGHTS, TrialFolder, trial_folders
from benchmark.store.record import read_trial
from benchmark.store.results import Results
from benchmark.trials.expand import profile_of
from benchmark.trials.prepare import Chosen, Progress, pack_faces, read_fe, standin_root


def faces_of_store(
    runs: Path, key: str, root: Path | None, cache: Path, progress: Progress | None = None
) -> WeighedFaces | None:
    """Images and weights of a finished trial of a store.

    Args:
        runs: The store.
        key: Key of the trial; "" for the first of MAL.
        root: Data root of the images; None for those of the stand-in.
        cache: Folder of packed frames and stand-ins.
        progress: Receives progress.

    Returns:
        The images and weights; None if no trial of MAL is done, or its images are licensed and `root` is None.

    Raises:
        UserError: The requested trial or images are missing.
    """
    weighers: dict[str, TrialFolder] = {}
    of_mal = []
    for folder in trial_folders(runs):
        if folder.is_done and (folder.path / FE_WEIGHTS).is_file():
            trial, made = read_trial(folder)
            weighers[trial.key] = folder
            if made["paper_row"] == "MAL":
                of_mal.append((trial.dataset, trial.variant, trial.shared_overrides, trial.part, trial.seed, trial.key))
    if key and key not in weighers:
        raise UserError(
            f"no finished trial '{key}' with weights of FE images",
            where=runs,
            found=near_keys(key, {known: read_trial(folder)[0].label for known, folder in weighers.items()}),
            remedy="name one of these with --trial; the methods that weigh images are those like mal",
        )
    if not key and not of_mal:
        return None
    folder = weighers[key or min(of_mal)[-1]]
    trial, made = read_trial(folder)
    if root is None and made["origin"] != "stand-in":
        return None
    return weighed_faces(folder, _fe_images(trial, made, root, cache, progress))


def faces_of_file(results: Results, file: Path, cache: Path, progress: Progress | None = None) -> WeighedFaces | None:
    """Images and weights of a report on drawn faces, which are drawn again from the settings of its trial.

    Args:
        results: Results of the report.
        file: Weights that the report wrote beside them.
        cache: Folder of packed frames and stand-ins.
        progress: Receives progress.

    Returns:
        The images and weights; None if there is no such file.

    Raises:
        UserError: The file is damaged, belongs to other results, or its faces cannot be drawn as they were.
    """
    if not file.is_file():
        return None
    key, table = read_weights_file(file)
    row = results.trials[results.trials["trial"] == key]
    if row.empty or row["origin"].iloc[0] != "stand-in":
        raise UserError("the weights of Figures 5 and 6 are of a trial that is not in the results", where=file)
    trial = Trial.model_validate_json(row["settings"].iloc[0])
    made = json.loads(row["provenance"].iloc[0])
    fe = _fe_images(trial, made, None, cache, progress)
    check_images(trial, fe)
    labels = dict(zip(fe.faces.table["path"], fe.faces.labels, strict=True))
    if any(labels.get(path) != label for path, label in zip(table["path"], table["label"], strict=True)):
        raise UserError("the weights of Figures 5 and 6 are of other images than the trial's", where=file)
    return faces_of_trial(trial, made["origin"], table, fe)


def _fe_images(
    trial: Trial, made: Mapping[str, Any], root: Path | None, cache: Path, progress: Progress | None
) -> PackedFaces:
    """The FE images of a trial, packed.

    Raises:
        UserError: The images are missing or damaged, or the faces cannot be drawn.
    """
    profile, _ = profile_of(trial, made)
    chosen = Chosen.open(trial.dataset, profile)
    root = root or standin_root(cache, profile, chosen.all, progress)
    faults: list[UserError] = []  # ignored: the fingerprint decides whether an incomplete root has the trial's images
    return pack_faces(read_fe(root, chosen.fe, profile, faults), profile, cache, progress)
