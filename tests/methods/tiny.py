"""The small networks of the reference numbers (tests/oracle/README.md)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from methods.backbone import BaseNet
from tests.methods.oracle import fill


class TinyBackbone(nn.Module):
    """Stages of 3x3 convolution, batch norm and ReLU, then global average pooling; a stage ends at its ReLU."""

    def __init__(self, widths: Sequence[int] = (5, 7, 9)) -> None:
        super().__init__()
        into = (3, *widths[:-1])
        for i, stride in enumerate((1, 2, 2)):
            self.add_module(f"conv{i}", nn.Conv2d(into[i], widths[i], 3, stride, 1, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(widths[i]))
            self.add_module(f"act{i}", nn.ReLU())
        self.feature_info = [{"module": f"act{i}", "num_chs": width} for i, width in enumerate(widths)]

    def forward(self, x: Tensor) -> Tensor:
        for i in range(3):
            for layer in ("conv", "bn", "act"):
                x = self.get_submodule(f"{layer}{i}")(x)
        return x.mean((2, 3))


def reference_name(name: str) -> str:
    """Our parameter name in the spelling of the reference."""
    return name.replace("head_au.", "head.AU.").replace("head_fe.", "head.FE.")


def tiny_net() -> BaseNet:
    """The reference network of MAL in float64 with the recipe's weights, in training mode."""
    net = BaseNet(TinyBackbone(), 9, n_aus=4, n_emotions=3).double()
    fill(net, rename={"head_au.": "head.AU.", "head_fe.": "head.FE."})
    return net.train()
