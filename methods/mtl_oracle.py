"""A control: MTL without the useless FE samples."""

from __future__ import annotations

from methods.backbone import Outputs
from methods.base import Samples, register
from methods.mtl import MTL
from methods.multitask import TaskLosses, task_losses


@register("mtl_oracle", control=True)
class MTLOracle(MTL):
    """MTL whose FE loss is the mean over the clear FE samples of a batch: an upper bound for sample selection.

    It uses ground truth of the stand-in that no method has: whether the AUs of an FE image show its emotion. The other
    images still pass the network, so that the statistics of batch normalisation are those of MTL.

    Citation: none; a control of this suite.
    """

    def losses(self, out: Outputs, au: Samples, fe: Samples) -> TaskLosses:
        """Losses of MTL, without the FE samples that are not clear."""
        assert fe.clear is not None
        if not fe.clear.any():  # a batch without clear samples counts as a whole
            return super().losses(out, au, fe)
        return task_losses(out._replace(fe_logits=out.fe_logits[fe.clear]), au.labels, fe.labels[fe.clear])
