"""A second pass over the same batch at the same θ, in forward mode, that reuses the outputs of the first.

D_v y of a convolution y = W * x + b is D_v W * x + W * D_v x + D_v b: two convolutions, if y itself is known. A
`Recording` keeps the outputs of the convolutions and linear layers of the first pass, most of which that pass keeps
for its backward pass anyway. `Recording.replayed` gives them to the second pass, which then costs as much as 2
forward passes instead of the 3 of torch's own forward mode.

The Jacobian of batch normalisation with the statistics of its batch is its own transpose, up to the scale. So the
kernel of its backward pass computes D_v x̂, too. torch's own formula needs about twelve passes over memory, and does
not work under autocast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import get_device_states, set_device_states

from benchmark.core.errors import UserError

LINEAR = frozenset({F.conv1d, F.conv2d, F.conv3d, F.linear})
"""Functions (x, W, b=None, ...) that are linear in x and in (W, b)."""


class Call(NamedTuple):
    """A function, and the shapes of its tensor arguments."""

    function: str
    shapes: tuple[torch.Size, ...]

    @classmethod
    def from_arguments(cls, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """The call func(*args, **kwargs)."""
        return cls(func.__name__, tuple(x.shape for x in (*args, *kwargs.values()) if isinstance(x, Tensor)))

    def __str__(self) -> str:
        return f"{self.function} of {', '.join(str(tuple(shape)) for shape in self.shapes)}"


class Kept(NamedTuple):
    """Output of a call, and its version counter at that time."""

    call: Call
    output: Tensor
    version: int


class Draws:
    """State of the random generators, so that a later pass over the same batch has the same dropout masks.

    Args:
        on: A tensor on the device whose generator is kept beside that of the CPU.
    """

    def __init__(self, on: Tensor) -> None:
        self._of_cpu = torch.get_rng_state()
        self._devices, self._states = get_device_states(on)
        self._type = on.device.type if self._devices else "cuda"

    @contextmanager
    def again(self) -> Iterator[None]:
        """Context whose draws are those that followed the creation of this object.

        Afterwards the generators are as before the context.
        """
        with torch.random.fork_rng(self._devices, device_type=self._type):
            torch.set_rng_state(self._of_cpu)
            set_device_states(self._devices, self._states, device_type=self._type)
            yield


class Recording(TorchFunctionMode):
    """Outputs of the linear functions inside `with Recording() as recording:`, in the order of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Kept] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func in LINEAR:
            self.kept.append(Kept(Call.from_arguments(func, args, kwargs), out.detach(), out._version))
        return out

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Context in which a forward-mode pass takes its outputs from the recording, which is empty afterwards.

        Raises:
            UserError: The pass has other calls than the first pass, or another order of them.
        """
        replay = _Replay(self.kept[::-1])
        self.kept.clear()
        with replay:
            yield
        if replay.kept:
            raise _unlike(replay.kept[-1].call, None)


class _Replay(TorchFunctionMode):
    def __init__(self, kept: list[Kept]) -> None:
        super().__init__()
        self.kept = kept

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in LINEAR:
            return self._linear(func, self._output(Call.from_arguments(func, args, kwargs)), *args, **kwargs)
        if func is F.batch_norm:
            return _batch_norm(*args, **kwargs)
        return func(*args, **kwargs)

    def _linear(
        self,
        func: Callable[..., Tensor],
        y: Tensor | None,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        *rest: Any,
        **named: Any,
    ) -> Tensor:
        (x, dx), (weight, dw), (bias, db) = _dual(input), _dual(weight), _dual(bias)
        if y is None:
            y = func(x, weight, bias, *rest, **named)
        dy = None
        if dw is not None:
            dy = func(x, dw, db, *rest, **named)
        if dx is not None:
            through = func(dx, weight, None, *rest, **named)
            dy = through if dy is None else dy.add_(through)
        return _with_tangent(y, dy)

    def _output(self, call: Call) -> Tensor | None:
        """Output of this call in the first pass; None if it was changed in place since then."""
        kept = self.kept.pop() if self.kept else None
        if kept is None or kept.call != call:
            raise _unlike(None if kept is None else kept.call, call)
        return kept.output if kept.output._version == kept.version else None


def _unlike(first: Call | None, second: Call | None) -> UserError:
    return UserError(
        "two passes of this backbone over the same batch differ, so one cannot replay the other",
        expected=str(first or "no further layer"),
        found=str(second or "no further layer"),
        remedy="choose another with --set method.backbone=NAME, for example resnet34",
    )


def _dual(x: Tensor | None) -> tuple[Any, Tensor | None]:
    """A tensor and its tangent; None for no tangent."""
    return (None, None) if x is None else forward_ad.unpack_dual(x)  # type: ignore[no-untyped-call]


def _with_tangent(y: Tensor, dy: Tensor | None) -> Tensor:
    return y if dy is None else forward_ad.make_dual(y, dy)  # type: ignore[no-untyped-call]


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
    """F.batch_norm with a tangent, without an update of the running statistics."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    (x, dx), (weight, dw), (bias, db) = _dual(input), _dual(weight), _dual(bias)
    y, mean, invstd = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
    dy = torch.zeros_like(y)
    if dx is not None:
        backward = torch.ops.aten.native_batch_norm_backward
        dy = backward(dx, x, weight, None, None, mean, invstd, True, eps, [True, False, False])[0]
    shape = [1, -1] + [1] * (x.ndim - 2)
    if dw is not None:
        # Under autocast the statistics are in float32. So is the difference, which can cancel.
        dy.add_((x - mean.view(shape)).mul_((dw * invstd).view(shape)).to(dy.dtype))
    if db is not None:
        dy.add_(db.to(x.dtype).view(shape))
    return _with_tangent(y, dy)
