"""MAL's iteration with Eq. 7 by BOAT (https://github.com/callous-youth/BOAT): its `Problem`, with NGD and RAD.

BOAT's requirement `numpy <=1.26.4` contradicts the suite's lock, so no extra can name it: `nox -s bench` installs it
without its requirements, which the suite has. `Problem` loads losses by name, so they are functions of this module.
After the gradient BOAT computes both losses once more and writes them to a file of its log, which is part of its time.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from methods.backbone import batch_norm_buffers_untouched
from methods.base import Samples
from methods.losses import au_loss
from methods.meta_gradient import Params
from tests.benchmarks.forms import Reference


def lower(feed: dict[str, Any], upper_net: nn.Module, net: nn.Module) -> Tensor:
    """L_total (Eq. 5)."""
    loss: Tensor = feed["method"].total(net, feed["au"], feed["fe"], dict(upper_net.named_parameters()))
    return loss


def upper(feed: dict[str, Any], upper_net: nn.Module, net: nn.Module, params: Any = None) -> Tensor:
    """L_val (§4.1.4), at the parameters that BOAT names."""
    val, more = feed["val"], {} if params is None else {"params": params}
    weights = feed["method"].class_weights.to(val.images.dtype)
    return au_loss(net(val.images, **more).au_logits, val.labels, weights).mean()


class Boat(Reference):
    """One lower step of naive gradient descent, and reverse-mode automatic differentiation through it."""

    def meta_gradient(self, au: Samples, fe: Samples, val: Samples, psi: Params) -> Params:
        import boat_torch

        inner = torch.optim.SGD(self.net.parameters(), lr=self.hparams.alpha)
        config = {
            "fo_op": None,
            "gm_op": ["NGD"],
            "na_op": ["RAD"],
            "lower_level_model": self.net,
            "upper_level_model": self.meta_net,
            "lower_level_var": list(self.net.parameters()),
            "upper_level_var": list(psi.values()),
            "lower_level_opt": inner,
            "upper_level_opt": self.meta_optimizer,
            "lower_iters": 1,
            "GDA": {"alpha_init": 0.0, "alpha_decay": 0.0},  # not used, and asked for
            "RGT": {"truncate_iter": 0},  # as above
            "device": str(next(self.net.parameters()).device),
            "accumulate_grad": False,
            "copy_last_param": False,
            "return_grad": True,
            "loss_log_path": os.devnull,
        }
        losses = {
            "lower_level_loss": {"function": f"{__name__}.lower"},
            "upper_level_loss": {"function": f"{__name__}.upper"},
        }
        for parameter in psi.values():
            parameter.grad = None
        with batch_norm_buffers_untouched(self.net):
            problem = boat_torch.Problem(config, losses)
            problem.build_ll_solver()
            problem.build_ul_solver()
            grads, _ = problem.run_iter(
                {"method": self, "au": au, "fe": fe}, {"method": self, "val": val}, current_iter=0
            )
        self.optimizer.zero_grad(set_to_none=True)
        return dict(zip(psi, grads, strict=True))
