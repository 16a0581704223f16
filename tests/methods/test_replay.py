"""A replayed pass against torch's own forward mode, against finite differences, and by the count of its operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.utils.flop_counter import FlopCounterMode

from benchmark.core.errors import UserError
from methods.backbone import batch_norm_buffers_untouched
from methods.meta_gradient import Params, derivative_along
from methods.replay import Draws, Recording

Function = Callable[[Params], Tensor]


class Inplace(nn.Module):
    """Activations that write into what a convolution put out, without batch norm and with it."""

    def __init__(self, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 5, 3, groups=1)
        self.norm, self.act, self.head = nn.BatchNorm2d(5, affine=False), activation(), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.two(self.act(self.one(x)))).square().mean((2, 3)))


def at_and_along(net: nn.Module, seed: int = 0) -> tuple[Params, Params]:
    generator = torch.Generator().manual_seed(seed)
    at = {n: p.detach() for n, p in net.named_parameters()}
    return at, {
        n: torch.randn(p.shape, generator=generator, dtype=p.dtype) * p.std().nan_to_num(1) for n, p in at.items()
    }


def function_of(net: nn.Module, images: Tensor) -> Function:
    def run(params: Params) -> Tensor:
        with batch_norm_buffers_untouched(net):
            out: Tensor = functional_call(net, params, (images,))
        return out

    return run


def replayed(function: Function, at: Params, along: Params) -> tuple[Tensor, Tensor, Tensor]:
    """Value of the recorded pass, value of the replayed pass, derivative."""
    with Recording() as recording:
        first = function(at)

    def again(params: Params) -> Tensor:
        with recording.replayed():
            return function(params)

    value, derivative = derivative_along(again, at, along)
    assert not recording.kept
    return first, value, derivative


@pytest.mark.parametrize("backbone", ["resnet18", "test_resnet", "vgg11", "efficientnet_b0", "convnext_atto"])
def test_timm_backbones_against_torch(backbone: str) -> None:
    torch.manual_seed(0)
    net = timm.create_model(backbone, num_classes=4).double().train()
    function, (at, along) = function_of(net, torch.randn(3, 3, 40, 40, dtype=torch.float64)), at_and_along(net)
    first, value, derivative = replayed(function, at, along)
    expected, slope = jvp(function, (at,), (along,))
    torch.testing.assert_close(value, first, rtol=1e-12, atol=0)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    assert (derivative - slope).abs().max() <= 1e-10 * slope.abs().max()


@pytest.mark.parametrize("activation", [lambda: nn.ReLU(inplace=True), lambda: nn.SiLU(inplace=True), nn.GELU])
def test_against_finite_differences(activation: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    net = Inplace(activation).double().train()
    function, (at, along) = function_of(net, torch.randn(4, 3, 12, 12, dtype=torch.float64)), at_and_along(net)
    _, _, derivative = replayed(function, at, along)
    step = 1e-6
    up, down = (function({n: p + s * step * along[n] for n, p in at.items()}) for s in (1, -1))
    torch.testing.assert_close(derivative, (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


def test_an_output_that_was_written_to_is_made_again() -> None:
    net = Inplace(lambda: nn.SiLU(inplace=True)).double().train()
    function, (at, along) = function_of(net, torch.randn(4, 3, 12, 12, dtype=torch.float64)), at_and_along(net)
    _, value, derivative = replayed(function, at, along)
    expected, slope = jvp(function, (at,), (along,))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(derivative, slope)


@pytest.mark.parametrize("dims", [2, 4])
def test_batch_norm_of_an_input_without_a_tangent(dims: int) -> None:
    x = torch.randn(6, 3, *[4] * (dims - 2), dtype=torch.float64)
    at = {"w": torch.rand(3, dtype=torch.float64), "b": torch.rand(3, dtype=torch.float64)}
    along = {n: torch.randn_like(p) for n, p in at.items()}

    def function(params: Params) -> Tensor:
        return F.batch_norm(x, None, None, params["w"], params["b"], training=True)

    _, _, derivative = replayed(function, at, along)
    torch.testing.assert_close(derivative, jvp(function, (at,), (along,))[1])


def test_running_statistics_are_used_and_left_alone() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double().eval()
    net[1].running_mean += 0.3
    before = net[1].running_mean.clone()
    function, (at, along) = function_of(net, torch.randn(5, 4, dtype=torch.float64)), at_and_along(net)
    _, _, derivative = replayed(function, at, along)
    torch.testing.assert_close(derivative, jvp(function, (at,), (along,))[1])
    assert torch.equal(net[1].running_mean, before)


def test_batch_norm_far_from_zero_in_reduced_precision() -> None:
    """A mean of a hundred standard deviations cancels in float32, not in bf16."""
    g = torch.Generator().manual_seed(0)
    x = (torch.randn(16, 3, 8, 8, generator=g) + 100).bfloat16()
    at = {"w": torch.rand(3, generator=g), "b": torch.rand(3, generator=g)}
    along = {n: torch.randn(p.shape, generator=g) for n, p in at.items()}

    def function(params: Params, x: Tensor = x) -> Tensor:
        return F.batch_norm(x, None, None, params["w"], params["b"], training=True)

    _, _, derivative = replayed(function, at, along)
    _, expected = jvp(lambda p: function({n: q.double() for n, q in p.items()}, x.double()), (at,), (along,))
    assert (derivative - expected).norm() < 0.01 * expected.norm()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: masks that the GPU draws are not compared")
def test_masks_of_a_gpu_are_drawn_again() -> None:
    x = torch.ones(100, device="cuda")
    draws = Draws(x)
    first, after = F.dropout(x, 0.5), torch.rand(3, device="cuda")
    with draws.again():
        assert torch.equal(F.dropout(x, 0.5), first)
    assert not torch.equal(torch.rand(3, device="cuda"), after)


def test_masks_are_drawn_again_and_the_generator_goes_on() -> None:
    x = torch.ones(100)
    torch.manual_seed(0)
    draws = Draws(x)
    first = F.dropout(x, 0.5)
    expected = torch.rand(3, generator=torch.Generator().set_state(torch.get_rng_state()))
    with draws.again():
        assert torch.equal(F.dropout(x, 0.5), first)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "aa"), ("aa", "a"), ("a", "b"), ("a", "c")],
    ids=["one more", "one fewer", "of another shape", "another function"],
)
def test_a_pass_that_is_not_the_same_again_is_a_plain_error(first: str, second: str) -> None:
    x, eye = torch.randn(3, 2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    layers: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "a": F.linear,
        "b": lambda x, w: F.linear(x[:2], w),
        "c": lambda x, w: F.conv1d(x[:, :, None], w[:, :, None])[:, :, 0],
    }
    passes = iter((first, second))

    def function(params: Params) -> Tensor:
        y = x
        for name in next(passes):
            y = layers[name](y, params["w"])
        return y

    with pytest.raises(UserError, match="cannot replay"):
        replayed(function, {"w": eye}, {"w": eye})


def test_layers_called_with_names() -> None:
    at, x = {"w": torch.randn(2, 2, dtype=torch.float64)}, torch.randn(3, 2, dtype=torch.float64)

    def function(params: Params) -> Tensor:
        y = F.linear(weight=params["w"], input=x)
        return F.batch_norm(input=y, running_mean=None, running_var=None, training=True)

    _, _, derivative = replayed(function, at, at)
    torch.testing.assert_close(derivative, jvp(function, (at,), (at,))[1])


def test_nothing_is_convolved_twice() -> None:
    """Two convolutions a layer, but for the first, whose input has no derivative."""
    net = timm.create_model("resnet18", num_classes=4).train()
    images = torch.randn(2, 3, 64, 64)
    function, (at, along) = function_of(net, images), at_and_along(net)
    with FlopCounterMode(display=False) as forward:
        function(at)
    with FlopCounterMode(display=False) as stem:
        net.conv1(images)
    with FlopCounterMode(display=False) as both:
        replayed(function, at, along)
    assert both.get_total_flops() == 3 * forward.get_total_flops() - stem.get_total_flops()
