"""MTL at the best of several fixed loss weights, chosen on the AU validation set."""

from __future__ import annotations

import copy
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from benchmark.core.f1 import f1, mean_defined
from methods.backbone import BaseNet, Outputs, evaluation_mode
from methods.base import Batch, Method, Samples, Scalars, Stream, TaskSpec, make_optimizer, register
from methods.multitask import task_losses


@register("mtl_best_rho")
class MTLBestRho(Method):
    """MTL with every ρ of a list, trained on the same batches; the best one on the AU validation set predicts.

    The best ρ has the largest average F1 over the validation batches of the last steps, in evaluation mode. The
    choice does not use test subjects. But the validation frames come from the training sequences, so the choice can
    favour a ρ that overfits their subjects.

    Citation: Li & Shan, Meta Auxiliary Learning for Facial Action Unit Detection, arXiv 2105.06620, §3.2, for the loss
    with weight ρ; the search is this suite's.

    Differs from the paper: the paper's MTL has only ρ = 1. Parameters, memory and time count all networks.
    """

    streams = frozenset({Stream.AU, Stream.FE, Stream.AU_VAL})
    hparams: HParams

    class HParams(Method.HParams):
        """Settings of the search."""

        fe_weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(default=(1.0, 0.1, 0.3, 3.0), min_length=1)
        """The list of ρ. Of equally good ones the first is chosen."""
        judged_share: float = Field(default=0.1, gt=0, le=1)
        """Share of the steps, at the end of training, whose validation batches count for the choice."""

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        rivals = len(self.hparams.fe_weights) - 1
        self.rivals = nn.ModuleList(copy.deepcopy(net) for _ in range(rivals))
        self.optimizer = make_optimizer(self.parameters(), hparams)
        # TP, FP, FN, TN of each ρ and AU over the validation batches that count.
        self.register_buffer("counts", torch.zeros(rivals + 1, len(spec.aus), 4, dtype=torch.int64))
        self.counts: Tensor

    @property
    def nets(self) -> list[BaseNet]:
        """The network of each ρ."""
        return [self.net, *(net for net in self.rivals if isinstance(net, BaseNet))]

    def update(self, batch: Batch, step: int) -> Scalars:
        """One step of every network; in the last steps also `count_predictions` on a validation batch."""
        au, fe = batch[Stream.AU], batch[Stream.FE]
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for net, rho in zip(self.nets, self.hparams.fe_weights, strict=True):
            both = task_losses(net(au.images, fe.images), au.labels, fe.labels)
            (both.au + rho * both.fe).backward()  # type: ignore[no-untyped-call]
            losses.append({"loss_au": both.au.detach(), "loss_fe": both.fe.detach()})
        self.take_step(step)
        if step >= min(self.spec.steps - 1, self.spec.steps * (1 - self.hparams.judged_share)):
            self.count_predictions(batch[Stream.AU_VAL])
        best = self.best()
        return {**losses[best], "rho": torch.tensor(self.hparams.fe_weights[best])}

    @torch.no_grad()
    def count_predictions(self, val: Samples) -> None:
        """Add the predictions of every network on a validation batch to the counts."""
        for i, net in enumerate(self.nets):
            with evaluation_mode(net):
                predicted = net(val.images).au_logits > 0
            truth, labelled = val.labels == 1, val.labels >= 0
            cells = (predicted & truth, predicted & ~truth, ~predicted & truth, ~predicted & ~truth)
            self.counts[i] += torch.stack([(cell & labelled).sum(0) for cell in cells], dim=1)

    def best(self) -> int:
        """Index of the best ρ so far; 0 before any validation batch."""
        scores = mean_defined(f1(self.counts.cpu().numpy()), axis=1)
        return int(np.nan_to_num(scores, nan=-1.0).argmax())

    def outputs(self, au_images: Tensor, fe_images: Tensor) -> Outputs:
        """Outputs of the best network for the images of both streams."""
        out: Outputs = self.nets[self.best()](au_images, fe_images)
        return out

    def predict(self, images: Tensor) -> Tensor:
        """AU logits (B, J) of the best network."""
        logits: Tensor = self.nets[self.best()](images).au_logits
        return logits
