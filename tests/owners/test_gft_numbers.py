"""Numbers of GFT's images and labels: a copy that counts from another number is read rightly, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.data.check import check_au
from benchmark.data.faces import FaceSet
from benchmark.trials.prepare import read_au
from tests.owners import mock


def read(root: Path, *overrides: str) -> FaceSet:
    profile, _ = load_profile("paper", ["gft.alignment=as_is", *overrides])
    dataset = datasets.open_au("gft", profile)
    return read_au(root, dataset, dataset.protocol_at(root), profile)


def count_from_0(folder: Path) -> None:
    for path in sorted(folder.iterdir(), key=lambda p: int(p.stem)):
        path.rename(path.with_stem(str(int(path.stem) - 1)))


def test_images_that_count_from_0_belong_to_the_labels_one_higher(tmp_path: Path) -> None:
    mock.gft(tmp_path, footage="images/{s}/{n}.jpg")
    as_shipped = read(tmp_path)
    pixels = [(tmp_path / path).read_bytes() for path in as_shipped.table["path"]]
    for folder in (tmp_path / "GFT/images").iterdir():
        count_from_0(folder)
    faces = read(tmp_path)
    assert faces.table["frame"].tolist() == as_shipped.table["frame"].tolist()
    assert [(tmp_path / path).read_bytes() for path in faces.table["path"]] == pixels
    assert faces.note.endswith("images that count from 0")
    assert "count from 0" not in as_shipped.note
    with pytest.raises(UserError, match="there are images 0, although images are said to count from 1"):
        read(tmp_path, "gft.image_numbers=from_1")


def test_two_ways_of_counting_are_refused(tmp_path: Path) -> None:
    mock.gft(tmp_path, footage="images/{s}/{n}.jpg")
    count_from_0(tmp_path / "GFT/images/001A")
    with pytest.raises(UserError, match=r"some participants count from 0[\s\S]*1 participants with an image 0"):
        read(tmp_path)


def test_labels_after_the_last_frame_of_a_video_are_a_fault(tmp_path: Path) -> None:
    """Labels 2 to 1,801 in place of 1 to 1,800."""
    mock.gft(tmp_path, footage="images/{s}/{n}.jpg")
    file = tmp_path / "GFT/annotations/001A_occ.csv"
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *(rows[0].replace("4,", f"{f},", 1) for f in (1800, 1801))]) + "\n")
    for number in (1800, 1801):
        (tmp_path / f"GFT/images/001A/{number}.jpg").hardlink_to(tmp_path / "GFT/images/001A/1.jpg")
    profile, _ = load_profile("paper", ["gft.alignment=as_is"])
    dataset = datasets.open_au("gft", profile)
    protocol = dataset.protocol_at(tmp_path)
    report = check_au(read(tmp_path), dataset, protocol)
    said = [fault.what for fault in report.faults if "numbers started elsewhere" in fault.what]
    assert said == ["001A: labels of frames that its video does not have, as if numbers started elsewhere"]
