"""MTAN against numbers of its authors' code: one attention stage, the whole network, and the loss weights."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from benchmark.core.errors import UserError
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from methods.backbone import BaseNet, Stage
from methods.base import Samples, Stream, TaskSpec
from methods.build import build_net
from methods.mtan import MTAN, Attention, AttentionBranch, DynamicWeightAverage
from methods.multitask import task_losses
from tests.methods.oracle import Archive, fill, images, load, raw, same, same_gradient

TASKS = {"AU": Stream.AU, "FE": Stream.FE}
THEIRS = {
    "net.backbone.": "backbone.",
    "net.head_au.": "head.AU.",
    "net.head_fe.": "head.FE.",
    "branch.att.au.": "att.AU.",
    "branch.att.fe.": "att.FE.",
    "branch.enc.": "enc.",
}
"""Our tensor names in the spelling of the reference."""


@pytest.fixture(scope="module")
def full() -> Archive:
    return load("mtan_resnet34")


def reference_name(name: str) -> str:
    """Our tensor name in the spelling of the reference."""
    for ours, theirs in THEIRS.items():
        name = name.replace(ours, theirs)
    return name


def reference_mtan(**hparams: object) -> MTAN:
    """MTAN at the size of the reference, in float64, with its weights; one trunk pass a task, as there."""
    spec = TaskSpec(BP4D.au_names, EMOTIONS, 10, torch.zeros(1, 12, dtype=torch.int8), image_size=64)
    settings = MTAN.HParams(backbone="resnet34", batch_norm_streams="separate", **hparams)
    method = MTAN.build(settings, spec, torch.device("cpu")).double()
    fill(method, rename=THEIRS)
    method.dwa = DynamicWeightAverage(2, 2.0)
    return method.train()


def test_recipe(full: Archive) -> None:
    # The weights are no part of the archive: if their recipe went wrong, nothing else could be right.
    state = reference_mtan().state_dict()
    checked = 0
    for name, tensor in state.items():
        key = f"recipe_check/{reference_name(name)}"
        if key in full:
            flat = tensor.flatten()
            same(torch.stack([flat.sum(), flat.square().sum(), flat[0], flat[-1]]), full[key], name)
            checked += 1
    assert checked == sum(key.startswith("recipe_check/") for key in full)
    assert checked > 0


def test_one_attention_stage() -> None:
    unit = load("mtan_stage_unit")
    branch = AttentionBranch([5, 5, 7], ["t"], BasicBlock).double().train()
    # The second attention module, which sees the stage and what the first one passed, and the encoder after it.
    attention, encoder = branch.get_submodule("att.t.1"), branch.enc[1]
    for module, prefix in ((attention, "w/att."), (encoder, "w/enc.")):
        module.load_state_dict(
            {n: torch.from_numpy(unit[prefix + n].astype(t.numpy().dtype)) for n, t in module.state_dict().items()}
        )
    u_b, prev, u_t = (torch.from_numpy(unit[n]).requires_grad_() for n in ("u_b", "prev", "u_t"))

    # `forward` up to this stage, with what the stage before passes put in place of the first encoder's output.
    class Passes(nn.Module):
        def forward(self, _: Tensor) -> Tensor:
            return prev

    seen: dict[str, Tensor] = {}
    attention.register_forward_hook(lambda _, __, output: seen.update(mask=output))
    encoder.register_forward_hook(lambda _, inputs, output: seen.update(attended=inputs[0], enc_out=output))
    pool = branch.pool
    branch.enc[0], branch.pool = Passes(), nn.Identity()
    nothing = torch.zeros(2, 5, 4, 4, dtype=torch.float64)
    last = Stage(torch.zeros(2, 7, 4, 4, dtype=torch.float64), torch.zeros(2, 7, 4, 4, dtype=torch.float64))
    branch({"t": [Stage(nothing, nothing), Stage(u_b, u_t), last]}, together=False)
    pooled = pool(seen["enc_out"])
    for name in ("mask", "attended", "enc_out"):
        same(seen[name], unit[name], name)
    same(pooled, unit["pooled"])
    scalar = (pooled * torch.from_numpy(unit["probe"])).sum()
    same(scalar, unit["scalar"])
    scalar.backward()
    for name, tensor in (("u_b", u_b), ("prev", prev), ("u_t", u_t)):
        same_gradient(tensor.grad, unit[f"g/{name}"], name)
    for prefix, module in (("att.", attention), ("enc.", encoder)):
        for name, parameter in module.named_parameters():
            same_gradient(parameter.grad, unit[f"g/{prefix}{name}"], name, 1e-12 * np.abs(unit["g/u_t"]).max())


def run_stages(method: MTAN, task: str, x: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Inputs and outputs of the attention points, the feature, and the logits of a task."""
    seen: dict[str, Tensor] = {}
    handles = []
    for i in range(4):
        module = method.branch.get_submodule(f"att.{TASKS[task]}.{i}")
        handles.append(module.register_forward_hook(lambda _, __, out, i=i: seen.update({f"mask{i}": out})))
    for i in range(3):
        module = method.branch.get_submodule(f"enc.{i}")
        handles.append(module.register_forward_hook(lambda _, __, out, i=i: seen.update({f"encout{i}": out})))
    stages, _ = method.net.stages(x)
    feature = method.branch({TASKS[task]: stages}, together=False)[TASKS[task]]
    for handle in handles:
        handle.remove()
    for i, stage in enumerate(stages):
        seen |= {f"u{i}_b": stage.before_last, f"u{i}_t": stage.output}
    if task == "AU":
        return seen, feature, method.net.classify(feature, len(x)).au_logits
    return seen, feature, method.net.classify(feature, 0).fe_logits


def check_evaluation(method: MTAN, full: Archive, prefix: str) -> None:
    method.eval()
    for task, name in (("AU", "x_au_times4"), ("FE", "x_fe_times4")):
        x = images(full, name)
        seen, feature, logits = run_stages(method, task, x)
        same(logits, full[f"{prefix}/{task}/logits"])
        if f"{prefix}/{task}/att_feat_gap" in full:
            same(feature, full[f"{prefix}/{task}/att_feat_gap"])
        for key in [k for k in full if k.startswith(f"{prefix}/{task}/") and k.endswith(".chan_mean")]:
            point = key.split("/")[-1].removesuffix(".chan_mean")
            same(seen[point].mean((0, 2, 3)), full[key], key)
            assert tuple(full[f"{prefix}/{task}/{point}.shape"]) == tuple(seen[point].shape)
        if f"{prefix}/{task}/att_feat_map_stage4" in full:
            same((seen["mask3"] * seen["u3_t"])[:, :8], full[f"{prefix}/{task}/att_feat_map_stage4"])
    same(method.predict(images(full, "x_au_times4")), full[f"{prefix}/AU/logits"])


def test_the_whole_network(full: Archive) -> None:
    method = reference_mtan()
    with torch.no_grad():
        check_evaluation(method, full, "eval0")
    method.train()
    au, fe = images(full, "x_au_times4"), images(full, "x_fe_times4")
    z, y = torch.from_numpy(full["z_au"].astype(np.int8)), torch.from_numpy(full["y_fe"]).long()
    out = method.outputs(au, fe)
    same(out.features[:3], full["train/AU/att_feat_gap"])
    same(out.features[3:], full["train/FE/att_feat_gap"])
    same(out.au_logits, full["train/AU/logits"])
    same(out.fe_logits, full["train/FE/logits"])
    losses = task_losses(out, z, y)
    same(losses.au, full["train/loss_AU"])
    same(losses.fe, full["train/loss_FE"])
    (losses.au + losses.fe).backward()

    ours = {reference_name(name): p for name, p in method.named_parameters()}
    names = [str(name) for name in full["train/grad_names"]]
    assert sorted(names) == sorted(ours)
    assert [ours[name].numel() for name in names] == full["param_count"].tolist()
    grads = [ours[name].grad for name in names]
    same_gradient(torch.stack([g.norm() for g in grads]), full["train/grad_l2"])
    probes = [
        (g * torch.from_numpy(raw(f"probe.{n}", tuple(g.shape)))).sum() for n, g in zip(names, grads, strict=True)
    ]
    # The gradient of a bias before batch norm is zero: what is left of it is rounding.
    rounding = 1e-12 * full["train/grad_l2"].max()
    for name, found, expected, norm in zip(names, probes, full["train/grad_probe"], full["train/grad_l2"], strict=True):
        assert abs(found.item() - expected) <= 1e-7 * norm + rounding, name
    stored = [key for key in full if key.startswith("train/grad/")]
    assert stored
    for key in stored:
        name = key.removeprefix("train/grad/")
        gradient, expected = ours[name].grad, full[key]
        if gradient.numel() > 4096:
            gradient = gradient.reshape(len(gradient), -1)[:8, :64]
        same_gradient(gradient.reshape(expected.shape), expected, name, rounding)

    buffers = {reference_name(name): b for name, b in method.named_buffers()}
    for key in [k for k in full if k.startswith("after_train/") and "running" in k]:
        same(buffers[key.removeprefix("after_train/")], full[key], key)
    counted = [f"{n}.num_batches_tracked" for n in ("backbone.bn1", "att.AU.0.1", "att.FE.0.1", "enc.0.bn1")]
    assert [int(buffers[n]) for n in counted] == full["after_train/num_batches_tracked"].tolist()
    with torch.no_grad():
        check_evaluation(method, full, "eval1")


@pytest.mark.parametrize(
    "mutation",
    ["concatenate the other way round", "share attention between tasks", "feed attention back into the trunk"],
)
def test_a_wrong_wiring_would_be_seen(full: Archive, mutation: str) -> None:
    method = reference_mtan().eval()
    x = images(full, "x_fe_times4")
    if mutation.startswith("share"):
        method.branch.att["fe"] = method.branch.att["au"]
    elif mutation.startswith("concatenate"):
        for i in (1, 2, 3):
            first = method.branch.get_submodule(f"att.fe.{i}.0")
            first.weight.data = first.weight.data.roll(first.weight.shape[1] // 2, dims=1)
    else:
        # What attention makes of the first stage goes on through the trunk.
        trunk, attention = method.net.backbone, method.branch.get_submodule("att.fe.0")
        kept: list[Tensor] = []
        trunk.layer1[-2].register_forward_hook(lambda _, __, out: kept.append(out))
        trunk.layer1.register_forward_hook(lambda _, __, out: out * attention(kept[-1]))
    with torch.no_grad():
        _, _, logits = run_stages(method, "FE", x)
    assert np.abs(logits.numpy() - full["eval0/FE/logits"]).max() > 1e-3


def test_sizes_are_those_of_the_reference() -> None:
    def total(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    # facts of the authors' networks: trunk, attention of a task, encoders; with two tasks and their heads.
    method = reference_mtan()
    branch = method.branch
    assert [total(branch.get_submodule(f"att.au.{i}")) for i in range(4)] == [8_576, 49_920, 198_144, 789_504]
    assert [total(encoder) for encoder in branch.enc] == [230_144, 919_040, 3_673_088]
    assert total(method) == 28_208_979
    for name, block, expected in (("resnet18", BasicBlock, 18_091_072), ("resnet50", Bottleneck, 39_791_296)):
        trunk = timm.create_model(name, num_classes=0)
        widths = [stage.width for stage in BaseNet(trunk, 8, 1).stage_blocks()]
        assert total(trunk) + total(AttentionBranch(widths, ["a", "b"], block)) == expected


@pytest.mark.parametrize("size", [48, 70, 224])
def test_any_side_and_one_block_a_stage(size: int) -> None:
    net = build_net("test_resnet", "scratch", n_aus=3, n_emotions=2, image_size=size)
    spec = TaskSpec(("a", "b", "c"), ("x", "y"), 1, torch.zeros(1, 3, dtype=torch.int8))
    method = MTAN(net, MTAN.HParams(backbone="test_resnet"), spec)
    out = method.outputs(torch.randn(2, 3, size, size), torch.randn(3, 3, size, size))
    assert out.au_logits.shape == (2, 3)
    assert out.fe_logits.shape == (3, 2)


def test_rows_pass_the_branch_of_their_own_task_alone() -> None:
    net = build_net("test_resnet", "scratch", n_aus=3, n_emotions=2, image_size=32)
    spec = TaskSpec(("a", "b", "c"), ("x", "y"), 1, torch.zeros(1, 3, dtype=torch.int8))
    method = MTAN(net, MTAN.HParams(backbone="test_resnet"), spec).train()
    out = method.outputs(torch.randn(2, 3, 32, 32), torch.randn(3, 3, 32, 32))
    task_losses(out, torch.ones(2, 3), torch.ones(3).long()).au.backward()
    for task, reached in (("au", True), ("fe", False)):
        last = method.branch.get_submodule(f"att.{task}.3.3")
        assert bool((last.weight.grad != 0).any()) is reached, task


@pytest.mark.parametrize("source", ["libmtl", "official"])
def test_dynamic_weight_average(source: str) -> None:
    archive = load("dwa")
    if source == "libmtl":
        losses, expected = archive["libmtl_epoch_loss"].T, archive["libmtl_weights_by_epoch"]
    else:
        losses, expected = archive["official_epoch_loss_3task"], archive["official_weights_by_epoch"]
    rule = DynamicWeightAverage(losses.shape[1], float(archive["T"])).double()
    for epoch, weights in enumerate(expected):
        np.testing.assert_allclose(rule().numpy(), weights, atol=1e-6, err_msg=str(epoch))
        if epoch < len(losses):
            for share in (0.5, 1.5):  # two batches with the epoch's mean
                rule.add(torch.from_numpy(share * losses[epoch]))
            rule.end_epoch()


def test_weights_change_between_epochs_and_only_there() -> None:
    spec = TaskSpec(("a", "b", "c"), ("x", "y"), 12, torch.zeros(1, 3, dtype=torch.int8), steps_per_epoch=3)
    method = MTAN.build(MTAN.HParams(backbone="test_resnet", loss_weights="dwa", lr=0.05), spec, torch.device("cpu"))
    torch.manual_seed(0)
    batch = {
        Stream.AU: Samples(torch.randn(4, 3, 32, 32), torch.ones(4, 3, dtype=torch.int8)),
        Stream.FE: Samples(torch.randn(4, 3, 32, 32), torch.zeros(4).long()),
    }
    weights = []
    for step in range(12):
        method.update(batch, step)
        weights.append(method.dwa().tolist())
    assert weights[:6] == [[1.0, 1.0]] * 6
    assert weights[6] == weights[7] == weights[8] != [1.0, 1.0]
    assert weights[9] != weights[8]
    assert sum(weights[9]) == pytest.approx(2.0)


def test_trunk_and_encoders_normalise_the_rows_of_both_tasks_together_or_apart() -> None:
    counts = {}
    for streams in ("concat", "separate"):
        spec = TaskSpec(("a", "b", "c"), ("x", "y"), 1, torch.zeros(1, 3, dtype=torch.int8))
        hparams = MTAN.HParams(backbone="test_resnet", batch_norm_streams=streams)
        method = MTAN.build(hparams, spec, torch.device("cpu")).train()
        method.outputs(torch.randn(2, 3, 32, 32), torch.randn(3, 3, 32, 32))
        layers = ("net.backbone.bn1", "branch.enc.0.bn1", "branch.att.au.0.1", "branch.att.fe.0.1")
        counts[streams] = [int(method.get_submodule(layer).num_batches_tracked) for layer in layers]
    assert counts == {"concat": [1, 1, 1, 1], "separate": [2, 2, 1, 1]}


class Sideways(torch.nn.Module):
    """A backbone whose features are those of its last stage beside those of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3)
        self.feature_info = [{"module": "first", "num_chs": 4}, {"module": "last", "num_chs": 4}]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.first(images)
        return torch.cat([first.mean((2, 3)), self.last(first).mean((2, 3))], dim=1)


def test_a_backbone_whose_features_are_not_its_last_stage_is_refused() -> None:
    spec = TaskSpec(("a", "b", "c"), ("x", "y"), 1, torch.zeros(1, 3, dtype=torch.int8))
    with pytest.raises(UserError, match="from its last stage alone"):
        MTAN.build(MTAN.HParams(), spec, torch.device("cpu"), backbone=Sideways())
    with pytest.raises(UserError, match="stages of feature maps"):
        method = MTAN.build(MTAN.HParams(backbone="test_vit"), spec, torch.device("cpu"))
        method.outputs(torch.randn(2, 3, 224, 224), torch.randn(3, 3, 224, 224))


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "mobilenetv3_small_050"])
def test_layers_after_the_last_stage_see_the_attended_maps(backbone: str) -> None:
    """With masks of one, MTAN's features are the backbone's own."""
    spec = TaskSpec(("a", "b", "c"), ("x", "y"), 1, torch.zeros(1, 3, dtype=torch.int8), image_size=64)
    method = MTAN.build(MTAN.HParams(backbone=backbone), spec, torch.device("cpu")).eval()
    for mask in method.branch.att.modules():
        if isinstance(mask, Attention):
            mask[-1] = Ones()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        theirs = method.net.classify(method.net.features(images), 2).au_logits
        assert torch.allclose(method.predict(images), theirs, atol=1e-5)


class Ones(torch.nn.Module):
    """A mask that lets everything pass."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(x)
