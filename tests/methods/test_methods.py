"""One suite over every registered method: a new file in methods/ is tested without a new test."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmark.protocol import BP4D, EMOTIONS
from methods import discover
from methods.base import Batch, Method, Samples, Stream, TaskSpec
from methods.mal import MAL
from methods.meta_gradient import gradients, sgd_step

CPU = torch.device("cpu")
METHODS = dict(discover())
every_method = pytest.mark.parametrize("name", METHODS)


def make(
    name: str, *, seed: int = 0, steps: int = 60, val: Tensor | None = None, amp: bool = False, **hparams: object
) -> Method:
    cls = METHODS[name]
    spec = TaskSpec(BP4D.au_names, EMOTIONS, steps, torch.ones(6, 12, dtype=torch.int8) if val is None else val, amp)
    torch.manual_seed(seed)
    settings = {"backbone": "test_resnet", "optimizer": "adam", "lr": 2e-3, **hparams}
    return cls.build(cls.HParams.model_validate(settings), spec, CPU).train()


def planted(seed: int, count: int = 12) -> Batch:
    """Noise with bright columns that tell the labels, so that there is something to learn."""
    g = torch.Generator().manual_seed(seed)

    def images(signal: Tensor) -> Tensor:
        noise = torch.randn(count, 3, 32, 32, generator=g)
        bars = signal.float().repeat_interleave(32 // signal.shape[1], dim=1)
        noise[:, :, :, : bars.shape[1]] += 2 * bars[:, None, None, :]
        return noise

    def au() -> Samples:
        z = torch.randint(0, 2, (count, 12), generator=g).to(torch.int8)
        return Samples(images(z), z)

    y = torch.randint(0, 7, (count,), generator=g)
    fe = Samples(images(torch.nn.functional.one_hot(y, 7)), y)
    return {Stream.AU: au(), Stream.FE: fe, Stream.AU_VAL: au()}


def only(method: Method, batch: Batch) -> Batch:
    return {stream: batch[stream] for stream in method.streams}


@every_method
def test_it_learns(name: str) -> None:
    method = make(name, steps=60)
    curve = [method.update(only(method, planted(t)), t)["loss_au"].item() for t in range(60)]
    # The AU loss starts near 12 ln 2 = 8.3; the last ten steps are at least a tenth below it.
    assert sum(curve[-10:]) / 10 < 0.9 * curve[0]


@every_method
def test_every_parameter_moves_and_masked_labels_give_no_gradient(name: str) -> None:
    method = make(name)
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    batch = only(method, planted(0))
    z = batch[Stream.AU].labels.clone()
    z[:, 3] = -1
    batch = {**batch, Stream.AU: Samples(batch[Stream.AU].images, z)}
    if Stream.AU_VAL in batch:
        batch[Stream.AU_VAL] = Samples(batch[Stream.AU_VAL].images, batch[Stream.AU_VAL].labels.clone())
        batch[Stream.AU_VAL].labels[:, 3] = -1
    method.update(batch, 0)
    method.update(only(method, planted(1)) | {Stream.AU: Samples(planted(1)[Stream.AU].images, z)}, 1)
    for parameter_name, parameter in method.named_parameters():
        if parameter_name in ("net.head_au.weight", "net.head_au.bias"):
            # Adam moves a row only if it ever had a gradient: nobody knows AU number 3.
            assert torch.equal(parameter[3], before[parameter_name][3])
            moved = (parameter - before[parameter_name]).abs().flatten(1) if parameter.ndim > 1 else None
            assert moved is None or (moved.sum(1) > 0).sum() == 11
        else:
            assert not torch.equal(parameter, before[parameter_name]), f"{parameter_name} does not learn"


@every_method
def test_state_round_trips_bit_for_bit(name: str) -> None:
    straight, first = make(name), make(name)
    for t in range(3):
        straight.update(only(straight, planted(t)), t)
        first.update(only(first, planted(t)), t)
    second = make(name, seed=99)
    second.load_training_state(first.training_state())
    for t in range(3, 6):
        one = straight.update(only(straight, planted(t)), t)
        two = second.update(only(second, planted(t)), t)
        assert {k: v.item() for k, v in one.items()} == {k: v.item() for k, v in two.items()}
    for (n, a), b in zip(straight.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b), n


@every_method
def test_seeds_reproduce_and_predict_needs_images_alone(name: str) -> None:
    a, b, c = make(name, seed=1), make(name, seed=1), make(name, seed=2)
    images = torch.randn(3, 3, 32, 32)
    logits = [m.eval().predict(images) for m in (a, b, c)]
    assert logits[0].shape == (3, 12)
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


@every_method
def test_all_methods_start_from_one_backbone_and_au_classifier(name: str) -> None:
    reference, method = make("stl").net.state_dict(), make(name).net.state_dict()
    shared = [n for n in reference if n.startswith(("backbone.", "head_au."))]
    assert shared
    assert all(torch.equal(method[n], reference[n]) for n in shared)


@every_method
def test_bfloat16_runs_and_stays_near(name: str) -> None:
    exact, rough = make(name), make(name, amp=True)
    one, two = (m.update(only(m, planted(0)), 0) for m in (exact, rough))
    assert one["loss_au"] != two["loss_au"]
    assert abs(one["loss_au"] - two["loss_au"]) < 0.02 * one["loss_au"]


def test_bfloat16_keeps_the_direction_of_the_meta_gradient() -> None:
    grads = []
    for amp in (False, True):
        method = make("mal", amp=amp, seed=3)
        assert isinstance(method, MAL)
        torch.nn.init.normal_(method.meta_net.linear.weight, generator=torch.Generator().manual_seed(0))
        method.update(only(method, planted(0)), 0)
        grads.append(torch.cat([p.grad.flatten() for p in method.meta_net.parameters() if p.grad is not None]))
    assert torch.nn.functional.cosine_similarity(*grads, dim=0) > 0.98
    assert not torch.equal(*grads)


@every_method
def test_scalars_have_no_graph(name: str) -> None:
    method = make(name)
    for scalar_name, value in method.update(only(method, planted(0)), 0).items():
        assert value.ndim == 0, scalar_name
        assert not value.requires_grad, scalar_name


def test_mal_weights_start_at_one_half_and_move() -> None:
    method = make("mal", beta=0.05)
    first = method.update(only(method, planted(0)), 0)
    assert first["weight_au"].item() == 0.5
    assert first["weight_fe"].item() == 0.5
    assert first["fe_share"].item() == 0.5
    later = method.update(only(method, planted(1)), 1)
    assert later["weight_au"].item() != 0.5
    assert later["weight_fe"].item() != 0.5
    weights = method.eval().sample_weight(planted(2)[Stream.FE].images)
    assert weights is not None
    assert weights.shape == (12,)
    assert weights.std() > 0


def test_mal_base_learning_starts_from_theta_and_not_from_theta_star() -> None:
    alpha = 0.01
    method = make("mal", optimizer="sgd", lr=alpha, alpha=alpha)
    assert isinstance(method, MAL)
    theta = {n: p.detach().clone() for n, p in method.net.named_parameters()}
    batch = only(method, planted(0))
    au, fe = batch[Stream.AU], batch[Stream.FE]
    method.update(batch, 0)
    # By Eq. 9 to 11, with the meta net as it stands after the update, on the same batch.
    fresh = make("mal", optimizer="sgd", lr=alpha, alpha=alpha)
    assert isinstance(fresh, MAL)
    leaf = {n: p.requires_grad_() for n, p in theta.items()}
    losses, features = fresh.per_sample(au, fe)(leaf)
    weights = fresh.weigh(dict(method.meta_net.named_parameters()), features.detach(), n_au=12)
    expected = sgd_step(leaf, gradients((weights * losses).sum(), leaf), alpha)

    for n, parameter in method.net.named_parameters():
        torch.testing.assert_close(parameter, expected[n], rtol=1e-5, atol=1e-7)
        # From θ* the step would be twice as long.
        if (expected[n] - theta[n]).abs().max() > 1e-5:
            assert (parameter - theta[n]).abs().max() < 1.5 * (expected[n] - theta[n]).abs().max()


def test_equal_weights_with_match_scale_are_mtl() -> None:
    # β so small that weights stay at one half: L_total doubled is then mean AU + mean FE.
    mal = make("mal", optimizer="sgd", lr=0.01, beta=1e-30, match_scale=True)
    mtl = make("mtl", optimizer="sgd", lr=0.01)
    for t in range(3):
        mal.update(only(mal, planted(t)), t)
        mtl.update(only(mtl, planted(t)), t)
    for (n, a), (_, b) in zip(mal.net.named_parameters(), mtl.net.named_parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-4, atol=2e-6, msg=n)


@pytest.mark.parametrize(
    "setting",
    [
        {"reading": "through"},
        {"normalise": "mean"},
        {"meta_optimizer": "adam"},
        {"val_batch_norm": "running"},
        {"val_weighting": "per_au"},
        {"batch_norm_streams": "separate"},
        {"optimizer": "sgd", "momentum": 0.9},
    ],
    ids=str,
)
def test_every_ambiguity_is_a_setting_that_changes_the_result(
    setting: dict[str, object], labels: Callable[..., Tensor]
) -> None:
    def after(**more: object) -> Tensor:
        method = make("mal", val=labels(40), beta=0.1, **more)
        for t in range(3):
            method.update(only(method, planted(t)), t)
        return torch.cat([p.detach().flatten() for p in method.parameters()])

    assert not torch.equal(after(), after(**setting))


def test_only_the_first_pass_moves_running_statistics() -> None:
    method = make("mal")
    counter = next(b for n, b in method.net.named_buffers() if n.endswith("num_batches_tracked"))
    for t in range(3):
        method.update(only(method, planted(t)), t)
    assert counter.item() == 3
