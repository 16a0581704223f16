"""Scores of one trial: confusion counts per subject and AU, F1 from counts, AUC and average precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmark.core.f1 import f1
from benchmark.stats.rankings import average_precision

THRESHOLD = 0.0
"""Logit above which an AU is predicted: a probability above 0.5 (A16)."""


def confusion_counts(
    logits: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int8],
    subjects: npt.NDArray[np.object_],
    aus: tuple[str, ...],
) -> pd.DataFrame:
    """Confusion counts of each subject and AU over its known labels.

    Args:
        logits: (N, J), frames × AUs.
        labels: (N, J): 0, 1, or −1 for unknown.
        subjects: (N,) names.
        aus: J names.

    Returns:
        Columns subject, au, tp, fp, fn, tn; one row per subject and AU, in the order of subjects, then `aus`.
    """
    predicted, truth, labelled = logits > THRESHOLD, labels == 1, labels >= 0
    cells = {
        "tp": predicted & truth & labelled,
        "fp": predicted & ~truth & labelled,
        "fn": ~predicted & truth & labelled,
        "tn": ~predicted & ~truth & labelled,
    }
    names, inverse = np.unique(subjects.astype(str), return_inverse=True)
    index = pd.MultiIndex.from_product([names, aus], names=["subject", "au"])
    columns = {}
    for name, hit in cells.items():
        totals = np.zeros((len(names), len(aus)), dtype=np.int64)
        np.add.at(totals, inverse, hit.astype(np.int64))
        columns[name] = totals.ravel()
    return pd.DataFrame(columns, index=index).reset_index()


def scores_by_au(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int8], counts: pd.DataFrame, aus: tuple[str, ...]
) -> pd.DataFrame:
    """F1, AUC and average precision of each AU over all frames of a trial.

    F1 = 2 TP / (2 TP + FP + FN) is NaN if no label and no prediction is positive; AUC and average precision are NaN if
    all known labels are equal.

    Args:
        logits: (N, J), frames × AUs.
        labels: (N, J): 0, 1, or −1 for unknown.
        counts: Result of `confusion_counts` for them.
        aus: J names.

    Returns:
        Columns au, f1, auc, ap; one row per AU.
    """
    totals = counts.groupby("au")[["tp", "fp", "fn", "tn"]].sum().loc[list(aus)].to_numpy()
    cells = list(zip(logits.T, labels.T, strict=True))
    return pd.DataFrame(
        {
            "au": aus,
            "f1": f1(totals),
            "auc": [_auc(*cell) for cell in cells],
            "ap": [average_precision(*cell) for cell in cells],
        }
    )


def _auc(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int8]) -> float:
    """Area under the ROC curve over known labels; NaN if they are all equal."""
    labelled = labels >= 0
    if len(np.unique(labels[labelled])) < 2:
        return float("nan")
    return float(roc_auc_score(labels[labelled], logits[labelled]))
