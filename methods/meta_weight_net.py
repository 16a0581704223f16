"""Meta-Weight-Net, the ancestor of MAL whose weights depend on a sample's loss alone."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from methods.base import register
from methods.bilevel import MetaWeighting
from methods.meta_gradient import Params


class LossWeigher(nn.Module):
    """V(L; ψ): a hidden layer of rectified units between one input and one sigmoid output."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())

    def forward(self, losses: Tensor) -> Tensor:
        """Losses (N,) to weights (N,)."""
        weights: Tensor = self.layers(losses[:, None])
        return weights.squeeze(1)


@register("meta_weight_net")
class MetaWeightNet(MetaWeighting):
    """A small network turns the loss of every sample into its weight, and learns as MAL's meta net does.

    Citation: Shu et al., Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting, NeurIPS 2019.

    Differs from the paper:
      - Samples are those of two tasks, with losses on two scales (Eq. 1 is a sum over AUs); one network weighs both.
      - The clean meta set is MAL's AU validation set, with its class re-weighting.
      - The virtual step uses `alpha`, the actual one the optimiser that all methods share.
      - `match_scale` doubles the mean of weighted losses, so that weights of one give MTL's loss (A19).
    """

    hparams: HParams

    class HParams(MetaWeighting.HParams):
        """Settings of Meta-Weight-Net."""

        hidden: int = Field(default=100, ge=1)
        """Width of the hidden layer (their §2.2: 100)."""

    def make_meta_net(self, feature_dim: int) -> LossWeigher:
        """V."""
        return LossWeigher(self.hparams.hidden)

    def look(self, losses: Tensor, features: Tensor) -> Tensor:
        """The losses."""
        return losses

    def weigh(self, psi: Params, seen: Tensor, n_au: int) -> Tensor:
        """V(L_i) / N: without the normalisation of MAL."""
        raw: Tensor = functional_call(self.meta_net, psi, (seen,))
        return self.scale * raw / len(raw)
