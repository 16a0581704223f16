"""Frames a second from packed frames, from JPEG files, and through a training step, in one run: read the ratios.

Run with `pytest tests/benchmarks/test_input.py --benchmark-only`.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmark.data.align import TEMPLATE
from benchmark.data.augment import ImageInput
from benchmark.data.faces import FaceSet
from benchmark.data.frames import PackedFaces, pack
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from methods import discover
from methods.base import Samples, Stream, TaskSpec

FRAMES, BATCH, STEP_BATCH = 256, 64, 8
IMAGES = ImageInput(224, "imagenet", torch.device("cpu"))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceSet:
    """JPEG files of BP4D's size, with landmarks as of a face 700 pixels wide."""
    root = tmp_path_factory.mktemp("jpeg")
    rng = np.random.default_rng(0)
    for k in range(FRAMES):
        coarse = rng.integers(0, 255, (44, 33, 3), dtype=np.uint8)
        Image.fromarray(cv2.resize(coarse, (1040, 1392), interpolation=cv2.INTER_CUBIC)).save(root / f"{k}.jpg")
    table = pd.DataFrame({"path": [f"{k}.jpg" for k in range(FRAMES)], "subject": "S", "sequence": "S"})
    table["frame"] = range(FRAMES)
    points = np.tile((np.array(TEMPLATE) * 900 + (70, 250)).astype(np.float32), (FRAMES, 1, 1))
    labels = np.zeros((FRAMES, 12), dtype=np.int8)
    return FaceSet("bp4d", root, table, labels, BP4D.au_names, "partial", "", points=points)


def test_from_packed_frames(benchmark, faces: FaceSet, tmp_path: Path) -> None:
    packed = pack(faces, 256, tmp_path)
    rng = np.random.default_rng(0)

    def batch() -> torch.Tensor:
        return IMAGES.train(packed.frames[rng.choice(FRAMES, BATCH)], rng)

    benchmark.pedantic(batch, rounds=20, warmup_rounds=2)
    benchmark.extra_info["frames_per_s"] = BATCH / benchmark.stats["median"]


def test_from_jpeg(benchmark, faces: FaceSet, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made: list[PackedFaces] = []

    def epoch() -> None:
        packed = pack(faces, 256, tmp_path / str(len(made)))
        made.append(packed)
        for start in range(0, FRAMES, BATCH):
            IMAGES.train(packed.frames[start : start + BATCH], rng)

    benchmark.pedantic(epoch, rounds=3, warmup_rounds=1)
    benchmark.extra_info["frames_per_s"] = FRAMES / benchmark.stats["median"]


def test_a_step_of_stl(benchmark) -> None:
    spec = TaskSpec(BP4D.au_names, EMOTIONS, 100, torch.zeros(16, 12, dtype=torch.int8))
    cls = discover()["stl"]
    method = cls.build(cls.HParams(backbone="resnet34"), spec, torch.device("cpu")).train()
    labels = torch.randint(0, 2, (STEP_BATCH, 12), dtype=torch.int8)
    batch = {Stream.AU: Samples(torch.randn(STEP_BATCH, 3, 224, 224), labels)}
    benchmark.pedantic(lambda: method.update(batch, 0), rounds=5, warmup_rounds=1)
    benchmark.extra_info["frames_per_s"] = STEP_BATCH / benchmark.stats["median"]
