"""A second pass over the same batch at the same θ, in forward mode, that convolves nothing twice.

D_v y of a convolution y = W * x + b is D_v W * x + W * D_v x + D_v b: two convolutions, if y itself is known. A
`Recording` keeps what the convolutions and linear layers of the first pass put out, most of which the first pass
holds for its backward pass anyway, and `Recording.replayed` hands it to the second. Counted in forward passes the
second costs 2 instead of 3 (torch's own forward-mode pass).

Batch normalisation with the statistics of its batch has a Jacobian that is its own transpose but for the scale, so
the kernel of its backward pass computes D_v x̂, too; torch's own formula takes a dozen passes over memory, and none
under autocast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

LINEAR = frozenset({F.conv1d, F.conv2d, F.conv3d, F.linear})
"""Functions (x, W, b=None, ...) that are linear in x and in (W, b)."""


class Kept(NamedTuple):
    """An output, and how often it had been written to when it was made."""

    output: Tensor
    version: int


class Recording(TorchFunctionMode):
    """What the linear functions inside `with Recording() as recording:` put out, in the order of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Kept] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in LINEAR:
            self.kept.append(Kept(out.detach(), out._version))
        return out

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """A forward-mode pass inside takes the outputs from the recording, which is empty afterwards."""
        with _Replay(self.kept[::-1]):
            self.kept.clear()
            yield


class _Replay(TorchFunctionMode):
    def __init__(self, kept: list[Kept]) -> None:
        super().__init__()
        self.kept = kept

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in LINEAR:
            return self._linear(func, *args, **kwargs)
        if func is F.batch_norm:
            return _batch_norm(*args, **kwargs)
        return func(*args, **kwargs)

    def _linear(
        self,
        func: Callable[..., Tensor],
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *rest: Any,
        **named: Any,
    ) -> Tensor:
        (x, dx), (weight, dw), (bias, db) = _dual(x), _dual(weight), _dual(bias)
        y = self._output()
        if y is None:
            y = func(x, weight, bias, *rest, **named)
        dy = None
        if dw is not None:
            dy = func(x, dw, db, *rest, **named)
        if dx is not None:
            through = func(dx, weight, None, *rest, **named)
            dy = through if dy is None else dy.add_(through)
        return _with_tangent(y, dy)

    def _output(self) -> Tensor | None:
        """The next output, unless something wrote to it since."""
        kept = self.kept.pop()
        return kept.output if kept.output._version == kept.version else None


def _dual(x: Tensor | None) -> tuple[Any, Tensor | None]:
    """A tensor and its tangent, if it has one."""
    return (None, None) if x is None else forward_ad.unpack_dual(x)  # type: ignore[no-untyped-call]


def _with_tangent(y: Tensor, dy: Tensor | None) -> Tensor:
    return y if dy is None else forward_ad.make_dual(y, dy)  # type: ignore[no-untyped-call]


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """F.batch_norm with a tangent; running statistics are not moved."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    (x, dx), (weight, dw), (bias, db) = _dual(x), _dual(weight), _dual(bias)
    y, mean, invstd = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
    dy = torch.zeros_like(y)
    if dx is not None:
        backward = torch.ops.aten.native_batch_norm_backward
        dy = backward(dx, x, weight, None, None, mean, invstd, True, eps, [True, False, False])[0]
    shape = [1, -1] + [1] * (x.ndim - 2)
    if dw is not None:
        slope = dw * invstd
        dy.addcmul_(x, slope.to(x.dtype).view(shape)).sub_((slope * mean).to(x.dtype).view(shape))
    if db is not None:
        dy.add_(db.to(x.dtype).view(shape))
    return _with_tangent(y, dy)
