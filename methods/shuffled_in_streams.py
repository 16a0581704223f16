"""A control: MAL with weights permuted within each stream."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import register
from methods.shuffled_weights import ShuffledWeights


@register("shuffled_in_streams", control=True)
class ShuffledInStreams(ShuffledWeights):
    """MAL with the weights of a batch permuted among its AU samples and among its FE samples, in all parts of a step.

    The total weight of each stream is learned as in MAL, and ψ can learn to separate FE images from AU images. It
    cannot learn about samples within a stream. So MAL's advantage over this control is the value of sample selection.

    Citation: none; a control of this suite.
    """

    def order(self, n_au: int, n_fe: int) -> Tensor:
        """A permutation (N,) within each stream."""
        return torch.cat([torch.randperm(n_au), n_au + torch.randperm(n_fe)])
