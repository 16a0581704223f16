"""A control: MAL whose weights fall on the wrong samples of the same stream."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import register
from methods.shuffled_weights import ShuffledWeights


@register("shuffled_in_streams", control=True)
class ShuffledInStreams(ShuffledWeights):
    """MAL with the weights of a batch permuted among its AU samples and among its FE samples, in all parts of a step.

    How much weight each stream has is learned as in MAL, and ψ can learn to tell FE images from AU images; about
    samples within a stream it learns nothing. MAL's advantage over it is that of choosing samples.

    Citation: none; a control of this suite.
    """

    def order(self, n_au: int, n_fe: int) -> Tensor:
        """A permutation of each stream."""
        return torch.cat([torch.randperm(n_au), n_au + torch.randperm(n_fe)])
