"""The base net of the paper (§3.1) over any backbone, and the modes of its passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmark.core.errors import UserError


class Stage(NamedTuple):
    """Feature maps of one stage of a backbone for B images.

    Attributes:
        before_last: (B, C, h, w), output of the block before the last; the stage's output if it has one block.
        output: (B, C, h, w), output of the stage.
    """

    before_last: Tensor
    output: Tensor


class StageBlocks(NamedTuple):
    """Modules of a backbone whose outputs are one stage.

    Attributes:
        width: Channels of the stage's output.
        before_last: The block whose output is `Stage.before_last`.
        last: The block whose output is `Stage.output`.
    """

    width: int
    before_last: nn.Module
    last: nn.Module


class Outputs(NamedTuple):
    """Outputs of the base net for A AU images and E FE images.

    Attributes:
        features: (A + E, C), AU rows first.
        au_logits: (A, J).
        fe_logits: (E, Q).
    """

    features: Tensor
    au_logits: Tensor
    fe_logits: Tensor


class BaseNet(nn.Module):
    """Backbone f, then a linear AU classifier and a linear FE classifier side by side (§3.1).

    Args:
        backbone: Maps images (B, 3, H, W) to features (B, C), or to maps (B, C, h, w), which are then averaged.
        feature_dim: C.
        n_aus: J outputs of the AU classifier; 0 for none.
        n_emotions: Q outputs of the FE classifier; 0 for none.
        separate_streams: One backbone pass per stream instead of one pass over all rows (A13). The two differ in
            the statistics of batch normalisation.
        channels_last: Store images and weights with the channels last.
        amp: Run in bfloat16 autocast. Outputs keep the parameters' type.
    """

    def __init__(
        self,
        backbone: nn.Module,
        feature_dim: int,
        n_aus: int,
        n_emotions: int = 0,
        *,
        separate_streams: bool = False,
        channels_last: bool = False,
        amp: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head_au = nn.Linear(feature_dim, n_aus) if n_aus else None
        self.head_fe = nn.Linear(feature_dim, n_emotions) if n_emotions else None
        self.feature_dim = feature_dim
        self.separate_streams = separate_streams
        self.amp = amp
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def forward(self, au_images: Tensor, fe_images: Tensor | None = None) -> Outputs:
        """Logits of each stream from its own classifier; FE images are optional."""
        with self.precision(au_images.device):
            if fe_images is None:
                features = self.features(au_images)
            elif self.separate_streams:
                features = torch.cat([self.features(au_images), self.features(fe_images)])
            else:
                features = self.features(torch.cat([au_images, fe_images]))
            return self.classify(features, len(au_images))

    def classify(self, features: Tensor, n_au: int) -> Outputs:
        """Outputs for features (A + E, C): the AU classifier on the first `n_au` rows, the FE one on the others."""
        features = features.to(next(self.parameters()).dtype)
        return Outputs(features, _logits(self.head_au, features[:n_au]), _logits(self.head_fe, features[n_au:]))

    def features(self, images: Tensor) -> Tensor:
        """Backbone features (B, C), in the parameters' type."""
        with self.precision(images.device):
            output: Tensor = self.backbone(images.contiguous(memory_format=self.memory_format))
            if output.ndim == 4:  # maps of a backbone without pooling of its own
                output = output.mean((2, 3))
        return output.to(next(self.parameters()).dtype)

    def stages(self, images: Tensor) -> tuple[list[Stage], Tensor]:
        """Maps of every stage and the features (B, C) of images, in one pass.

        Raises:
            UserError: The backbone has no stages of feature maps.
        """
        seen: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
            seen[module] = output

        stages = self.stage_blocks()
        modules = dict.fromkeys(module for stage in stages for module in (stage.before_last, stage.last))
        handles = [module.register_forward_hook(keep) for module in modules]
        try:
            features = self.features(images)
        finally:
            for handle in handles:
                handle.remove()
        if any(seen[stage.last].ndim != 4 or seen[stage.last].shape[1] != stage.width for stage in stages):
            raise _no_stages(self.backbone)  # tokens, or channels last as a dimension
        return [Stage(seen[stage.before_last], seen[stage.last]) for stage in stages], features

    def stage_blocks(self) -> list[StageBlocks]:
        """The stages of the backbone, from first to last.

        A stage is an entry of timm's `feature_info` that is a sequence of blocks: the four of a ResNet, not its
        stem. If no entry is a sequence, every entry is a stage.

        Raises:
            UserError: The backbone names no stages.
        """
        info = [(str(entry["module"]), int(entry["num_chs"])) for entry in getattr(self.backbone, "feature_info", [])]
        modules = [(self.backbone.get_submodule(name), width) for name, width in info]
        sequences = [(module, width) for module, width in modules if isinstance(module, nn.Sequential)]
        if not modules:
            raise _no_stages(self.backbone)
        stages = []
        for module, width in sequences or modules:
            blocks = list(module.children()) if sequences else [module]
            stages.append(StageBlocks(width, blocks[-2] if len(blocks) > 1 else blocks[-1], blocks[-1]))
        return stages

    def after_stages(self, maps: Tensor) -> Tensor:
        """Features (B, C) from maps (B, c, h, w) of the last stage.

        They are the average of the maps; or, if the backbone has layers between its last stage and its features, as
        EfficientNet has, what these layers make of them.
        """
        if self.stage_blocks()[-1].width == self.feature_dim:
            return maps.mean((2, 3))
        last = str(getattr(self.backbone, "feature_info", [])[-1]["module"]).partition(".")[0]
        names = [name for name, _ in self.backbone.named_children()]
        for name in names[names.index(last) + 1 :]:
            maps = self.backbone.get_submodule(name)(maps)
        return maps.mean((2, 3)) if maps.ndim == 4 else maps

    def precision(self, device: torch.device) -> torch.autocast:
        """The autocast context of every pass through this net."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.amp)


def _no_stages(backbone: nn.Module) -> UserError:
    return UserError(
        "this method needs a backbone with stages of feature maps",
        found=type(backbone).__name__,
        remedy="choose a convolutional one with --set method.backbone=NAME, for example resnet34; or give your own "
        "network a `feature_info` as timm's",
    )


def _logits(head: nn.Module | None, features: Tensor) -> Tensor:
    """Logits of a head in the features' type; (B, 0) without a head."""
    if head is None:
        return features.new_empty(len(features), 0)
    logits: Tensor = head(features)
    return logits.to(features.dtype)


@contextmanager
def batch_norm_buffers_untouched(module: nn.Module) -> Iterator[None]:
    """Context in which batch norm uses the statistics of its batch and leaves the running statistics alone (A5).

    A batch-norm layer in training mode that tracks no statistics updates no buffer. Forward-mode differentiation
    could not handle such an update in place.
    """
    tracking = [
        m
        for m in module.modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training and m.track_running_stats
    ]
    for layer in tracking:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in tracking:
            layer.track_running_stats = True


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Context in which a module is in evaluation mode; its mode is restored afterwards."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


@contextmanager
def full_precision(net: BaseNet) -> Iterator[None]:
    """Context without autocast; the setting is restored afterwards."""
    amp = net.amp
    net.amp = False
    try:
        yield
    finally:
        net.amp = amp


@contextmanager
def virtual_pass(net: BaseNet) -> Iterator[None]:
    """Context whose passes leave running statistics alone and have a derivative in forward mode.

    torch has no forward-mode derivative of fused attention and of batch norm under autocast. So passes use plain
    attention and full precision.
    """
    with batch_norm_buffers_untouched(net), full_precision(net), sdpa_kernel(SDPBackend.MATH):
        yield
