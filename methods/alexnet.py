"""AlexNet, a row of Table 3, for timm, which has no such model: torchvision's, under timm's way of asking."""

from __future__ import annotations

import timm
from timm.models import register_model
from torch import nn
from torchvision.models import AlexNet_Weights
from torchvision.models import alexnet as torchvision_alexnet


def alexnet(pretrained: bool = False, *, num_classes: int = 1000, **_: object) -> nn.Module:
    """AlexNet (Krizhevsky, 2014), from 63 pixels up; features (B, 4096).

    Args:
        pretrained: With torchvision's ImageNet weights, downloaded.
        num_classes: 0 leaves the classifier out.
        _: What timm says besides, of its own weights and of image sizes.
    """
    model: nn.Module = torchvision_alexnet()
    if pretrained:
        # weights_only: nothing in the file is executed
        state = AlexNet_Weights.DEFAULT.get_state_dict(check_hash=True, weights_only=True)
        model.load_state_dict(state)
    layers = model.get_submodule("classifier")
    assert isinstance(layers, nn.Sequential)
    if num_classes != 1000:
        layers[-1] = nn.Linear(4096, num_classes) if num_classes else nn.Identity()
    return model


def add_backbones() -> None:
    """Let timm know of the models of this file; a second call changes nothing."""
    if not timm.is_model(alexnet.__name__):
        register_model(alexnet)
