"""What a grid is said to take: against what trials took, and refused where it cannot fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark import preflight
from benchmark.errors import UserError
from benchmark.preflight import Needs, check, existing, kept_bytes, needs
from benchmark.profile import load_profile
from benchmark.protocol import BP4D
from benchmark.trial import Trial, expand
from methods import discover
from methods.backbone import BaseNet, build_net

REGISTRY = discover()
CPU = torch.device("cpu")


def trials(*methods: str, **settings: object) -> list[Trial]:
    chosen = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    profile, changed = load_profile("standin", chosen)
    return expand(BP4D, profile, changed, REGISTRY, ("a", "b"), methods=methods, parts=("part1",))


def test_kept_activations_by_hand() -> None:
    """A convolution keeps its input, batch norm its input and two statistics a channel, ReLU its output."""

    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.act = nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.act(self.norm(self.conv(x))).mean((2, 3))
            return result

    net = BaseNet(Three(), 8, n_aus=1, n_emotions=0).to("meta").train()
    count, side = 2, 16
    pixels = count * side * side
    at_least = 4 * pixels * (3 + 8 + 8)
    assert at_least <= kept_bytes(net, count, side) <= 1.05 * at_least


def test_it_is_of_the_order_of_what_autograd_holds() -> None:
    """The same passes on the CPU, every tensor that is saved counted by what it holds."""
    made = build_net("resnet18", "scratch", n_aus=12, n_emotions=7, image_size=64, separate_streams=False)
    own = {p.untyped_storage().data_ptr() for p in (*made.parameters(), *made.buffers())}
    seen: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        out = made.backbone(torch.randn(2, 3, 64, 64))
    assert out is not None
    assert kept_bytes(made.to("meta"), 2, 64) == pytest.approx(sum(seen.values()), rel=0.05)


def test_needs_grow_with_what_makes_them_grow() -> None:
    small, large = (needs(trials("mal", train__batch_val=n), REGISTRY, 1000) for n in (64, 256))
    assert large.memory > 2 * small.memory
    assert large.disk == small.disk
    assert needs(trials("mal", "mtl"), REGISTRY, 1000).disk > small.disk
    assert needs(trials("mtl"), REGISTRY, 10**6).disk - needs(trials("mtl"), REGISTRY, 0).disk == 76 * 10**6
    assert small.largest.startswith("bp4d mal")


def test_what_cannot_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "not/there/yet"
    check(Needs(1, 1, "x"), runs, CPU)
    assert existing(runs) == tmp_path
    with pytest.raises(UserError, match="the disk is too small"):
        check(Needs(2**60, 1, "x"), runs, CPU)
    monkeypatch.setattr(preflight, "device_memory", lambda device: 2**30)
    with pytest.raises(UserError, match="too little memory for a step") as caught:
        check(Needs(1, 2**31, "bp4d mal"), runs, CPU)
    assert caught.value.where == "bp4d mal"
    monkeypatch.setattr(preflight, "device_memory", lambda device: None)
    check(Needs(1, 2**60, "x"), runs, CPU)
