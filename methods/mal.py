"""Meta auxiliary learning, the paper's method: Algorithm 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.backbone import BaseNet, Outputs, batch_norm_buffers_untouched, evaluation_mode, full_precision
from methods.base import Batch, Method, Samples, Scalars, Stream, TaskSpec, register
from methods.losses import ValWeighting, au_loss, fe_loss, val_class_weights
from methods.meta_gradient import Params, Reading, forward_mode, gradients, leaves, sgd_step


class MetaNet(nn.Module):
    """g(f(x); ψ): one linear layer to one output, then a sigmoid; zero at the start, so every weight is 0.5."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_dim, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) to raw weights (B,)."""
        return torch.sigmoid(self.linear(features)).squeeze(1)


@register("mal", paper_row="MAL")
class MAL(Method):
    """A meta net weighs every sample so that one step on the batch lowers the AU validation loss.

    Citation: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, arXiv 2105.06620, Algorithm 1.

    Differs from the paper:
      - Eq. 7 is computed by forward mode instead of double backward: the same number, less memory.
      - Eq. 6 is plain SGD always; the step of Eq. 11 uses the optimiser that all methods share (A3).
      - With `amp`, the forward-mode pass alone stays in full precision.
      - What the paper leaves open is a setting with a stated default: A1, A2, A4, A5, A6, A13, A19.
    """

    streams = frozenset({Stream.AU, Stream.FE, Stream.AU_VAL})
    hparams: HParams

    class HParams(Method.HParams):
        """Settings of MAL, one for each question that the paper leaves open."""

        alpha: float = Field(default=1e-3, gt=0)
        """α, the rate of the virtual SGD step (Eq. 6; §4.1.2)."""
        beta: float = Field(default=1e-3, gt=0)
        """β, the rate of the meta net (Eq. 7; §4.1.2)."""
        reading: Reading = "constant"
        """Sample weights are constants for θ, or are differentiated through the features (A1)."""
        normalise: Literal["sum", "mean"] = "sum"
        """Weights of a batch total one, or the two averages total one (A2)."""
        meta_optimizer: Literal["sgd", "adam"] = "sgd"
        """Optimiser of the meta net (A4)."""
        val_batch_norm: Literal["batch", "running"] = "batch"
        """Batch normalisation of the validation pass: the batch's statistics or the running ones (A5)."""
        val_weighting: ValWeighting = "balanced"
        """Class re-weighting in L_val (A6)."""
        match_scale: bool = False
        """Double L_total (A19): with `normalise = sum` and as many AU as FE rows, equal weights give MTL's step."""

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        self.meta_net = MetaNet(net.feature_dim)
        makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
            "sgd": torch.optim.SGD,
            "adam": torch.optim.Adam,
        }
        self.meta_optimizer = makers[self.hparams.meta_optimizer](self.meta_net.parameters(), self.hparams.beta)
        class_weights = val_class_weights(spec.au_val_labels, self.hparams.val_weighting)
        self.register_buffer("class_weights", class_weights)
        self.class_weights: Tensor

    def update(self, batch: Batch, step: int) -> Scalars:
        """One iteration of Algorithm 1."""
        au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
        n_au = len(au.images)
        theta: Params = dict(self.net.named_parameters())
        psi = {name: p.detach() for name, p in self.meta_net.named_parameters()}  # follow the optimiser in place
        weigh = partial(self.weigh, n_au=n_au)

        # Meta-train (Eq. 4 to 6). This pass alone moves the running statistics (A5).
        out = self.net(au.images, fe.images)
        losses = sample_losses(out, au, fe)
        seen = out.features if self.hparams.reading == "through" else out.features.detach()
        total = (weigh(psi, seen) * losses).sum()
        theta_star = sgd_step(theta, gradients(total, theta, retain_graph=True), self.hparams.alpha)

        # Meta-test (Eq. 7).
        loss_val, v = self.val_gradient(theta_star, val)
        meta_grad = forward_mode(
            self.per_sample(au, fe), theta, v, self.hparams.alpha, weigh, psi, self.hparams.reading
        )
        raw = self.meta_net(out.features.detach()).detach()
        for name, parameter in self.meta_net.named_parameters():
            parameter.grad = meta_grad[name]
        self.meta_optimizer.step()

        # Base-learning (Eq. 9 to 11): from θ, with new weights, on the graph of the meta-train pass.
        self.descend((weigh(psi, seen) * losses).sum(), step)

        return {
            "loss_au": losses[:n_au].mean().detach(),
            "loss_fe": losses[n_au:].mean().detach(),
            "loss_val": loss_val,
            "weight_au": raw[:n_au].mean(),
            "weight_fe": raw[n_au:].mean(),
            "fe_share": raw[n_au:].sum() / raw.sum(),
        }

    def weigh(self, psi: Params, features: Tensor, n_au: int) -> Tensor:
        """Eq. 4 and 9 with the normalisation of §4.1.2 (A2, A19): (N, C), AU rows first, to (N,)."""
        raw: Tensor = functional_call(self.meta_net, psi, (features,))
        norm = raw.sum() if self.hparams.normalise == "sum" else raw[:n_au].mean() + raw[n_au:].mean()
        return raw / norm * (2.0 if self.hparams.match_scale else 1.0)

    def per_sample(self, au: Samples, fe: Samples) -> Callable[[Params], tuple[Tensor, Tensor]]:
        """θ to the batch's losses and features, leaving the running statistics alone."""

        def run(theta: Params) -> tuple[Tensor, Tensor]:
            # Neither fused attention nor batch norm under autocast has a forward-mode derivative that torch can use:
            # plain attention and full precision have.
            with batch_norm_buffers_untouched(self.net), full_precision(self.net), sdpa_kernel(SDPBackend.MATH):
                out: Outputs = functional_call(self.net, theta, (au.images, fe.images))
            return sample_losses(out, au, fe), out.features

        return run

    def val_loss(self, theta: Params, val: Samples) -> Tensor:
        """L_val (§4.1.4): the class re-weighted Eq. 1, mean over the validation batch."""
        running = self.hparams.val_batch_norm == "running"
        with evaluation_mode(self.net) if running else batch_norm_buffers_untouched(self.net):
            out: Outputs = functional_call(self.net, theta, (val.images,))
        return au_loss(out.au_logits, val.labels, self.class_weights.to(out.au_logits.dtype)).mean()

    def val_gradient(self, theta_star: Params, val: Samples) -> tuple[Tensor, Params]:
        """L_val at θ* and its gradient there; the FE classifier has none."""
        theta_star = leaves(theta_star)
        loss = self.val_loss(theta_star, val)
        return loss.detach(), gradients(loss, theta_star)

    def sample_weight(self, images: Tensor) -> Tensor:
        """Raw weight g(f(x); ψ) of each image (B,) (A17)."""
        weight: Tensor = self.meta_net(self.net(images).features)
        return weight


def sample_losses(out: Outputs, au: Samples, fe: Samples) -> Tensor:
    """Eq. 1 and Eq. 2 of every sample, AU rows first: (A + E,)."""
    return torch.cat([au_loss(out.au_logits, au.labels), fe_loss(out.fe_logits, fe.labels)])
