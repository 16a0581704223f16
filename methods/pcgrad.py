"""Gradient surgery: each task's gradient loses its part against the other's."""

from __future__ import annotations

from torchjd.aggregation import Aggregator, PCGrad

from methods.aggregation import Aggregated
from methods.base import register


@register("pcgrad")
class GradientSurgery(Aggregated):
    """Where the gradients of AU and FE conflict, each is projected on the other's normal plane, then added.

    Citation: Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, Algorithm 1.

    Differs from the paper: nothing known. The computation is torchjd's.
    """

    def make_aggregator(self) -> Aggregator:
        """PCGrad; with two tasks its random order has no effect."""
        return PCGrad()
