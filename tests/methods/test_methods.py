"""One suite over every registered method: a new file in methods/ is tested without a new test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmark.config.profile import load_profile
from benchmark.data.augment import ImageInput
from benchmark.data.sampling import make_fold
from benchmark.trials.expand import AuSource, Selection, Sources, expand
from benchmark.trials.prepare import Chosen, prepare_data, read_au, read_fe, standin_root
from benchmark.trials.setup import Streams
from methods import discover
from methods.base import Batch, Stream
from methods.mal import MAL
from methods.meta_gradient import gradients, sgd_step
from tests.methods.planted import make, only, planted

CPU = torch.device("cpu")
METHODS = {name: cls for name, cls in discover().items() if not cls.is_control}
"""Controls have tests of their own."""
every_method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(scope="module")
def standin(shared_cache: Path) -> Callable[[int], Batch]:
    """Batches of the smoke profile's stand-in by step: 16 AU, 16 FE, 16 validation images."""
    # As drawn: aligned, faces fill less of these few pixels, and how much can be fitted in 36 steps changes.
    batches = ["train.batch_au=16", "train.batch_fe=16", "train.batch_val=16"]
    profile, _ = load_profile("smoke", [*batches, "data.alignment=as_is"])
    chosen = Chosen.open("bp4d", profile)
    root = standin_root(shared_cache, profile, chosen.all)
    protocol = chosen.au.protocol_at(root)
    faces = read_au(root, chosen.au, protocol, profile), read_fe(root, chosen.fe, profile)
    data = prepare_data(faces, profile, shared_cache)
    sources, selection = Sources(AuSource(protocol)), Selection(methods=("stl",), parts=("part1",))
    (trial,) = expand(profile, (), discover(), sources, selection)
    fold = make_fold(data.au.faces, protocol, "part1", 0, fraction=0.02, minimum=16)
    streams = Streams(trial, data, fold, ImageInput(32, "per_image", CPU))
    return lambda step: next(streams.batches(frozenset(Stream), step, step + 1))


@every_method
def test_it_learns_the_stand_in(name: str, standin: Callable[[int], Batch]) -> None:
    """Three batches over and over: what is asked is that it fits, not that it generalises."""
    method = make(name, steps=36, lr=5e-3)
    curve = [method.update(only(method, standin(t % 3)), t)["loss_au"].item() for t in range(36)]
    rates = torch.cat([standin(t)[Stream.AU].labels for t in range(3)]).float().mean(0).clamp(1e-3, 1 - 1e-3)
    # The best constant answer has about 6.6 nats here; a half everywhere has 12 ln 2 = 8.3.
    constant = -(rates * rates.log() + (1 - rates) * (1 - rates).log()).sum().item()
    assert sum(curve[-3:]) / 3 < 0.8 * constant


@every_method
def test_what_is_meant_to_learn_moves_and_nothing_else(name: str) -> None:
    method = make(name)
    before = {n: t.clone() for n, t in method.state_dict().items()}
    batch = only(method, planted(0))
    for stream in batch.keys() & {Stream.AU, Stream.AU_VAL}:
        batch[stream].labels[:, 3] = -1  # nobody knows AU number 3
    for t in range(2):
        method.update(batch, t)
    trained = {n for n, p in method.named_parameters() if p.requires_grad}
    frozen = [
        n for n, m in method.named_modules() if [*m.parameters()] and not any(p.requires_grad for p in m.parameters())
    ]
    for n, tensor in method.state_dict().items():
        if re.fullmatch(r"(net|rivals\.\d+)\.head_au\.\w+", n):
            # Adam moves a row only if it ever had a gradient.
            rows = (tensor - before[n]).abs().reshape(12, -1).sum(1) > 0
            assert rows.tolist() == [j != 3 for j in range(12)], n
        elif n in trained:
            assert not torch.equal(tensor, before[n]), f"{n} does not learn"
        elif any(n.startswith(f"{module}.") for module in frozen):
            assert torch.equal(tensor, before[n]), f"{n} is frozen and moved"


@pytest.mark.parametrize(
    ("name", "hparams"),
    [
        *((name, {}) for name in [*METHODS, "fe_source"]),
        ("mtan", {"loss_weights": "dwa"}),  # its weights depend on two epochs of four steps
        ("mtl_best_rho", {"judged_share": 1.0}),
        ("l2t_ww", {"optimizer": "sgd", "lr": 1e-3, "momentum": 0.9}),  # the virtual steps carry the velocity on
    ],
    ids=str,
)
def test_state_round_trips_bit_for_bit(name: str, hparams: dict[str, object]) -> None:
    straight, first = make(name, **hparams), make(name, **hparams)
    resumed = 9 if "loss_weights" in hparams else 3
    for t in range(resumed):
        straight.update(only(straight, planted(t)), t)
        first.update(only(first, planted(t)), t)
    second = make(name, seed=99, **hparams)
    second.load_training_state(first.training_state())
    for t in range(resumed, resumed + 3):
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
