"""A control: the answer that needs no image and finds every action unit."""

from __future__ import annotations

from torch import Tensor

from methods.base import Batch, Method, Scalars, register


@register("all_positive", control=True)
class AllPositive(Method):
    """Calls every AU active, always: the F1 score that a detector has to beat.

    Citation: none; a control of this suite.
    """

    def update(self, batch: Batch, step: int) -> Scalars:
        """Learn nothing."""
        return {}

    def predict(self, images: Tensor) -> Tensor:
        """The same positive logit for all, (B, J)."""
        return images.new_ones(len(images), len(self.spec.aus))
