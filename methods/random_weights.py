"""A control with random sample weights."""

from __future__ import annotations

import torch

from methods.base import Batch, Scalars, Stream, register
from methods.bilevel import Reweighting, summary


@register("random_weights", control=True)
class RandomWeights(Reweighting):
    """Uniform random weights in [0, 1] for every sample and step, normalised to sum one (A2).

    Citation: none; a control of this suite.
    """

    streams = frozenset({Stream.AU, Stream.FE})

    def update(self, batch: Batch, step: int) -> Scalars:
        """One step on L_total (Eq. 5) under random weights."""
        au, fe = batch[Stream.AU], batch[Stream.FE]
        passed = self.train_pass(au, fe, to_replay=False)
        losses = passed.losses.detach()
        raw = torch.rand_like(losses)
        self.descend(self.scale * (raw / raw.sum() * passed.losses).sum(), step)
        return summary(losses, raw, len(au.images))
