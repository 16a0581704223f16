"""A control: MAL whose weights fall on the wrong samples."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import Batch, Scalars, Stream, register
from methods.mal import MAL
from methods.meta_gradient import Params


@register("shuffled_weights", control=True)
class ShuffledWeights(MAL):
    """MAL with the weights of a batch permuted within the AU and within the FE samples, in all parts of a step.

    How much weight each stream has is learned as in MAL; which sample has it is chance, and so is what ψ learns about
    samples. MAL's advantage over it is that of choosing samples.

    Citation: none; a control of this suite.
    """

    def update(self, batch: Batch, step: int) -> Scalars:
        """MAL's step under a permutation of its own."""
        n_au, n_fe = len(batch[Stream.AU].images), len(batch[Stream.FE].images)
        order = torch.cat([torch.randperm(n_au), n_au + torch.randperm(n_fe)])
        self.order = order.to(batch[Stream.FE].images.device)
        return super().update(batch, step)

    def weigh(self, psi: Params, seen: Tensor, n_au: int) -> Tensor:
        """MAL's weights (N,), permuted."""
        return super().weigh(psi, seen, n_au)[self.order]
