"""The base net, and where its weights come from."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from benchmark.core.errors import UserError
from methods.backbone import batch_norm_buffers_untouched, evaluation_mode
from methods.build import build_net


def small(weights: str = "scratch", backbone: str = "test_resnet", **kwargs: bool):
    return build_net(backbone, weights, n_aus=12, n_emotions=7, **kwargs)


# mobilenetv3: features are wider than timm's `num_features`; vit: built for one image size.
@pytest.mark.parametrize("backbone", ["resnet34", "resnet34.tv_in1k", "test_vit", "mobilenetv3_small_050"])
def test_any_timm_name(backbone: str) -> None:
    size = 64
    net = build_net(backbone, "scratch", n_aus=12, n_emotions=7, image_size=size)
    out = net(torch.randn(2, 3, size, size), torch.randn(3, 3, size, size))
    assert out.features.shape == (5, net.feature_dim)
    assert out.au_logits.shape == (2, 12)
    assert out.fe_logits.shape == (3, 7)


def test_resnet34_has_the_papers_size() -> None:
    net = build_net("resnet34", "scratch", n_aus=12, n_emotions=7)
    assert net.feature_dim == 512  # §4.1.2
    assert sum(p.numel() for p in net.backbone.parameters()) == 21_284_672


def test_an_unknown_backbone_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown timm backbone 'resnet_34'") as caught:
        small(backbone="resnet_34")
    assert caught.value.remedy is not None
    assert "did you mean 'resnet34'?" in caught.value.remedy


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_weights_from_a_local_file(tmp_path: Path, ending: str) -> None:
    torch.manual_seed(5)
    source = timm.create_model("test_resnet", num_classes=10)  # its classifier is ignored
    file = tmp_path / f"weights{ending}"
    save = save_file if ending == ".safetensors" else torch.save
    save(source.state_dict(), file)
    loaded = small(str(file)).backbone.state_dict()
    assert all(torch.equal(loaded[name], source.state_dict()[name]) for name in loaded)


def test_weights_of_another_model_a_missing_file_and_a_pickle_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(timm.create_model("resnet18", num_classes=0).state_dict(), file)
    with pytest.raises(UserError, match="does not fit the backbone"):
        small(str(file))
    with pytest.raises(UserError, match="no file of backbone weights"):
        small(str(tmp_path / "nothing.safetensors"))
    evil = tmp_path / "w.pth"
    evil.write_bytes(pickle.dumps({"x": Path("/")}))
    with pytest.raises(UserError, match="cannot be read"):
        small(str(evil))
    (tmp_path / "x.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be read"):
        small(str(tmp_path / "x.safetensors"))


def test_a_download_that_is_impossible_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("methods.build.timm.create_model", offline)
    with pytest.raises(UserError, match="cannot be had") as caught:
        small("pretrained")
    assert caught.value.remedy is not None
    assert "method.weights=FILE" in caught.value.remedy


def test_separate_streams_differ_from_one_pass_only_by_batch_norm() -> None:
    torch.manual_seed(0)
    one = small()
    two = small(separate_streams=True)
    two.load_state_dict(one.state_dict())
    au, fe = torch.randn(4, 3, 48, 48), 2 * torch.randn(4, 3, 48, 48) + 1
    assert not torch.allclose(one(au, fe).au_logits, two(au, fe).au_logits, atol=1e-3)
    with evaluation_mode(one), evaluation_mode(two):
        two.load_state_dict(one.state_dict())
        assert torch.allclose(one(au, fe).au_logits, two(au, fe).au_logits, atol=1e-5)
    assert one.training
    assert two.training


def test_buffers_stay_and_outputs_are_those_of_training_mode() -> None:
    net = small()
    images = torch.randn(4, 3, 48, 48)
    before = {n: b.clone() for n, b in net.named_buffers()}
    with batch_norm_buffers_untouched(net):
        inside = net(images).au_logits
    assert all(torch.equal(b, before[n]) for n, b in net.named_buffers())
    assert torch.equal(inside, net(images).au_logits)
    assert not all(torch.equal(b, before[n]) for n, b in net.named_buffers())


def test_bfloat16_changes_little_and_returns_float32() -> None:
    torch.manual_seed(0)
    exact = small().eval()
    rough = small(amp=True).eval()
    rough.load_state_dict(exact.state_dict())
    images = torch.randn(4, 3, 48, 48)
    a, b = exact(images).au_logits, rough(images).au_logits
    assert b.dtype == torch.float32
    assert not torch.equal(a, b)
    assert (a - b).abs().max() < 0.05 * a.abs().max()
