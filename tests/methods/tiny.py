"""The small network of the reference numbers (tests/oracle/README.md)."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor, nn

from methods.backbone import BaseNet


class TinyBackbone(nn.Module):
    """Three stages of 3x3 convolution, batch norm and ReLU, then global average pooling: 9 features."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 5, 7, 9)
        for i, stride in enumerate((1, 2, 2)):
            self.add_module(f"conv{i}", nn.Conv2d(widths[i], widths[i + 1], 3, stride, 1, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(widths[i + 1]))

    def forward(self, x: Tensor) -> Tensor:
        for i in range(3):
            x = torch.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x)))
        return x.mean((2, 3))


def recipe(name: str, shape: tuple[int, ...]) -> Tensor:
    """The weights that the reference gives to the tensor `name`, float64."""
    a = np.random.RandomState(zlib.crc32((name + "|0").encode())).uniform(-1, 1, size=shape)
    if name.endswith("running_var"):
        a = 1 + 0.5 * a
    elif name.endswith("running_mean"):
        a = 0.1 * a
    elif len(shape) >= 2:
        a = a * np.sqrt(1.5 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        a = 1 + 0.2 * a
    else:
        a = 0.1 * a
    return torch.from_numpy(a)


def reference_name(name: str) -> str:
    """Our parameter name in the spelling of the reference."""
    return name.replace("head_au.", "head.AU.").replace("head_fe.", "head.FE.")


def tiny_net() -> BaseNet:
    """The reference network in float64 with the recipe's weights, in training mode."""
    net = BaseNet(TinyBackbone(), 9, n_aus=4, n_emotions=3).double()
    state = net.state_dict()
    filled = {
        name: recipe(reference_name(name), tuple(t.shape)) if t.is_floating_point() else t for name, t in state.items()
    }
    net.load_state_dict(filled)
    return net.train()
