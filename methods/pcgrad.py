"""Gradient surgery (PCGrad): projection of conflicting gradients."""

from __future__ import annotations

from torchjd.aggregation import Aggregator, PCGrad

from methods.aggregation import Aggregated
from methods.base import register


@register("pcgrad")
class GradientSurgery(Aggregated):
    """Multi-task learning that projects each of two conflicting gradients on the normal plane of the other.

    Citation: Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Algorithm 1.

    Differs from the paper: nothing known. The computation is torchjd's.
    """

    def make_aggregator(self) -> Aggregator:
        """PCGrad; with two tasks its random order has no effect."""
        return PCGrad()
