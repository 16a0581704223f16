"""Construction of base nets: over a timm model, AlexNet, or a network of the user."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark.core.errors import UserError, did_you_mean
from methods.alexnet import alexnet
from methods.backbone import BaseNet, evaluation_mode
from methods.packaged import load_packaged, packaged_file

SCRATCH, PRETRAINED, PACKAGE = "scratch", "pretrained", "package"
OWN_MODELS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType({"alexnet": alexnet})
"""Models that timm lacks: name to a function (pretrained, num_classes) that makes one."""


def build_net(
    backbone: str | nn.Module,
    weights: str,
    *,
    n_aus: int,
    n_emotions: int,
    image_size: int = 224,
    separate_streams: bool = False,
    channels_last: bool = False,
    amp: bool = False,
) -> BaseNet:
    """A base net over a backbone.

    Args:
        backbone: Name of a timm model, with or without the tag of its weights; or a network that maps images
            (B, 3, H, W) to features (B, C) or to maps (B, C, h, w). The net holds a copy of such a network.
        weights: `scratch`, `pretrained`, `package` (see `methods.packaged`), or the path of a .safetensors or .pth file
            with the backbone's weights. Classifier weights in the file are ignored. With a network of the user,
            `scratch` keeps its weights.
        n_aus: J outputs of the AU classifier, or 0.
        n_emotions: Q outputs of the FE classifier, or 0.
        image_size: Side of the images in pixels.
        separate_streams: See `BaseNet`.
        channels_last: See `BaseNet`.
        amp: See `BaseNet`.

    Returns:
        The net.

    Raises:
        UserError: There is no such model, or it takes no images of this size; the weights cannot be downloaded or
            read, or do not fit the model; or the network of the user is partly frozen or has other outputs.

    Example:
        >>> build_net("resnet18", "scratch", n_aus=12, n_emotions=7, image_size=64).feature_dim
        512
    """
    if isinstance(backbone, nn.Module):
        name, model = type(backbone).__name__, _copy_of(backbone, weights)
    else:
        check_backbone(backbone, weights)
        name = backbone
        model = _pretrained(name, image_size) if weights == PRETRAINED else _create(name, image_size)
        if weights == PACKAGE:
            load_packaged(model, architecture_of(name))
    if weights not in (SCRATCH, PRETRAINED, PACKAGE):
        _load_backbone_file(model, Path(weights))
    return BaseNet(
        model,
        _feature_dim(model, name, image_size),
        n_aus,
        n_emotions,
        separate_streams=separate_streams,
        channels_last=channels_last,
        amp=amp,
    )


def check_backbone(backbone: str, weights: str) -> None:
    """Refuse an unknown name of a backbone, and a file of weights that does not exist.

    Args:
        backbone: Name of a model, with or without the tag of its weights.
        weights: As for `build_net`.

    Raises:
        UserError: There is no such model or no such file, or no package holds weights of this model.
    """
    architecture = architecture_of(backbone)
    if architecture not in OWN_MODELS and not timm.is_model(architecture):
        raise UserError(f"unknown timm backbone '{backbone}'", remedy=_suggest_backbone(architecture))
    if weights == PACKAGE:
        packaged_file(architecture)
    _check_file(weights)


def _check_file(weights: str) -> None:
    if weights not in (SCRATCH, PRETRAINED, PACKAGE) and not Path(weights).is_file():
        raise UserError(
            "no file of backbone weights",
            where=weights,
            expected="scratch, pretrained, package, or a .safetensors or .pth file",
            found="no such file",
            remedy="check --set method.weights=...",
        )


def architecture_of(backbone: str) -> str:
    """Name of a model without the tag of its weights."""
    return backbone.split(".", maxsplit=1)[0]


def _create(backbone: str, image_size: int, *, pretrained: bool = False) -> nn.Module:
    architecture = architecture_of(backbone)
    if architecture in OWN_MODELS:
        return OWN_MODELS[architecture](pretrained=pretrained, num_classes=0)
    name = backbone if pretrained else architecture
    # Transformers are built for one image size; convolutional networks take any and refuse the argument.
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, img_size=image_size)
    except TypeError:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0)
    return model


def _copy_of(network: nn.Module, weights: str) -> nn.Module:
    """A copy of the user's network: methods that start from it neither share nor change its weights."""
    name = type(network).__name__
    if weights in (PRETRAINED, PACKAGE):
        raise UserError(
            f"there are no pretrained weights for the network '{name}'",
            found=f"weights={weights} with a network of your own",
            remedy="choose weights=scratch: the network then keeps the weights that it has",
        )
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    if frozen:
        raise UserError(
            f"the network '{name}' is partly frozen, but a method trains all of it",
            found=f"{len(frozen)} frozen parameters, among them {frozen[0]}",
            remedy="call requires_grad_(True) on the network",
        )
    _check_file(weights)
    return copy.deepcopy(network)


def _feature_dim(model: nn.Module, name: str, image_size: int) -> int:
    """Width of the features, from a trial pass: for some models timm's `num_features` is not their width."""
    device = next((parameter.device for parameter in model.parameters()), None)
    try:
        with torch.no_grad(), evaluation_mode(model):
            output = model(torch.zeros(1, 3, image_size, image_size, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"the backbone '{name}' takes no images of {image_size} x {image_size} pixels",
            found=str(error).splitlines()[0][:160] if str(error) else type(error).__name__,
            remedy="choose another --set method.backbone=NAME or data.crop_size=PIXELS",
        ) from error
    if not isinstance(output, Tensor) or output.ndim not in (2, 4) or len(output) != 1:
        raise UserError(
            f"the backbone '{name}' gives no features",
            expected="a tensor (B, C) or (B, C, h, w) for images (B, 3, H, W)",
            found=f"shape {tuple(output.shape)} for one image" if isinstance(output, Tensor) else type(output).__name__,
            remedy="let its forward return one vector, or one map with channels first, for each image",
        )
    return int(output.shape[1])


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
            # weights_only: no code in the file is executed
            state = torch.load(file, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, AttributeError, KeyError) as error:
        raise _unreadable(file, error) from error
    except Exception as error:
        # torch raises pickle.UnpicklingError for a file that holds more than weights.
        raise _unreadable(file, error) from error
    needed = model.state_dict()
    # Names are the backbone's own, or those in a trial's model.safetensors.
    given = {name.removeprefix("net.").removeprefix("backbone."): tensor for name, tensor in state.items()}
    absent = [name for name in needed if name not in given and not name.endswith("num_batches_tracked")]
    wrong = [name for name in needed if name in given and given[name].shape != needed[name].shape]
    if absent or wrong:
        name = (absent or wrong)[0]
        raise UserError(
            "the file of backbone weights does not fit the backbone",
            where=file,
            expected=f"{len(needed)} tensors with the backbone's names, among them {name} {tuple(needed[name].shape)}",
            found=f"{len(absent)} missing, {len(wrong)} of another shape",
            remedy="choose the backbone that the file was made for, with --set method.backbone=NAME",
        )
    model.load_state_dict({n: given.get(n, needed[n]) for n in needed})


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(
        "the file of backbone weights cannot be read",
        where=file,
        expected="tensors alone, as safetensors or as a .pth state dict",
        found=str(error).splitlines()[0][:160] if str(error) else type(error).__name__,
        remedy="save it as safetensors: safetensors.torch.save_file(model.state_dict(), FILE)",
    )


def _suggest_backbone(name: str) -> str:
    near = did_you_mean(name, [*timm.list_models(), *OWN_MODELS])
    return near.split(" known:")[0] if near.startswith("did you mean") else "list the names with timm.list_models()"
