"""Rows of Table 3 that are STL on another backbone: one line of a profile each."""

from __future__ import annotations

import pytest
import torch

from benchmark.config.profile import load_profile
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.datasets.gft.protocol import GFT
from benchmark.paper.tables import paper_table
from methods import discover
from methods.build import build_net
from tests.grids import expanded

REGISTRY = discover()


def trials(*rows: str, **methods: tuple[str, ...]) -> list[Trial]:
    profile, changed = load_profile("paper", ["method.weights=scratch"])
    return expanded(GFT, profile, changed, REGISTRY, ("a", "b"), rows=rows, seeds=(0,), **methods)


def test_a_row_is_stl_on_its_backbone() -> None:
    (stl,) = trials(methods=("stl",))
    fifty, alex = trials("ResNet-50", "AlexNet")
    assert (fifty.method, fifty.row, fifty.hparams["backbone"]) == ("stl", "ResNet-50", "resnet50.tv_in1k")
    assert (alex.method, alex.row, alex.hparams["backbone"]) == ("stl", "AlexNet", "alexnet")
    assert {paper_table("gft").row(trial.row) is not None for trial in (fifty, alex)} == {True}
    assert len({stl.key, fifty.key, alex.key}) == 3
    # They stand in one table, so they share what all methods share.
    assert stl.shared_digest == fifty.shared_digest == alex.shared_digest
    assert len({stl.own_digest, fifty.own_digest, alex.own_digest}) == 3
    assert [t.row for t in trials("AlexNet", methods=("stl",))] == ["", "AlexNet"]


def test_an_unknown_row_is_told() -> None:
    with pytest.raises(UserError, match="no row 'ResNet50'") as caught:
        trials("ResNet50")
    assert "ResNet-50" in str(caught.value)


def test_alexnet_is_torchvisions_without_its_classifier() -> None:
    net = build_net("alexnet", "scratch", n_aus=10, n_emotions=7, image_size=64)
    assert net.feature_dim == 4096
    backbone = sum(p.numel() for p in net.backbone.parameters())
    assert backbone == 61_100_840 - (4096 * 1000 + 1000)  # AlexNet in torchvision's documentation
    outputs = net(torch.randn(2, 3, 64, 64), torch.randn(3, 3, 64, 64))
    assert (outputs.au_logits.shape, outputs.fe_logits.shape) == ((2, 10), (3, 7))
    with pytest.raises(UserError, match="takes no images of 32 x 32"):
        build_net("alexnet", "scratch", n_aus=10, n_emotions=0, image_size=32)
