"""Finished trials of a few steps, and photographs whose faces a scripted detector knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.config.profile import load_profile
from benchmark.data.align import Points
from benchmark.data.detect import Detector
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.predict.model import Model, load_model
from benchmark.store.folder import TrialFolder
from benchmark.trials.prepare import prepare_data
from benchmark.trials.runner import run_trials
from benchmark.trials.trainer import RunOptions
from methods import discover
from tests.conftest import write_bp4d, write_rafdb
from tests.grids import expanded, read_faces

REGISTRY = discover()
CPU = torch.device("cpu")
FACE: Points = np.array([[30, 40], [50, 40], [33, 60], [47, 60]], dtype=np.float32)
"""Eyes and mouth of a face in an image of 100 x 100."""
LARGE: Points = (FACE - 40) * 1.4 + 45
SETTINGS = (
    *("data.alignment=as_is", "data.frame_size=36", "method.backbone=test_resnet"),
    *("train.steps=2", "train.batch_au=6", "train.batch_fe=6"),
)


class Scripted:
    """A detector that finds as many faces as the image's grey says: 0 below 50, 1 below 100, else 2."""

    name = "scripted"

    def __call__(self, image: np.ndarray) -> Points:
        number = min(int(image.mean() // 50), 2)
        return np.array([FACE, LARGE], dtype=np.float32)[:number]


def scripted() -> Detector:
    return Scripted()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished trial of STL, MAL and L2T-WW each, on part1."""
    root, runs = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("runs")
    write_bp4d(root)
    write_rafdb(root)
    profile, changed = load_profile("smoke", SETTINGS)
    data = prepare_data(read_faces(root, profile), profile, root / "cache")
    prints = (data.au.fingerprint, data.fe.fingerprint)
    trials = expanded(
        BP4D, profile, changed, REGISTRY, prints, methods=("stl", "mal", "l2t_ww"), parts=("part1",), seeds=(0,)
    )
    run_trials(trials, REGISTRY, BP4D, data, runs, RunOptions(CPU))
    return runs


def folder_of(store: Path, method: str) -> TrialFolder:
    (folder,) = (store / "bp4d" / method).iterdir()
    return TrialFolder(folder)


@pytest.fixture(scope="session")
def model(store: Path) -> Model:
    return load_model(folder_of(store, "stl"), REGISTRY, CPU)
