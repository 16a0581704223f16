"""Exact gradients through SGD steps: one step on a weighted loss (MAL, Eq. 5 to 8), or several (L2T-WW).

With θ* = θ − α ∇_θ Σ_i w_i L_i and v = ∇_θ* L_val(θ*), the chain rule gives, D_v being the derivative at θ
along v,

    ∇_ψ L_val(θ*) = −α ∇_ψ Σ_i w_i D_v L_i                       weights are constants for θ   (A1 `constant`)
    ∇_ψ L_val(θ*) = −α ∇_ψ Σ_i (D_v w_i L_i + w_i D_v L_i)       weights depend on θ           (A1 `through`)

so for one step a forward-mode pass over the training batch replaces the graph of a backward pass. Derivatives of
second order through batch normalisation are by double backward: the gradient of a forward-mode derivative is wrong
there on torch 2.14 (pytorch issue 196699).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.func import jvp

from benchmark.core.errors import UserError

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
    with warnings.catch_warnings():
        # torch scripts decompositions of its own at the first such pass, and calls that deprecated.
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=FutureWarning)
        try:
            value, derivative = jvp(function, (at,), (along,))  # type: ignore[misc]  # a third output only if asked for
        except NotImplementedError as error:
            raise UserError(
                "torch cannot differentiate a layer of this backbone in forward mode",
                found=str(error).splitlines()[0][:160],
                remedy="choose another with --set method.backbone=NAME, for example resnet34",
            ) from error
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


class SgdRule(NamedTuple):
    """One step of torch's SGD: v ← μ v + g + λ θ, θ ← θ − α v."""

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0


class SgdState(NamedTuple):
    """θ and its velocity v."""

    theta: Params
    velocity: Params


Inner = Callable[[Params, Params], Tensor]
"""(θ, φ) to a loss."""


def sgd_path(
    inner: Sequence[Inner], state: SgdState, phi: Params, rule: SgdRule
) -> tuple[list[SgdState], list[Tensor]]:
    """One SGD step on each inner loss: the states before, between and after the steps, and the losses.

    A parameter that a loss does not reach has a gradient of zero: momentum and weight decay still move it.
    """
    states, losses = [state], []
    for loss_of in inner:
        theta = leaves(states[-1].theta)
        loss = loss_of(theta, phi)
        grads = gradients(loss, theta)
        velocity = {
            name: rule.momentum * states[-1].velocity[name] + grads.get(name, 0.0) + rule.weight_decay * p.detach()
            for name, p in theta.items()
        }
        states.append(SgdState({name: p.detach() - rule.lr * velocity[name] for name, p in theta.items()}, velocity))
        losses.append(loss.detach())
    return states, losses


def through_sgd_path(
    inner: Sequence[Inner], outer: Callable[[Params], Tensor], states: Sequence[SgdState], phi: Params, rule: SgdRule
) -> tuple[Params, Tensor]:
    """∇_φ of the outer loss at the end of an `sgd_path`, exact, and the outer loss.

    Reverse-mode differentiation over the steps (Franceschi et al., ICML 2017): no graph of a step outlives it.

    Args:
        inner: The losses of the path.
        outer: θ to the outer loss.
        states: The states that `sgd_path` returned.
        phi: φ; the start of the path is a constant for it.
        rule: That of the path.
    """
    phi = leaves(phi)
    end = leaves(states[-1].theta)
    loss = outer(end)
    found = gradients(loss, end)
    of_theta = {name: found.get(name, torch.zeros_like(p)) for name, p in end.items()}
    of_velocity = {name: torch.zeros_like(p) for name, p in end.items()}
    of_phi = {name: torch.zeros_like(p) for name, p in phi.items()}
    for at, (loss_of, state) in reversed(list(enumerate(zip(inner, states[:-1], strict=True)))):
        along = {name: of_velocity[name] - rule.lr * a for name, a in of_theta.items()}
        more_phi, more_theta = _second_derivatives(loss_of, state.theta, phi, along, of_theta=at > 0)
        of_phi = {name: g + more_phi.get(name, 0.0) for name, g in of_phi.items()}
        of_theta = {
            name: a + rule.weight_decay * along[name] + more_theta.get(name, 0.0) for name, a in of_theta.items()
        }
        of_velocity = {name: rule.momentum * u for name, u in along.items()}
    return of_phi, loss.detach()


def _second_derivatives(
    loss_of: Inner, theta: Params, phi: Params, along: Params, *, of_theta: bool
) -> tuple[Params, Params]:
    """∇ of <u, ∇_θ L(θ, φ)> with respect to φ, and to θ if it is asked for (the start of a path does not depend on φ).

    φ alone needs no second derivative of the network: a reverse pass for φ over the derivative along u, which meets
    no batch norm. Both together are double backward.
    """
    if not of_theta:
        _, slope = derivative_along(lambda at: loss_of(at, phi), theta, along)
        return (gradients(slope, phi) if slope.requires_grad else {}), {}
    theta = leaves(theta)
    grads = gradients(loss_of(theta, phi), theta, create_graph=True)
    slope = torch.stack([(along[name] * g).sum() for name, g in grads.items()]).sum()
    found = gradients(slope, {f"phi {n}": p for n, p in phi.items()} | {f"theta {n}": p for n, p in theta.items()})
    of_phi, of_start = (
        {name.removeprefix(kind): g for name, g in found.items() if name.startswith(kind)}
        for kind in ("phi ", "theta ")
    )
    return of_phi, of_start
