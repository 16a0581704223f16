"""A control that predicts the more frequent training label of each AU, for every image."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.backbone import BaseNet
from methods.base import Batch, Method, Scalars, Stream, TaskSpec, register


@register("majority", control=True)
class Majority(Method):
    """Prediction of an AU as active if more than half of its training labels so far are active.

    Citation: none; a control of this suite.
    """

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        self.register_buffer("seen", torch.zeros(2, len(spec.aus)))
        self.seen: Tensor

    def update(self, batch: Batch, step: int) -> Scalars:
        """Count the labels 0 and 1; no scalars."""
        labels = batch[Stream.AU].labels
        self.seen += torch.stack([(labels == value).sum(0) for value in (0, 1)])
        return {}

    def predict(self, images: Tensor) -> Tensor:
        """Share of active labels minus one half, (B, J)."""
        share = self.seen[1] / self.seen.sum(0).clamp_min(1)
        return (share - 0.5).expand(len(images), -1)
