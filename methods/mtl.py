"""Conventional multi-task learning: the second baseline of the paper's Tables 1 to 3."""

from __future__ import annotations

from methods.base import Batch, Method, Scalars, Stream, register
from methods.losses import au_loss, fe_loss


@register("mtl", paper_row="MTL")
class MTL(Method):
    """AU detection and FER learned together, losses 1:1 (paper §3.2, §4.3).

    Citation: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, arXiv 2105.06620, §4.3.

    Differs from the paper: nothing known. "1:1" is read as the batch mean of Eq. 1 plus the batch mean of Eq. 2.
    """

    streams = frozenset({Stream.AU, Stream.FE})
    hparams: HParams

    class HParams(Method.HParams):
        """Settings of MTL."""

        fe_weight: float = 1.0
        """ρ, the weight of the FER loss (§4.3: 1)."""

    def update(self, batch: Batch, step: int) -> Scalars:
        """One step on L_AU + ρ L_FE."""
        au, fe = batch[Stream.AU], batch[Stream.FE]
        out = self.net(au.images, fe.images)
        loss_au = au_loss(out.au_logits, au.labels).mean()
        loss_fe = fe_loss(out.fe_logits, fe.labels).mean()
        self.descend(loss_au + self.hparams.fe_weight * loss_fe, step)
        return {"loss_au": loss_au.detach(), "loss_fe": loss_fe.detach()}
