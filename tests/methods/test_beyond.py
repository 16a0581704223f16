"""Uncertainty, gradient aggregation and the search for the best rho: what each adds to MTL, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import Tensor

from methods.base import Batch, Method, Stream, TaskSpec
from methods.losses import au_loss, fe_loss
from methods.mgda import MultipleGradientDescent
from methods.mtl_best_rho import MTLBestRho
from methods.pcgrad import GradientSurgery
from methods.uncertainty import Uncertainty
from tests.methods.test_meta_gradient import make_samples
from tests.methods.tiny import tiny_net

SPEC = TaskSpec(tuple("abcd"), ("x", "y", "z"), 10, torch.zeros(6, 4, dtype=torch.int8))


def batch(seed: int = 0) -> Batch:
    au, fe, val = make_samples(4, (6, 5, 7), 12, seed)
    return {Stream.AU: au, Stream.FE: fe, Stream.AU_VAL: val}


def made(cls: type[Method], **hparams: object) -> Method:
    return cls(tiny_net(), cls.HParams(lr=0.1, **hparams), SPEC).double().train()


def task_gradients(given: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The gradients of L_AU and of L_FE, zero where a loss does not reach."""
    net = tiny_net()
    au, fe = given[Stream.AU], given[Stream.FE]
    out = net(au.images, fe.images)
    losses = au_loss(out.au_logits, au.labels).mean(), fe_loss(out.fe_logits, fe.labels).mean()
    names = dict(net.named_parameters())
    found = []
    for loss in losses:
        grads = torch.autograd.grad(loss, list(names.values()), retain_graph=True, allow_unused=True)
        found.append(
            {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(names.items(), grads, strict=True)}
        )
    return found[0], found[1]


def flat(grads: dict[str, Tensor]) -> np.ndarray:
    return torch.cat([g.flatten() for n, g in grads.items() if n.startswith("backbone.")]).numpy()


def conflicting() -> Batch:
    """A batch whose two gradients point against each other at the backbone: the aggregators then differ from a sum."""
    for seed in range(200):
        au, fe = task_gradients(batch(seed))
        if flat(au) @ flat(fe) < -0.01 * np.linalg.norm(flat(au)) * np.linalg.norm(flat(fe)):
            return batch(seed)
    raise AssertionError("no such batch")


def surgery(a: np.ndarray, f: np.ndarray) -> np.ndarray:
    dot = min(a @ f, 0)
    return a - dot / (f @ f) * f + f - dot / (a @ a) * a


def shortest(a: np.ndarray, f: np.ndarray) -> np.ndarray:
    """The shortest point between both, in closed form (Sener & Koltun, Eq. 8)."""
    share = np.clip((f - a) @ f / ((a - f) @ (a - f)), 0, 1)
    return share * a + (1 - share) * f


@pytest.mark.parametrize(("cls", "rule"), [(GradientSurgery, surgery), (MultipleGradientDescent, shortest)])
def test_the_backbone_follows_the_aggregate_and_each_head_its_own_loss(cls: type[Method], rule) -> None:
    given = conflicting()
    au, fe = task_gradients(given)
    method = made(cls)
    before = {n: p.detach().clone() for n, p in method.net.named_parameters()}
    method.update(given, 0)
    step = {n: (before[n] - p.detach()) / 0.1 for n, p in method.net.named_parameters()}
    expected = rule(flat(au), flat(fe))
    np.testing.assert_allclose(flat(step), expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    assert np.abs(flat(step) - flat(au) - flat(fe)).max() > 1e-2 * np.abs(expected).max()
    for name in ("head_au.weight", "head_au.bias"):
        torch.testing.assert_close(step[name], au[name], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(step["head_fe.weight"], fe["head_fe.weight"], rtol=1e-9, atol=1e-12)


def test_uncertainty_by_hand() -> None:
    given = batch()
    method = made(Uncertainty)
    assert isinstance(method, Uncertainty)
    with torch.no_grad():
        method.log_variance.copy_(torch.tensor([0.7, -0.4]))
    before = {n: p.detach().clone() for n, p in method.net.named_parameters()}
    scalars = method.update(given, 0)
    losses = torch.stack([scalars["loss_au"], scalars["loss_fe"]])
    s = torch.tensor([0.7, -0.4], dtype=torch.float64)
    # L / σ² + log σ with s = log σ²: its slope in s is -exp(-s) L + 1/2.
    torch.testing.assert_close(
        method.log_variance.detach(), s - 0.1 * (0.5 - torch.exp(-s) * losses), atol=1e-6, rtol=1e-6
    )
    au, fe = task_gradients(given)
    for name, parameter in method.net.named_parameters():
        mixed = np.exp(-0.7) * au[name] + np.exp(0.4) * fe[name]
        torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * mixed, rtol=1e-6, atol=1e-8)


def test_each_rho_trains_as_if_alone_and_the_best_on_validation_predicts() -> None:
    weights = (1.0, 0.0, 5.0)
    method = made(MTLBestRho, fe_weights=weights, judged_share=0.3)
    assert isinstance(method, MTLBestRho)
    assert method.best() == 0
    alone = {rho: made(MTLBestRho, fe_weights=(rho,)) for rho in weights}
    found, truth = [], []
    for t in range(10):
        given = batch(t)
        method.update(given, t)
        for single in alone.values():
            single.update(given, t)
        if t >= 7:  # the last 30 % of ten steps
            val = given[Stream.AU_VAL]
            method.eval()
            found.append([(net(val.images).au_logits > 0).numpy() for net in method.nets])
            method.train()
            truth.append(val.labels.numpy())
    for net, rho in zip(method.nets, weights, strict=True):
        for (name, a), (_, b) in zip(net.named_parameters(), alone[rho].net.named_parameters(), strict=True):
            assert torch.equal(a, b), (rho, name)
    scores = []
    for k in range(3):
        per_au = []
        for j in range(4):
            y = np.concatenate([t[:, j] for t in truth])
            p = np.concatenate([f[k][:, j] for f in found])
            per_au.append(f1_score(y[y >= 0] == 1, p[y >= 0]))
        scores.append(np.mean(per_au))
    assert len(set(scores)) > 1  # there is something to choose
    assert method.best() == int(np.argmax(scores))
    images = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    method.eval()
    assert torch.equal(method.predict(images), method.nets[method.best()](images).au_logits)
