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

    Differs from the papers:
      - Gradients are taken at the backbone's parameters, without the upper bound at the features.
      - They are not normalised: Eq. 1 is a sum over AUs, its gradient is the longer one, and the shortest vector
        leans to FER.
      - The computation is torchjd's.

    Its two weights total one at the backbone, where MTL's total two (A19).
    """

    def make_aggregator(self) -> Aggregator:
        """MGDA."""
        return MGDA()
