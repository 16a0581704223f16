"""Each metric against scikit-learn, frame by frame, with unknown labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
)

from benchmark.core.f1 import IntArray
from benchmark.stats.metrics import METRICS, base_rates, micro_f1, skew_normalised_f1
from benchmark.stats.rankings import with_rankings
from benchmark.stats.scores import confusion_counts, scores_by_au

AUS = ("AU1", "AU2", "AU4")
BY_NAME = {metric.name: metric for metric in METRICS}
ORACLES = {"f1": f1_score, "balanced_accuracy": balanced_accuracy_score, "mcc": matthews_corrcoef}


@pytest.fixture
def frames() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits with ties, labels of which a fifth is unknown, and subjects."""
    rng = np.random.default_rng(3)
    labels = rng.choice([-1, 0, 1], p=[0.2, 0.6, 0.2], size=(240, 3)).astype(np.int8)
    logits = (np.round(rng.normal(size=(240, 3)) + labels, 1) - 0.05).astype(np.float32)
    return logits, labels, rng.choice(["F001", "M002", "F010", "M004"], size=240).astype(object)


def counts_of(logits: np.ndarray, labels: np.ndarray, subjects: np.ndarray) -> IntArray:
    table = confusion_counts(logits, labels, subjects, AUS)
    counts: IntArray = table[["tp", "fp", "fn", "tn"]].to_numpy().reshape(-1, len(AUS), 4).sum(axis=0)
    return counts


@pytest.mark.parametrize("name", ORACLES)
def test_metrics_of_counts(name: str, frames: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, labels, _ = frames
    score = BY_NAME[name].of_counts
    assert score is not None
    made = score(counts_of(*frames))
    for j in range(3):
        known = labels[:, j] >= 0
        assert made[j] == pytest.approx(ORACLES[name](labels[known, j], logits[known, j] > 0), rel=1e-12)


def test_skew_normalised_f1_is_f1_of_frames_weighted_to_one_half(
    frames: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    logits, labels, _ = frames
    made = skew_normalised_f1(counts_of(*frames))
    for j in range(3):
        known = labels[:, j] >= 0
        truth = labels[known, j]
        weights = np.where(truth == 1, 1 / (truth == 1).sum(), 1 / (truth == 0).sum())
        assert made[j] == pytest.approx(f1_score(truth, logits[known, j] > 0, sample_weight=weights), rel=1e-12)


def test_micro_f1_is_f1_of_all_decisions(frames: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, labels, _ = frames
    known = labels >= 0
    assert micro_f1(counts_of(*frames)).tolist() == pytest.approx([f1_score(labels[known], logits[known] > 0)])


def test_base_rates_leave_unknown_labels_out(frames: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    _, labels, _ = frames
    expected = [float(labels[labels[:, j] >= 0, j].mean()) for j in range(3)]
    assert base_rates(counts_of(*frames)).tolist() == pytest.approx(expected)


def test_rankings_without_each_subject(frames: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, labels, subjects = frames
    table = with_rankings(confusion_counts(logits, labels, subjects, AUS), logits, labels, subjects)
    for row in table.to_dict("records"):
        j = AUS.index(row["au"])
        rest = (subjects != row["subject"]) & (labels[:, j] >= 0)
        truth, scores = labels[rest, j], logits[rest, j]
        assert row["auc_without"] == pytest.approx(roc_auc_score(truth, scores), rel=1e-12)
        assert row["ap_without"] == pytest.approx(average_precision_score(truth, scores), rel=1e-12)


def test_average_precision_over_known_labels(frames: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, labels, _ = frames
    made = scores_by_au(logits, labels, confusion_counts(*frames, AUS), AUS)["ap"]
    for j in range(3):
        known = labels[:, j] >= 0
        assert made[j] == pytest.approx(average_precision_score(labels[known, j], logits[known, j]), rel=1e-12)


def test_rankings_of_labels_with_one_value_are_undefined() -> None:
    logits = np.arange(8, dtype=np.float32).reshape(4, 2)
    labels = np.array([[1, -1], [0, -1], [1, -1], [0, -1]], dtype=np.int8)
    subjects = np.array(["a", "a", "b", "b"], dtype=object)
    labels[2:, 0] = 0  # without a, no label of AU1 is positive
    counts = confusion_counts(logits, labels, subjects, ("AU1", "AU2"))
    made = with_rankings(counts, logits, labels, subjects)["ap_without"].to_numpy().reshape(2, 2)
    assert np.isnan(made).tolist() == [[True, True], [False, True]]
    assert np.isnan(scores_by_au(logits, labels, counts, ("AU1", "AU2"))["ap"][1])


def test_without_skill_is_the_score_of_a_detector_that_always_fires(
    frames: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, labels, _ = frames
    counts, known = counts_of(*frames), labels >= 0
    for name, oracle in ORACLES.items():
        expected = [oracle(labels[known[:, j], j], np.ones(known[:, j].sum())) for j in range(3)]
        assert BY_NAME[name].without_skill(counts).tolist() == pytest.approx(expected)
    assert BY_NAME["f1_skew"].without_skill(counts).tolist() == pytest.approx([2 / 3] * 3)
    micro = f1_score(labels[known], np.ones(known.sum()))
    assert BY_NAME["f1_micro"].without_skill(counts).tolist() == pytest.approx([micro])


def test_random_rankings_get_one_half_and_the_base_rate() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(4000) < 0.2
    drawn = [(roc_auc_score(truth, s), average_precision_score(truth, s)) for s in rng.random((40, 4000))]
    counts = np.array([[truth.sum(), 0, 0, (~truth).sum()]])
    made = [float(BY_NAME[name].without_skill(counts)[0]) for name in ("auc", "ap")]
    assert made == pytest.approx(np.mean(drawn, axis=0).tolist(), abs=0.005)


def test_labels_with_one_value_have_no_score_but_f1() -> None:
    negatives = np.array([[0, 3, 0, 7]])
    made = {m.name: m.of_counts(negatives)[0] for m in METRICS if m.of_counts is not None}
    assert made["f1"] == 0
    assert all(np.isnan(made[name]) for name in ("f1_skew", "balanced_accuracy", "mcc"))
