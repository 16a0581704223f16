"""Eq. 1, Eq. 2 and the class re-weighting, against scikit-learn and numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from methods.losses import au_loss, fe_loss, val_class_weights


def test_au_loss_is_the_sum_of_known_cross_entropies(labels: Callable[..., torch.Tensor]) -> None:
    z = labels(5)
    logits = torch.randn(z.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for row in range(5):
        known = z[row] >= 0
        probability = torch.sigmoid(logits[row][known]).numpy()
        expected = sum(log_loss([t], [p], labels=[0, 1]) for t, p in zip(z[row][known], probability, strict=True))
        assert au_loss(logits, z)[row].item() == pytest.approx(expected, rel=1e-9)


def test_unknown_labels_give_no_gradient(labels: Callable[..., torch.Tensor]) -> None:
    z = labels(20)
    logits = torch.randn(z.shape, requires_grad=True)
    au_loss(logits, z, torch.rand(2, z.shape[1]) + 0.5).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[z < 0] == 0).all()
    assert (logits.grad[z >= 0] != 0).all()


def test_fe_loss_is_cross_entropy() -> None:
    logits = torch.randn(9, 7, dtype=torch.float64)
    y = torch.arange(9) % 7
    expected = log_loss(y.numpy(), logits.softmax(1).numpy(), labels=range(7))
    assert fe_loss(logits, y).mean().item() == pytest.approx(expected, rel=1e-9)


def test_balanced_weights_equal_scikit_learn(labels: Callable[..., torch.Tensor]) -> None:
    z = labels(60)
    weights = val_class_weights(z, "balanced")
    for j in range(z.shape[1]):
        known = z[:, j][z[:, j] >= 0].numpy()
        expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=known)
        np.testing.assert_allclose(weights[:, j].numpy(), expected, rtol=1e-6)


def test_weights_by_hand() -> None:
    # Four frames. AU a: one of four active. AU b: never active, so its rate is clamped to 1/4. AU c: nobody knows.
    z = torch.tensor([[1, 0, -1], [0, 0, -1], [0, 0, -1], [0, 0, -1]])
    balanced = val_class_weights(z, "balanced")
    # N/(2 N_neg) = 4/6, N/(2 N_pos) = 4/2
    assert balanced[:, 0].tolist() == pytest.approx([2 / 3, 2.0])
    assert balanced[:, 1].tolist() == pytest.approx([2 / 3, 2.0])
    assert balanced[:, 2].tolist() == [0.0, 0.0]
    # Rates .25 and .25: inverse 4 and 4, mean one over the two known AUs.
    assert val_class_weights(z, "per_au").tolist() == [[1.0, 1.0, 0.0]] * 2
    assert val_class_weights(z, "none").tolist() == [[1.0, 1.0, 0.0]] * 2
    rarer = torch.tensor([[1, 1], [0, 1], [0, 1], [0, 0]])  # rates .25 and .75: inverse 4 and 4/3, mean 8/3
    assert val_class_weights(rarer, "per_au")[0].tolist() == pytest.approx([1.5, 0.5])
