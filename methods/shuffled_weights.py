"""A control: MAL with weights permuted among all samples of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import Batch, Scalars, Stream, register
from methods.mal import MAL
from methods.meta_gradient import Params


@register("shuffled_weights", control=True)
class ShuffledWeights(MAL):
    """MAL with the weights of a batch permuted among all its samples, in all parts of a step.

    A sample has the weight of a random other one, so ψ cannot learn about single samples or about streams. All weights
    can still rise or fall together, by more or less for images with unusual features.

    Citation: none; a control of this suite.
    """

    def order(self, n_au: int, n_fe: int) -> Tensor:
        """Index (N,) of the sample whose weight each sample has, AU rows first."""
        return torch.randperm(n_au + n_fe)

    def update(self, batch: Batch, step: int) -> Scalars:
        """MAL's step under a new permutation."""
        au, fe = batch[Stream.AU].images, batch[Stream.FE].images
        self.drawn = self.order(len(au), len(fe)).to(fe.device)
        return super().update(batch, step)

    def weigh(self, psi: Params, seen: Tensor, n_au: int) -> Tensor:
        """MAL's weights (N,), permuted."""
        return super().weigh(psi, seen, n_au)[self.drawn]

    def raw_weights(self, seen: Tensor) -> Tensor:
        """Raw weights (N,) after the permutation."""
        return super().raw_weights(seen)[self.drawn]
