"""AlexNet, a row of Table 3: torchvision's model, since timm has none."""

from __future__ import annotations

from torch import nn
from torchvision.models import AlexNet_Weights
from torchvision.models import alexnet as torchvision_alexnet


def alexnet(*, pretrained: bool = False, num_classes: int = 1000) -> nn.Module:
    """AlexNet (Krizhevsky, 2014) for images from 63 pixels up, with features (B, 4096).

    Args:
        pretrained: Load torchvision's ImageNet weights, which are downloaded.
        num_classes: Outputs of the classifier; 0 for none.

    Returns:
        Images (B, 3, H, W) to logits (B, `num_classes`), or to features (B, 4096).
    """
    model: nn.Module = torchvision_alexnet()
    if pretrained:
        # weights_only: no code in the file is executed
        state = AlexNet_Weights.DEFAULT.get_state_dict(check_hash=True, weights_only=True)
        model.load_state_dict(state)
    layers = model.get_submodule("classifier")
    assert isinstance(layers, nn.Sequential)
    if num_classes != 1000:
        layers[-1] = nn.Linear(4096, num_classes) if num_classes else nn.Identity()
    return model
