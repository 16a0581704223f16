"""The exact gradient of a validation loss through one SGD step on a weighted training loss (Eq. 5 to 8).

With θ* = θ − α ∇_θ Σ_i w_i L_i and v = ∇_θ* L_val(θ*), the chain rule gives, D_v being the derivative at θ
along v,

    ∇_ψ L_val(θ*) = −α ∇_ψ Σ_i w_i D_v L_i                       weights are constants for θ   (A1 `constant`)
    ∇_ψ L_val(θ*) = −α ∇_ψ Σ_i (D_v w_i L_i + w_i D_v L_i)       weights depend on θ           (A1 `through`)

so one forward-mode pass over the training batch replaces the graph of a backward pass. Only first-order
forward mode is used: second-order forward mode through batch normalisation is wrong on torch 2.14
(pytorch issue 196699).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import jvp

Params = dict[str, Tensor]
Reading = Literal["constant", "through"]
PerSample = Callable[[Params], tuple[Tensor, Tensor]]
"""θ to (losses (N,), what the weigher looks at (N, ...))."""
Weigh = Callable[[Params, Tensor], Tensor]
"""ψ and what the weigher looks at to weights (N,)."""


def sgd_step(theta: Params, grads: Params, alpha: float) -> Params:
    """Eq. 6: θ − α g; a parameter that no loss reaches stays."""
    return {name: p - alpha * grads[name] if name in grads else p for name, p in theta.items()}


def gradients(loss: Tensor, params: Params, *, retain_graph: bool = False, create_graph: bool = False) -> Params:
    """∇ loss for each of `params` that the loss depends on."""
    found = torch.autograd.grad(
        loss,
        list(params.values()),
        retain_graph=retain_graph or create_graph,
        create_graph=create_graph,
        allow_unused=True,
    )
    return {name: g for name, g in zip(params, found, strict=True) if g is not None}


def leaves(params: Params) -> Params:
    """The same values as fresh leaves that ask for a gradient."""
    return {name: p.detach().requires_grad_() for name, p in params.items()}


def derivative_along(function: Callable[[Any], Any], at: Any, along: Any) -> tuple[Any, Any]:
    """The value of a function and its derivative along a direction, by one forward-mode pass."""
    value, derivative = jvp(function, (at,), (along,))  # type: ignore[misc]  # a third output only if it is asked for
    return value, derivative


def forward_mode(
    per_sample: PerSample, theta: Params, v: Params, alpha: float, weigh: Weigh, psi: Params, reading: Reading
) -> Params:
    """∇_ψ L_val(θ*(ψ)) by one forward-mode pass along v (Eq. 7, in the form of the module's docstring).

    Args:
        per_sample: One pass over the training batch; it must leave every buffer alone.
        theta: θ.
        v: ∇_θ* L_val(θ*); a name it lacks is zero there.
        alpha: α, the rate of the virtual step.
        weigh: The weigher.
        psi: ψ.
        reading: Ambiguity A1.

    Returns:
        A gradient for each of `psi`.
    """
    primal = {name: p.detach() for name, p in theta.items()}
    tangent = {name: v[name] if name in v else torch.zeros_like(p) for name, p in primal.items()}
    with warnings.catch_warnings():
        # torch scripts decompositions of its own at the first such pass, and calls that deprecated.
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=FutureWarning)
        (losses, seen), (d_losses, d_seen) = derivative_along(per_sample, primal, tangent)
    psi = leaves(psi)
    if reading == "constant":
        surrogate = (weigh(psi, seen) * d_losses).sum()
    else:
        weights, d_weights = derivative_along(lambda x: weigh(psi, x), seen, d_seen)
        surrogate = (d_weights * losses + weights * d_losses).sum()
    return {name: -alpha * g for name, g in gradients(surrogate, psi).items()}


def double_backward(
    per_sample: PerSample,
    val_loss: Callable[[Params], Tensor],
    theta: Params,
    alpha: float,
    weigh: Weigh,
    psi: Params,
    reading: Reading,
) -> Params:
    """The same gradient by the graph of Eq. 6, differentiated twice: slower, larger, and the check of `forward_mode`.

    Args:
        per_sample: As in `forward_mode`.
        val_loss: θ to L_val.
        theta: θ.
        alpha: α.
        weigh: The weigher.
        psi: ψ.
        reading: Ambiguity A1.
    """
    theta, psi = leaves(theta), leaves(psi)
    losses, seen = per_sample(theta)
    weights = weigh(psi, seen.detach() if reading == "constant" else seen)
    inner = gradients((weights * losses).sum(), theta, create_graph=True)
    return gradients(val_loss(sgd_step(theta, inner, alpha)), psi)
