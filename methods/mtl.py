"""Conventional multi-task learning: the second baseline of the paper's Tables 1 to 3."""

from __future__ import annotations

from pydantic import Field

from methods.base import Method, Scalars, register
from methods.multitask import Multitask, TaskLosses


@register("mtl", paper_row="MTL")
class MTL(Multitask):
    """AU detection and FER learned together, with losses 1:1 (paper §3.2, §4.3).

    Citation: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, arXiv 2105.06620, §4.3.

    Differs from the paper: nothing known. "1:1" is read as the batch mean of Eq. 1 plus the batch mean of Eq. 2.
    """

    hparams: HParams

    class HParams(Method.HParams):
        """Settings of MTL."""

        fe_weight: float = Field(default=1.0, ge=0)
        """ρ, the weight of the FER loss (§4.3: 1)."""

    def learn(self, losses: TaskLosses, step: int) -> Scalars:
        """One step on L_AU + ρ L_FE."""
        self.descend(losses.au + self.hparams.fe_weight * losses.fe, step)
        return {}
