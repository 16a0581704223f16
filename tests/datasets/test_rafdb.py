"""The RAF-DB reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.core.errors import UserError
from benchmark.datasets.rafdb.reader import LABELS, read_rafdb


def test_training_images_alone_by_default(data: Path) -> None:
    faces = read_rafdb(data)
    assert len(faces) == 14
    assert set(faces.table["sequence"]) == {"train"}
    # Line i of the list has code 1 + i % 7, so train_00001 is code 2 = fear = class 1.
    assert faces.labels[:3].tolist() == [1, 2, 3]
    assert faces.label_names[1] == "fear"


def test_all_images(data: Path) -> None:
    assert len(read_rafdb(data, "all")) == 17


@pytest.mark.parametrize("text", ["train_00001.jpg 8", "train_00001 5", "face.jpg 1", "train_00002.jpg 3"])
def test_wrong_lines_are_named(data: Path, text: str) -> None:
    file = data / "RAF-DB" / LABELS
    lines = file.read_text().splitlines()
    lines[4] = text  # the last case repeats the name of line 2
    file.write_text("\n".join(lines))
    with pytest.raises(UserError, match="a wrong line") as caught:
        read_rafdb(data)
    assert caught.value.where == f"{file}:5"
    assert caught.value.found == text


def test_a_missing_image_and_a_missing_list(data: Path) -> None:
    (data / "RAF-DB/basic/Image/aligned/train_00003_aligned.jpg").unlink()
    with pytest.raises(UserError, match="image is missing") as caught:
        read_rafdb(data)
    assert caught.value.where == f"{data / 'RAF-DB' / LABELS}:3"
    (data / "RAF-DB" / LABELS).unlink()
    with pytest.raises(UserError, match="no RAF-DB label list"):
        read_rafdb(data)
