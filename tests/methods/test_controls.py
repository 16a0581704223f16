"""The controls do what they are named for, and nothing of what they know reaches a method."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from methods import discover
from methods.base import Batch, Samples, Stream
from methods.losses import au_loss
from methods.mal import MAL
from methods.shuffled_weights import ShuffledWeights
from tests.methods.planted import make, planted

CONTROLS = [name for name, cls in discover().items() if cls.is_control]


def known(clear: list[int], seed: int = 0) -> Batch:
    batch = dict(planted(seed))
    mask = torch.zeros(len(batch[Stream.FE].images), dtype=torch.bool)
    mask[clear] = True
    batch[Stream.FE] = replace(batch[Stream.FE], clear=mask)
    return batch


def test_which_they_are() -> None:
    assert CONTROLS == [
        "all_positive",
        "majority",
        "mtl_oracle",
        "random_weights",
        "shuffled_in_streams",
        "shuffled_weights",
    ]
    assert not any(discover()[name].paper_row for name in CONTROLS)


def test_the_oracle_learns_from_no_sample_that_is_not_clear_but_the_network_sees_all() -> None:
    kept = [1, 4, 5, 9]
    batch = known(kept)
    au, fe = batch[Stream.AU], batch[Stream.FE]
    changed = fe.labels.clone()
    others = [i for i in range(len(changed)) if i not in kept]
    changed[others] = (changed[others] + 1) % 7
    oracle, blind, by_hand = make("mtl_oracle"), make("mtl_oracle"), make("mtl")
    oracle.update({Stream.AU: au, Stream.FE: fe}, 0)
    blind.update({Stream.AU: au, Stream.FE: replace(fe, labels=changed)}, 0)
    # By hand: all images through the network, the FE loss over the clear ones.
    out = by_hand.net(au.images, fe.images)
    faces = torch.nn.functional.cross_entropy(out.fe_logits[kept], fe.labels[kept])
    by_hand.descend(au_loss(out.au_logits, au.labels).mean() + faces, 0)
    for name, tensor in by_hand.state_dict().items():
        assert torch.equal(tensor, oracle.state_dict()[name]), name
        assert torch.equal(tensor, blind.state_dict()[name]), name
    buffers = dict(oracle.net.named_buffers())
    mtl = make("mtl")
    mtl.update({Stream.AU: au, Stream.FE: fe}, 0)
    assert all(torch.equal(b, buffers[n]) for n, b in mtl.net.named_buffers())


def test_the_oracle_takes_a_batch_without_a_clear_sample_as_it_is() -> None:
    oracle, mtl = make("mtl_oracle"), make("mtl")
    batch = known([])
    for method in (oracle, mtl):
        method.update({s: batch[s] for s in method.streams}, 0)
    assert all(torch.equal(t, oracle.state_dict()[n]) for n, t in mtl.state_dict().items())


class Unshuffled(ShuffledWeights):
    """Under a permutation that moves nothing."""

    def order(self, n_au: int, n_fe: int) -> torch.Tensor:
        return torch.arange(n_au + n_fe)


def settings(method: str) -> dict[str, object]:
    return {} if method == "random_weights" else {"meta_optimizer": "adam", "beta": 0.01}


def test_an_order_that_moves_nothing_is_mal() -> None:
    batch, mal = planted(3), make("mal", **settings("mal"))
    assert isinstance(mal, MAL)
    torch.manual_seed(5)
    hparams = ShuffledWeights.HParams.model_validate(mal.hparams.model_dump())
    plain = Unshuffled.build(hparams, mal.spec, torch.device("cpu"))
    plain.load_state_dict(mal.state_dict())
    for method in (mal, plain.train()):
        method.update(batch, 0)
    assert all(torch.equal(t, plain.state_dict()[n]) for n, t in mal.state_dict().items())


@pytest.mark.parametrize("name", ["shuffled_weights", "shuffled_in_streams"])
def test_shuffled_weights_are_mals_on_other_samples(name: str) -> None:
    batch, shuffled = planted(3), make(name, **settings(name))
    assert isinstance(shuffled, ShuffledWeights)
    shuffled.update(batch, 0)
    n = len(batch[Stream.AU].images)
    psi = {name: torch.randn_like(p) for name, p in shuffled.meta_net.named_parameters()}
    seen = torch.randn(2 * n, shuffled.net.feature_dim)
    mixed, straight = shuffled.weigh(psi, seen, n), MAL.weigh(shuffled, psi, seen, n)
    assert not torch.equal(mixed, straight)
    assert torch.equal(mixed.sort().values, straight.sort().values)
    halves = [
        torch.equal(mixed[part].sort().values, straight[part].sort().values) for part in (slice(n), slice(n, None))
    ]
    assert halves == [name == "shuffled_in_streams"] * 2


def test_the_history_has_the_weights_that_the_samples_were_given() -> None:
    batch, shuffled = planted(3), make("shuffled_weights", **settings("shuffled_weights"))
    assert isinstance(shuffled, ShuffledWeights)
    with torch.no_grad():
        shuffled.meta_net.linear.weight.normal_()  # type: ignore[operator]
    n = len(batch[Stream.AU].images)
    theta = {name: p.detach() for name, p in shuffled.net.named_parameters()}
    _, seen = shuffled.per_sample(batch[Stream.AU], batch[Stream.FE])(theta)
    straight = shuffled.meta_net(seen).detach()
    said = shuffled.update(batch, 0)
    given = straight[shuffled.drawn]
    means = given[:n].mean().item(), given[n:].mean().item()
    assert (said["weight_au"].item(), said["weight_fe"].item()) == pytest.approx(means, rel=1e-5)
    assert said["weight_au"].item() != pytest.approx(straight[:n].mean().item(), rel=1e-3)
    assert said["fe_share"].item() == pytest.approx(means[1] / sum(means), rel=1e-5)


def test_random_weights_are_noise_and_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, method = planted(3), make("random_weights", match_scale=True)
    descended = []
    monkeypatch.setattr(method, "descend", lambda loss, step: descended.append(loss.item()))
    torch.manual_seed(1)
    said = method.update({s: batch[s] for s in method.streams}, 0)
    torch.manual_seed(1)
    raw = torch.rand(24)
    method.train()
    out = method.net(batch[Stream.AU].images, batch[Stream.FE].images)
    au = torch.nn.functional.binary_cross_entropy_with_logits(
        out.au_logits, batch[Stream.AU].labels.float(), reduction="none"
    ).sum(1)
    fe = torch.nn.functional.cross_entropy(out.fe_logits, batch[Stream.FE].labels, reduction="none")
    assert descended[0] == pytest.approx(2 * (raw / raw.sum() * torch.cat([au, fe])).sum().item(), rel=1e-5)
    assert said["fe_share"].item() == pytest.approx((raw[12:].sum() / raw.sum()).item())


def test_constant_answers() -> None:
    batch = planted(1)
    every, most = make("all_positive"), make("majority")
    labels = batch[Stream.AU].labels.clone()
    labels[0, 0] = -1
    labels[:, 1], labels[:, 2] = 0, 1
    for method in (every, most):
        method.update({Stream.AU: Samples(batch[Stream.AU].images, labels)}, 0)
    images = batch[Stream.AU].images[:3]
    assert (every.predict(images) > 0).all()
    answers = most.predict(images)
    assert answers.shape == (3, 12)
    shares = torch.stack([labels[:, j][labels[:, j] >= 0].float().mean() for j in range(12)])
    assert torch.allclose(answers[2], shares - 0.5)
