"""Share of a trial that looks for the audit take, in time and in images that pass, and the size of what they store.

A trial of the profile `standin` on noise of the size of BP4D's stand-in, with a part of its steps; the share is that of
all steps. Run with `pytest tests/benchmarks/test_audit.py --benchmark-only`; aim: at most 5 %. On a machine that does
other work the counts of images still hold.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.config.profile import load_profile
from benchmark.data.faces import FaceSet
from benchmark.data.frames import PackedFaces
from benchmark.data.trial_data import TrialData
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.store.folder import AU_VAL, AUDIT, SNAPSHOTS, TrialFolder
from benchmark.trials.trainer import RunOptions, train_trial
from methods import discover
from tests.grids import expanded

METHODS = discover()
SHARE = 20
"""Number of times that the trial here would have to be as long."""
BACKWARD = 3
"""Cost of a training pass in forward passes."""


def noise(count: int, side: int, labels: np.ndarray, names: tuple[str, ...], dataset: str) -> PackedFaces:
    rng = np.random.default_rng(0)
    subjects = np.array([s for part in BP4D.parts.values() for s in part])
    number = np.arange(count)
    table = pd.DataFrame({"path": [f"{i}.png" for i in number], "subject": subjects[number % len(subjects)]})
    table = table.assign(sequence="T1", frame=number // len(subjects))
    frames = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return PackedFaces(FaceSet(dataset, Path(), table, labels, names, "partial", ""), frames, dataset)


@pytest.fixture(scope="module")
def data() -> TrialData:
    rng = np.random.default_rng(1)
    au = noise(3936, 56, rng.integers(0, 2, (3936, 12), dtype=np.int8), BP4D.au_names, "bp4d")
    fe = noise(4000, 56, rng.integers(0, 7, 4000, dtype=np.int8), EMOTIONS, "rafdb")
    return TrialData(au, fe)


@pytest.mark.parametrize("name", ["stl", "mtl"])
def test_share_of_looks(benchmark, name: str, data: TrialData, tmp_path: Path) -> None:
    profile, changed = load_profile("standin", [f"train.steps={800 // SHARE}"])
    (trial,) = expanded(BP4D, profile, changed, METHODS, ("bp4d", "rafdb"), methods=(name,), parts=("part1",))
    passed = {True: 0, False: 0}

    def count(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        passed[torch.is_grad_enabled()] += len(inputs[0])

    class Counted(METHODS[name]):  # type: ignore[misc]
        @classmethod
        def build(cls, *arguments: object, **more: object) -> object:
            method = super().build(*arguments, **more)
            first = next(module for module in method.net.backbone.modules() if isinstance(module, torch.nn.Conv2d))
            first.register_forward_pre_hook(count)
            return method

    folder = TrialFolder(tmp_path)
    made = benchmark.pedantic(
        train_trial, (trial, Counted, BP4D, data, folder, RunOptions(torch.device("cpu"))), rounds=1
    )
    test = made["frames"]["test"]
    looks = passed[False] - test  # the test frames are scored once anyway
    training = SHARE * BACKWARD * passed[True]
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    stored = sum(sizes[file] for file in (SNAPSHOTS, AU_VAL, AUDIT))
    benchmark.extra_info.update(
        share_of_passes=looks / (training + test),
        share_of_time=made["time_audit_s"] / (SHARE * made["time_train_s"]),
        bytes_before=sum(sizes.values()) - stored,
        bytes_stored=stored,
        sizes=json.dumps(sizes),
    )
    assert looks / (training + test) < 0.05
