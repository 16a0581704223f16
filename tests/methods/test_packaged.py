"""ImageNet weights from a package: the same function as a forward pass written from the file's own names."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmark.core.errors import UserError
from methods import packaged
from methods.build import build_net
from tests.methods.planted import make, only, planted

NAME = "tf_efficientnet_lite0"
# Repeats, kernel, stride of each group of blocks (Tan & Le 2019, Table 1; lite models have the same groups).
GROUPS = ((1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1))


def written_out(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Features (N, 1280) of images (N, 3, H, W), from the tensors of the file by its own names."""

    def conv(x: Tensor, name: str, norm: str, *, stride: int = 1, depthwise: bool = False, act: bool = True) -> Tensor:
        weight = state[f"{name}.weight"]
        # As TensorFlow pads: as many outputs as strides fit, the odd pixel at the end.
        sizes = zip(x.shape[:1:-1], weight.shape[:1:-1], strict=True)
        total = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size, kernel in sizes]
        x = functional.pad(x, [side for pad in total for side in (pad // 2, pad - pad // 2)])
        x = functional.conv2d(x, weight, stride=stride, groups=x.shape[1] if depthwise else 1)
        mean, var, gain, bias = (
            state[f"{norm}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / torch.sqrt(var + 1e-3) * gain + bias
        return x.clamp(0, 6) if act else x

    x, block = conv(images, "_conv_stem", "_bn0", stride=2), 0
    for repeats, _, first in GROUPS:
        for k in range(repeats):
            at, stride, before = f"_blocks.{block}", first if k == 0 else 1, x
            if f"{at}._expand_conv.weight" in state:
                x = conv(x, f"{at}._expand_conv", f"{at}._bn0")
            x = conv(x, f"{at}._depthwise_conv", f"{at}._bn1", stride=stride, depthwise=True)
            x = conv(x, f"{at}._project_conv", f"{at}._bn2", act=False)
            x = x + before if k > 0 else x
            block += 1
    return conv(x, "_conv_head", "_bn1").mean(dim=(2, 3))


def images() -> Tensor:
    ramp = torch.linspace(-1, 1, 64)
    return torch.stack([ramp[:, None] * ramp, ramp[None].expand(64, 64), (3 * ramp).sin()[:, None].expand(64, 64)])[
        None
    ]


needs_package = pytest.mark.skipif(
    importlib.util.find_spec(packaged.PACKAGED[NAME].module) is None, reason="needs the package"
)


@needs_package
@pytest.mark.parametrize("name", ["stl", "mtan", "l2t_ww", "mal"])
def test_methods_of_every_need_start_from_it_and_learn(name: str) -> None:
    pairs = {"pairs": ((2, 2),)} if name == "l2t_ww" else {}
    method = make(name, backbone=NAME, weights="package", **pairs)
    start = torch.load(packaged.packaged_file(NAME), weights_only=True)["_conv_stem.weight"]
    stem = method.net.backbone.get_parameter("conv_stem.weight")
    assert torch.equal(stem, start)
    batch = only(method, planted(0, count=4))
    for step in range(2):
        assert all(bool(value.isfinite()) for value in method.update(batch, step).values())
    assert not torch.equal(stem, start)


@needs_package
def test_the_backbone_computes_what_the_file_says() -> None:
    file = packaged.packaged_file(NAME)
    state = torch.load(file, weights_only=True)
    net = build_net(NAME, "package", n_aus=12, n_emotions=7, image_size=64)
    assert sum("num_batches" not in name for name in state) == 247
    assert len(net.backbone.state_dict()) == len(state) - 2
    with torch.no_grad():
        net.eval()
        ours = net.backbone(images())
        theirs = written_out(state, images())
    assert theirs.std() > 0.1
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_another_backbone_is_refused_with_those_that_have_weights() -> None:
    with pytest.raises(UserError, match="no package holds weights of the backbone 'resnet34'") as caught:
        build_net("resnet34.tv_in1k", "package", n_aus=12, n_emotions=7, image_size=64)
    assert NAME in str(caught.value)


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="is not installed") as caught:
        build_net(NAME, "package", n_aus=12, n_emotions=7, image_size=64)
    assert "mal-benchmark[imagenet]" in str(caught.value)


def test_another_file_in_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / packaged.PACKAGED[NAME].file
    file.parent.mkdir()
    file.write_bytes(b"other weights")
    spec = importlib.util.spec_from_file_location("fake", tmp_path / "__init__.py")
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match="holds other weights"):
        packaged.packaged_file(NAME)
