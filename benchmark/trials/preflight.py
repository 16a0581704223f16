"""Estimate of the disk and memory that a grid needs; a grid that cannot fit is refused."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.trials.describe import PAPER_OUTPUTS, Outputs, skeleton
from methods import Registry
from methods.backbone import BaseNet
from methods.base import Stream

FLOAT = 4
STATES = {"sgd": 0, "adam": 2, "adamw": 2}
"""Numbers that an optimiser keeps for each parameter, beyond momentum."""
CHECKPOINTS = 2
"""Checkpoints on disk at one time: the last good one stays until the next is complete."""
CGROUP = Path("/sys/fs/cgroup")
HISTORY_BYTES = 200_000
"""Upper bound of the size of a trial's small tables: counts, scores, history, provenance."""


@dataclass(frozen=True)
class Needs:
    """Disk and memory that trials need.

    Attributes:
        disk: Bytes of the results and of the checkpoints that are there at once.
        memory: Lower bound of the bytes of a step of the largest trial: weights, gradients, optimiser state, images
            and activations. Workspaces of kernels and the libraries come on top.
        largest: Label of the trial with the largest steps.
    """

    disk: int
    memory: int
    largest: str


def needs(
    trials: Sequence[Trial], registry: Registry, test_frames: Mapping[str, int], outputs: Outputs = PAPER_OUTPUTS
) -> Needs:
    """Estimate the disk and memory that trials need.

    Args:
        trials: The trials to run.
        registry: All methods.
        test_frames: Number of test frames by part; a trial of any other part has no test frames.
        outputs: Numbers of AUs and FE classes.
    """
    disk, checkpoint, memory, largest = 0, 0, 0, ""
    sized: dict[str, tuple[int, int]] = {}
    for trial in trials:
        alike = f"{trial.method} {sorted(map(repr, trial.hparams.items()))} {trial.train} {trial.data}"
        if alike not in sized:
            sized[alike] = _sizes(trial, registry, outputs)
        parameters, held = sized[alike]
        states = 2 + STATES[trial.hparams["optimizer"]]
        # A row of predictions: a float and a byte for each AU, and the names of the frame.
        predictions = test_frames.get(trial.part, 0) * (outputs.aus * (FLOAT + 1) + 16)
        # Of each look half a float, and as much for each of two other statistics of batch norm at the end.
        looks = trial.train.snapshots + 2 if trial.train.snapshots else 0
        predictions += test_frames.get(trial.part, 0) * outputs.aus * looks * FLOAT // 2
        disk += parameters * FLOAT + predictions + HISTORY_BYTES
        checkpoint = max(checkpoint, CHECKPOINTS * parameters * FLOAT * states)
        step = parameters * FLOAT * (states + 1) + held
        if step > memory:
            memory, largest = step, trial.label
    return Needs(disk + checkpoint, memory, largest)


def check_needs(needed: Needs, runs: Path, device: torch.device | None) -> None:
    """Refuse trials that cannot fit.

    Args:
        needed: Needs of the trials.
        runs: The store.
        device: Device of the trials; None for a device of another machine, whose memory is unknown here.

    Raises:
        UserError: The store's disk has too little room, or the device too little memory for one step.
    """
    there = existing(runs)
    free = shutil.disk_usage(there).free
    if needed.disk > free:
        raise UserError(
            "the disk is too small for these trials",
            where=there,
            expected=f"{size(needed.disk)} for their results and checkpoints",
            found=f"{size(free)} free",
            remedy="make room, name another store with --runs, or choose fewer trials",
        )
    total = None if device is None else device_memory(device)
    if total is not None and needed.memory > total:
        raise UserError(
            "the device has too little memory for a step",
            where=needed.largest,
            expected=f"{size(needed.memory)} at least",
            found=f"{size(total)} on {device}",
            remedy="choose smaller batches with --set train.batch_au=N (and batch_fe, batch_val), or --amp",
        )


def existing(folder: Path) -> Path:
    """The folder, or the nearest parent that exists."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())


def device_memory(device: torch.device) -> int | None:
    """Total memory of the device in bytes; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return min([installed, *granted_memory(CGROUP, Path("/proc/self/cgroup"))])


def granted_memory(mounted: Path, membership: Path) -> list[int]:
    """Memory limits of this process in bytes: those of its control group (version 2) and of the parent groups.

    A container or a Slurm job has less memory than the machine, and is killed when it takes more.

    Args:
        mounted: Folder of the control groups.
        membership: File that names the group of the process.
    """
    return list(_limits(mounted, membership).values())


def free_memory(
    mounted: Path = CGROUP, membership: Path = Path("/proc/self/cgroup"), machine: Path = Path("/proc/meminfo")
) -> int | None:
    """Bytes of main memory that new processes can take; None where the system does not tell.

    Pages of files that the system can drop count as free.

    Args:
        mounted: Folder of the control groups.
        membership: File that names the group of the process.
        machine: Linux's account of the machine's memory.
    """
    free = []
    with contextlib.suppress(OSError, KeyError, ValueError):
        free.append(1024 * _numbers(machine)["MemAvailable:"])
    for group, limit in _limits(mounted, membership).items():
        with contextlib.suppress(OSError, KeyError, ValueError):
            held = int((group / "memory.current").read_text(encoding="utf-8"))
            free.append(limit - held + _numbers(group / "memory.stat")["inactive_file"])
    return max(0, min(free)) if free else None


def _limits(mounted: Path, membership: Path) -> dict[Path, int]:
    """Memory limits in bytes by folder of the control group; see `granted_memory`."""
    try:
        name = membership.read_text(encoding="utf-8").rpartition("0::/")[2].strip()
    except OSError:
        return {}
    limits = {}
    for group in [mounted / name, *(mounted / name).parents]:
        with contextlib.suppress(OSError, ValueError):  # "max", or a group that the container does not see
            limits[group] = int((group / "memory.max").read_text(encoding="utf-8"))
        if group == mounted:
            break
    return limits


def _numbers(file: Path) -> dict[str, int]:
    """First number of each line of a file of the kernel, by the line's first word."""
    return {words[0]: int(words[1]) for words in map(str.split, file.read_text(encoding="utf-8").splitlines())}


def size(count: int) -> str:
    """A number of bytes in words, such as `1.5 GiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _sizes(trial: Trial, registry: Registry, outputs: Outputs) -> tuple[int, int]:
    """Number of trained parameters, and bytes of the images and activations of a step, without allocating them."""
    cls = registry.any(trial.method)
    method = skeleton(cls, cls.HParams.model_validate(trial.hparams), trial.data.crop_size, registry, outputs)
    parameters = sum(p.numel() for p in method.parameters() if p.requires_grad)
    train = trial.train
    batch = train.batch_au * (Stream.AU in cls.streams) + train.batch_fe * (Stream.FE in cls.streams)
    validation = train.batch_val if Stream.AU_VAL in cls.streams else 0
    pixels = 3 * trial.data.crop_size**2 * FLOAT
    kept = kept_bytes(method.net, 2, trial.data.crop_size) // 2
    chunk = min(validation, trial.hparams.get("val_chunk") or validation)  # chunks run one after another
    largest = max(batch, chunk) * kept // (2 if train.amp else 1)
    return parameters, (batch + validation) * pixels + largest


def kept_bytes(net: BaseNet, images: int, crop_size: int) -> int:
    """Bytes of activations that a forward pass keeps for the backward pass, by a run on the meta device."""
    parameters = {p.untyped_storage()._cdata for p in (*net.parameters(), *net.buffers())}
    seen: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in parameters:
            seen[storage] = tensor
        return tensor

    batch = torch.empty(images, 3, crop_size, crop_size, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = net.backbone(batch)  # kept alive, so that no storage is used twice
    activations = sum(tensor.untyped_storage().nbytes() for tensor in seen.values())
    del out
    return activations
