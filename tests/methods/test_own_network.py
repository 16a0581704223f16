"""A network of the user in place of a timm model."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.core.errors import UserError
from methods import discover, names
from methods.backbone import BaseNet
from methods.base import Finished, Method, Stream, TaskSpec
from methods.build import build_net
from tests.methods.planted import AUS, EMOTIONS, only, planted
from tests.methods.tiny import TinyBackbone

CPU = torch.device("cpu")


def small_cnn() -> nn.Module:
    """Convolution, batch norm and ReLU, twice: images (B, 3, H, W) to maps (B, 16, H/4, W/4)."""
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
    )


def make(name: str, network: nn.Module, **hparams: object) -> Method:
    cls = discover().any(name)
    settings = {"optimizer": "sgd", "lr": 0.01, **hparams}
    before = {}
    for role, stage in cls.prerequisites.items():
        source = make(stage.name, network)
        before[role] = Finished(source.hparams, source.state_dict(), network)
    labels = torch.ones(6, len(AUS), dtype=torch.int8)
    spec = TaskSpec(AUS, EMOTIONS, steps=3, au_val_labels=labels, image_size=32, prerequisites=before)
    return cls.build(cls.HParams.model_validate(settings), spec, CPU, backbone=network).train()


def train(method: Method, steps: int = 3) -> list[dict[str, Tensor]]:
    return [method.update(only(method, planted(t)), t) for t in range(steps)]


@pytest.mark.parametrize("pooled", [False, True], ids=["maps", "features"])
@pytest.mark.parametrize("name", ["mal", "mtl"])
def test_mal_and_mtl_train_a_small_cnn(name: str, pooled: bool) -> None:
    network = small_cnn()
    if pooled:
        network = nn.Sequential(network, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    method = make(name, network)
    assert method.net.feature_dim == 16
    before = {n: p.detach().clone() for n, p in method.net.named_parameters()}
    for told in train(method):
        assert all(value.isfinite() for value in told.values())
    assert all(not torch.equal(p, before[n]) for n, p in method.net.named_parameters())
    assert method.eval().predict(planted(9)[Stream.AU].images).shape == (12, 12)


def test_maps_are_averaged_over_their_positions() -> None:
    network, images = small_cnn(), torch.randn(4, 3, 32, 32)
    net = build_net(network, "scratch", n_aus=12, n_emotions=7, image_size=32)
    assert torch.equal(net.features(images), network(images).mean((2, 3)))


def test_methods_start_from_one_network_and_leave_it_as_it_is() -> None:
    network = small_cnn()
    start = {n: t.clone() for n, t in network.state_dict().items()}
    one, two = make("mtl", network), make("mal", network)
    train(one)
    assert all(torch.equal(tensor, start[n]) for n, tensor in network.state_dict().items())
    assert all(torch.equal(tensor, start[n]) for n, tensor in two.net.backbone.state_dict().items())


@pytest.mark.parametrize("name", [*names(), *names("stage")])
def test_every_method_takes_a_network_with_stages(name: str) -> None:
    if name == "mtl_oracle":
        pytest.skip("needs the ground truth of the stand-in")
    method = make(name, TinyBackbone())
    told = train(method)
    assert all(value.isfinite() for scalars in told for value in scalars.values())


@pytest.mark.parametrize("name", ["mtan", "l2t_ww"])
def test_methods_of_stages_refuse_a_network_without(name: str) -> None:
    with pytest.raises(UserError, match="needs a backbone with stages of feature maps") as caught:
        make(name, small_cnn())
    assert caught.value.found == "Sequential"
    assert "feature_info" in str(caught.value.remedy)


def test_the_source_of_l2t_ww_is_the_same_network() -> None:
    method = make("l2t_ww", TinyBackbone())
    source = cast(BaseNet, method.source)
    assert isinstance(source.backbone, TinyBackbone)
    assert source.backbone is not method.net.backbone


def test_weights_from_a_file_fit_by_the_names_of_the_network(tmp_path: Path) -> None:
    other = small_cnn()
    nn.init.constant_(cast(nn.Conv2d, other[0]).weight, 0.5)  # type: ignore[index]
    save_file(other.state_dict(), tmp_path / "own.safetensors")
    method = make("mtl", small_cnn(), weights=str(tmp_path / "own.safetensors"))
    loaded = method.net.backbone.state_dict()
    assert all(torch.equal(tensor, loaded[n]) for n, tensor in other.state_dict().items())
    with pytest.raises(UserError, match="no file of backbone weights"):
        make("mtl", small_cnn(), weights=str(tmp_path / "none.safetensors"))


class Two(nn.Module):
    """A network with two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.network = small_cnn()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(images), images


def test_networks_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(UserError, match="the backbone 'Two' gives no features"):
        make("mtl", Two())
    with pytest.raises(UserError, match="the backbone 'Linear' takes no images of 32 x 32"):
        make("mtl", nn.Linear(5, 4))
    frozen = small_cnn()
    next(frozen.parameters()).requires_grad_(False)
    with pytest.raises(UserError, match="partly frozen") as caught:
        make("mtl", frozen)
    assert caught.value.found == "1 frozen parameters, among them 0.weight"
    with pytest.raises(UserError, match="no pretrained weights for the network 'Sequential'"):
        make("mtl", small_cnn(), weights="pretrained")
