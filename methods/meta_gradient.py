"""Exact gradients through SGD steps: one step on a weighted loss (MAL, Eq. 5 to 8), or several (L2T-WW).

Let θ* = θ − α ∇_θ Σ_i w_i L_i and v = ∇_θ* L_val(θ*), and let D_v be the derivative at θ along v. By the chain rule

    ∇_ψ L_val(θ*) = −α ∇_ψ Σ_i w_i D_v L_i                       weights are constants for θ   (A1 `constant`)
    ∇_ψ L_val(θ*) = −α ∇_ψ Σ_i (D_v w_i L_i + w_i D_v L_i)       weights depend on θ           (A1 `through`)

So for one step a forward-mode pass over the training batch replaces the graph of a backward pass. Second derivatives
through batch normalisation use double backward: there the gradient of a forward-mode derivative is wrong on torch
2.14 (pytorch issue 196699).
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
"""A function from θ to losses (N,) and the input of the weigher (N, ...)."""
Weigh = Callable[[Params, Tensor], Tensor]
"""A function from ψ and the input of the weigher to weights (N,)."""


def sgd_step(theta: Params, grads: Params, alpha: float) -> Params:
    """Eq. 6: θ − α g. A parameter without a gradient stays."""
    return {name: p - alpha * grads[name] if name in grads else p for name, p in theta.items()}


def gradients(loss: Tensor, params: Params, *, retain_graph: bool = False, create_graph: bool = False) -> Params:
    """Gradient of a loss for each of `params` that it depends on."""
    grads = torch.autograd.grad(
        loss,
        list(params.values()),
        retain_graph=retain_graph or create_graph,
        create_graph=create_graph,
        allow_unused=True,
    )
    return {name: g for name, g in zip(params, grads, strict=True) if g is not None}


def leaves(params: Params) -> Params:
    """Detached parameters with the same values that require a gradient."""
    return {name: p.detach().requires_grad_() for name, p in params.items()}


def derivative_along(function: Callable[[Any], Any], at: Any, along: Any) -> tuple[Any, Any]:
    """Value of a function and its derivative along a direction, in one forward-mode pass.

    Raises:
        UserError: torch has no forward-mode derivative of a layer.
    """
    with warnings.catch_warnings():
        # At the first such pass torch scripts its own decompositions, and warns that this is deprecated.
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
    """∇_ψ L_val(θ*(ψ)) from one forward-mode pass along v (Eq. 7 in the form of the module's docstring).

    Args:
        per_sample: One pass over the training batch; it must leave every buffer alone.
        theta: θ.
        v: ∇_θ* L_val(θ*); zero for names that it does not have.
        alpha: α, the learning rate of the virtual step.
        weigh: The weigher.
        psi: ψ.
        reading: Ambiguity A1.

    Returns:
        A gradient for each of `psi`.

    Raises:
        UserError: torch has no forward-mode derivative of a layer.
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
    """The gradient of `forward_mode` by double backward through Eq. 6: slower, with more memory, for tests.

    Args:
        per_sample: As in `forward_mode`.
        val_loss: θ to L_val.
        theta: θ.
        alpha: α.
        weigh: The weigher.
        psi: ψ.
        reading: Ambiguity A1.

    Returns:
        A gradient for each of `psi`.
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
"""A function from θ and φ to a loss."""


def sgd_path(
    inner: Sequence[Inner], state: SgdState, phi: Params, rule: SgdRule
) -> tuple[list[SgdState], list[Tensor]]:
    """SGD steps, one on each inner loss.

    A parameter that a loss does not depend on has a gradient of zero; momentum and weight decay still change it.

    Args:
        inner: The losses, in the order of the steps.
        state: Start of the path.
        phi: φ.
        rule: Rule of the steps.

    Returns:
        The states before, between and after the steps, and the losses.
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
    """Exact ∇_φ of the outer loss at the end of an `sgd_path`.

    This is reverse-mode differentiation over the steps (Franceschi et al., ICML 2017), with the graph of one step at
    a time.

    Args:
        inner: The losses of the path.
        outer: A function from θ to the outer loss.
        states: The states that `sgd_path` returned.
        phi: φ. The start of the path does not depend on it.
        rule: Rule of the steps.

    Returns:
        A gradient for each of `phi`, and the outer loss.
    """
    phi = leaves(phi)
    end = leaves(states[-1].theta)
    loss = outer(end)
    grads = gradients(loss, end)
    of_theta = {name: grads.get(name, torch.zeros_like(p)) for name, p in end.items()}
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
    """Gradient of <u, ∇_θ L(θ, φ)> with respect to φ and, with `of_theta`, to θ.

    Without θ no second derivative of the network is needed: a backward pass for φ over the derivative along u passes
    no batch norm. With θ it is double backward. The start of a path does not depend on φ, so it needs no gradient.
    """
    if not of_theta:
        _, slope = derivative_along(lambda at: loss_of(at, phi), theta, along)
        return (gradients(slope, phi) if slope.requires_grad else {}), {}
    theta = leaves(theta)
    grads = gradients(loss_of(theta, phi), theta, create_graph=True)
    slope = torch.stack([(along[name] * g).sum() for name, g in grads.items()]).sum()
    second = gradients(slope, {f"phi {n}": p for n, p in phi.items()} | {f"theta {n}": p for n, p in theta.items()})
    of_phi, of_start = (
        {name.removeprefix(kind): g for name, g in second.items() if name.startswith(kind)}
        for kind in ("phi ", "theta ")
    )
    return of_phi, of_start
