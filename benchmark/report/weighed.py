"""The FE images of a finished trial and their weights, for Figures 5 and 6."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.core.origin import Origin
from benchmark.data.frames import PackedFaces
from benchmark.report.faces import WeighedFaces
from benchmark.store.folder import FE_WEIGHTS, TrialFolder
from benchmark.store.record import read_trial

WEIGHTS = "weights.parquet"
"""Name of the file beside a report on drawn faces from which Figures 5 and 6 are drawn again."""
TRIAL = "trial"
"""Field of its metadata with the key of the trial."""


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
    check_images(trial, fe)
    return faces_of_trial(trial, made["origin"], table, fe)


def faces_of_trial(trial: Trial, origin: Origin, table: pd.DataFrame, fe: PackedFaces) -> WeighedFaces:
    """Images, their weights and the trial's name for the figures."""
    title = f"{trial.label}, profile {trial.profile}"
    return WeighedFaces(table, fe.faces.root, title, origin, fe.faces.label_names, trial.key)


def check_images(trial: Trial, fe: PackedFaces) -> None:
    """Check that FE images are those of a trial.

    Raises:
        UserError: They are others.
    """
    if fe.fingerprint != trial.fingerprints[1]:
        raise UserError(
            "these are not the FE images that the trial ran on",
            where=fe.faces.root,
            expected=f"the fingerprint {trial.fingerprints[1]}, of images and labels",
            found=fe.fingerprint,
            remedy="name the data root that the trial ran on with --faces, or run the trial again",
        )


def weights_file(faces: WeighedFaces) -> bytes:
    """Content of the file from which a report's Figures 5 and 6 can be drawn again."""
    table = pa.Table.from_pandas(faces.table, preserve_index=False)
    content = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({TRIAL: faces.trial}), content, compression="zstd")
    return content.getvalue()


def read_weights_file(file: Path) -> tuple[str, pd.DataFrame]:
    """Read what `weights_file` made.

    Returns:
        Key of the trial, and the table of `WeighedFaces`.

    Raises:
        UserError: The file is damaged.
    """
    try:
        arrow = pq.read_table(regular(file), page_checksum_verification=True)
        key = (arrow.schema.metadata or {})[TRIAL.encode()].decode()
        table = arrow.replace_schema_metadata(None).to_pandas()
        if not {"path", "label", "weight"} <= set(table):
            raise ValueError(f"columns {list(table)}")
        if not np.isfinite(table["weight"].to_numpy(dtype=float)).all():
            raise ValueError("a weight is no number")
        return key, table
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file.name} cannot be read",
            where=file,
            found=str(error)[:200],
            remedy="delete this file, and build the report from the store once more",
        ) from error
