"""Exact gradients through SGD steps: one step on a weighted loss (MAL, Eq. 5 to 8), or several (L2T-WW).

Let θ* = θ − α ∇_θ Σ_i w_i L_i and v = ∇_θ* L_val(θ*), and let D_v be the derivative at θ along v. By the chain rule

    ∇_ψ L_val(θ*) = −α ∇_ψ Σ_i w_i D_v L_i                       weights are constants for θ   (A1 `constant`)
    ∇_ψ L_val(θ*) = −α ∇_ψ Σ_i (D_v w_i L_i + w_i D_v L_i)       weights depend on θ           (A1 `through`)

So for one step a forward-mode pass over the training batch replaces the graph of a backward pass. Second derivatives
through batch normalisation use double backward, with the kernels of `methods.second_order`: there the gradient of a
forward-mode derivative is wrong on torch 2.14 (pytorch issue 196699).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.func import jvp

from benchmark.core.errors import UserError
from methods.second_order import second_derivatives

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


class Slopes(NamedTuple):
    """First derivatives of an inner loss, with their graph.

    Attributes:
        theta: Leaves of the graph.
        phi: Leaves of the graph.
        of_theta: The gradient for each of `theta` that the loss depends on.
    """

    theta: Params
    phi: Params
    of_theta: Params

    @classmethod
    def at(cls, loss_of: Inner, theta: Params, phi: Params) -> tuple[Slopes, Tensor]:
        """The derivatives at a point, and the loss."""
        theta, phi = leaves(theta), leaves(phi)
        with second_derivatives():
            loss = loss_of(theta, phi)
        return cls(theta, phi, gradients(loss, theta, create_graph=True)), loss.detach()

    def along(self, direction: Params) -> tuple[Params, Params]:
        """Gradients of <direction, ∇_θ L> for φ and for θ; the graph is freed."""
        grads = list(self.of_theta.values())
        both = {**{f"phi {n}": p for n, p in self.phi.items()}, **{f"theta {n}": p for n, p in self.theta.items()}}
        slopes = torch.autograd.grad(
            grads, list(both.values()), [direction[name] for name in self.of_theta], allow_unused=True
        )
        named = {name: g for name, g in zip(both, slopes, strict=True) if g is not None}
        of_phi, of_theta = (
            {name.removeprefix(kind): g for name, g in named.items() if name.startswith(kind)}
            for kind in ("phi ", "theta ")
        )
        return of_phi, of_theta


class SgdPath(NamedTuple):
    """SGD steps, one on each inner loss.

    Attributes:
        states: The states before, between and after the steps.
        losses: The losses of the steps.
        last: Derivatives of the last step, unless it is the only one.
    """

    states: list[SgdState]
    losses: list[Tensor]
    last: Slopes | None = None


def sgd_path(inner: Sequence[Inner], state: SgdState, phi: Params, rule: SgdRule) -> SgdPath:
    """SGD steps, one on each inner loss.

    A parameter that a loss does not depend on has a gradient of zero; momentum and weight decay still change it. The
    graph of the last step is kept for `through_sgd_path`, which needs its second derivatives first.

    Args:
        inner: The losses, in the order of the steps.
        state: Start of the path.
        phi: φ.
        rule: Rule of the steps.

    Returns:
        The path.
    """
    states, losses, last = [state], list[Tensor](), None
    for at, loss_of in enumerate(inner):
        if 0 < at == len(inner) - 1:
            last, loss = Slopes.at(loss_of, states[-1].theta, phi)
            grads = {name: g.detach() for name, g in last.of_theta.items()}
        else:
            theta = leaves(states[-1].theta)
            loss = loss_of(theta, phi)
            grads = gradients(loss, theta)
        states.append(_after_step(states[-1], grads, rule))
        losses.append(loss.detach())
    return SgdPath(states, losses, last)


def _after_step(state: SgdState, grads: Params, rule: SgdRule) -> SgdState:
    names, theta = list(state.theta), [p.detach() for p in state.theta.values()]
    velocity = [grads[name] if name in grads else torch.zeros_like(p) for name, p in zip(names, theta, strict=True)]
    if rule.momentum:
        velocity = list(torch._foreach_add(velocity, [state.velocity[name] for name in names], alpha=rule.momentum))
    if rule.weight_decay:
        velocity = list(torch._foreach_add(velocity, theta, alpha=rule.weight_decay))
    after = torch._foreach_add(theta, velocity, alpha=-rule.lr)
    return SgdState(dict(zip(names, after, strict=True)), dict(zip(names, velocity, strict=True)))


def through_sgd_path(
    inner: Sequence[Inner],
    outer: Callable[[Params], Tensor],
    path: SgdPath,
    phi: Params,
    rule: SgdRule,
    first_again: Inner | None = None,
) -> tuple[Params, Tensor]:
    """Exact ∇_φ of the outer loss at the end of an `sgd_path`.

    This is reverse-mode differentiation over the steps (Franceschi et al., ICML 2017), with the graph of one step at
    a time, and of the last one beside the outer loss.

    Args:
        inner: The losses of the path.
        outer: A function from θ to the outer loss.
        path: What `sgd_path` returned. The graph of its last step is used up.
        phi: φ. The start of the path does not depend on it.
        rule: Rule of the steps.
        first_again: The first of `inner` for the second pass at the start of the path, which is in forward mode; a
            replay of the first pass is one. None: the same function.

    Returns:
        A gradient for each of `phi`, and the outer loss.
    """
    phi = leaves(phi)
    end = leaves(path.states[-1].theta)
    loss = outer(end)
    grads = gradients(loss, end)
    names = list(end)
    of_theta = [grads[name] if name in grads else torch.zeros_like(p) for name, p in end.items()]
    of_velocity: list[Tensor] = []  # zero
    of_phi = {name: torch.zeros_like(p) for name, p in phi.items()}
    kept = path.last
    for at, (loss_of, state) in reversed(list(enumerate(zip(inner, path.states[:-1], strict=True)))):
        direction = list(torch._foreach_mul(of_theta, -rule.lr))
        if of_velocity:
            torch._foreach_add_(direction, of_velocity)
        along = dict(zip(names, direction, strict=True))
        if at > 0:
            slopes = kept or Slopes.at(loss_of, state.theta, phi)[0]
            kept = None
            more_phi, more_theta = slopes.along(along)
            del slopes
        else:
            more_phi, more_theta = _slope_of_phi(first_again or loss_of, state.theta, phi, along), {}
        of_phi = {name: g + more_phi[name] if name in more_phi else g for name, g in of_phi.items()}
        if rule.weight_decay:
            torch._foreach_add_(of_theta, direction, alpha=rule.weight_decay)
        reached = [i for i, name in enumerate(names) if name in more_theta]
        if reached:
            torch._foreach_add_([of_theta[i] for i in reached], [more_theta[names[i]] for i in reached])
        of_velocity = list(torch._foreach_mul(direction, rule.momentum)) if rule.momentum else []
    return of_phi, loss.detach()


def _slope_of_phi(loss_of: Inner, theta: Params, phi: Params, along: Params) -> Params:
    """Gradient of <u, ∇_θ L(θ, φ)> with respect to φ.

    No second derivative of the network is needed: a backward pass for φ over the derivative along u passes no batch
    norm.
    """
    _, slope = derivative_along(lambda at: loss_of(at, phi), theta, along)
    return gradients(slope, phi) if slope.requires_grad else {}
