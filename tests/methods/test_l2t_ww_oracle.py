"""L2T-WW against numbers of its authors' code: its pieces, the meta-gradient, and whole iterations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from methods.backbone import BaseNet, batch_norm_buffers_untouched
from methods.base import Finished, Samples, Stream, TaskSpec
from methods.build import build_net
from methods.fe_source import FESource
from methods.l2t_ww import L2TWW, TransferWeights, distances
from methods.meta_gradient import Params, SgdPath, SgdRule, SgdState, gradients, sgd_path, through_sgd_path
from tests.methods.oracle import Archive, images, load, raw, recipe, same, same_gradient
from tests.methods.tiny import TinyBackbone

TINY = ("l2tww_tiny_ce_momentum", "l2tww_tiny_au_plain")
UNIT_PAIRS = "pairs_src_tgt"


def tensors(archive: Archive, prefix: str) -> dict[str, Tensor]:
    found = {
        k.removeprefix(prefix): torch.from_numpy(np.asarray(v)) for k, v in archive.items() if k.startswith(prefix)
    }
    assert found, prefix
    return found


def test_recipe() -> None:
    archive = load("l2tww_resnet34")
    keys = [key for key in archive if key.startswith("recipe_check/")]
    method = reference_resnet34(archive)
    ours = {theirs(name): tensor for name, tensor in method.state_dict().items()}
    assert keys
    for key in keys:
        flat = ours[key.removeprefix("recipe_check/")].flatten()
        same(torch.stack([flat.sum(), flat.square().sum(), flat[0], flat[-1]]), archive[key], key)


# ---------------------------------------------------------------------- pieces


@pytest.fixture(scope="module")
def units() -> Archive:
    return load("l2tww_units")


def unit_parts(units: Archive) -> tuple[L2TWW, list[Tensor], list[Tensor], list[Tensor]]:
    """The method with the archive's weights, and for every pair source maps, target maps and regressed maps."""
    pairs = [(int(m) + 1, int(n) + 1) for m, n in units[UNIT_PAIRS]]
    method = tiny_method((4, 6, 8), (3, 5, 7), pairs, n_classes=4, hparams={"beta": 0.5})
    given = tensors(units, "p/")
    for name, parameter in method.named_parameters():
        if theirs(name, phi="", r="r.") in given:
            parameter.data = given[theirs(name, phi="", r="r.")].clone()
    source = [torch.from_numpy(units[f"src_feat/{i}"]) for i in range(3)]
    target = [torch.from_numpy(units[f"tgt_feat/{i}"]).requires_grad_() for i in range(3)]
    regressed = [r(target[n - 1]) for r, (_, n) in zip(method.regressors, pairs, strict=True)]
    return method, [source[m - 1] for m, _ in pairs], target, regressed


def theirs(name: str, *, phi: str = "phi.", r: str = "r.") -> str:
    """Our tensor name in the spelling of the reference."""
    name = name.replace("meta_nets.channel.", f"{phi}w.").replace("meta_nets.pair.", f"{phi}lw.")
    name = name.replace("net.backbone.", "tgt.").replace("net.head_au.", "tgt.fc.").replace("regressors.", r)
    return name.replace("source.backbone.", "src.").replace("source.head_fe.", "src.fc.")


def test_what_and_where_to_transfer(units: Archive) -> None:
    method, sources, target, regressed = unit_parts(units)
    phi = dict(method.meta_nets.named_parameters())
    assert float(units["beta"]) == method.hparams.beta == 0.5
    for i, (what, where) in enumerate(method.meta_nets(sources)):
        same(what, units[f"w/{i}"])
        same(where, units[f"lambda/{i}"])
    lambdas = np.concatenate([units[k] for k in units if k.startswith("lambda/")])
    assert lambdas.min() == 0  # both ends of the clamp are among the numbers
    assert lambdas.max() == 6
    weights = method.meta_nets(sources)
    for i, ((what, where), d) in enumerate(zip(weights, distances(sources, regressed), strict=True)):
        same(0.5 * (where * (what * d).sum(1)).mean(), units[f"pair_loss_times_beta/{i}"], str(i))
        same(d.mean(), units[f"pair_loss_unweighted/{i}"], str(i))
    total = method.matching_loss(sources, regressed, phi)
    same(total, units["total_loss"])
    total.backward()
    checked = 0
    for name, parameter in method.named_parameters():
        key = f"g/{theirs(name, phi='')}"
        if key in units:
            same_gradient(parameter.grad, units[key], key, 1e-15)
            checked += 1
    for i, feature in enumerate(target):
        same_gradient(feature.grad, units[f"g/tgt_feat/{i}"])
    assert checked + len(target) == sum(k.startswith("g/") for k in units)


def test_start_values(units: Archive) -> None:
    start = TransferWeights([4, 6])
    assert bool(units["init/w_all_zero"])
    assert all((p == 0).all() for p in start.channel.parameters())
    assert all(torch.equal(pair.bias, torch.ones(1)) for pair in start.pair)
    same(torch.ones(7), units["init/lw_bias"])
    what, where = start([torch.rand(5, 4, 3, 3), torch.rand(5, 6, 2, 2)])[1]
    torch.testing.assert_close(what, torch.full((5, 6), 1 / 6))
    assert ((where >= 0) & (where <= 6)).all()


# --------------------------------------------------------------- meta-gradient


@pytest.mark.parametrize(("name", "rule"), [("plain", SgdRule(0.1)), ("momentum_wd", SgdRule(0.1, 0.9, 0.01))])
def test_meta_gradient_of_the_references_toy(name: str, rule: SgdRule) -> None:
    archive = load("metasgd_toy")
    theta = {
        "v1": torch.tensor([1.0, 3.0], dtype=torch.float64),
        "v2": torch.tensor([[-1.0, -2.0], [1.0, 0.5]], dtype=torch.float64),
    }
    lam = {"lam": torch.tensor([[0.3, -0.1], [0.2, 0.4]], dtype=torch.float64)}

    def inner(theta: Params, phi: Params) -> Tensor:
        v1, v2, lam = theta["v1"], theta["v2"], phi["lam"]
        return v1.square().mean() + (lam * v2.square()).sum() + (v1 * v2.sum(0) * lam[0]).sum()

    def outer(theta: Params) -> Tensor:
        return (theta["v1"] * theta["v2"]).square().mean()

    steps = archive[f"{name}/traj"]
    assert archive[f"{name}/momentum_wd_steps"].tolist() == [rule.momentum, rule.weight_decay, len(steps)]
    start = SgdState(theta, {n: torch.zeros_like(p) for n, p in theta.items()})
    path = sgd_path([inner] * len(steps), start, lam, rule)
    for state, row in zip(path.states[1:], steps, strict=True):
        same(torch.cat([state.theta["v1"], state.theta["v2"].flatten()]), row)
    grads, loss = through_sgd_path([inner] * len(steps), outer, path, lam, rule)
    same(loss, archive[f"{name}/outer"])
    same_gradient(grads["lam"], archive[f"{name}/grad_lambda"])
    same(start.theta["v1"], archive[f"{name}/restored_v1"])  # the path leaves its start alone


# ------------------------------------------------------------ whole iterations


def tiny_method(
    source: tuple[int, ...],
    target: tuple[int, ...],
    pairs: list[tuple[int, int]],
    *,
    n_classes: int,
    hparams: dict[str, object],
) -> L2TWW:
    """The method over the reference's small networks, in float64."""
    settings = L2TWW.HParams(pairs=tuple(pairs), **hparams)
    # Built over a network of timm first, because the source is built by name; then the small one takes its place.
    stand_in = build_net("test_resnet", "scratch", n_aus=0, n_emotions=1)
    done = Finished(FESource.HParams(backbone="test_resnet"), stand_in.state_dict())
    spec = TaskSpec(tuple("abcdefghijkl"[:n_classes]), ("x",), 1, torch.zeros(1, 1), prerequisites={"source": done})

    class Small(L2TWW):
        def make_source(self, done: Finished) -> BaseNet:
            return BaseNet(TinyBackbone(source), source[-1], n_aus=0, n_emotions=4)

    return Small(BaseNet(TinyBackbone(target), target[-1], n_aus=n_classes), settings, spec).double().train()


def hyper_of(archive: Archive) -> dict[str, object]:
    """The reference's settings under our names."""
    ours = ("inner_steps", "lr", "momentum", "weight_decay", "beta", "meta_lr", "meta_weight_decay")
    assert [str(n).split("(")[0] for n in archive["hyper_names"]] == [
        *("T", "lr", "momentum", "weight_decay", "beta", "meta_lr", "meta_weight_decay")
    ]
    return {**dict(zip(ours, archive["hyper"].tolist(), strict=True)), "inner_steps": int(archive["hyper"][0])}


def reference_tiny(archive: Archive) -> L2TWW:
    pairs = [(int(m) + 1, int(n) + 1) for m, n in archive["pairs_src_tgt"]]
    method = tiny_method(
        (4, 6, 8),
        (3, 5, 7),
        pairs,
        n_classes=len(archive["tgt0/fc.bias"]),
        hparams=hyper_of(archive),
    )
    given = {
        **{f"src.{k}": v for k, v in tensors(archive, "src/").items()},
        **{f"tgt.{k}": v for k, v in tensors(archive, "tgt0/").items()},
        **{f"r.{k}": v for k, v in tensors(archive, "r0/").items()},
        **{f"phi.{k}": v for k, v in tensors(archive, "phi0/").items()},
    }
    state = method.state_dict()
    assert {theirs(name) for name in state} == set(given)
    method.load_state_dict({name: given[theirs(name)] for name in state})
    return method


def reference_loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    if "_ce_" in name:
        return lambda logits, y: F.cross_entropy(logits, y.long())
    return lambda logits, z: F.binary_cross_entropy_with_logits(logits, z.double(), reduction="none").sum(1).mean()


def in_their_names(params: Params) -> dict[str, Tensor]:
    return {theirs(n, r="b.").replace("tgt.", "t."): p for n, p in params.items()}


@pytest.mark.parametrize("name", TINY)
def test_two_iterations_equal_the_reference(name: str) -> None:
    archive = load(name)
    method = reference_tiny(archive)
    method.original_loss = reference_loss(name)
    for it in range(2):
        x, y = torch.from_numpy(archive["x"][it]), torch.from_numpy(archive["y"][it])
        au = Samples(x, y)
        phi = {n: p.detach().clone() for n, p in method.meta_nets.named_parameters()}
        kept = {n: b.clone() for n, b in method.named_buffers() if n.startswith("net.")}
        sources = method.source_maps(x)

        def expect(key: str, value: Tensor | float, it: int = it) -> None:
            same(value, archive[f"it{it}/{key}"], f"it{it} {key}")

        real, virtual = {}, {}
        inside = method.meta_gradient

        def spy(
            au: Samples,
            sources: list[Tensor],
            phi: Params,
            step: int,
            inside: Callable = inside,
            real: dict = real,
            virtual: dict = virtual,
        ) -> tuple[Params, list[SgdState], Tensor]:
            real.update({n: method.get_parameter(n).detach().clone() for n in method.theta})
            real.update({n: b.clone() for n, b in method.named_buffers() if n.startswith("net.")})
            found = inside(au, sources, phi, step)
            virtual.update(grads=found[0], states=found[1], loss=found[2])
            return found

        method.meta_gradient = spy
        scalars = method.update({Stream.AU: au}, it)
        method.meta_gradient = inside

        expect("loss_wfm_total_step", scalars["loss_wfm"])
        expect("loss_org_total_step", scalars["loss_au"])
        expect("loss_org_meta", scalars["loss_meta"])
        for key, value in in_their_names(real).items():
            # Our running statistics moved once in the iterations before, theirs twice: compared in the first alone.
            if not ("running" in key and it) and "num_batches" not in key:
                expect(f"theta_after_total/{key}", value)
        states = virtual["states"]
        steps = len(archive[f"it{it}/loss_wfm_inner"])
        for state, label in ((states[steps], "theta_T"), (states[steps + 1], "theta_T1")):
            for key, value in in_their_names(state.theta).items():
                expect(f"{label}/{key}", value)

        def at(theta: Params, x: Tensor = x) -> tuple[Tensor, list[Tensor]]:
            with batch_norm_buffers_untouched(method.net):
                return functional_call(method, theta, (x,))

        for t in range(steps):
            value = method.matching_loss(sources, at(states[t].theta)[1], phi)
            same(value, archive[f"it{it}/loss_wfm_inner"][t], f"inner {t}")
        expect("loss_org_adapt", method.original_loss(at(states[steps].theta)[0], y))
        for n, g in virtual["grads"].items():
            key = theirs(f"meta_nets.{n}", phi="")
            same_gradient(g, archive[f"it{it}/meta_grad/{key}"], key)
        for n, p in method.meta_nets.named_parameters():
            # Adam divides by the root of the squared gradient: where that is rounding alone, so is the step.
            key = theirs(f"meta_nets.{n}", phi="")
            np.testing.assert_allclose(p.detach().numpy(), archive[f"it{it}/phi_after/{key}"], rtol=1e-6, atol=1e-9)
        # Rolled back: parameters are those after the real step.
        for n in method.theta:
            same(method.get_parameter(n), archive[f"it{it}/theta_after_iteration/{next(iter(in_their_names({n: 0})))}"])
        moved = {n: b for n, b in method.named_buffers() if n.startswith("net.")}
        assert all(torch.equal(moved[n], real[n]) for n in moved)
        counter = next(n for n in moved if n.endswith("num_batches_tracked"))
        assert moved[counter] == kept[counter] + 1


def statistics_as_the_original_moves_them(
    method: L2TWW, x: Tensor, update: Callable[[], object]
) -> dict[str, dict[str, Tensor]]:
    """Running statistics at each point of an iteration, had every pass moved them, by the reference's state names.

    The original's virtual passes move them too; it then rolls back, and its backward replay moves them once more:
    a known fault. Ours move once, in the real step.
    """
    found: dict[str, dict[str, Tensor]] = {}

    def note(label: str) -> None:
        buffers = {n: b.clone() for n, b in method.named_buffers() if n.startswith("net.")}
        found[label] = {theirs(n).replace("tgt.", "t."): b.double() for n, b in buffers.items()}

    inside, states = method.meta_gradient, []

    def spy(*given: Any) -> Any:
        out = inside(*given)
        states.extend(out[1])
        return out

    method.meta_gradient = spy  # type: ignore[method-assign]
    update()
    method.meta_gradient = inside  # type: ignore[method-assign]
    note("theta_after_total")
    kept = {n: b.clone() for n, b in method.named_buffers()}
    with torch.no_grad():
        for label, passes in (("theta_T", states[:-2]), ("theta_T1", states[-2:-1])):
            for state in passes:
                functional_call(method, state.theta, (x,))
            note(label)
        for n, b in method.named_buffers():
            b.copy_(kept[n])
        method(x)
        note("theta_after_iteration")
    return found


@pytest.mark.parametrize("name", TINY)
def test_running_statistics_are_the_originals_but_for_passes_that_should_not_move_them(name: str) -> None:
    archive = load(name)
    method = reference_tiny(archive)
    method.original_loss = reference_loss(name)
    for it in range(2):
        x, y = torch.from_numpy(archive["x"][it]), torch.from_numpy(archive["y"][it])
        found = statistics_as_the_original_moves_them(
            method, x, lambda x=x, y=y, it=it: method.update({Stream.AU: Samples(x, y)}, it)
        )
        for label, buffers in found.items():
            stored = [k for k in archive if k.startswith(f"it{it}/{label}/t.bn") and ("running" in k or "num_b" in k)]
            assert len(stored) >= 6
            for key in stored:
                same(buffers[key.split("/")[-1]], archive[key].astype(np.float64), key)


@pytest.mark.parametrize(
    "fault", ["none", "no gradient, no step", "no momentum", "beta outside", "evaluation mode", "start moved"]
)
def test_faults_of_a_careless_copy_do_not_meet_the_reference(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = TINY[0]
    archive = load(name)
    method = reference_tiny(archive)
    method.original_loss = reference_loss(name)
    if fault == "no gradient, no step":  # what torch 2's gradients of None do to the original
        path = sgd_path

        def careless(inner: Any, state: SgdState, phi: Params, rule: SgdRule) -> Any:
            states = [state]
            for loss_of in inner:
                theta = {n: p.detach().requires_grad_() for n, p in states[-1].theta.items()}
                reached = gradients(loss_of(theta, phi), theta)
                after = path([loss_of], states[-1], phi, rule).states[1]
                states.append(
                    SgdState(
                        {n: after.theta[n] if n in reached else p for n, p in states[-1].theta.items()},
                        {n: after.velocity[n] if n in reached else v for n, v in states[-1].velocity.items()},
                    )
                )
            return SgdPath(states, [])

        monkeypatch.setattr("methods.l2t_ww.sgd_path", careless)
    elif fault == "no momentum":
        monkeypatch.setattr(method, "virtual_rule", lambda step: SgdRule(0.1, 0.0, 1e-4))
    elif fault == "beta outside":  # β in the real step alone
        inside, matching = method.meta_gradient, method.matching_loss

        def without_beta(*given: Any) -> Any:
            monkeypatch.setattr(method, "matching_loss", lambda *a: matching(*a) / method.hparams.beta)
            return inside(*given)

        monkeypatch.setattr(method, "meta_gradient", without_beta)
    elif fault == "evaluation mode":
        method.net.eval()
    elif fault == "start moved":  # the path starts before the real step
        start = method.virtual_start()
        monkeypatch.setattr(method, "virtual_start", lambda: start)
    method.update({Stream.AU: Samples(torch.from_numpy(archive["x"][0]), torch.from_numpy(archive["y"][0]))}, 0)
    worst = 0.0
    for n, p in method.meta_nets.named_parameters():
        expected = archive[f"it0/meta_grad/{theirs(f'meta_nets.{n}', phi='')}"]
        if np.abs(expected).max() > 1e-9:
            worst = max(worst, np.abs(p.grad.numpy() - expected).max() / np.abs(expected).max())
    assert worst < 1e-7 if fault == "none" else worst > 1e-3


# ------------------------------------------------------------------ ResNet-34


def reference_resnet34(archive: Archive) -> L2TWW:
    settings = L2TWW.HParams(backbone="resnet34", **hyper_of(archive))
    source = build_net("resnet34", "scratch", n_aus=0, n_emotions=7, image_size=64)
    done = Finished(FESource.HParams(backbone="resnet34"), source.state_dict())
    spec = TaskSpec(
        BP4D.au_names, EMOTIONS, 1, torch.zeros(1, 12, dtype=torch.int8), image_size=64, prerequisites={"source": done}
    )
    method = L2TWW.build(settings, spec, torch.device("cpu")).double().train()
    state = {
        name: recipe(theirs(name), tuple(t.shape)) if t.is_floating_point() else torch.zeros_like(t)
        for name, t in method.state_dict().items()
    }
    for name, tensor in state.items():
        if name.startswith("meta_nets.pair.") and name.endswith(".bias"):
            state[name] = torch.ones_like(tensor)
    method.load_state_dict(state)
    return method


def test_resnet34_with_all_sixteen_pairs() -> None:
    archive = load("l2tww_resnet34")
    method = reference_resnet34(archive)
    assert [list(pair) for pair in method.pairs] == archive["pairs_src_tgt"].tolist()
    x, z = images(archive, "x_times4"), torch.from_numpy(archive["z_au"].astype(np.int8))
    with torch.no_grad():
        method.eval()
        stem: list[Tensor] = []
        handle = method.source.backbone.act1.register_forward_hook(lambda _, __, out: stem.append(out))
        stages, features = method.source.stages(x)
        handle.remove()
        same(stem[0].mean((2, 3)), archive["src/feat0.gap"])
        assert tuple(stem[0].shape) == tuple(archive["src/feat0.shape"])
        for i, stage in enumerate(stages, 1):
            same(stage.output.mean((2, 3)), archive[f"src/feat{i}.gap"])
            assert tuple(stage.output.shape) == tuple(archive[f"src/feat{i}.shape"])
        same(method.source.classify(features, 0).fe_logits, archive["src/logits"])
        same(method(x)[0], archive["tgt_eval/logits"])
        same(method.net.stages(x)[0][3].output.mean((2, 3)), archive["tgt_eval/feat4.gap"])
        method.train()
    seen: dict[str, Any] = {}
    inside = method.meta_gradient

    def spy(*given: Any) -> Any:
        seen["after"] = {n: method.get_parameter(n).detach().clone() for n in method.theta}
        # The meta networks move in place afterwards.
        seen["phi"], seen["sources"] = {n: p.clone() for n, p in given[2].items()}, given[1]
        seen["found"] = inside(*given)
        return seen["found"]

    method.meta_gradient = spy  # type: ignore[method-assign]
    scalars: dict[str, Tensor] = {}
    statistics = statistics_as_the_original_moves_them(
        method, x, lambda: scalars.update(method.update({Stream.AU: Samples(x, z)}, 0))
    )
    for label, buffers in statistics.items():
        stored = [k for k in archive if k.startswith(f"{label}/tgt.")]
        assert len(stored) == 6
        for key in stored:
            same(buffers[key.split("/")[-1].replace("tgt.", "t.")], archive[key].astype(np.float64), key)
    same(scalars["loss_wfm"], archive["loss_wfm_total_step"])
    same(scalars["loss_au"], archive["loss_org_total_step"])
    same(scalars["loss_meta"], archive["loss_org_meta"])
    grads, states, _ = seen["found"]
    names = [str(n) for n in archive["theta_names"]]
    now = {n: method.get_parameter(n) for n in method.theta}
    for label, theta in (
        ("theta_after_total", seen["after"]),
        ("theta_T", states[2].theta),
        ("theta_T1", states[3].theta),
        ("theta_after_iteration", now),
    ):
        ours = {theirs(n): p for n, p in theta.items()}
        assert set(ours) == set(names)
        same(torch.stack([ours[n].norm() for n in names]), archive[f"{label}/l2"], label)
        probe = [(ours[n] * torch.from_numpy(raw(f"probe.{n}", tuple(ours[n].shape)))).sum() for n in names]
        np.testing.assert_allclose(
            torch.stack(probe).detach().numpy(), archive[f"{label}/probe"], rtol=1e-9, atol=1e-9, err_msg=label
        )
    with torch.no_grad(), batch_norm_buffers_untouched(method.net):
        for t in range(2):
            _, regressed = functional_call(method, states[t].theta, (x,))
            same(method.matching_loss(seen["sources"], regressed, seen["phi"]), archive["loss_wfm_inner"][t])
        logits, _ = functional_call(method, states[2].theta, (x,))
        same(method.original_loss(logits, z), archive["loss_org_adapt"])
    phi_names = [str(n) for n in archive["phi_names"]]
    ours = {theirs(f"meta_nets.{n}"): g for n, g in grads.items()}
    assert set(ours) == set(phi_names)
    norms = archive["meta_grad/l2"]
    same_gradient(torch.stack([ours[n].norm() for n in phi_names]), norms)
    for n, expected, norm in zip(phi_names, archive["meta_grad/probe"], norms, strict=True):
        probe = (ours[n] * torch.from_numpy(raw(f"probe.{n}", tuple(ours[n].shape)))).sum().item()
        assert abs(probe - expected) <= 1e-7 * norm + 1e-12 * norms.max(), n
    stored = [key for key in archive if key.startswith("meta_grad/phi")]
    assert stored
    for key in stored:
        # Large ones are stored in part: `name[:rows,:columns]`.
        gradient, expected = ours[key.removeprefix("meta_grad/").split("[")[0]], archive[key]
        if gradient.shape != expected.shape:
            gradient = gradient.reshape(len(gradient), -1)[: expected.shape[0], : expected.shape[1]]
        same_gradient(gradient, expected, key)
    after = {theirs(n): p for n, p in method.named_parameters()}
    probe = [(after[n] * torch.from_numpy(raw(f"probe.{n}", tuple(after[n].shape)))).sum() for n in phi_names]
    np.testing.assert_allclose(torch.stack(probe).detach().numpy(), archive["phi_after/probe"], rtol=1e-6, atol=1e-6)
