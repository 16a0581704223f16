"""Base classes of methods that weigh AU and FE samples by their effect on an AU validation loss."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.backbone import BaseNet, Outputs, batch_norm_buffers_untouched, evaluation_mode
from methods.base import Batch, Method, Samples, Scalars, Stream, TaskSpec
from methods.losses import ValWeighting, au_loss, fe_loss, val_class_weights
from methods.meta_gradient import Params, PerSample, Reading, forward_mode, gradients, leaves, sgd_step
from methods.replay import Draws, Recording


class TrainPass(NamedTuple):
    """A forward pass over the training batch, AU rows first.

    Attributes:
        losses: (N,), with their graph.
        seen: Input of the weigher (N, ...), with its graph.
        draws: State of the random generators before the pass, so that a second pass has the same dropout masks.
        recording: Outputs of linear layers for `replay`; empty if the pass is not recorded.
    """

    losses: Tensor
    seen: Tensor
    draws: Draws
    recording: Recording

    def replay(self, per_sample: PerSample) -> PerSample:
        """`per_sample` at the θ of this pass, without a second computation of its convolutions.

        The result can be called once, in forward mode.
        """

        def run(theta: Params) -> tuple[Tensor, Tensor]:
            with self.draws.again(), self.recording.replayed():
                return per_sample(theta)

        return run


class Reweighting(Method):
    """Base of methods that weigh samples: losses of the samples, and the gradient of the validation loss."""

    streams = frozenset({Stream.AU, Stream.FE, Stream.AU_VAL})
    cost = 1.6
    hparams: HParams

    class HParams(Method.HParams):
        """Settings of the validation loss."""

        val_batch_norm: Literal["batch", "running"] = "batch"
        """Batch normalisation of the validation pass: the batch's statistics or the running ones (A5)."""
        val_weighting: ValWeighting = "balanced"
        """Class re-weighting in L_val (A6)."""
        val_chunk: int = Field(default=0, ge=0)
        """Validation images in memory at a time; 0 for all of them, which the statistics of the batch need."""
        match_scale: bool = False
        """Double L_total (A19): with as many AU as FE rows, equal weights of full size then give MTL's step."""

        @model_validator(mode="after")
        def _chunks_are_independent(self) -> Reweighting.HParams:
            if self.val_chunk and self.val_batch_norm == "batch":
                raise ValueError("val_chunk needs val_batch_norm=running: statistics of a chunk are not the batch's")
            return self

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        self.register_buffer("class_weights", val_class_weights(spec.au_val_labels, self.hparams.val_weighting))
        self.class_weights: Tensor

    @property
    def scale(self) -> float:
        """Factor of L_total (A19)."""
        return 2.0 if self.hparams.match_scale else 1.0

    def look(self, losses: Tensor, features: Tensor) -> Tensor:
        """Input of the weigher, from losses (N,) and features (N, C), AU rows first."""
        return features

    def per_sample(self, au: Samples, fe: Samples) -> PerSample:
        """A function from θ to the batch's losses and the input of the weigher.

        It leaves the running statistics alone, and uses plain attention: fused attention has no derivative in
        forward mode.
        """

        def run(theta: Params) -> tuple[Tensor, Tensor]:
            with batch_norm_buffers_untouched(self.net), sdpa_kernel(SDPBackend.MATH):
                out: Outputs = functional_call(self.net, theta, (au.images, fe.images))
            return self.losses_and_look(out, au, fe)

        return run

    def losses_and_look(self, out: Outputs, au: Samples, fe: Samples) -> tuple[Tensor, Tensor]:
        """Losses (N,) of the outputs, and the input of the weigher."""
        losses = sample_losses(out, au, fe)
        return losses, self.look(losses, out.features)

    def train_pass(self, au: Samples, fe: Samples, *, to_replay: bool = True) -> TrainPass:
        """The only pass of a step that updates the running statistics (A5)."""
        draws, recording = Draws(au.images), Recording()
        with recording if to_replay else nullcontext(), sdpa_kernel(SDPBackend.MATH):
            out = self.net(au.images, fe.images)
        return TrainPass(*self.losses_and_look(out, au, fe), draws, recording)

    def second_pass(self, au: Samples, fe: Samples, theta: Params, draws: Draws) -> TrainPass:
        """The pass with these draws once more; it leaves the running statistics alone."""
        with draws.again(), Recording() as recording:
            losses, seen = self.per_sample(au, fe)(theta)
        return TrainPass(losses, seen, draws, recording)

    def running_statistics(self) -> Params:
        """Running statistics for the validation pass: those before the step, if the pass uses any (A5)."""
        running = self.hparams.val_batch_norm == "running"
        return {name: b.clone() for name, b in self.net.named_buffers()} if running else {}

    def val_loss(self, theta: Params, val: Samples, statistics: Params | None = None) -> Tensor:
        """L_val (§4.1.4): Eq. 1 with class re-weighting, mean over the validation batch."""
        running = self.hparams.val_batch_norm == "running"
        with evaluation_mode(self.net) if running else batch_norm_buffers_untouched(self.net):
            out: Outputs = functional_call(self.net, {**theta, **(statistics or {})}, (val.images,))
        return au_loss(out.au_logits, val.labels, self.class_weights.to(out.au_logits.dtype)).mean()

    def val_gradient(self, theta: Params, val: Samples, statistics: Params | None = None) -> tuple[Tensor, Params]:
        """L_val at θ and its gradient.

        Args:
            theta: θ.
            val: AU samples.
            statistics: Running statistics to use in place of the present ones.

        Returns:
            L_val, and a gradient for each parameter that it depends on; the FE classifier has none.
        """
        theta = leaves(theta)
        size, total = len(val.images), torch.zeros((), device=val.images.device)
        v: Params = {}
        chunk = self.hparams.val_chunk or size
        for start in range(0, size, chunk):
            images, labels = val.images[start : start + chunk], val.labels[start : start + chunk]
            loss = self.val_loss(theta, Samples(images, labels), statistics) * (len(images) / size)
            for name, g in gradients(loss, theta).items():
                v[name] = v[name].add_(g) if name in v else g
            total = total + loss.detach()
        return total, v


class MetaWeighting(Reweighting):
    """Sample weights from a meta net ψ that learns from the gradient through one virtual step.

    A subclass implements `make_meta_net` and `weigh` (output of the meta net to weights), and can change the input of
    the meta net in `look`.
    """

    hparams: HParams

    class HParams(Reweighting.HParams):
        """Settings of the virtual step and of the meta net."""

        alpha: float = Field(default=1e-3, gt=0)
        """α, the learning rate of the virtual SGD step (Eq. 6; §4.1.2)."""
        beta: float = Field(default=1e-3, gt=0)
        """β, the learning rate of the meta net (Eq. 7; §4.1.2)."""
        meta_optimizer: Literal["sgd", "adam"] = "sgd"
        """Optimiser of the meta net (A4)."""
        keep_graph: bool = False
        """Keep the graph of meta-train until base-learning: one forward pass less, but more memory."""

    reading: Reading = "constant"
    """Whether the gradient for θ takes the weights as constants (A1)."""

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        self.meta_net = self.make_meta_net(net.feature_dim)
        makers: dict[str, Callable[..., torch.optim.Optimizer]] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
        self.meta_optimizer = makers[self.hparams.meta_optimizer](self.meta_net.parameters(), self.hparams.beta)

    def make_meta_net(self, feature_dim: int) -> nn.Module:
        """The meta net, from the output of `look` (N, ...) to raw weights (N,) in (0, 1)."""
        raise NotImplementedError

    def weigh(self, psi: Params, seen: Tensor, n_au: int) -> Tensor:
        """Weights (N,) that multiply the losses, AU rows first."""
        raise NotImplementedError

    def raw_weights(self, seen: Tensor) -> Tensor:
        """Weights (N,) of a batch for the history, AU rows first: before normalisation (A17)."""
        raw: Tensor = self.meta_net(seen)
        return raw

    def update(self, batch: Batch, step: int) -> Scalars:
        """Virtual step, meta step, actual step: Algorithm 1 of MAL (Eq. 4 to 11)."""
        au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
        n_au = len(au.images)
        self.optimizer.zero_grad(set_to_none=True)  # the old gradients are as large as the net, and unused
        theta: Params = dict(self.net.named_parameters())
        psi = {name: p.detach() for name, p in self.meta_net.named_parameters()}  # views: they see updates

        def weigh(psi: Params, seen: Tensor) -> Tensor:
            return self.weigh(psi, seen, n_au)

        def total(at: TrainPass) -> Tensor:
            seen = at.seen.detach() if self.reading == "constant" else at.seen
            return (weigh(psi, seen) * at.losses).sum()

        # Meta-train (Eq. 4 to 6).
        statistics = self.running_statistics()
        first = self.train_pass(au, fe, to_replay=self.hparams.keep_graph)
        keep, draws = first if self.hparams.keep_graph else None, first.draws
        theta_star = sgd_step(theta, gradients(total(first), theta, retain_graph=bool(keep)), self.hparams.alpha)
        # The validation pass is the largest. By default its graph and this one are not in memory together.
        del first

        # Meta-test (Eq. 7).
        loss_val, v = self.val_gradient(theta_star, val, statistics)
        del theta_star
        passed = keep or self.second_pass(au, fe, theta, draws)
        along_v = passed.replay(self.per_sample(au, fe))
        meta_grad = forward_mode(along_v, theta, v, self.hparams.alpha, weigh, psi, self.reading)
        del v
        raw = self.raw_weights(passed.seen.detach()).detach()
        for name, parameter in self.meta_net.named_parameters():
            parameter.grad = meta_grad[name]
        self.meta_optimizer.step()

        # Base-learning (Eq. 9 to 11): a step from θ with new weights.
        self.descend(total(passed), step)
        return {"loss_val": loss_val, **summary(passed.losses.detach(), raw, n_au)}


def sample_losses(out: Outputs, au: Samples, fe: Samples) -> Tensor:
    """Losses (A + E,) of the samples, AU rows first: Eq. 1 and Eq. 2."""
    return torch.cat([au_loss(out.au_logits, au.labels), fe_loss(out.fe_logits, fe.labels)])


def summary(losses: Tensor, weights: Tensor, n_au: int) -> Scalars:
    """Batch means of losses and weights of both streams, and the share of the FE samples in all weight (A17).

    The weights of a meta net are raw; those of L2RW are normalised.
    """
    return {
        "loss_au": losses[:n_au].mean(),
        "loss_fe": losses[n_au:].mean(),
        "weight_au": weights[:n_au].mean(),
        "weight_fe": weights[n_au:].mean(),
        "fe_share": weights[n_au:].sum() / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny),
    }
