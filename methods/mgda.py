"""The direction that lowers both losses most evenly."""

from __future__ import annotations

from torchjd.aggregation import MGDA, Aggregator

from methods.aggregation import Aggregated
from methods.base import register


@register("mgda")
class MultipleGradientDescent(Aggregated):
    """The backbone follows the shortest vector between the gradients of AU and FE.

    Citation: Désidéri, Multiple-Gradient Descent Algorithm for Multiobjective Optimization, C. R. Acad. Sci. Paris
    350, 2012; for deep networks Sener & Koltun, Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018.

    Differs from the papers: gradients are taken at the backbone's parameters, without the upper bound at the
    features, and are not normalised. The computation is torchjd's.
    """

    def make_aggregator(self) -> Aggregator:
        """MGDA."""
        return MGDA()
