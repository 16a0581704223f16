"""MAL against whole iterations computed apart from this suite, for all four readings of A1 and A2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from methods.base import Samples, Stream, TaskSpec
from methods.bilevel import sample_losses
from methods.mal import MAL
from methods.meta_gradient import gradients, sgd_step
from tests.methods.oracle import recipe
from tests.methods.tiny import reference_name, tiny_net

ORACLE = Path(__file__).parents[1] / "oracle" / "mal_tiny.npz"


@pytest.fixture(scope="module")
def oracle() -> dict[str, np.ndarray]:
    with np.load(ORACLE) as archive:
        return {name: archive[name] for name in archive.files}


def images(oracle: dict[str, np.ndarray], name: str, it: int) -> torch.Tensor:
    return torch.from_numpy(oracle[f"{name}_times4"][it].astype(np.float64) / 4)


def batch_of(oracle: dict[str, np.ndarray], it: int) -> dict[Stream, Samples]:
    labels = np.where(oracle["mask_au"][it] > 0, oracle["z_au"][it], -1).astype(np.int8)
    return {
        Stream.AU: Samples(images(oracle, "xa", it), torch.from_numpy(labels)),
        Stream.FE: Samples(images(oracle, "xe", it), torch.from_numpy(oracle["y_fe"][it]).long()),
        Stream.AU_VAL: Samples(images(oracle, "xv", it), torch.from_numpy(oracle["z_val"][it].astype(np.int8))),
    }


def reference_method(oracle: dict[str, np.ndarray], reading: str, norm: str) -> MAL:
    alpha, beta = float(oracle["alpha"]), float(oracle["beta"])
    hparams = MAL.HParams(alpha=alpha, lr=alpha, beta=beta, reading=reading, normalise=norm)
    spec = TaskSpec(("a", "b", "c", "d"), ("x", "y", "z"), 3, torch.zeros(6, 4, dtype=torch.int8))
    method = MAL(tiny_net(), hparams, spec).double()
    with torch.no_grad():
        method.meta_net.linear.weight.copy_(recipe("meta.weight", (1, 9)))
        method.meta_net.linear.bias.copy_(recipe("meta.bias", (1,)))
    return method


@pytest.mark.parametrize("norm", ["sum", "mean"])
@pytest.mark.parametrize("reading", ["constant", "through"])
def test_three_iterations_equal_the_reference(oracle: dict[str, np.ndarray], reading: str, norm: str) -> None:
    method = reference_method(oracle, reading, norm)

    def expect(it: int, key: str, value: torch.Tensor, *, rtol: float = 1e-9) -> None:
        expected = oracle[f"{reading}_{norm}/it{it}/{key}"]
        np.testing.assert_allclose(value.detach().numpy(), expected, rtol=rtol, atol=1e-12, err_msg=f"it{it} {key}")

    for it in range(3):
        weights = oracle["val_weight_neg_pos"]
        method.class_weights = torch.from_numpy(weights[it] if weights.ndim == 3 else weights)
        batch = batch_of(oracle, it)
        au, fe = batch[Stream.AU], batch[Stream.FE]
        theta = dict(method.net.named_parameters())
        psi = dict(method.meta_net.named_parameters())
        losses, seen = method.per_sample(au, fe)(theta)
        kept = seen if reading == "through" else seen.detach()
        weight = method.weigh(psi, kept, n_au=5)
        expect(it, "loss_per_sample", losses)
        expect(it, "weight", weight)
        expect(it, "loss_total", (weight * losses).sum())
        theta_star = sgd_step(theta, gradients((weight * losses).sum(), theta), method.hparams.alpha)
        for name, value in theta_star.items():
            expect(it, f"theta_star/{reference_name(name)}", value)
        expect(it, "loss_val", method.val_loss(theta_star, batch[Stream.AU_VAL]))

        method.update(batch, it)

        for name, parameter in method.meta_net.named_parameters():
            short = name.replace("linear.", "meta.")
            assert parameter.grad is not None
            expected = oracle[f"{reading}_{norm}/it{it}/meta_grad/{short}"]
            np.testing.assert_allclose(parameter.grad.numpy(), expected, atol=1e-7 * np.abs(expected).max(), rtol=1e-9)
            expect(it, f"psi_hat/{short}", parameter)
        weight_hat = method.weigh(psi, seen.detach(), n_au=5)
        expect(it, "weight_hat", weight_hat)
        expect(it, "loss_total_hat", (weight_hat * losses).sum())
        for name, value in method.net.named_parameters():
            expect(it, f"theta_hat/{reference_name(name)}", value)
        last = method.net.get_submodule("backbone.bn2")
        expect(it, "running_mean_last_bn", last.running_mean)
        expect(it, "running_var_last_bn", last.running_var)


def test_the_recipe_makes_the_meta_net_non_zero() -> None:
    # At ψ = 0 the path through the features vanishes, and the tests above would not see it.
    assert recipe("meta.weight", (1, 9)).abs().min() > 1e-3


def test_sample_losses_are_au_rows_then_fe_rows(oracle: dict[str, np.ndarray]) -> None:
    batch = batch_of(oracle, 0)
    net = tiny_net()
    au, fe = batch[Stream.AU], batch[Stream.FE]
    out = net(au.images, fe.images)
    losses = sample_losses(out, au, fe)
    known = au.labels[0] >= 0
    by_hand = torch.nn.functional.binary_cross_entropy_with_logits(
        out.au_logits[0][known], au.labels[0][known].double(), reduction="sum"
    )
    assert losses[0].item() == pytest.approx(by_hand.item(), rel=1e-12)
    assert losses[5].item() == pytest.approx(-out.fe_logits.log_softmax(1)[0, fe.labels[0]].item(), rel=1e-12)
