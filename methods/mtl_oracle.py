"""A control: MTL that learns from no useless expression sample."""

from __future__ import annotations

from methods.base import Batch, Samples, Scalars, Stream, register
from methods.mtl import MTL


@register("mtl_oracle", control=True)
class MTLOracle(MTL):
    """MTL on the clear FE samples of each batch alone: what perfect selection of FE samples would be worth.

    It knows of each FE image of the stand-in whether its AUs carry its label; no method can.

    Citation: none; a control of this suite.
    """

    def update(self, batch: Batch, step: int) -> Scalars:
        """MTL's step on the AU samples and the clear FE samples."""
        fe = batch[Stream.FE]
        assert fe.clear is not None
        kept = fe.clear if fe.clear.any() else fe.clear.logical_not()  # a batch without any is taken as it is
        return super().update({**batch, Stream.FE: Samples(fe.images[kept], fe.labels[kept])}, step)
