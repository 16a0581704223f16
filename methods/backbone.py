"""The base net of the paper (§3.1) over any timm backbone, and where its weights come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmark.core.errors import UserError, did_you_mean

SCRATCH, PRETRAINED = "scratch", "pretrained"


class Stage(NamedTuple):
    """What one stage of a backbone makes of B images.

    Attributes:
        before_last: (B, C, h, w), output of all blocks but the last; of a stage without several blocks, its output.
        output: (B, C, h, w).
    """

    before_last: Tensor
    output: Tensor


class StageBlocks(NamedTuple):
    """Where to listen for one stage.

    Attributes:
        width: Channels of its output.
        before_last: The block whose output is `Stage.before_last`.
        last: The block whose output is the stage's.
    """

    width: int
    before_last: nn.Module
    last: nn.Module


class Outputs(NamedTuple):
    """What the base net says of A AU images and E FE images.

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
        backbone: Maps images (B, 3, H, W) to features (B, C).
        feature_dim: C.
        n_aus: J outputs of the AU classifier; 0 for none.
        n_emotions: Q outputs of the FE classifier; 0 for none.
        separate_streams: One backbone pass a stream instead of one over all rows (A13); they differ in the
            statistics of batch normalisation.
        channels_last: Memory layout.
        amp: Run in bfloat16 autocast; outputs are in the parameters' type all the same.
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
        """Logits of each stream by its own classifier; FE images are optional."""
        with self.precision(au_images.device):
            if fe_images is None:
                features = self.features(au_images)
            elif self.separate_streams:
                features = torch.cat([self.features(au_images), self.features(fe_images)])
            else:
                features = self.features(torch.cat([au_images, fe_images]))
            return self.classify(features, len(au_images))

    def classify(self, features: Tensor, n_au: int) -> Outputs:
        """Each classifier on the features (A + E, C) of its own rows, the first `n_au` and the others."""
        features = features.to(next(self.parameters()).dtype)
        return Outputs(features, _logits(self.head_au, features[:n_au]), _logits(self.head_fe, features[n_au:]))

    def features(self, images: Tensor) -> Tensor:
        """Backbone features (B, C), in the parameters' type."""
        with self.precision(images.device):
            output: Tensor = self.backbone(images.contiguous(memory_format=self.memory_format))
        return output.to(next(self.parameters()).dtype)

    def stages(self, images: Tensor) -> tuple[list[Stage], Tensor]:
        """What every stage makes of images, and the backbone features (B, C): one pass.

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

        A stage is an entry of timm's `feature_info` that is a sequence of blocks (the four of a ResNet, not its
        stem); where no entry is, every entry.

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

    def precision(self, device: torch.device) -> torch.autocast:
        """The autocast that every pass through this net runs under."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.amp)


def _no_stages(backbone: nn.Module) -> UserError:
    return UserError(
        "this method needs a backbone with stages of feature maps",
        found=type(backbone).__name__,
        remedy="choose a convolutional one with --set method.backbone=NAME, for example resnet34",
    )


def _logits(head: nn.Module | None, features: Tensor) -> Tensor:
    """What a classifier says, in the features' type; (B, 0) where there is none."""
    if head is None:
        return features.new_empty(len(features), 0)
    logits: Tensor = head(features)
    return logits.to(features.dtype)


@contextmanager
def batch_norm_buffers_untouched(module: nn.Module) -> Iterator[None]:
    """Passes inside normalise with the statistics of their batch and leave the running statistics alone (A5).

    In training mode a batch-norm layer that tracks nothing gets no running statistics to move, and no tensor
    that forward-mode differentiation could touch in place.
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
    """Passes inside run in evaluation mode; the mode before is restored."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


@contextmanager
def full_precision(net: BaseNet) -> Iterator[None]:
    """Passes inside run without autocast; the setting before is restored."""
    amp = net.amp
    net.amp = False
    try:
        yield
    finally:
        net.amp = amp


@contextmanager
def virtual_pass(net: BaseNet) -> Iterator[None]:
    """Passes inside leave running statistics alone and can be differentiated in forward mode.

    Neither fused attention nor batch norm under autocast has a forward-mode derivative that torch can use: plain
    attention and full precision have.
    """
    with batch_norm_buffers_untouched(net), full_precision(net), sdpa_kernel(SDPBackend.MATH):
        yield


def build_net(
    backbone: str,
    weights: str,
    *,
    n_aus: int,
    n_emotions: int,
    image_size: int = 224,
    separate_streams: bool = False,
    channels_last: bool = False,
    amp: bool = False,
) -> BaseNet:
    """A base net over the timm model `backbone`.

    Args:
        backbone: Any timm model name, with or without the tag of its weights.
        weights: `scratch`, `pretrained`, or the path of a .safetensors or .pth file with the backbone's weights;
            classifier weights in it are ignored.
        n_aus: J.
        n_emotions: Q, or 0.
        image_size: Side of the images in pixels.
        separate_streams: See `BaseNet`.
        channels_last: See `BaseNet`.
        amp: See `BaseNet`.

    Raises:
        UserError: No such model, or none for images of this size; the weights cannot be downloaded or read, or do
            not fit the model.
    """
    check_backbone(backbone, weights)
    if weights == PRETRAINED:
        model = _pretrained(backbone, image_size)
    else:
        model = _create(backbone.split(".", maxsplit=1)[0], image_size)
    if weights not in (SCRATCH, PRETRAINED):
        _load_backbone_file(model, Path(weights))
    return BaseNet(
        model,
        _feature_dim(model, backbone, image_size),
        n_aus,
        n_emotions,
        separate_streams=separate_streams,
        channels_last=channels_last,
        amp=amp,
    )


def check_backbone(backbone: str, weights: str) -> None:
    """Refuse a backbone that timm does not have, and a file of weights that is not there.

    Raises:
        UserError: Either.
    """
    architecture = backbone.split(".", maxsplit=1)[0]
    if not timm.is_model(architecture):
        raise UserError(f"unknown timm backbone '{backbone}'", remedy=_suggest_backbone(architecture))
    if weights not in (SCRATCH, PRETRAINED) and not Path(weights).is_file():
        raise UserError(
            "no file of backbone weights",
            where=weights,
            expected="scratch, pretrained, or a .safetensors or .pth file",
            found="no such file",
            remedy="check --set method.weights=...",
        )


def _create(name: str, image_size: int, **kwargs: bool) -> nn.Module:
    # Transformers are built for one image size; convolutional networks take any and refuse the argument.
    try:
        model: nn.Module = timm.create_model(name, num_classes=0, img_size=image_size, **kwargs)
    except TypeError:
        model = timm.create_model(name, num_classes=0, **kwargs)
    return model


def _feature_dim(model: nn.Module, backbone: str, image_size: int) -> int:
    """Width of the features, by trial: for some models timm's `num_features` is the width before the last layer."""
    try:
        with torch.no_grad(), evaluation_mode(model):
            shape = model(torch.zeros(1, 3, image_size, image_size)).shape
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"the backbone '{backbone}' takes no images of {image_size} x {image_size} pixels",
            found=str(error).splitlines()[0][:160] if str(error) else type(error).__name__,
            remedy="choose another --set method.backbone=NAME or data.crop_size=PIXELS",
        ) from error
    return int(shape[1])


def _pretrained(backbone: str, image_size: int) -> nn.Module:
    try:
        model = _create(backbone, image_size, pretrained=True)
    except Exception as error:  # timm, its hub client and the network raise types of their own
        raise UserError(
            f"the pretrained weights of '{backbone}' cannot be had",
            where=f"timm.create_model({backbone!r}, pretrained=True)",
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            remedy="connect to the internet; or fetch the file elsewhere and say --set method.weights=FILE; "
            "or train from random weights with --set method.weights=scratch",
        ) from error
    return model


def _load_backbone_file(model: nn.Module, file: Path) -> None:
    try:
        if file.suffix == ".safetensors":
            state = load_file(file)
        else:
            # weights_only: nothing in the file is executed
            state = torch.load(file, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, AttributeError, KeyError) as error:
        raise _unreadable(file, error) from error
    except Exception as error:
        # torch raises pickle.UnpicklingError for a file that holds more than weights
        raise _unreadable(file, error) from error
    own = model.state_dict()
    # timm's own names, or those of a trial's model.safetensors
    given = {name.removeprefix("net.").removeprefix("backbone."): tensor for name, tensor in state.items()}
    absent = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    wrong = [name for name in own if name in given and given[name].shape != own[name].shape]
    if absent or wrong:
        name = (absent or wrong)[0]
        raise UserError(
            "the file of backbone weights does not fit the backbone",
            where=file,
            expected=f"{len(own)} tensors with timm's names, among them {name} {tuple(own[name].shape)}",
            found=f"{len(absent)} missing, {len(wrong)} of another shape",
            remedy="choose the backbone that the file was made for, with --set method.backbone=NAME",
        )
    model.load_state_dict({n: given.get(n, own[n]) for n in own})


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(
        "the file of backbone weights cannot be read",
        where=file,
        expected="tensors alone, as safetensors or as a .pth state dict",
        found=str(error).splitlines()[0][:160] if str(error) else type(error).__name__,
        remedy="save it as safetensors: safetensors.torch.save_file(model.state_dict(), FILE)",
    )


def _suggest_backbone(name: str) -> str:
    near = did_you_mean(name, timm.list_models())
    return near.split(" known:")[0] if near.startswith("did you mean") else "list the names with timm.list_models()"
