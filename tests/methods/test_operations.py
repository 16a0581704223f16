"""Sizes of networks and steps in the claims, counted anew."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.config.profile import load_profile
from benchmark.paper.budget import BATCH, network_size
from benchmark.trials.expand import method_hparams
from methods import discover
from methods.base import Batch, Method, Samples, Stream, TaskSpec

SIDE, AUS, EMOTIONS = 224, 12, 7
PARTS = {Stream.AU: BATCH, Stream.FE: BATCH, Stream.AU_VAL: 256}
SMALLER = 32
"""The count is linear in the batch; a batch of this fraction takes seconds."""


def made(name: str) -> Method:
    """A method under profile `paper`, with random weights."""
    registry = discover()
    profile, _ = load_profile("paper", ["method.weights=scratch"])
    spec = TaskSpec(
        aus=tuple(f"AU{i}" for i in range(AUS)),
        emotions=tuple(f"class {i}" for i in range(EMOTIONS)),
        steps=1,
        au_val_labels=torch.randint(0, 2, (64, AUS), dtype=torch.int8),
    )
    return registry[name].build(method_hparams(profile, name, registry), spec, torch.device("cpu"))


def count(name: str) -> dict[str, int]:
    method = made(name)
    images = torch.randn(1, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as kept, torch.no_grad():
        method.predict(images)
    batch: Batch = {}
    for stream in sorted(method.streams):
        rows = PARTS[stream] // SMALLER
        labels = torch.randint(0, EMOTIONS, (rows,)) if stream is Stream.FE else torch.ones(rows, AUS, dtype=torch.int8)
        batch[stream] = Samples(torch.randn(rows, 3, SIDE, SIDE), labels)
    with FlopCounterMode(display=False) as step:
        method.update(batch, 0)
    net = method.net
    assert net.head_au is not None
    kept_modules = (net.backbone, net.head_au)
    return {
        "parameters": sum(int(p.numel()) for module in kept_modules for p in module.parameters()),
        "operations": kept.get_total_flops(),
        "step": SMALLER * step.get_total_flops(),
    }


@pytest.mark.parametrize(("method", "row"), [("stl", "STL"), ("mal", "MAL")])
def test_sizes_are_those_counted(method: str, row: str) -> None:
    counted = count(method)
    assert counted == {name: network_size(row, name) for name in counted}
