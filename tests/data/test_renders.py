"""People without AUs, for backbones to start from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmark.data.frames import pack
from benchmark.data.renders import read_renders
from benchmark.data.standin.write import StandinSettings, write_people, write_standin

SETTINGS = StandinSettings(size=32, frames_per_sequence=1, fe_train=14, fe_test=2)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("renders") / "people"
    write_people(root, SETTINGS, 5, 3)
    return root


def test_a_class_for_each_person_and_the_same_bytes_each_time(people: Path, tmp_path: Path) -> None:
    faces = read_renders(people, 5, 3)
    assert faces.origin == "stand-in"
    assert faces.labels.tolist() == np.repeat(range(5), 3).tolist()
    assert sorted(faces.table["path"]) == sorted(str(p.relative_to(people).as_posix()) for p in people.glob("*/*.jpg"))
    write_people(tmp_path / "again", SETTINGS, 5, 3)
    assert (
        pack(faces, 32, tmp_path).fingerprint == pack(read_renders(tmp_path / "again", 5, 3), 32, tmp_path).fingerprint
    )
    assert len({(people / path).read_bytes() for path in faces.table["path"]}) == 15  # another pose and light each time


def test_more_than_int8_has_room_for(tmp_path: Path) -> None:
    assert read_renders(tmp_path, 400, 2).labels.max() == 399


def test_no_face_is_one_of_the_datasets(people: Path, tmp_path: Path) -> None:
    write_standin(tmp_path / "standin", SETTINGS)

    def thumbs(root: Path, pattern: str) -> np.ndarray:
        found = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(root.glob(pattern))]
        return np.stack([cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA) for image in found]).astype(float)

    own, others = thumbs(people, "*/*.jpg"), thumbs(tmp_path / "standin", "**/*aligned.jpg")
    distance = np.abs(own[:, None] - others[None]).mean(axis=(2, 3, 4))
    assert len(others) == 16
    assert distance.min() > 1  # the same drawing, saved twice, has 0
