"""A control: MTL that learns from no useless expression sample."""

from __future__ import annotations

from methods.backbone import Outputs
from methods.base import Samples, register
from methods.mtl import MTL
from methods.multitask import TaskLosses, task_losses


@register("mtl_oracle", control=True)
class MTLOracle(MTL):
    """MTL whose FE loss is the mean over the clear FE samples of a batch: what perfect selection would be worth.

    It knows of each FE image of the stand-in whether its AUs carry its label; no method can. The other images still
    pass through the network, so that batch normalisation sees what it sees in MTL.

    Citation: none; a control of this suite.
    """

    def losses(self, out: Outputs, au: Samples, fe: Samples) -> TaskLosses:
        """MTL's, without the FE samples that are not clear."""
        assert fe.clear is not None
        if not fe.clear.any():  # a batch without any is taken as it is
            return super().losses(out, au, fe)
        return task_losses(out._replace(fe_logits=out.fe_logits[fe.clear]), au.labels, fe.labels[fe.clear])
