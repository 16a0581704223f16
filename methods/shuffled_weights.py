"""A control: MAL whose weights fall on the wrong samples of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import Batch, Scalars, Stream, register
from methods.mal import MAL
from methods.meta_gradient import Params


@register("shuffled_weights", control=True)
class ShuffledWeights(MAL):
    """MAL with the weights of a batch permuted among all its samples, in all parts of a step.

    Which sample has a weight is chance, so ψ learns nothing about single samples or about streams. All weights may
    still rise or fall together, and those of images that lie apart then go more or less of the way.

    Citation: none; a control of this suite.
    """

    def order(self, n_au: int, n_fe: int) -> Tensor:
        """Which sample's weight each sample is given, (N,), AU rows first."""
        return torch.randperm(n_au + n_fe)

    def update(self, batch: Batch, step: int) -> Scalars:
        """MAL's step under a permutation of its own."""
        au, fe = batch[Stream.AU].images, batch[Stream.FE].images
        self.drawn = self.order(len(au), len(fe)).to(fe.device)
        return super().update(batch, step)

    def weigh(self, psi: Params, seen: Tensor, n_au: int) -> Tensor:
        """MAL's weights (N,), permuted."""
        return super().weigh(psi, seen, n_au)[self.drawn]

    def raw_weights(self, seen: Tensor) -> Tensor:
        """Those that the samples were given."""
        return super().raw_weights(seen)[self.drawn]
