"""Learning to reweight, a predecessor of MAL without a meta net."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import Batch, Scalars, Stream, register
from methods.bilevel import Reweighting, summary
from methods.meta_gradient import Params, forward_mode


@register("l2rw")
class L2RW(Reweighting):
    """Sample weights proportional to the decrease of the validation loss that a small weight of the sample gives.

    Citation: Ren et al., Learning to Reweight Examples for Robust Deep Learning, ICML 2018, Algorithm 1.

    Differs from the paper:
      - Samples belong to two tasks. The clean set is MAL's AU validation set, with its class re-weighting.
      - The gradient with respect to the weights, at weights of zero, is computed in forward mode.
      - The learning rate of the virtual step is not a setting: normalisation cancels it.
      - With `match_scale` the weights sum to two instead of one (A19).
    """

    def update(self, batch: Batch, step: int) -> Scalars:
        """One iteration of their Algorithm 1."""
        au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
        theta: Params = dict(self.net.named_parameters())
        # With weights of zero the virtual step stays at θ, so the validation pass can come first.
        loss_val, v = self.val_gradient(theta, val)
        passed = self.train_pass(au, fe)
        epsilon = {"weights": torch.zeros_like(passed.losses)}

        def weigh(weights: Params, _: Tensor) -> Tensor:
            return weights["weights"]

        along_v = passed.replay(self.per_sample(au, fe))
        gradient = forward_mode(along_v, theta, v, 1.0, weigh, epsilon, "constant")["weights"]
        weights = (-gradient).clamp_min(0)
        # If no sample helps, all weights are zero, and so is the gradient of the step.
        weights = self.scale * weights / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        self.descend((weights * passed.losses).sum(), step)
        return {"loss_val": loss_val, **summary(passed.losses.detach(), weights, len(au.images))}
