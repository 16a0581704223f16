"""Meta auxiliary learning (MAL), the paper's method: Algorithm 1."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from methods.backbone import BaseNet
from methods.base import Method, TaskSpec, register
from methods.bilevel import MetaWeighting
from methods.meta_gradient import Params, Reading


class MetaNet(nn.Module):
    """g(f(x); ψ): a linear layer with one output and a sigmoid. It starts at zero, so every weight is 0.5."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_dim, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C) to raw weights (B,)."""
        return torch.sigmoid(self.linear(features)).squeeze(1)


@register("mal", paper_row="MAL")
class MAL(MetaWeighting):
    """Sample weights from a meta net, learned so that one step on the batch lowers the AU validation loss.

    Algorithm 1 is `MetaWeighting.update`. This class adds MAL's own parts: the input of the meta net is the
    backbone's features, and the weights of a batch are normalised together.

    Citation: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, arXiv 2105.06620, Algorithm 1.

    Differs from the paper:
      - Eq. 7 is computed in forward mode instead of double backward: the same gradient with less memory.
      - Eq. 6 is always plain SGD; the step of Eq. 11 uses the optimiser that all methods share (A3).
      - Each question that the paper leaves open is a setting: A1, A2, A4, A5, A6, A13, A19.
    """

    hparams: HParams

    class HParams(MetaWeighting.HParams):
        """Settings of MAL for questions that the paper leaves open."""

        reading: Reading = "constant"
        """Whether the gradient for θ takes the weights as constants or goes through the features (A1)."""
        normalise: Literal["sum", "mean"] = "sum"
        """Normalisation: the weights of a batch sum to one, or the means of both streams sum to one (A2)."""

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        self.reading = self.hparams.reading

    def make_meta_net(self, feature_dim: int) -> MetaNet:
        """The meta net g."""
        return MetaNet(feature_dim)

    def weigh(self, psi: Params, seen: Tensor, n_au: int) -> Tensor:
        """Weights (N,) of Eq. 4 and 9, normalised as in §4.1.2 (A2, A19), from features (N, C), AU rows first."""
        raw: Tensor = functional_call(self.meta_net, psi, (seen,))
        norm = raw.sum() if self.hparams.normalise == "sum" else raw[:n_au].mean() + raw[n_au:].mean()
        return self.scale * raw / norm

    def sample_weight(self, images: Tensor) -> Tensor:
        """Raw weights g(f(x); ψ) of images (B,) (A17)."""
        weight: Tensor = self.meta_net(self.net(images).features)
        return weight
