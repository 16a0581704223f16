"""Scores of a ranking without each subject in turn, so that intervals over subjects need no label of a frame.

The area under the ROC curve and the average precision depend on the order of all frames of a test part, and so cannot
be computed from counts. A trial stores both over all its test people, and both without each of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score

from benchmark.core.f1 import FloatArray, IntArray

RANKINGS = ("auc", "ap")
"""Names of the two scores: area under the ROC curve, and average precision."""


def average_precision(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int8]) -> float:
    """Average precision over known labels; NaN if they are all equal.

    Args:
        logits: (N,) of one AU.
        labels: (N,): 0, 1, or −1 for unknown.
    """
    labelled = labels >= 0
    if len(np.unique(labels[labelled])) < 2:
        return float("nan")
    return float(average_precision_score(labels[labelled], logits[labelled]))


def with_rankings(
    counts: pd.DataFrame,
    logits: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int8],
    subjects: npt.NDArray[np.object_],
) -> pd.DataFrame:
    """Counts of each subject and AU, with the scores of the ranking of all *other* subjects.

    Args:
        counts: Result of `confusion_counts` for the same frames.
        logits: (N, J), frames × AUs.
        labels: (N, J): 0, 1, or −1 for unknown.
        subjects: (N,) names.

    Returns:
        The counts, with the columns `auc_without` and `ap_without`; NaN where the labels of the others are all equal.
    """
    names, subject = np.unique(subjects.astype(str), return_inverse=True)
    scores = [
        ranked_without(logits[known, j], labels[known, j] == 1, subject[known], len(names))
        for j, known in enumerate((labels >= 0).T)
    ]
    by_subject = np.stack(scores, axis=1)  # (S, J, 2), as the rows of `counts`: by subject, then by AU
    columns = {f"{name}_without": by_subject[..., k].ravel() for k, name in enumerate(RANKINGS)}
    return counts.assign(**columns)


def ranked_without(
    scores: npt.NDArray[np.float32], positive: npt.NDArray[np.bool_], group: IntArray, groups: int
) -> FloatArray:
    """Area under the ROC curve and average precision without each group in turn; equal scores are one step.

    One sort serves all groups, so the time hardly depends on their number.

    Args:
        scores: (N,), larger is ranked first.
        positive: (N,), labels.
        group: (N,), number of the group of each sample.
        groups: G, number of groups; one may have no sample.

    Returns:
        (G, 2), in the order of `RANKINGS`; NaN where the labels of the other groups are all equal.

    Example:
        >>> three = np.array([3, 2, 1], dtype=np.float32), np.array([True, False, True]), np.array([0, 1, 2])
        >>> ranked_without(*three, 3).tolist()
        [[0.0, 0.5], [nan, nan], [1.0, 1.0]]
    """
    if not len(scores):
        return np.full((groups, 2), np.nan)
    order = np.argsort(-scores, kind="stable")
    scores, positive, member = scores[order], positive[order], group[order][:, None] == np.arange(groups)
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # the last sample of each step
    above = [_above(truth, member)[ends] for truth in (positive, ~positive)]
    # Numbers of positives and negatives at or above each step, which starts from none: (steps + 1, G).
    hits, misses = (np.vstack([np.zeros((1, groups)), counted]) for counted in above)
    gained = np.diff(hits, axis=0)
    area = ((hits[1:] + hits[:-1]) / 2 * np.diff(misses, axis=0)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(gained > 0, hits[1:] / (hits[1:] + misses[1:]), 0.0)
        auc, ap = area / (hits[-1] * misses[-1]), (gained * precision).sum(axis=0) / hits[-1]
    defined = (hits[-1] > 0) & (misses[-1] > 0)
    return np.where(defined[:, None], np.stack([auc, ap], axis=1), np.nan)


def _above(truth: npt.NDArray[np.bool_], member: npt.NDArray[np.bool_]) -> IntArray:
    """Running number of true samples that are not in each group, (N, G)."""
    counted: IntArray = np.cumsum(truth[:, None] & ~member, axis=0)
    return counted
