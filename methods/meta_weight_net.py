"""Meta-Weight-Net, a predecessor of MAL whose weights depend only on the loss of a sample."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from methods.base import register
from methods.bilevel import MetaWeighting
from methods.meta_gradient import Params


class LossWeigher(nn.Module):
    """V(L; ψ): one input, a hidden layer with ReLU, and one output with a sigmoid."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())

    def forward(self, losses: Tensor) -> Tensor:
        """Losses (N,) to weights (N,)."""
        weights: Tensor = self.layers(losses[:, None])
        return weights.squeeze(1)


@register("meta_weight_net")
class MetaWeightNet(MetaWeighting):
    """Sample weights from a small network on the losses, which learns in the same way as MAL's meta net.

    Citation: Shu et al., Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting, NeurIPS 2019.

    Differs from the paper:
      - Samples belong to two tasks with losses on two scales (Eq. 1 is a sum over AUs). One network weighs both.
      - The clean meta set is MAL's AU validation set, with its class re-weighting.
      - The virtual step uses `alpha`; the actual step uses the optimiser that all methods share.
      - `match_scale` doubles the mean of the weighted losses. Weights of one then give MTL's loss (A19).
    """

    hparams: HParams

    class HParams(MetaWeighting.HParams):
        """Settings of Meta-Weight-Net."""

        hidden: int = Field(default=100, ge=1)
        """Width of the hidden layer (their §2.2: 100)."""

    def make_meta_net(self, feature_dim: int) -> LossWeigher:
        """The meta net V."""
        return LossWeigher(self.hparams.hidden)

    def look(self, losses: Tensor, features: Tensor) -> Tensor:
        """The losses (N,)."""
        return losses

    def weigh(self, psi: Params, seen: Tensor, n_au: int) -> Tensor:
        """Weights V(L_i) / N, without the normalisation of MAL."""
        raw: Tensor = functional_call(self.meta_net, psi, (seen,))
        return self.scale * raw / len(raw)
