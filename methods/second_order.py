"""Convolutions and batch norm whose second derivatives use the kernels of their first.

torch computes the double backward of a convolution with another convolution whose kernel is as large as the feature
map, and that of batch norm in some twenty passes over memory. Inside `second_derivatives()` both use the kernels of a
plain backward pass: the gradient of a convolution is bilinear in each pair of its arguments, and the Jacobian of batch
norm is its own transpose, up to the scale. The values are the same but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

_backward_of_convolution = torch.ops.aten.convolution_backward
_backward_of_batch_norm = torch.ops.aten.native_batch_norm_backward


def second_derivatives() -> TorchFunctionMode:
    """Context whose passes have fast second derivatives, and no third ones.

    Example:
        >>> x, weight = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1, requires_grad=True)
        >>> with second_derivatives():
        ...     loss = torch.conv2d(x, weight).pow(2).sum()
        >>> (slope,) = torch.autograd.grad(loss, weight, create_graph=True)
        >>> torch.autograd.grad(slope.sum(), weight)[0].item()
        8.0
    """
    return _Mode()


class _Mode(TorchFunctionMode):
    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        replaced = _REPLACED.get(func)
        return func(*args, **kwargs) if replaced is None else replaced(*args, **kwargs)


class _Layout(NamedTuple):
    """Arguments of a convolution beside its tensors."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def backward(
        self, gy: Tensor, x: Tensor, weight: Tensor, mask: tuple[bool, bool, bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients for x, the weight and the bias where the mask says so."""
        sizes = [len(weight)] if mask[2] else None
        rest = (self.stride, self.padding, self.dilation, False, [0, 0], self.groups, list(mask))
        gx, gw, gb = _backward_of_convolution(gy, x, weight, sizes, *rest)
        return (gx if mask[0] else None, gw if mask[1] else None, gb if mask[2] else None)


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str) or input.ndim != 4:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    layout = _Layout(_pair(stride), _pair(padding), _pair(dilation), groups)
    out: Tensor = _Convolution.apply(input, weight, bias, layout)
    return out


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, layout: _Layout) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.layout, ctx.mask = layout, (*ctx.needs_input_grad[:2], bias is not None and ctx.needs_input_grad[2])
        return layout.forward(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        return (*_ConvolutionBackward.apply(gy, x, weight, ctx.layout, ctx.mask), None)


class _ConvolutionBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gy: Tensor, x: Tensor, weight: Tensor, layout: _Layout, mask: Any) -> Any:
        ctx.save_for_backward(gy, x, weight)
        ctx.layout = layout
        ctx.set_materialize_grads(False)
        return layout.backward(gy, x, weight, mask)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, hx: Tensor | None, hw: Tensor | None, hb: Tensor | None) -> Any:
        """Gradients of <hx, gx> + <hw, gw> + <hb, gb>: gx is bilinear in (gy, weight), and gw in (gy, x)."""
        gy, x, weight = ctx.saved_tensors
        of_gy, of_x, of_weight, *_ = ctx.needs_input_grad
        along: Tensor | None = None
        if of_gy and hw is not None:
            along = ctx.layout.forward(x, hw, hb)
        elif of_gy and hb is not None:
            along = hb.view(1, -1, 1, 1).expand_as(gy)
        if of_gy and hx is not None:
            through = ctx.layout.forward(hx, weight)
            along = through if along is None else through.add_(along)
        gx = ctx.layout.backward(gy, x, hw, (True, False, False))[0] if of_x and hw is not None else None
        gw = ctx.layout.backward(gy, hx, weight, (False, True, False))[1] if of_weight and hx is not None else None
        return along, gx, gw, None, None


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training or running_mean is not None or weight is None or bias is None:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    out: Tensor = _BatchNorm.apply(input, weight, bias, eps)
    return out


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y, mean, inverse_std = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, inverse_std)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, gy: Tensor) -> Any:
        return (*_BatchNormBackward.apply(gy, *ctx.saved_tensors, ctx.eps), None)


class _BatchNormBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, inverse_std: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        gx, gw, gb = _backward_of_batch_norm(
            gy, x, weight, None, None, mean, inverse_std, True, eps, [True, True, True]
        )
        ctx.save_for_backward(gy, x, weight, mean, inverse_std, gw, gb)
        ctx.eps = eps
        return gx, gw, gb

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, hx: Tensor, hw: Tensor, hb: Tensor) -> Any:
        """Gradients of <hx, gx> + <hw, gw> + <hb, gb>.

        With s = 1/σ, x̂ = s (x − μ), n values in a channel and P v = v − mean(v) − x̂ mean(v x̂), the first derivatives
        are gx = γ s P gy, gw = Σ gy x̂ and gb = Σ gy. P is symmetric, dx̂ = s P dx and ds = −s² mean(x̂ dx), so that

            for gy   γ s P hx + hw x̂ + hb
            for γ    Σ gy (s P hx)
            for x    −(γ s / n) (gw s P hx + (Σ hx x̂) s P gy + (Σ gy s P hx) x̂) + hw s P gy
        """
        gy, x, weight, mean, s, gw, gb = ctx.saved_tensors
        n = x.numel() / x.shape[1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        ones = torch.ones_like(weight)
        projected, hx_xhat, _ = _backward_of_batch_norm(
            hx, x, ones, None, None, mean, s, True, ctx.eps, [True, True, True]
        )  # s P hx, Σ hx x̂
        of_weight = (gy * projected).sum([0, *range(2, x.ndim)])
        of_gy = torch.addcmul((hb - hw * s * mean).view(shape), (hw * s).view(shape), x)
        of_gy.addcmul_(projected, weight.view(shape))
        # P gy is a combination of gy, x and a constant of the channel.
        scale = -weight * s / n
        for_gy = scale * hx_xhat + hw
        for_xhat = scale * of_weight - for_gy * s * gw / n
        constant = -for_gy * s * gb / n - for_xhat * s * mean
        of_x = torch.addcmul(constant.view(shape), (for_xhat * s).view(shape), x)
        of_x.addcmul_(gy, (for_gy * s).view(shape)).addcmul_(projected, (scale * gw).view(shape))
        return of_gy, of_x, of_weight, None, None, None


_REPLACED: Mapping[Any, Callable[..., Tensor]] = {F.conv2d: _conv2d, F.batch_norm: _batch_norm}
