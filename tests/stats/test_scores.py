"""Counts, F1 and AUC against scikit-learn and a pairwise count."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from benchmark.stats.scores import confusion_counts, scores_by_au

AUS = ("AU1", "AU2", "AU4")


@pytest.fixture
def frames() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 3)).astype(np.float32)
    labels = rng.choice([-1, 0, 1], p=[0.2, 0.5, 0.3], size=(300, 3)).astype(np.int8)
    subjects = rng.choice(["F001", "M002", "F010"], size=300).astype(object)
    return logits, labels, subjects


def test_counts_per_subject_and_au(frames: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, labels, subjects = frames
    table = confusion_counts(logits, labels, subjects, AUS).set_index(["subject", "au"])
    assert len(table) == 9
    for subject in set(subjects):
        for j, au in enumerate(AUS):
            rows = (subjects == subject) & (labels[:, j] >= 0)
            tn, fp, fn, tp = confusion_matrix(labels[rows, j], logits[rows, j] > 0, labels=[0, 1]).ravel()
            assert table.loc[(subject, au), ["tp", "fp", "fn", "tn"]].tolist() == [tp, fp, fn, tn]


def test_f1_and_auc(frames: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, labels, subjects = frames
    found = scores_by_au(logits, labels, confusion_counts(logits, labels, subjects, AUS), AUS)
    for j in range(3):
        known = labels[:, j] >= 0
        assert found["f1"][j] == pytest.approx(f1_score(labels[known, j], logits[known, j] > 0), rel=1e-12)
        positives, negatives = logits[labels[:, j] == 1, j], logits[labels[:, j] == 0, j]
        pairs = (positives[:, None] > negatives).mean() + 0.5 * (positives[:, None] == negatives).mean()
        assert found["auc"][j] == pytest.approx(pairs, rel=1e-9)


def test_what_cannot_be_scored_is_nan() -> None:
    logits = np.array([[-1.0, -1.0, 1.0], [-1.0, 2.0, 1.0]], dtype=np.float32)
    labels = np.array([[0, 0, -1], [0, 1, -1]], dtype=np.int8)
    subjects = np.array(["a", "a"], dtype=object)
    found = scores_by_au(logits, labels, confusion_counts(logits, labels, subjects, AUS), AUS)
    assert np.isnan(found["f1"][0])  # nothing positive in truth or prediction
    assert np.isnan(found["auc"][0])
    assert found["f1"][1] == 1.0
    assert np.isnan(found["f1"][2])  # nothing known
    wrong = scores_by_au(np.abs(logits), labels, confusion_counts(np.abs(logits), labels, subjects, AUS), AUS)
    assert wrong["f1"][0] == 0.0  # predictions without any positive label are wrong, not undefined
