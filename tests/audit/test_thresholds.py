"""F1 of every threshold, against scikit-learn and against trying them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from benchmark.audit.thresholds import average_f1, best_common_threshold, best_thresholds, f1_by_threshold


def drawn(seed: int, frames: int = 60, aus: int = 4, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, and labels of which some are unknown."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=(frames, aus)).astype(np.int8)
    return (rng.normal(size=(frames, aus)) + 0.7 * (labels == 1)).round(decimals), labels


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_that_of_scikit_learn(seed: int) -> None:
    scores, labels = (array[:, 0] for array in drawn(seed))
    known = labels >= 0
    precision, recall, _ = precision_recall_curve(labels[known], scores[known])
    with np.errstate(invalid="ignore"):
        theirs = np.nan_to_num(2 * precision * recall / (precision + recall))  # rising thresholds, nothing active last
    thresholds, ours = f1_by_threshold(scores, labels)
    assert ours == pytest.approx(theirs[::-1], abs=1e-12)
    for threshold, value in zip(thresholds, ours, strict=True):
        assert value == pytest.approx(f1_score(labels[known], scores[known] > threshold, zero_division=0))


def test_without_a_positive_label_there_is_no_f1_above_all_scores() -> None:
    _, values = f1_by_threshold(np.array([1.0, 2.0]), np.array([0, 0], dtype=np.int8))
    assert np.isnan(values[0])
    assert values[1:].tolist() == [0.0, 0.0]
    assert best_thresholds(np.array([[1.0], [2.0]]), np.array([[0], [-1]], dtype=np.int8)).tolist() == [0.0]


@pytest.mark.parametrize("seed", range(5))
def test_best_thresholds_are_those_of_trying_all(seed: int) -> None:
    scores, labels = drawn(seed)
    tried = np.append(np.unique(scores) - 0.05, 99.0)
    chosen = best_thresholds(scores, labels)
    for au in range(scores.shape[1]):
        column = [average_f1(scores[:, [au]] > t, labels[:, [au]]) for t in tried]
        assert average_f1(scores[:, [au]] > chosen[au], labels[:, [au]]) == pytest.approx(np.nanmax(column))
    threshold, best = best_common_threshold(scores, labels)
    assert best == pytest.approx(max(average_f1(scores > t, labels) for t in tried))
    assert average_f1(scores > threshold, labels) == pytest.approx(best)


def test_of_equally_good_thresholds_the_default_is_taken() -> None:
    scores, labels = np.array([[3.0], [-1.0]]), np.array([[1], [0]], dtype=np.int8)
    assert best_thresholds(scores, labels).tolist() == [0.0]
    assert best_common_threshold(scores, labels) == (0.0, 1.0)
