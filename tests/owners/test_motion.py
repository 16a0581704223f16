"""Landmarks held against moving frames: a shift is seen, slips of a tracker and a head that keeps still are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmark.data.align import points_of
from benchmark.data.faces import FaceSet
from benchmark.data.motion import STILL, find_shift
from tests.owners import mock

FRAMES, SEQUENCES, SIDE = 16, 4, 300


def video(root: Path, moves: float) -> FaceSet:
    """Sequences of one face that wanders evenly over `moves` pixels, with its true points."""
    rows, points = [], []
    for s in range(SEQUENCES):
        image, marks = mock.face(s, 0)
        true = points_of(marks, (slice(36, 42), slice(42, 48)), (48, 54))
        for f in range(FRAMES):
            x, y = round(moves * f / FRAMES), round(moves * ((f * 5) % FRAMES) / FRAMES / 2)
            canvas = np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)
            canvas[y : y + mock.FACE, x : x + mock.FACE] = image
            Image.fromarray(canvas).save(root / f"{s}_{f}.png")
            rows.append((f"{s}_{f}.png", "A", str(s), f))
            points.append(true + np.float32((x, y)))
    table = pd.DataFrame(rows, columns=["path", "subject", "sequence", "frame"])
    labels = np.zeros((len(table), 1), dtype=np.int8)
    return FaceSet("x", root, table, labels, ("AU1",), "partial", "", np.stack(points).astype(np.float32))


def test_each_reading_is_told_apart(tmp_path: Path) -> None:
    faces = video(tmp_path, 50)
    assert faces.points is not None
    by_sequence = faces.points.reshape(SEQUENCES, FRAMES, 4, 2)
    assert find_shift(faces) is None
    for by in (-1, 1):
        shifted = np.roll(by_sequence, by, axis=1).reshape(-1, 4, 2)
        seen = find_shift(replace(faces, points=shifted))
        assert seen is not None
        assert (seen.by, seen.of) == (by, SEQUENCES)
    backwards = find_shift(replace(faces, points=by_sequence[:, ::-1].reshape(-1, 4, 2).copy()))
    assert backwards is not None
    assert backwards.by == STILL


def test_slips_of_a_tracker_are_no_shift(tmp_path: Path) -> None:
    faces = video(tmp_path, 50)
    assert faces.points is not None
    points = faces.points.copy()
    points[5::7] += np.float32(25)
    assert find_shift(replace(faces, points=points)) is None


def test_a_head_that_keeps_still_tells_nothing(tmp_path: Path) -> None:
    faces = video(tmp_path, 0)
    assert faces.points is not None
    noise = np.random.default_rng(0).normal(0, 1.5, faces.points.shape).astype(np.float32)
    assert find_shift(replace(faces, points=faces.points + noise)) is None
