"""Single-task learning: the baseline of the paper's Tables 1 to 3."""

from __future__ import annotations

from methods.base import Batch, Method, Scalars, Stream, register
from methods.losses import au_loss


@register("stl", paper_row="STL")
class STL(Method):
    """AU detection from AU images only (paper §4.3).

    Citation: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, arXiv 2105.06620, §4.3.

    Differs from the paper: nothing known.
    """

    streams = frozenset({Stream.AU})

    def update(self, batch: Batch, step: int) -> Scalars:
        """One step on the batch mean of Eq. 1."""
        au = batch[Stream.AU]
        loss = au_loss(self.net(au.images).au_logits, au.labels).mean()
        self.descend(loss, step)
        return {"loss_au": loss.detach()}
