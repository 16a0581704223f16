"""What methods share that weigh AU and FE samples by their effect on an AU validation loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from methods.backbone import BaseNet, Outputs, batch_norm_buffers_untouched, evaluation_mode, virtual_pass
from methods.base import Batch, Method, Samples, Scalars, Stream, TaskSpec
from methods.losses import ValWeighting, au_loss, fe_loss, val_class_weights
from methods.meta_gradient import Params, Reading, forward_mode, gradients, leaves, sgd_step


class Reweighting(Method):
    """Losses of the samples, and the gradient of the validation loss."""

    streams = frozenset({Stream.AU, Stream.FE, Stream.AU_VAL})
    hparams: HParams

    class HParams(Method.HParams):
        """Settings of the validation loss."""

        val_batch_norm: Literal["batch", "running"] = "batch"
        """Batch normalisation of the validation pass: the batch's statistics or the running ones (A5)."""
        val_weighting: ValWeighting = "balanced"
        """Class re-weighting in L_val (A6)."""
        match_scale: bool = False
        """Double L_total (A19): with as many AU as FE rows, equal weights of full size then give MTL's step."""

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        self.register_buffer("class_weights", val_class_weights(spec.au_val_labels, self.hparams.val_weighting))
        self.class_weights: Tensor

    @property
    def scale(self) -> float:
        """What multiplies L_total (A19)."""
        return 2.0 if self.hparams.match_scale else 1.0

    def look(self, losses: Tensor, features: Tensor) -> Tensor:
        """What the weigher looks at, of losses (N,) and features (N, C), AU rows first."""
        return features

    def per_sample(self, au: Samples, fe: Samples) -> Callable[[Params], tuple[Tensor, Tensor]]:
        """θ to the batch's losses and what the weigher looks at, leaving the running statistics alone."""

        def run(theta: Params) -> tuple[Tensor, Tensor]:
            with virtual_pass(self.net):
                out: Outputs = functional_call(self.net, theta, (au.images, fe.images))
            losses = sample_losses(out, au, fe)
            return losses, self.look(losses, out.features)

        return run

    def val_loss(self, theta: Params, val: Samples) -> Tensor:
        """L_val (§4.1.4): the class re-weighted Eq. 1, mean over the validation batch."""
        running = self.hparams.val_batch_norm == "running"
        with evaluation_mode(self.net) if running else batch_norm_buffers_untouched(self.net):
            out: Outputs = functional_call(self.net, theta, (val.images,))
        return au_loss(out.au_logits, val.labels, self.class_weights.to(out.au_logits.dtype)).mean()

    def val_gradient(self, theta: Params, val: Samples) -> tuple[Tensor, Params]:
        """L_val at θ and its gradient there; the FE classifier has none."""
        theta = leaves(theta)
        loss = self.val_loss(theta, val)
        return loss.detach(), gradients(loss, theta)


class MetaWeighting(Reweighting):
    """A meta net ψ gives the weights and learns by the gradient through one virtual step.

    A subclass sets `meta_net` up in `make_meta_net`, and may say what it looks at (`look`) and how its output
    becomes a weight (`weigh`).
    """

    hparams: HParams

    class HParams(Reweighting.HParams):
        """Settings of the virtual step and of the meta net."""

        alpha: float = Field(default=1e-3, gt=0)
        """α, the rate of the virtual SGD step (Eq. 6; §4.1.2)."""
        beta: float = Field(default=1e-3, gt=0)
        """β, the rate of the meta net (Eq. 7; §4.1.2)."""
        meta_optimizer: Literal["sgd", "adam"] = "sgd"
        """Optimiser of the meta net (A4)."""

    reading: Reading = "constant"
    """Whether the weights are constants for θ (A1)."""

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        self.meta_net = self.make_meta_net(net.feature_dim)
        makers: dict[str, Callable[..., torch.optim.Optimizer]] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
        self.meta_optimizer = makers[self.hparams.meta_optimizer](self.meta_net.parameters(), self.hparams.beta)

    def make_meta_net(self, feature_dim: int) -> nn.Module:
        """The meta net: what `look` gives, (N, ...), to raw weights (N,) in (0, 1)."""
        raise NotImplementedError

    def weigh(self, psi: Params, seen: Tensor, n_au: int) -> Tensor:
        """Weights (N,) that multiply the losses, AU rows first."""
        raise NotImplementedError

    def update(self, batch: Batch, step: int) -> Scalars:
        """Virtual step, meta step, actual step: Algorithm 1 of MAL (Eq. 4 to 11)."""
        au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
        n_au = len(au.images)
        theta: Params = dict(self.net.named_parameters())
        psi = {name: p.detach() for name, p in self.meta_net.named_parameters()}  # follow the optimiser in place
        weigh = partial(self.weigh, n_au=n_au)

        # Meta-train (Eq. 4 to 6). This pass alone moves the running statistics (A5).
        out = self.net(au.images, fe.images)
        losses = sample_losses(out, au, fe)
        seen = self.look(losses, out.features)
        if self.reading == "constant":
            seen = seen.detach()
        total = (weigh(psi, seen) * losses).sum()
        theta_star = sgd_step(theta, gradients(total, theta, retain_graph=True), self.hparams.alpha)

        # Meta-test (Eq. 7).
        loss_val, v = self.val_gradient(theta_star, val)
        meta_grad = forward_mode(self.per_sample(au, fe), theta, v, self.hparams.alpha, weigh, psi, self.reading)
        raw = self.meta_net(seen.detach()).detach()
        for name, parameter in self.meta_net.named_parameters():
            parameter.grad = meta_grad[name]
        self.meta_optimizer.step()

        # Base-learning (Eq. 9 to 11): from θ, with new weights, on the graph of the meta-train pass.
        self.descend((weigh(psi, seen) * losses).sum(), step)
        return {"loss_val": loss_val, **summary(losses.detach(), raw, n_au)}


def sample_losses(out: Outputs, au: Samples, fe: Samples) -> Tensor:
    """Eq. 1 and Eq. 2 of every sample, AU rows first: (A + E,)."""
    return torch.cat([au_loss(out.au_logits, au.labels), fe_loss(out.fe_logits, fe.labels)])


def summary(losses: Tensor, weights: Tensor, n_au: int) -> Scalars:
    """Batch-mean losses and weights of both streams, and the FE samples' share of all weight (A17).

    The weights are those that a method calls its own: raw for a meta net, normalised for L2RW.
    """
    return {
        "loss_au": losses[:n_au].mean(),
        "loss_fe": losses[n_au:].mean(),
        "weight_au": weights[:n_au].mean(),
        "weight_fe": weights[n_au:].mean(),
        "fe_share": weights[n_au:].sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny),
    }
