"""Every layout of a copy is checked, prepared and trained on, and the packed pixels are the faces.

None of them is grey, and none is of another frame.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.api.checks import check_data
from benchmark.api.data import load_data, pack_data
from benchmark.cli import app
from benchmark.data.align import TEMPLATE, points_of
from benchmark.data.frames import PackedFaces
from benchmark.data.trial_data import TrialData
from tests.owners import mock, sampled
from tests.owners.mock import Mock

SMALL = ("data.frame_size=64", "data.crop_size=56")
BOUND, MIDDLE = 0.93, 0.97
"""Least and least median correlation of packed frames with the faces that were drawn for them. With the landmarks of
the next frame the median is 0.74 to 0.80."""

BP4D_LAYOUTS: dict[str, Callable[[Path], Mock]] = {
    "shipped": mock.bp4d,
    "flat": lambda root: mock.bp4d(root, images="{s}/{t}/{f}.jpg"),
    "2D+3D": lambda root: mock.bp4d(root, images="2D+3D/{s}/{t}/{f}.jpg"),
    "codes in AUCoding": lambda root: mock.bp4d(root, coding="AUCoding/{s}_{t}.csv"),
    "doubled": lambda root: mock.bp4d(
        root,
        images="Sequences(2D+3D)/Sequences(2D+3D)/{s}/{s}/{t}/{f}.jpg",
        coding="AUCoding/AUCoding/{s}_{t}.csv",
        marks="2DFeatures/2DFeatures/{s}_{t}.mat",
    ),
    "doubled dataset": lambda root: mock.bp4d(root, home="BP4D/BP4D"),
    "FERA": lambda root: mock.bp4d(
        root, images="BP4D-training/{s}/{t}/{f}.jpg", marks="BP4D-fpoints/{s}_{t}.mat", flag=True
    ),
    "release": lambda root: mock.bp4d(root, images="release/BP4D-training/{s}/{t}/{f}.jpg"),
}
DISFA_LAYOUTS: dict[str, Callable[[Path], Mock]] = {
    "shipped": mock.disfa,
    "spelling": lambda root: mock.disfa(root, footage="Video_LeftCamera/leftVideo{s}_Comp.avi"),
    "doubled": lambda root: mock.disfa(
        root,
        labels="ActionUnit_Labels/ActionUnit_Labels/{s}/{s}_au{k}.txt",
        marks="Landmark_Points/Landmark_Points/{s}/tmp_frame_lm/{s}_{m:04d}_lm.mat",
    ),
    "ME-GraphAU": lambda root: mock.disfa(root, footage="img/{s}/{n}.png"),
    "JAA-Net": lambda root: mock.disfa(root, footage="{s}/{n}.jpg"),
    "LibreFace": lambda root: mock.disfa(
        root, footage="images/LeftVideo{s}_comp/LeftVideo{s}_comp_{n:04d}.png", first_image=1
    ),
    "landmarks from 1": lambda root: mock.disfa(root, first_mark=1),
    "landmarks by frame number": lambda root: mock.disfa(root, marks="Landmark_Points/{s}/l0{m:04d}_lm.mat"),
    "a landmark file more": lambda root: mock.disfa(root, first_mark=1, extra_mark=True),
}
GFT_LAYOUTS: dict[str, Callable[[Path], Mock]] = {
    "videos": mock.gft,
    "videos by name": lambda root: mock.gft(root, footage="Video/GFT_{s}_face.avi"),
    "images": lambda root: mock.gft(root, footage="images/{s}/{n}.jpg"),
    "padded images": lambda root: mock.gft(root, footage="images/{s}/{s}_{n:06d}.png"),
}
RAFDB_LAYOUTS: dict[str, Callable[[Path], Mock]] = {
    "shipped": mock.rafdb,
    "doubled": lambda root: mock.rafdb(root, "basic/Image/aligned/aligned/{stem}_aligned.jpg"),
    "without basic": lambda root: mock.rafdb(root, "Image/aligned/{stem}_aligned.jpg", listed="EmoLabel"),
    "class folders": lambda root: mock.rafdb(root, "{split}/{code}/{stem}_aligned.jpg", listed=""),
    "DATASET": lambda root: mock.rafdb(root, "DATASET/{split}/{code}/{stem}_aligned.jpg", listed=""),
}


PARTS = {"bp4d": "part1", "disfa": "part1", "gft": "test"}
INCOMPLETE = re.compile(
    r"subjects missing|sequences missing|class counts differ|holds the frames of|none of the known frames"
    r"|starts \d+ frames|ends \d+ frames"
)
"""Faults of a copy that is small and else right."""


def owners_way(name: str, root: Path, cache: Path) -> TrialData:
    """Check, prepare and run two steps on a copy, as an owner does; the packed frames that the run used."""
    alignment = "detected" if name == "gft" else "landmarks"
    settings = [*SMALL, f"data.alignment={alignment}", "train.steps=2"]
    settings += ["disfa.start.method="] if name == "disfa" else []
    checked = check_data(name, root, profile="smoke", overrides=settings, cache=cache)
    assert len(checked.faces) == 2
    assert [fault.what for fault in checked.report.faults if not INCOMPLETE.search(fault.what)] == []
    looked = pack_data(name, root, profile="smoke", overrides=settings, cache=cache)
    assert not any(seen.quality.strange.any() for seen in looked)
    assert all(seen.sheet.is_file() for seen in looked)
    words = ["run", name, "--profile", "smoke", "--data", root, "--cache", cache, "--runs", cache / "runs"]
    words += ["--method", "stl", "--part", PARTS[name], "--allow-incomplete"]
    result = CliRunner().invoke(app, [*map(str, words), *(word for value in settings for word in ("--set", value))])
    assert result.exit_code == 0, result.output
    assert len(list((cache / "runs").rglob("DONE"))) == 1
    data = load_data(
        name, profile="smoke", overrides=settings, root=root, cache=cache, allow_incomplete=True, check_pixels=False
    )
    assert data.frames.au.decoded == data.frames.fe.decoded == 0  # the run used what was prepared
    return data.frames


def expected_face(copy: Mock, folder: str, sequence: str, frame: int, shift: int = 0) -> np.ndarray:
    """The aligned face, by a least-squares fit of a similarity, apart from the suite's own code.

    `shift` takes the place of the landmarks in another frame, as landmarks that are off by one do.
    """
    points = points_of(copy.marks[folder, sequence, frame + shift], (slice(36, 42), slice(42, 48)), (48, 54))
    template = np.array(TEMPLATE, dtype=np.float64) * 256 - 0.5
    x, y = points.astype(np.float64).T
    # (x, y) -> (a x - b y + c, b x + a y + d), in least squares.
    rows = np.concatenate([np.stack([x, -y, x * 0 + 1, x * 0], axis=1), np.stack([y, x, y * 0, y * 0 + 1], axis=1)])
    a, b, c, d = np.linalg.lstsq(rows, template.T.ravel(), rcond=None)[0]
    large = cv2.warpAffine(copy.faces[folder, sequence, frame], np.array([[a, -b, c], [b, a, d]]), (256, 256))
    return cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    inside = (slice(12, 52), slice(12, 52))  # around eyes and mouth: the drawn face has no background there
    return float(np.corrcoef(one[inside].ravel().astype(float), other[inside].ravel().astype(float))[0, 1])


def hold_against_the_source(
    packed: PackedFaces, copy: Mock, folder: str, *, least: float, middle: float, amiss: int = 0
) -> None:
    table = packed.faces.table
    names = list(zip(table["sequence"], table["frame"], strict=True))
    own = np.array([correlation(packed.frames[i], expected_face(copy, folder, *name)) for i, name in enumerate(names)])
    if folder == "BP4D":  # the second coded frame has the landmarks of its neighbour
        first = table.groupby("sequence")["frame"].transform("min")
        kept = (table["frame"] - first != 1).to_numpy()
        own, names = own[kept], [name for name, keep in zip(names, kept, strict=True) if keep]
    below = [name for name, value in zip(names, own, strict=True) if value <= least]
    assert len(below) <= amiss, below
    assert np.median(own) > middle


@pytest.mark.parametrize("layout", sampled(BP4D_LAYOUTS, whole=8))
def test_bp4d(layout: str, tmp_path: Path) -> None:
    copy = BP4D_LAYOUTS[layout](tmp_path / "data")
    mock.rafdb(copy.root)
    packed = owners_way("bp4d", copy.root, tmp_path / "cache").au
    assert len(packed.faces) == 6 * 2 * 4
    assert packed.faces.origin == "partial"
    hold_against_the_source(packed, copy, "BP4D", least=BOUND, middle=MIDDLE)


@pytest.mark.parametrize("layout", sampled(DISFA_LAYOUTS, whole=16))
def test_disfa(layout: str, tmp_path: Path) -> None:
    copy = DISFA_LAYOUTS[layout](tmp_path / "data")
    mock.rafdb(copy.root)
    packed = owners_way("disfa", copy.root, tmp_path / "cache").au
    assert len(packed.faces) == 6 * 10
    hold_against_the_source(packed, copy, "DISFA", least=BOUND, middle=MIDDLE)


@pytest.mark.parametrize("layout", sampled(GFT_LAYOUTS, whole=8))
def test_gft(layout: str, tmp_path: Path) -> None:
    copy = GFT_LAYOUTS[layout](tmp_path / "data")
    mock.rafdb(copy.root)
    packed = owners_way("gft", copy.root, tmp_path / "cache").au
    assert "aligned on eyes and mouth found by MTCNN" in packed.faces.note
    assert len(packed.faces) == 6 * 5
    # Detected points are some pixels from the drawn ones. On one processor one frame of thirty is at .495, so that
    # one may be amiss. Another person's faces have a median below .6.
    hold_against_the_source(packed, copy, "GFT", least=0.5, middle=0.8, amiss=1)


@pytest.mark.parametrize("layout", sampled(RAFDB_LAYOUTS, whole=8))
def test_rafdb(layout: str, tmp_path: Path) -> None:
    copy = RAFDB_LAYOUTS[layout](tmp_path / "data")
    mock.bp4d(copy.root, frames=2)
    packed = owners_way("bp4d", copy.root, tmp_path / "cache").fe
    assert len(packed.faces) == 14
    for row, (stem, label) in enumerate(zip(packed.faces.table["subject"], packed.faces.labels, strict=True)):
        assert label == int(stem[6:]) % 7
        source = cv2.resize(copy.faces["RAF-DB", stem, 0], (64, 64), interpolation=cv2.INTER_AREA)
        assert correlation(packed.frames[row], source) > BOUND
