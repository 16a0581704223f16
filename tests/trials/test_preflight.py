"""Estimated needs of a grid: against the real needs of trials, and refused if they cannot fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark.config.profile import load_profile
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.trials import preflight
from benchmark.trials.preflight import (
    FLOAT,
    Needs,
    check_needs,
    device_memory,
    existing,
    free_memory,
    granted_memory,
    kept_bytes,
    needs,
)
from methods import discover
from methods.backbone import BaseNet
from methods.build import build_net
from tests.grids import expanded

REGISTRY = discover()
CPU = torch.device("cpu")


def trials(*methods: str, **settings: object) -> list[Trial]:
    chosen = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    profile, changed = load_profile("standin", chosen)
    return expanded(BP4D, profile, changed, REGISTRY, ("a", "b"), methods=methods, parts=("part1",), seeds=(0,))


def test_kept_activations_by_hand() -> None:
    """A convolution keeps its input, batch norm its input and two statistics a channel, ReLU its output."""

    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.act = nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.act(self.norm(self.conv(x))).mean((2, 3))
            return result

    net = BaseNet(Three(), 8, n_aus=1, n_emotions=0).to("meta").train()
    count, side = 2, 16
    pixels = count * side * side
    at_least = 4 * pixels * (3 + 8 + 8)
    assert at_least <= kept_bytes(net, count, side) <= 1.05 * at_least


def test_it_is_of_the_order_of_what_autograd_holds() -> None:
    """The same passes on the CPU, every tensor that is saved counted by what it holds."""
    made = build_net("resnet18", "scratch", n_aus=12, n_emotions=7, image_size=64, separate_streams=False)
    own = {p.untyped_storage().data_ptr() for p in (*made.parameters(), *made.buffers())}
    seen: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        out = made.backbone(torch.randn(2, 3, 64, 64))
    assert out is not None
    assert kept_bytes(made.to("meta"), 2, 64) == pytest.approx(sum(seen.values()), rel=0.05)


def test_needs_grow_with_what_makes_them_grow() -> None:
    frames = {"part1": 1000}
    small, large = (needs(trials("mal", train__batch_val=n), REGISTRY, frames) for n in (64, 256))
    assert large.memory > 2 * small.memory
    assert large.disk == small.disk
    assert needs(trials("mal", "mtl"), REGISTRY, frames).disk > small.disk
    assert small.largest.startswith("bp4d mal")


def test_a_trial_keeps_the_predictions_of_its_own_part() -> None:
    def predictions(chosen: list[Trial], **frames: int) -> int:
        return needs(chosen, REGISTRY, frames).disk - needs(chosen, REGISTRY, {}).disk

    # A row: twelve logits, twelve labels, a name; three looks in training and two at its end, in half precision.
    row = 12 * (FLOAT + 1) + 16 + (3 + 2) * 12 * FLOAT // 2
    assert predictions(trials("mtl"), part1=10**6, part2=10**7) == row * 10**6
    two = trials("mtl", "l2t_ww")
    assert [trial.part for trial in two] == ["part1", "all", "part1"]  # a stage tests no one
    assert predictions(two, part1=10**6, part2=10**7) == 2 * row * 10**6


def test_a_validation_batch_in_chunks_takes_the_memory_of_one() -> None:
    """Activations count for the largest batch only, images for all batches."""

    def memory(batch_val: int, chunk: int) -> int:
        settings = {"train__batch_val": batch_val, "methods__mal__val_chunk": chunk, "train__batch_au": 8}
        running = {"methods__mal__val_batch_norm": "running", "train__batch_fe": 8}
        return needs(trials("mal", **settings, **running), REGISTRY, {}).memory

    image = 3 * trials("mal")[0].data.crop_size ** 2 * FLOAT
    whole, chunked, small = memory(256, 0), memory(256, 64), memory(64, 0)
    assert chunked == small + 192 * image
    assert whole - chunked > 192 * image
    assert memory(256, 1000) == whole


def test_what_cannot_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "not/there/yet"
    check_needs(Needs(1, 1, "x"), runs, CPU)
    assert existing(runs) == tmp_path
    with pytest.raises(UserError, match="the disk is too small"):
        check_needs(Needs(2**60, 1, "x"), runs, CPU)
    monkeypatch.setattr(preflight, "device_memory", lambda device: 2**30)
    with pytest.raises(UserError, match="too little memory for a step") as caught:
        check_needs(Needs(1, 2**31, "bp4d mal"), runs, CPU)
    check_needs(Needs(1, 2**31, "bp4d mal"), runs, None)  # another machine runs it
    with pytest.raises(UserError, match="the disk is too small"):
        check_needs(Needs(2**60, 2**31, "x"), runs, None)
    assert caught.value.where == "bp4d mal"
    monkeypatch.setattr(preflight, "device_memory", lambda device: None)
    check_needs(Needs(1, 2**60, "x"), runs, CPU)


def test_a_control_group_grants_what_the_least_around_it_does(tmp_path: Path) -> None:
    own, job = tmp_path / "cgroup", tmp_path / "groups/slurm/job/step"
    own.write_text("4:memory:/elsewhere\n0::/slurm/job/step\n")
    job.mkdir(parents=True)
    assert granted_memory(tmp_path / "groups", own) == []
    for group, limit in ((job, "max"), (job.parent, "1000"), (job.parent.parent, "4000"), (tmp_path, "1")):
        (group / "memory.max").write_text(f"{limit}\n")
    assert sorted(granted_memory(tmp_path / "groups", own)) == [1000, 4000]
    own.write_text("0::/\n")  # as a container sees itself
    assert granted_memory(job.parent, own) == [1000]
    assert granted_memory(tmp_path, tmp_path / "none") == []


def test_a_device_has_the_memory_that_its_control_group_grants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "CGROUP", tmp_path)
    installed = device_memory(CPU)
    monkeypatch.setattr(preflight, "granted_memory", lambda mounted, own: [2**50, 2**20][mounted == tmp_path :])
    assert device_memory(CPU) == 2**20
    assert installed is not None
    assert installed > 2**20


def test_free_memory_is_the_least_of_the_machine_and_of_the_groups(tmp_path: Path) -> None:
    group, machine, membership = tmp_path / "cgroup/a", tmp_path / "meminfo", tmp_path / "membership"
    group.mkdir(parents=True)
    membership.write_text("0::/a\n")
    assert free_memory(group.parent, membership, machine) is None
    machine.write_text("MemTotal:  9000 kB\nMemAvailable:  4000 kB\n")
    assert free_memory(group.parent, membership, machine) == 4000 * 1024
    for name, text in (("max", "1000000"), ("current", "700000"), ("stat", "anon 500000\ninactive_file 150000\n")):
        (group / f"memory.{name}").write_text(text)
    assert free_memory(group.parent, membership, machine) == 1_000_000 - 700_000 + 150_000
    (group / "memory.max").write_text("max")
    assert free_memory(group.parent, membership, machine) == 4000 * 1024
    (group / "memory.max").write_text("100000")
    assert free_memory(group.parent, membership, machine) == 0
