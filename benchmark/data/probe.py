"""Linear probe on pixels: AUC of each AU on unseen subjects, without learned features."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from benchmark.config.protocol import Protocol
from benchmark.data.frames import PackedFaces

SIDE = 24
"""Side of the reduced images, pixels: few enough numbers for a regression on a few thousand images."""
PENALTIES = (1e1, 1e2, 1e3, 1e4)


def pixel_probe(packed: PackedFaces, protocol: Protocol, crop_size: int) -> pd.DataFrame:
    """AUC of ridge regression on standardised pixels, per AU and test part.

    A third of each part's training subjects selects the penalty, by mean AUC over AUs. The probe is then fitted on all
    training subjects and tested once.

    Args:
        packed: Packed frames of an AU dataset.
        protocol: AUs and parts of the dataset.
        crop_size: Side of the centre crop, pixels.

    Returns:
        Columns `part`, `au`, `auc`; NaN if the known labels of the test part are all equal, or the training people
        have none.
    """
    pixels, faces = _pixels(packed, crop_size), packed.faces
    subjects = faces.table["subject"].to_numpy()
    rows = []
    for part, tested in protocol.parts.items():
        test = np.isin(subjects, tested)
        if not test.any():
            continue
        learners = sorted(set(subjects[~test]))
        judges = np.isin(subjects, learners[::3])
        judged = {
            penalty: np.nanmean(_auc(pixels, faces.labels, ~test & ~judges, judges & ~test, penalty))
            for penalty in PENALTIES
        }
        best = max(judged, key=lambda penalty: judged[penalty])
        aucs = _auc(pixels, faces.labels, ~test, test, best)
        rows += [{"part": part, "au": au, "auc": auc} for au, auc in zip(faces.label_names, aucs, strict=True)]
    return pd.DataFrame(rows)


def _pixels(packed: PackedFaces, crop_size: int) -> npt.NDArray[np.float32]:
    edge = (packed.frames.shape[1] - crop_size) // 2
    inside = slice(edge, edge + crop_size)
    small = [
        cv2.resize(np.asarray(frame[inside, inside]), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for frame in packed.frames
    ]
    flat = np.stack(small).reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(flat.std(axis=1, keepdims=True), 1.0), dtype=np.float32)


def _auc(
    pixels: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int8],
    learn: npt.NDArray[np.bool_],
    test: npt.NDArray[np.bool_],
    penalty: float,
) -> list[float]:
    aucs = []
    for column in labels.T:
        train_rows, test_rows = learn & (column >= 0), test & (column >= 0)
        if len(set(column[test_rows])) < 2 or not train_rows.any():
            aucs.append(float("nan"))
            continue
        fitted = Ridge(penalty, solver="cholesky").fit(pixels[train_rows], column[train_rows].astype(np.float32))
        aucs.append(float(roc_auc_score(column[test_rows], fitted.predict(pixels[test_rows]))))
    return aucs
