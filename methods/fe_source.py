"""The source network of L2T-WW. A stage: no table has it."""

from __future__ import annotations

from methods.base import Batch, Method, Scalars, Stream, stage
from methods.losses import fe_loss


@stage("fe_source")
class FESource(Method):
    """Facial expression recognition only, on the FE data (paper §4.2.2: the source network of L2T-WW).

    Budget, augmentation and optimiser are those of the methods. The last state is the source.
    """

    streams = frozenset({Stream.FE})

    def update(self, batch: Batch, step: int) -> Scalars:
        """One step on the batch mean of Eq. 2."""
        fe = batch[Stream.FE]
        logits = self.net(fe.images[:0], fe.images).fe_logits
        loss = fe_loss(logits, fe.labels).mean()
        self.descend(loss, step)
        right = (logits.argmax(1) == fe.labels).to(loss.dtype).mean()
        return {"loss_fe": loss.detach(), "accuracy": right.detach()}
