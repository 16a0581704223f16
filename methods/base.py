"""The contract of a method: it owns its networks and optimisers, learns by `update`, and answers by `predict`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from methods.backbone import BaseNet, build_net


class Stream(StrEnum):
    """A row of batches that a method may ask for."""

    AU = "au"
    """Training images with AU labels."""
    FE = "fe"
    """Training images with an emotion label."""
    AU_VAL = "au_val"
    """The AU validation set, reserved from the training subjects (§4.1.1)."""


@dataclass(frozen=True)
class Samples:
    """Images of one stream and their labels.

    Attributes:
        images: float32 (B, 3, H, W), augmented and normalised.
        labels: AU streams: int8 (B, J) of 0, 1 or -1 = unknown. FE: int64 (B,) class indices.
        clear: FE, for controls alone: bool (B,), whether the AUs carry the label, which only a stand-in knows.
    """

    images: Tensor
    labels: Tensor
    clear: Tensor | None = None


Batch = Mapping[Stream, Samples]
Scalars = dict[str, Tensor]
"""Named 0-d tensors without a graph: what a step tells the history."""


@dataclass(frozen=True)
class Finished:
    """A prerequisite trial that is done.

    Attributes:
        hparams: Its settings.
        state: Its `state_dict`.
    """

    hparams: Method.HParams
    state: Mapping[str, Tensor]


@dataclass(frozen=True)
class TaskSpec:
    """What a method may know of its task before the first batch; never which dataset it is.

    Attributes:
        aus: Names of the J AUs.
        emotions: Names of the Q emotions.
        steps: Updates in the whole training.
        au_val_labels: int8 (K, J), labels of the AU validation set.
        amp: Run forward passes in bfloat16 autocast.
        image_size: Side of the images in pixels.
        steps_per_epoch: Updates in one pass over the AU training set.
        prerequisites: What the method's `prerequisites` left, by their names there.
    """

    aus: tuple[str, ...]
    emotions: tuple[str, ...]
    steps: int
    au_val_labels: Tensor
    amp: bool = False
    image_size: int = 224
    steps_per_epoch: int = 1
    prerequisites: Mapping[str, Finished] = field(default_factory=dict)


class Method(nn.Module):
    """Base of all methods.

    A subclass names its `streams`, may widen `HParams`, and implements `update`. Optimisers are plain
    attributes; together with the modules they are the training state. A line of the docstring that begins with
    `Citation:` names the source.
    """

    name: ClassVar[str]
    """Registry name, set by `register`; also the name of the file."""
    is_stage: ClassVar[bool]
    """Set by `stage`: others need it done before, and no table has it."""
    is_control: ClassVar[bool]
    """It answers a question about the others on the stand-in, whose truth it may know, and runs on no other data."""
    paper_row: ClassVar[str]
    """The paper's spelling in its tables, "" for a method that the paper does not have."""
    version: ClassVar[int] = 1
    """Raised when a change can change results; part of every trial's key."""
    streams: ClassVar[frozenset[Stream]] = frozenset({Stream.AU})
    prerequisites: ClassVar[Mapping[str, type[Method]]] = {}
    """Methods marked by `stage` whose trials must be done before, by the name that `TaskSpec` gives them."""

    class HParams(BaseModel):
        """Settings that all methods share, so that a comparison is of methods alone."""

        model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

        backbone: str = "resnet34.tv_in1k"
        """Name of a timm model (§4.1.2: ResNet-34)."""
        weights: str = "scratch"
        """Backbone weights: `scratch`, `pretrained` (timm's, downloaded), `renders` (learned before, by a stage, from
        drawn people without AUs), or a .safetensors or .pth file."""
        optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
        """Optimiser of the base net (A3)."""
        lr: float = Field(default=1e-3, gt=0)
        """Learning rate of the actual step (§4.1.2: alpha = 0.001)."""
        momentum: float = Field(default=0.0, ge=0, lt=1)
        """Momentum of SGD (A3)."""
        weight_decay: float = Field(default=0.0, ge=0)
        """Weight decay of the base net (A3)."""
        schedule: Literal["constant", "cosine"] = "constant"
        """Learning rate over training (A3)."""
        batch_norm_streams: Literal["concat", "separate"] = "concat"
        """One forward pass over AU and FE rows together, or one a stream (A13)."""
        memory_format: Literal["contiguous", "channels_last"] = "contiguous"
        """Layout of images and weights in memory; changes speed, and results by rounding."""

    def __init__(self, net: BaseNet, hparams: HParams, spec: TaskSpec) -> None:
        super().__init__()
        self.net = net
        self.hparams = hparams
        self.spec = spec
        self.optimizer = make_optimizer(net.parameters(), hparams)

    @classmethod
    def build(cls, hparams: HParams, spec: TaskSpec, device: torch.device) -> Self:
        """The method over a fresh base net with a classifier for each kind of images that it learns from."""
        net = build_net(
            hparams.backbone,
            hparams.weights,
            n_aus=len(spec.aus) if Stream.AU in cls.streams else 0,
            n_emotions=len(spec.emotions) if Stream.FE in cls.streams else 0,
            image_size=spec.image_size,
            separate_streams=hparams.batch_norm_streams == "separate",
            channels_last=hparams.memory_format == "channels_last",
            amp=spec.amp,
        )
        return cls(net.to(device), hparams, spec).to(device)

    def update(self, batch: Batch, step: int) -> Scalars:
        """Learn from one batch of each stream in `streams`; `step` counts from 0."""
        raise NotImplementedError

    def predict(self, images: Tensor) -> Tensor:
        """AU logits (B, J) of images (B, 3, H, W); the method is in evaluation mode."""
        logits: Tensor = self.net(images).au_logits
        return logits

    def sample_weight(self, images: Tensor) -> Tensor | None:
        """Raw weight (B,) that the method gives to images, if it weighs samples; evaluation mode."""
        return None

    def descend(self, loss: Tensor, step: int) -> None:
        """One step of the base net's optimiser along the gradient of `loss`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.take_step(step)

    def rate(self, step: int, start: float | None = None) -> float:
        """Learning rate at a step on the schedule, from `start` or the base net's own."""
        return (start or self.hparams.lr) * schedule_factor(self.hparams.schedule, step, self.spec.steps)

    def take_step(self, step: int) -> None:
        """Move along the gradients that the parameters hold, at the rate of the step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step)
        self.optimizer.step()

    def training_state(self) -> dict[str, Any]:
        """Everything that `update` changes: modules with buffers, and every optimiser attribute."""
        return {
            "modules": self.state_dict(),
            "optimizers": {n: o.state_dict() for n, o in self._optimizers().items()},
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Continue bit for bit from a `training_state`."""
        self.load_state_dict(state["modules"])
        for name, optimizer in self._optimizers().items():
            optimizer.load_state_dict(state["optimizers"][name])

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {n: v for n, v in vars(self).items() if isinstance(v, torch.optim.Optimizer)}


def make_optimizer(parameters: Iterable[nn.Parameter], hparams: Method.HParams) -> torch.optim.Optimizer:
    """The base net's optimiser (A3)."""
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": partial(torch.optim.SGD, momentum=hparams.momentum),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return makers[hparams.optimizer](parameters, lr=hparams.lr, weight_decay=hparams.weight_decay)


def schedule_factor(schedule: str, step: int, steps: int) -> float:
    """The learning rate of step `step` of `steps`, as a share of its start: a pure function, so no state to resume."""
    return 0.5 * (1 + math.cos(math.pi * step / steps)) if schedule == "cosine" else 1.0


M = TypeVar("M", bound=type[Method])


def register(name: str, *, paper_row: str = "", control: bool = False) -> Callable[[M], M]:
    """Mark a class as the method `name`; the registry finds it by this mark, in the file `methods/<name>.py`.

    A `control` is for the stand-in alone.
    """
    return partial(_mark, name=name, paper_row=paper_row, is_stage=False, is_control=control)


def stage(name: str) -> Callable[[M], M]:
    """Mark a class as the stage `name`: a method that others name in `prerequisites`, and no row of any table."""
    return partial(_mark, name=name, paper_row="", is_stage=True, is_control=False)


def _mark(cls: M, *, name: str, paper_row: str, is_stage: bool, is_control: bool) -> M:
    cls.name = name
    cls.paper_row = paper_row
    cls.is_stage = is_stage
    cls.is_control = is_control
    return cls
