"""The multi-task attention network (MTAN), a row of the paper's Tables 1 to 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from benchmark.core.errors import UserError
from methods.backbone import BaseNet, Outputs, Stage, evaluation_mode
from methods.base import Method, Scalars, Stream, TaskSpec, make_optimizer, register
from methods.multitask import Multitask, TaskLosses


class Attention(nn.Sequential):
    """Mask in (0, 1) of one task for one stage: maps (B, in, h, w) to (B, out, h, w)."""

    def __init__(self, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, out_channels, 1),
            nn.BatchNorm2d(out_channels),
            nn.Sigmoid(),
        )


class AttentionBranch(nn.Module):
    """Attention modules of every task over the stages of the shared trunk.

    Args:
        widths: Channels of the stages.
        tasks: Names of the tasks.
        block: Residual block of the trunk, also used as the encoder between two stages.
    """

    def __init__(self, widths: Sequence[int], tasks: Sequence[str], block: type[BasicBlock | Bottleneck]) -> None:
        super().__init__()
        into = [widths[0], *(2 * width for width in widths[1:])]
        self.att = nn.ModuleDict(
            {
                task: nn.ModuleList(
                    Attention(n, out // block.expansion, out) for n, out in zip(into, widths, strict=True)
                )
                for task in tasks
            }
        )
        self.enc = nn.ModuleList(
            block(a, b // block.expansion, downsample=nn.Sequential(nn.Conv2d(a, b, 1, bias=False), nn.BatchNorm2d(b)))
            for a, b in pairwise(widths)
        )
        # Strided convolutions of the trunk round a side up, and so does this. Multiples of 32 pixels need no rounding.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)

    def forward(
        self,
        stages: Mapping[str, Sequence[Stage]],
        *,
        together: bool,
        finish: Callable[[Tensor], Tensor] = lambda maps: maps.mean((2, 3)),
    ) -> dict[str, Tensor]:
        """Features (B, C) of each task.

        Args:
            stages: Maps of the trunk's stages for the images of each task.
            together: Whether each encoder has one pass over the rows of all tasks, so that its batch norm has the
                same rows as the trunk's, or one pass per task (A13). The same holds for `finish`.
            finish: Features from the attended maps of the last stage.
        """
        passed: dict[str, list[Tensor]] = {task: [] for task in stages}
        for i in range(len(self.enc) + 1):
            attended = {}
            for task, task_stages in stages.items():
                mask = self.get_submodule(f"att.{task}.{i}")(
                    torch.cat([task_stages[i].before_last, *passed[task]], dim=1)
                )
                attended[task] = mask * task_stages[i].output
            if i < len(self.enc):
                rows = [torch.cat([*attended.values()])] if together else list(attended.values())
                encoded = torch.cat([self.pool(self.enc[i](x)) for x in rows])
                sizes = [len(x) for x in attended.values()]
                passed = {task: [x] for task, x in zip(attended, torch.split(encoded, sizes), strict=True)}
        if not together:
            return {task: finish(x) for task, x in attended.items()}
        features = torch.split(finish(torch.cat([*attended.values()])), [len(x) for x in attended.values()])
        return dict(zip(attended, features, strict=True))


class DynamicWeightAverage(nn.Module):
    """λ_k(e) = K softmax_k(r_k / T), with r_k the ratio of task k's mean losses in the two epochs before e.

    The weights are one in the first two epochs, and constant within an epoch.

    Args:
        tasks: K, the number of tasks.
        temperature: T.
    """

    def __init__(self, tasks: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        # Mean losses of the last two epochs, the older first, 0 for none; sum and number of steps of this epoch.
        self.register_buffer("means", torch.zeros(2, tasks))
        self.register_buffer("total", torch.zeros(tasks))
        self.register_buffer("steps", torch.zeros(()))
        self.means: Tensor
        self.total: Tensor
        self.steps: Tensor

    def add(self, losses: Tensor) -> None:
        """Add the unweighted losses (K,) of a step to this epoch."""
        self.total += losses
        self.steps += 1

    def end_epoch(self) -> None:
        """Store the mean of this epoch and begin the next."""
        self.means = torch.stack([self.means[1], self.total / self.steps])
        self.total, self.steps = torch.zeros_like(self.total), torch.zeros_like(self.steps)

    def forward(self) -> Tensor:
        """Weights (K,), with sum K."""
        before, last = self.means
        ratio = torch.where((before > 0).all(), last / before, torch.ones_like(last))
        return len(ratio) * torch.softmax(ratio / self.temperature, dim=0)


@register("mtan", paper_row="MTAN")
class MTAN(Multitask):
    """Multi-task learning with a shared trunk and soft attention per task to the features of its four stages.

    Citation: Liu, Johns & Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019; wiring for residual
    networks from github.com/lorenmt/mtan (c36c30b), as generalised in github.com/median-research-group/LibMTL.

    Differs from the authors' code:
      - Images have labels of one task, so each row passes only the branch of its own task.
      - The trunk and the shared encoders have one pass over the rows of both tasks, like MTL's backbone. With
        `batch_norm_streams = separate` they have one pass per task, as in the authors' code (A13).
      - The head is global average pooling and one linear layer, as in MTL, instead of a dense predictor.
      - In a stage with one block the mask is computed from the output that it multiplies, as in the authors' Wide
        ResNet. The paper's backbones have no such stage.
      - A backbone with layers after its last stage (EfficientNet's last convolution) passes the attended maps through
        them. The paper's backbones have none.
      - Loss weights are equal by default, as in the paper's MTL (1:1). `loss_weights = dwa` is the authors' own rule.
    """

    cost = 2.4
    hparams: HParams

    class HParams(Method.HParams):
        """Settings of MTAN."""

        loss_weights: Literal["equal", "dwa"] = "equal"
        """Equal weights, or Dynamic Weight Average."""
        temperature: float = Field(default=2.0, gt=0)
        """T of Dynamic Weight Average; 2 in the authors' code."""

    def __init__(self, net: BaseNet, hparams: Method.HParams, spec: TaskSpec) -> None:
        super().__init__(net, hparams, spec)
        stages = net.stage_blocks()
        if stages[-1].width != net.feature_dim:
            self.check_end(net)
        block = Bottleneck if isinstance(stages[-1].last, Bottleneck) else BasicBlock
        self.branch = AttentionBranch([stage.width for stage in stages], (Stream.AU, Stream.FE), block)
        self.branch.to(memory_format=net.memory_format)
        self.dwa = DynamicWeightAverage(2, self.hparams.temperature)
        self.optimizer = make_optimizer(self.parameters(), hparams)

    def check_end(self, net: BaseNet) -> None:
        """Refuse a backbone that is wider than its last stage, but not by layers that follow that stage.

        Raises:
            UserError: The features of an image are not `BaseNet.after_stages` of the maps of its last stage.
        """
        side, device = self.spec.image_size, next(net.parameters()).device
        if device.type == "meta":  # it has no numbers to compare
            return
        image = torch.linspace(-1, 1, 3 * side * side, device=device).reshape(1, 3, side, side)
        with torch.no_grad(), evaluation_mode(net), net.precision(device):
            stages, features = net.stages(image)
            try:
                again = net.after_stages(stages[-1].output)
            except (RuntimeError, ValueError, IndexError, TypeError):
                again = features.new_empty(0)
        close = partial(torch.allclose, rtol=1e-2, atol=1e-3)  # in bfloat16, too
        if again.shape != features.shape or not close(again.to(features.dtype), features):
            raise UserError(
                "MTAN needs a backbone whose features come from its last stage alone",
                expected=f"{net.feature_dim} features from {tuple(stages[-1].output.shape[1:])} maps of that stage",
                found=f"{self.hparams.backbone}, whose features come another way",
                remedy="choose another with --set method.backbone=NAME, for example resnet34",
            )

    def outputs(self, au_images: Tensor, fe_images: Tensor) -> Outputs:
        """Logits of each task from its own branch."""
        n_au, together = len(au_images), not self.net.separate_streams
        if together:
            stages, _ = self.net.stages(torch.cat([au_images, fe_images]))
            au, fe = ([Stage(*(f[rows] for f in s)) for s in stages] for rows in (slice(n_au), slice(n_au, None)))
        else:
            au, fe = self.net.stages(au_images)[0], self.net.stages(fe_images)[0]
        with self.net.precision(au_images.device):
            features = self.branch({Stream.AU: au, Stream.FE: fe}, together=together, finish=self.net.after_stages)
            return self.net.classify(torch.cat([features[Stream.AU], features[Stream.FE]]), n_au)

    def predict(self, images: Tensor) -> Tensor:
        """AU logits (B, J), from the AU branch only."""
        stages, _ = self.net.stages(images)
        with self.net.precision(images.device):
            feature = self.branch({Stream.AU: stages}, together=True, finish=self.net.after_stages)[Stream.AU]
            return self.net.classify(feature, len(images)).au_logits

    def learn(self, losses: TaskLosses, step: int) -> Scalars:
        """One step on the weighted sum."""
        both = torch.stack([losses.au, losses.fe])
        if self.hparams.loss_weights == "equal":
            self.descend(both.sum(), step)
            return {}
        if step > 0 and step % self.spec.steps_per_epoch == 0:
            self.dwa.end_epoch()
        self.dwa.add(both.detach())
        weights = self.dwa()
        self.descend((weights * both).sum(), step)
        return {"dwa_au": weights[0], "dwa_fe": weights[1]}
