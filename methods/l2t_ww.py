"""Learning what and where to transfer (L2T-WW), a row of the paper's Tables 1 to 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.core.errors import UserError
from methods.backbone import BaseNet, evaluation_mode, virtual_pass
from methods.base import Batch, Finished, Method, Samples, Scalars, Stream, TaskSpec, make_optimizer, register
from methods.build import SCRATCH, build_net
from methods.fe_source import FESource
from methods.losses import au_loss
from methods.meta_gradient import Inner, Params, SgdRule, SgdState, sgd_path, through_sgd_path
from methods.replay import Draws, Recording

Pair = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
"""Stage of the source and stage of the target, from 1."""


class TransferWeights(nn.Module):
    """φ: weights of channels ("what") and of pairs of stages ("where"), from the source's features of an image.

    Args:
        widths: Channels of the source's stage in every pair.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.channel = nn.ModuleList(nn.Linear(width, width) for width in widths)
        self.pair = nn.ModuleList(nn.Linear(width, 1) for width in widths)
        for name, parameter in self.named_parameters():
            if name.startswith("channel."):
                nn.init.zeros_(parameter)  # equal weights of all channels at the start
            elif name.endswith(".bias"):
                nn.init.ones_(parameter)

    def forward(self, sources: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """For every pair w (B, C), with sum one, and λ (B,) in [0, 6], from the source's maps (B, C, h, w)."""
        pooled = [source.mean((2, 3)) for source in sources]
        return [
            (torch.softmax(channel(x), dim=1), F.relu6(pair(x)).squeeze(1))
            for channel, pair, x in zip(self.channel, self.pair, pooled, strict=True)
        ]


def distances(sources: Sequence[Tensor], regressed: Sequence[Tensor]) -> list[Tensor]:
    """Mean squared difference over positions (B, C) for every pair, with the source resized to the target."""
    resized = [
        s if s.shape == t.shape else F.interpolate(s, t.shape[2:], mode="bilinear", align_corners=False)
        for s, t in zip(sources, regressed, strict=True)
    ]
    return [(s - t).square().mean((2, 3)) for s, t in zip(resized, regressed, strict=True)]


@register("l2t_ww", paper_row="L2T-WW")
class L2TWW(Method):
    """AU detection with features matched to those of an FER network; a bilevel schedule learns what to match and where.

    Each batch has one real step on L_org + L_wfm, then T virtual steps on L_wfm and one on L_org, which are rolled
    back. The meta networks follow the gradient of L_org after the virtual steps, through all of them.

    Citation: Jang, Lee, Hwang & Shin, Learning What and Where to Transfer, ICML 2019; details from
    github.com/alinlab/L2T-ww (f4dde04).

    Differs from the authors' code:
      - Source and target have the same architecture, the suite's backbone. The target starts from its `weights`.
      - Running statistics of batch norm are updated once per batch, in the real step. In their code a replay updates
        them again.
      - A parameter that a virtual loss does not depend on has a zero gradient, as in their version of torch. On
        torch 2 their code leaves it out of momentum and weight decay.
      - Virtual steps are SGD with the momentum and weight decay of the real optimiser if that is SGD, and plain SGD
        if it is Adam.
      - The first cosine step is not skipped. The meta optimiser is theirs (Adam with L2 weight decay).
      - With `amp`, virtual steps stay in full precision.
      - The source has one pass per batch, since the batch is the same in all steps.
    """

    streams = frozenset({Stream.AU})
    cost = 8.0
    prerequisites: ClassVar = {"source": FESource}
    hparams: HParams

    class HParams(Method.HParams):
        """Settings of L2T-WW."""

        pairs: tuple[Pair, ...] = ()
        """(source stage, target stage) of every match; empty for all pairs of the last four stages."""
        inner_steps: int = Field(default=2, ge=1)
        """T, number of virtual steps on the matching loss."""
        beta: float = Field(default=0.5, gt=0)
        """β, weight of the matching loss in real and virtual steps."""
        virtual_lr: float | None = Field(default=None, gt=0)
        """Initial learning rate of the virtual steps, on the same schedule; None for that of the real step."""
        meta_lr: float = Field(default=1e-4, gt=0)
        """Learning rate of the meta networks' Adam."""
        meta_weight_decay: float = Field(default=1e-4, ge=0)
        """L2 penalty of the meta networks."""

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        ours = [stage.width for stage in net.stage_blocks()]
        self.source = self.make_source(spec.prerequisites["source"]).requires_grad_(False)
        theirs = [stage.width for stage in self.source.stage_blocks()]
        last = [range(len(widths), max(len(widths) - 4, 0), -1) for widths in (theirs, ours)]
        self.pairs = self.hparams.pairs or tuple((m, n) for m in last[0] for n in last[1])
        if any(m > len(theirs) or n > len(ours) for m, n in self.pairs):
            raise UserError(
                "a pair of stages that the networks do not have",
                where="methods.l2t_ww.pairs",
                expected=f"stages 1 to {len(theirs)} of the source and 1 to {len(ours)} of the target",
                found=", ".join(map(str, self.pairs)),
                remedy="correct --set methods.l2t_ww.pairs=[[4,4],...], or leave it out for all pairs",
            )
        widths = [theirs[m - 1] for m, _ in self.pairs]
        self.regressors = nn.ModuleList(
            nn.Conv2d(ours[n - 1], width, 1) for width, (_, n) in zip(widths, self.pairs, strict=True)
        )
        self.meta_nets = TransferWeights(widths)
        self.theta = [n for n, _ in self.named_parameters() if n.startswith(("net.", "regressors."))]
        self.optimizer = make_optimizer([*net.parameters(), *self.regressors.parameters()], hparams)
        self.meta_optimizer = torch.optim.Adam(
            self.meta_nets.parameters(), self.hparams.meta_lr, weight_decay=self.hparams.meta_weight_decay
        )

    def make_source(self, done: Finished) -> BaseNet:
        """The source network at the end of its trial."""
        source = build_net(
            done.hparams.backbone if done.backbone is None else done.backbone,
            SCRATCH,
            n_aus=0,
            n_emotions=len(self.spec.emotions),
            image_size=self.spec.image_size,
            channels_last=done.hparams.memory_format == "channels_last",
            amp=self.spec.amp,
        )
        source.load_state_dict({name.removeprefix("net."): tensor for name, tensor in done.state.items()})
        return source

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """AU logits (B, J), and for every pair the target's maps with the source's number of channels."""
        stages, features = self.net.stages(images)
        with self.net.precision(images.device):
            regressed = [r(stages[n - 1].output) for r, (_, n) in zip(self.regressors, self.pairs, strict=True)]
        return self.net.classify(features, len(images)).au_logits, [r.to(features.dtype) for r in regressed]

    @torch.no_grad()
    def source_maps(self, images: Tensor) -> list[Tensor]:
        """Maps of the source for every pair, in evaluation mode."""
        with evaluation_mode(self.source):
            stages, features = self.source.stages(images)
        return [stages[m - 1].output.to(features.dtype) for m, _ in self.pairs]

    def matching_loss(self, sources: list[Tensor], regressed: list[Tensor], phi: Params) -> Tensor:
        """β L_wfm: sum over pairs of the batch mean of λ Σ_c w_c d_c, with d_c the distance of channel c."""
        weights = functional_call(self.meta_nets, phi, (sources,))
        pairs = [
            (where * (what * d).sum(1)).mean()
            for (what, where), d in zip(weights, distances(sources, regressed), strict=True)
        ]
        return self.hparams.beta * torch.stack(pairs).sum()

    def original_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """L_org, the batch mean of Eq. 1."""
        return au_loss(logits, labels).mean()

    def update(self, batch: Batch, step: int) -> Scalars:
        """One iteration of the bilevel schedule (their Algorithm 1)."""
        au = batch[Stream.AU]
        sources = self.source_maps(au.images)
        phi = {name: p.detach() for name, p in self.meta_nets.named_parameters()}
        logits, regressed = self(au.images)
        loss_org = self.original_loss(logits, au.labels)
        loss_wfm = self.matching_loss(sources, regressed, phi)
        self.descend(loss_org + loss_wfm, step)

        meta_grad, _, loss_meta = self.meta_gradient(au, sources, phi, step)
        for name, parameter in self.meta_nets.named_parameters():
            parameter.grad = meta_grad[name]
        self.meta_optimizer.step()
        return {"loss_au": loss_org.detach(), "loss_wfm": loss_wfm.detach(), "loss_meta": loss_meta}

    def meta_gradient(
        self, au: Samples, sources: list[Tensor], phi: Params, step: int
    ) -> tuple[Params, list[SgdState], Tensor]:
        """∇_φ L_org after T virtual steps on L_wfm and one on L_org, the virtual states, and that L_org."""
        draws, recording = Draws(au.images), Recording()

        def run(theta: Params) -> tuple[Tensor, list[Tensor]]:
            with virtual_pass(self.net), draws.again():
                out: tuple[Tensor, list[Tensor]] = functional_call(self, theta, (au.images,))
            return out

        def first_wfm(theta: Params, phi: Params) -> Tensor:
            recording.kept.clear()
            with recording:
                regressed = run(theta)[1]
            return self.matching_loss(sources, regressed, phi)

        def first_wfm_again(theta: Params, phi: Params) -> Tensor:
            with recording.replayed():
                regressed = run(theta)[1]
            return self.matching_loss(sources, regressed, phi)

        def wfm(theta: Params, phi: Params) -> Tensor:
            return self.matching_loss(sources, run(theta)[1], phi)

        def org(theta: Params, _: Params = phi) -> Tensor:
            return self.original_loss(run(theta)[0], au.labels)

        inner: list[Inner] = [first_wfm, *[wfm] * (self.hparams.inner_steps - 1), org]
        rule = self.virtual_rule(step)
        path = sgd_path(inner, self.virtual_start(), phi, rule)
        grads, loss_meta = through_sgd_path(inner, org, path, phi, rule, first_wfm_again)
        return grads, path.states, loss_meta

    def virtual_rule(self, step: int) -> SgdRule:
        """Rule of the virtual steps."""
        lr = self.rate(step, self.hparams.virtual_lr)
        if self.hparams.optimizer != "sgd":
            return SgdRule(lr)
        return SgdRule(lr, self.hparams.momentum, self.hparams.weight_decay)

    def virtual_start(self) -> SgdState:
        """θ and its velocity after the real step."""
        named = {name: self.get_parameter(name) for name in self.theta}
        velocity = {n: self.optimizer.state[p].get("momentum_buffer") for n, p in named.items()}
        return SgdState(
            {name: p.detach() for name, p in named.items()},
            {n: torch.zeros_like(named[n]) if v is None else v.clone() for n, v in velocity.items()},
        )
