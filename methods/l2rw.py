"""Learning to reweight, the ancestor of MAL without a meta net."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.base import Batch, Scalars, Stream, register
from methods.bilevel import Reweighting, summary
from methods.meta_gradient import Params, forward_mode


@register("l2rw")
class L2RW(Reweighting):
    """Every sample's weight is how much an infinitesimal weight would lower the validation loss, if it would.

    Citation: Ren et al., Learning to Reweight Examples for Robust Deep Learning, ICML 2018, Algorithm 1.

    Differs from the paper:
      - Samples are those of two tasks; the clean set is MAL's AU validation set, with its class re-weighting.
      - The gradient with respect to the weights, at weights of zero, is computed by forward mode.
      - The rate of the virtual step is not a setting: normalisation cancels it.
      - `match_scale` makes the weights total two instead of one (A19).
    """

    def update(self, batch: Batch, step: int) -> Scalars:
        """One iteration of their Algorithm 1."""
        au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
        theta: Params = dict(self.net.named_parameters())
        # At weights of zero the virtual step stays at θ, so the validation pass can come first.
        loss_val, v = self.val_gradient(theta, val)
        passed = self.train_pass(au, fe)
        epsilon = {"weights": torch.zeros_like(passed.losses)}

        def weigh(weights: Params, _: Tensor) -> Tensor:
            return weights["weights"]

        along_v = passed.replay(self.per_sample(au, fe))
        gradient = forward_mode(along_v, theta, v, 1.0, weigh, epsilon, "constant")["weights"]
        weights = (-gradient).clamp_min(0)
        # If no sample helps, no weight is left and the step is along zero.
        weights = self.scale * weights / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        self.descend((weights * passed.losses).sum(), step)
        return {"loss_val": loss_val, **summary(passed.losses.detach(), weights, len(au.images))}
