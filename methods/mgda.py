"""Multiple-gradient descent (MGDA): the shortest convex combination of both gradients."""

from __future__ import annotations

from torchjd.aggregation import MGDA, Aggregator

from methods.aggregation import Aggregated
from methods.base import register


@register("mgda")
class MultipleGradientDescent(Aggregated):
    """Multi-task learning whose backbone follows the shortest vector between the AU and FE gradients.

    Citation: Désidéri, Multiple-Gradient Descent Algorithm for Multiobjective Optimization, C. R. Acad. Sci. Paris
    350, 2012; for deep networks Sener & Koltun, Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018.

    Differs from the papers:
      - Gradients are taken at the backbone's parameters, without the upper bound at the features.
      - They are not normalised. Eq. 1 is a sum over AUs, so its gradient is longer, and the shortest vector is closer
        to the FE gradient.
      - The computation is torchjd's.

    The two weights sum to one at the backbone; MTL's sum to two (A19).
    """

    def make_aggregator(self) -> Aggregator:
        """The rule of MGDA."""
        return MGDA()
