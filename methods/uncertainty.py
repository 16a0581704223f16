"""MTL with losses weighted by learned uncertainties."""

from __future__ import annotations

import torch
from torch import nn

from methods.backbone import BaseNet
from methods.base import Method, Scalars, TaskSpec, make_optimizer, register
from methods.multitask import Multitask, TaskLosses


@register("uncertainty")
class Uncertainty(Multitask):
    """L_AU / σ_AU² + log σ_AU + L_FE / σ_FE² + log σ_FE, with log variances learned with the network.

    Citation: Kendall, Gal & Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
    Semantics, CVPR 2018, §3.2, in their form for a classification loss for both tasks.

    Differs from the paper:
      - The AU loss is a sum of J binary cross-entropies with one variance for all of them.
      - Weight decay, if it is set, also applies to the log variances.
    """

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        self.log_variance = nn.Parameter(torch.zeros(2))
        self.optimizer = make_optimizer(self.parameters(), hparams)

    def learn(self, losses: TaskLosses, step: int) -> Scalars:
        """One step of the network and both variances on the sum."""
        both = torch.stack([losses.au, losses.fe])
        self.descend((torch.exp(-self.log_variance) * both + self.log_variance / 2).sum(), step)
        au, fe = self.log_variance.detach().clone()
        return {"log_variance_au": au, "log_variance_fe": fe}
