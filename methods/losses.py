"""The paper's losses: Eq. 1, Eq. 2, and the class re-weighting of the validation loss (§4.1.4)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

ValWeighting = Literal["balanced", "per_au", "none"]


def au_loss(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Eq. 1: binary cross-entropy of each sample, summed over its AUs. An unknown label adds nothing.

    Args:
        logits: (B, J).
        labels: (B, J) of 0, 1 or -1 = unknown.
        class_weights: (2, J), factors for labels 0 (row 0) and 1 (row 1); None for ones.

    Returns:
        Losses (B,).
    """
    labelled = (labels >= 0).to(logits.dtype)
    targets = labels.clamp_min(0).to(logits.dtype)
    cells = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * labelled
    if class_weights is not None:
        cells = cells * torch.where(targets > 0, class_weights[1], class_weights[0])
    return cells.sum(1)


def fe_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Eq. 2: cross-entropy (B,) of each sample, from logits (B, Q) and labels (B,)."""
    return F.cross_entropy(logits, labels, reduction="none")


def val_class_weights(labels: Tensor, rule: ValWeighting) -> Tensor:
    """Class weights of L_val, inverse to class frequency in the AU validation set (§4.1.4; A6).

    `balanced`: N / (2 N_neg) and N / (2 N_pos) of each AU over its N known labels, frequencies clamped to
    [1/N, 1 - 1/N]. `per_au`: one factor per AU, inverse to its rate, with mean one over the AUs. `none`: ones.
    An AU without a known label has factor zero.

    Args:
        labels: (K, J) of 0, 1 or -1 = unknown.
        rule: The reading of A6.

    Returns:
        float32 (2, J): row 0 for negatives, row 1 for positives.
    """
    n_labelled = (labels >= 0).sum(0).float()
    some = n_labelled > 0
    count = n_labelled.clamp_min(1)
    least = (1 / count).clamp_max(0.5)
    rate = ((labels == 1).sum(0) / count).clamp(least, 1 - least)
    if rule == "balanced":
        weights = torch.stack([1 / (2 * (1 - rate)), 1 / (2 * rate)])
    elif rule == "per_au":
        inverse = torch.where(some, 1 / rate, torch.zeros_like(rate))
        weights = (inverse * some.sum().clamp_min(1) / inverse.sum().clamp_min(1e-12)).expand(2, -1)
    else:
        weights = torch.ones(2, labels.shape[1])
    return weights * some
