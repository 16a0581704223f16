"""Second derivatives with the kernels of the first: the values of torch's own double backward."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.backbone import batch_norm_buffers_untouched
from methods.meta_gradient import Slopes
from methods.second_order import second_derivatives


def noisy(name: str, dtype: torch.dtype) -> nn.Module:
    """A model whose batch norm has other scales than the ones and zeros of its start."""
    net = timm.create_model(name, num_classes=5).to(dtype).train()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


def hessian_product(net: nn.Module, images: Tensor, along: list[Tensor], *, fast: bool) -> tuple[Tensor, Tensor]:
    """Gradient of a loss, and its Hessian along a direction, flat."""
    parameters = list(net.parameters())
    with batch_norm_buffers_untouched(net), second_derivatives() if fast else nullcontext():
        loss = F.cross_entropy(net(images), torch.arange(len(images)) % 5)
    grads = torch.autograd.grad(loss, parameters, create_graph=True)
    product = torch.autograd.grad(grads, parameters, along)
    return torch.cat([g.detach().flatten() for g in grads]), torch.cat([h.flatten() for h in product])


# Plain and strided convolutions with and without bias, depthwise ones, and squeeze-and-excitation.
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_byobnet"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_product_is_that_of_double_backward(name: str, dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    net, images = noisy(name, dtype), torch.randn(6, 3, 40, 40, dtype=dtype)
    along = [torch.randn_like(p) for p in net.parameters()]
    grads, product = hessian_product(net, images, along, fast=True)
    expected_grads, expected = hessian_product(net, images, along, fast=False)
    assert torch.equal(grads, expected_grads)
    assert (product - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("frozen", ["weight", "bias", "input"])
def test_an_argument_without_gradient(frozen: str) -> None:
    torch.manual_seed(0)
    given = {
        "input": torch.randn(4, 2, 6, 6, dtype=torch.float64),
        "weight": torch.randn(3, 2, 3, 3, dtype=torch.float64),
        "bias": torch.randn(3, dtype=torch.float64),
    }
    free = {name: tensor.requires_grad_() for name, tensor in given.items() if name != frozen}
    products = []
    for context in (second_derivatives(), nullcontext()):
        with context:
            loss = F.conv2d(**given, stride=2, padding=1).pow(3).sum()
        grads = torch.autograd.grad(loss, list(free.values()), create_graph=True)
        slope = sum((g.square().sum() for g in grads), torch.zeros((), dtype=torch.float64))
        products.append(torch.autograd.grad(slope, list(free.values())))
    for ours, theirs in zip(*products, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_step_of_a_path_uses_them() -> None:
    """Batch norm of the kept step is none of torch's own double backward."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    images = torch.randn(4, 1, 5, 5)
    theta = dict(net.named_parameters())
    loss_of = lambda at, _: torch.func.functional_call(net, at, (images,)).pow(3).sum()  # noqa: E731
    slopes, _ = Slopes.at(loss_of, theta, {})
    with torch.profiler.profile() as profiled:
        of_phi, of_theta = slopes.along({name: torch.ones_like(p) for name, p in theta.items()})
    assert of_phi == {}
    assert of_theta.keys() == theta.keys()
    names = {event.key for event in profiled.key_averages()}
    assert "aten::native_batch_norm_backward" in names
    assert not any("NativeBatchNormBackwardBackward" in name for name in names)
