"""L2RW, Meta-Weight-Net and L2T-WW against finite differences of what they say they differentiate, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.core.errors import UserError
from methods.backbone import batch_norm_buffers_untouched
from methods.base import Stream, TaskSpec
from methods.bilevel import sample_losses
from methods.l2rw import L2RW
from methods.meta_gradient import Params, SgdRule, SgdState, forward_mode, gradients, sgd_path, sgd_step
from methods.meta_weight_net import MetaWeightNet
from tests.methods.test_l2t_ww_oracle import tiny_method
from tests.methods.test_meta_gradient import make_samples
from tests.methods.tiny import tiny_net

SPEC = TaskSpec(tuple("abcd"), ("x", "y", "z"), 1, torch.randint(-1, 2, (30, 4)))


def numeric_gradient(function: Callable[[Params], Tensor], at: Params, step: float = 1e-5) -> Params:
    """Central differences of a scalar function, entry by entry."""
    found = {}
    for name, value in at.items():
        flat = torch.zeros(value.numel(), dtype=torch.float64)
        for i in range(value.numel()):
            shift = torch.zeros(value.numel(), dtype=torch.float64)
            shift[i] = step
            up, down = (function({**at, name: value + s * shift.view_as(value)}).item() for s in (1, -1))
            flat[i] = (up - down) / (2 * step)
        found[name] = flat.view_as(value)
    return found


def assert_same(exact: Params, numeric: Params, rtol: float = 1e-6) -> None:
    largest = max(g.abs().max().item() for g in numeric.values())
    assert largest > 1e-8, "a gradient of zero would show nothing"
    for name, expected in numeric.items():
        np.testing.assert_allclose(exact[name].numpy(), expected.numpy(), rtol=rtol, atol=rtol * largest, err_msg=name)


def test_l2rw_weights_are_the_negative_slopes_of_the_validation_loss() -> None:
    torch.manual_seed(0)
    method = L2RW(tiny_net(), L2RW.HParams(lr=1e-2, match_scale=True), SPEC).double().train()
    au, fe, val = make_samples(4, (5, 4, 6), 16)
    theta = {n: p.detach().clone() for n, p in method.net.named_parameters()}
    rate = 0.05

    def loss(epsilon: Params) -> Tensor:
        leaf = {n: p.clone().requires_grad_() for n, p in theta.items()}
        losses, _ = method.per_sample(au, fe)(leaf)
        return method.val_loss(sgd_step(leaf, gradients((epsilon["w"] * losses).sum(), leaf), rate), val)

    slopes = numeric_gradient(loss, {"w": torch.zeros(9, dtype=torch.float64)})["w"]
    expected = (-slopes).clamp_min(0)
    expected = 2 * expected / expected.sum()
    assert 0 < (expected > 0).sum() < 9  # some samples help and some do not

    leaf = {n: p.clone().requires_grad_() for n, p in theta.items()}
    losses, _ = method.per_sample(au, fe)(leaf)
    stepped = sgd_step(leaf, gradients((expected * losses).sum(), leaf), 1e-2)
    scalars = method.update({Stream.AU: au, Stream.FE: fe, Stream.AU_VAL: val}, 0)
    assert scalars["weight_au"].item() == pytest.approx(expected[:5].mean().item(), rel=1e-5)
    assert scalars["fe_share"].item() == pytest.approx(expected[5:].sum().item() / 2, rel=1e-5)
    for name, parameter in method.net.named_parameters():
        torch.testing.assert_close(parameter, stepped[name], rtol=1e-6, atol=1e-9)


def test_l2rw_takes_no_step_when_no_sample_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    method = L2RW(tiny_net(), L2RW.HParams(lr=1e-2), SPEC).double().train()
    au, fe, val = make_samples(4, (5, 4, 6), 16)
    slopes = {"weights": torch.ones(9, dtype=torch.float64)}
    monkeypatch.setattr("methods.l2rw.forward_mode", lambda *_: slopes)
    before = {n: p.detach().clone() for n, p in method.net.named_parameters()}
    scalars = method.update({Stream.AU: au, Stream.FE: fe, Stream.AU_VAL: val}, 0)
    assert scalars["fe_share"].item() == 0
    assert all(torch.equal(p, before[n]) for n, p in method.net.named_parameters())


def test_meta_weight_net() -> None:
    torch.manual_seed(3)
    hparams = MetaWeightNet.HParams(alpha=0.05, beta=0.1, lr=1e-2, hidden=4)
    method = MetaWeightNet(tiny_net(), hparams, SPEC).double().train()
    au, fe, val = make_samples(4, (5, 4, 6), 16)
    theta = dict(method.net.named_parameters())
    psi = {n: p.detach().clone() for n, p in method.meta_net.named_parameters()}
    weigh = partial(method.weigh, n_au=5)

    def virtual(psi: Params) -> Params:
        losses, seen = method.per_sample(au, fe)(theta)
        assert torch.equal(losses, seen)  # it looks at the losses
        return sgd_step(theta, gradients((weigh(psi, seen.detach()) * losses).sum(), theta), 0.05)

    numeric = numeric_gradient(lambda psi: method.val_loss(virtual(psi), val), psi)
    _, v = method.val_gradient(virtual(psi), val)
    assert_same(forward_mode(method.per_sample(au, fe), theta, v, 0.05, weigh, psi, "constant"), numeric)
    method.update({Stream.AU: au, Stream.FE: fe, Stream.AU_VAL: val}, 0)
    assert_same({n: p.grad for n, p in method.meta_net.named_parameters()}, numeric)
    for name, parameter in method.meta_net.named_parameters():
        torch.testing.assert_close(parameter, psi[name] - 0.1 * numeric[name], rtol=1e-5, atol=1e-9)


def test_meta_weight_net_with_weights_of_one_has_the_loss_of_mtl() -> None:
    method = MetaWeightNet(tiny_net(), MetaWeightNet.HParams(hidden=4, match_scale=True), SPEC).double().train()
    with torch.no_grad():
        method.meta_net.layers[2].bias.fill_(50.0)  # a sigmoid of one
    au, fe, _ = make_samples(4, (5, 5, 6), 16)
    losses = sample_losses(method.net(au.images, fe.images), au, fe)
    weights = method.weigh(dict(method.meta_net.named_parameters()), losses, 5)
    assert (weights * losses).sum().item() == pytest.approx((losses[:5].mean() + losses[5:].mean()).item(), rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_l2t_ww(steps: int) -> None:
    torch.manual_seed(5)
    hparams = {"inner_steps": steps, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "beta": 0.7}
    method = tiny_method((4, 6, 8), (3, 5, 7), [(3, 3), (2, 3), (1, 1), (2, 1)], n_classes=4, hparams=hparams)
    for parameter in method.meta_nets.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, dtype=torch.float64)
    au = make_samples(4, (5, 4, 6), 12)[0]
    method.update({Stream.AU: au}, 0)  # so that there is a velocity
    sources = method.source_maps(au.images)
    phi = {n: p.detach().clone() for n, p in method.meta_nets.named_parameters()}
    start, rule = method.virtual_start(), method.virtual_rule(0)
    assert rule == SgdRule(0.05, 0.9, 0.01)
    assert max(v.abs().max() for v in start.velocity.values()) > 0

    def run(theta: Params) -> tuple[Tensor, list[Tensor]]:
        with batch_norm_buffers_untouched(method.net):
            return functional_call(method, theta, (au.images,))

    def end(phi: Params) -> Tensor:
        """The path written down plainly: T steps on the matching loss, one on the AU loss, then the AU loss."""
        theta, velocity = dict(start.theta), dict(start.velocity)
        for t in range(steps + 1):
            leaf = {n: p.detach().requires_grad_() for n, p in theta.items()}
            logits, regressed = run(leaf)
            matching = method.matching_loss(sources, regressed, phi)
            loss = matching if t < steps else method.original_loss(logits, au.labels)
            found = torch.autograd.grad(loss, list(leaf.values()), allow_unused=True)
            for (n, p), g in zip(leaf.items(), found, strict=True):
                velocity[n] = 0.9 * velocity[n] + (0 if g is None else g) + 0.01 * p.detach()
                theta[n] = p.detach() - 0.05 * velocity[n]
        return method.original_loss(run(theta)[0], au.labels)

    exact, states, loss = method.meta_gradient(au, sources, phi, 0)
    assert loss.item() == pytest.approx(end(phi).item(), rel=1e-12)
    assert len(states) == steps + 2
    assert_same(exact, numeric_gradient(end, phi), rtol=1e-5)


def test_a_path_does_not_move_its_start_or_running_statistics() -> None:
    method = tiny_method((4, 6, 8), (3, 5, 7), [(3, 3)], n_classes=4, hparams={"lr": 0.1})
    au = make_samples(4, (5, 4, 6), 12)[0]
    kept = {n: t.clone() for n, t in method.state_dict().items()}
    phi = {n: p.detach() for n, p in method.meta_nets.named_parameters()}
    method.meta_gradient(au, method.source_maps(au.images), phi, 0)
    for name, tensor in method.state_dict().items():
        assert torch.equal(tensor, kept[name]), name


def test_parameters_without_a_gradient_still_follow_momentum_and_weight_decay() -> None:
    theta = {n: torch.tensor([1.0], dtype=torch.float64) for n in ("used", "unused")}
    velocity = {n: torch.tensor([2.0], dtype=torch.float64) for n in theta}
    states, *_ = sgd_path([lambda t, _: t["used"].sum()], SgdState(theta, velocity), {}, SgdRule(0.1, 0.5, 0.2))
    # v = 0.5 * 2 + g + 0.2 * 1, with g = 1 or 0
    assert states[1].theta["used"].item() == pytest.approx(1 - 0.1 * 2.2)
    assert states[1].theta["unused"].item() == pytest.approx(1 - 0.1 * 1.2)


def test_unlike_networks_have_all_pairs_that_there_are() -> None:
    method = tiny_method((4, 6, 8), (3, 5, 7), [], n_classes=4, hparams={})
    assert method.pairs == tuple((m, n) for m in (3, 2, 1) for n in (3, 2, 1))


def test_a_pair_that_is_not_there_is_a_plain_error() -> None:
    with pytest.raises(UserError, match="a pair of stages"):
        tiny_method((4, 6, 8), (3, 5, 7), [(4, 1)], n_classes=4, hparams={})


def test_virtual_rates_follow_the_schedule() -> None:
    hparams = {"lr": 0.1, "schedule": "cosine", "virtual_lr": 0.02, "optimizer": "adam"}
    method = tiny_method((4, 6, 8), (3, 5, 7), [(3, 3)], n_classes=4, hparams=hparams)
    method.spec = replace(method.spec, steps=10)
    assert method.virtual_rule(0) == SgdRule(0.02)  # beside Adam no momentum
    assert method.virtual_rule(5).lr == pytest.approx(0.01)
