"""A control that predicts every action unit for every image."""

from __future__ import annotations

from torch import Tensor

from methods.base import Batch, Method, Scalars, register


@register("all_positive", control=True)
class AllPositive(Method):
    """Prediction of every AU as active, always: the F1 score that a detector has to beat.

    Citation: none; a control of this suite.
    """

    def update(self, batch: Batch, step: int) -> Scalars:
        """Learn nothing; no scalars."""
        return {}

    def predict(self, images: Tensor) -> Tensor:
        """Logits (B, J), all one."""
        return images.new_ones(len(images), len(self.spec.aus))
