"""FE datasets that need no code: a CSV of expressions, and class folders."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.data.check import check_fe
from benchmark.datasets.base import FeDataset, ReadOptions
from benchmark.standin.write import write_standin_root

ALL = ReadOptions(images="all")


def declared(tmp_path: Path, reader: str, *settings: str) -> FeDataset:
    """The dataset `mine`, declared in a profile of the user's."""
    file = tmp_path / "mine.toml"
    lines = ["[datasets.mine]", f'reader = "{reader}"', *settings]
    file.write_text(Path(load_profile("smoke")[0].path).read_text() + "\n" + "\n".join(lines) + "\n")
    return datasets.open_fe(load_profile(str(file))[0], "mine")


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12)).save(path)


def write(root: Path, table: list[list[str]], header: list[str]) -> Path:
    for row in table:
        image(root / "mine" / row[0])
    with (root / "mine/labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *table])
    return root / "mine/labels.csv"


def test_a_csv_of_names(tmp_path: Path) -> None:
    table = [["b.png", "sad", "train", "0.5"], ["a.png", "happy", "train", ""], ["c.png", "sad", "test", "1"]]
    write(tmp_path, table, ["path", "label", "split", "consistency"])
    faces = declared(tmp_path, "fe_csv").read(tmp_path, ALL)
    assert faces.label_names == ("happy", "sad")
    assert faces.table["path"].tolist() == ["mine/c.png", "mine/a.png", "mine/b.png"]
    assert faces.labels.tolist() == [1, 0, 1]
    assert faces.table["sequence"].tolist() == ["test", "train", "train"]
    assert np.array_equal(faces.table["consistency"], [1, np.nan, 0.5], equal_nan=True)
    assert faces.origin == "complete"
    train = declared(tmp_path, "fe_csv", 'labels = ["sad", "happy", "fear"]').read(tmp_path, ReadOptions())
    assert train.labels.tolist() == [1, 0]
    assert train.label_names == ("sad", "happy", "fear")


@pytest.mark.parametrize("first", [0, 1])
def test_a_csv_of_numbers(tmp_path: Path, first: int) -> None:
    write(tmp_path, [[f"{k}.jpg", str(k + first)] for k in (11, 1, 0)], ["PATH", "Label"])
    faces = declared(tmp_path, "fe_csv").read(tmp_path, ALL)
    assert faces.label_names == tuple(str(k + first) for k in (0, 1, 11))
    assert set(faces.table["sequence"]) == {"train"}
    named = declared(tmp_path, "fe_csv", 'labels = ["neutral", "happy", "sad"]').read(tmp_path, ALL)
    assert named.label_names == ("neutral", "happy", "sad")
    assert dict(zip(named.table["path"], named.labels.tolist(), strict=True)) == {
        "mine/0.jpg": 0, "mine/1.jpg": 1, "mine/11.jpg": 2,
    }  # fmt: skip
    with pytest.raises(UserError, match="do not fit the setting `labels`"):
        declared(tmp_path, "fe_csv", 'labels = ["neutral", "happy"]').read(tmp_path, ALL)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (["a.png", "", "train", ""], "a cell of the column label is empty"),
        (["a.png", "angry", "train", ""], "an unknown label"),
        (["a.png", "sad", "dev", ""], "a wrong split"),
        (["a.png", "sad", "train", "2"], "a wrong consistency"),
        (["b.png", "sad", "train", ""], "an image stands in two rows"),
    ],
)
def test_a_wrong_row_of_a_csv_is_named(tmp_path: Path, row: list[str], what: str) -> None:
    file = write(
        tmp_path,
        [["b.png", "sad", "train", "1"], ["c.png", "happy", "train", "1"], row],
        ["path", "label", "split", "consistency"],
    )
    dataset = declared(tmp_path, "fe_csv", 'labels = ["happy", "sad"]')
    with pytest.raises(UserError, match=what) as caught:
        dataset.read(tmp_path, ALL)
    assert caught.value.where == f"{file}:4"
    faults: list[UserError] = []
    faces = dataset.read(tmp_path, ReadOptions(images="all", faults=faults))
    assert (len(faces), len(faults), faces.origin) == (2, 1, "partial")


def test_fer2013_is_read_by_settings_alone(tmp_path: Path) -> None:
    for split, name in (("train", "angry"), ("train", "happy"), ("test", "happy")):
        for k in (2, 10):
            image(tmp_path / "FER2013" / split / name / f"{k}.png")
    dataset = declared(tmp_path, "class_folders", 'folder = "FER2013"', 'labels = { happy = "happiness" }')
    faces = dataset.read(tmp_path, ALL)
    assert faces.label_names == ("angry", "happiness")
    assert faces.table["sequence"].value_counts().to_dict() == {"train": 4, "test": 2}
    assert dataset.read(tmp_path, ReadOptions()).labels.tolist() == [0, 0, 1, 1]


def test_affectnet_is_read_by_settings_alone(tmp_path: Path) -> None:
    for k in range(11):
        image(tmp_path / f"mine/train_set/{k}/{k}.JPG")
    image(tmp_path / "mine/val_set/10/1.jpg")
    left_out = ", ".join(f'"{k}" = ""' for k in (8, 9))
    settings = ['train = "train_set"', 'test = "val_set"', f'labels = {{ "0" = "neutral", {left_out} }}']
    dataset = declared(tmp_path, "class_folders", *settings)
    faces = dataset.read(tmp_path, ALL)
    assert faces.label_names == ("neutral", "1", "2", "3", "4", "5", "6", "7", "10")
    assert faces.labels[-9:].tolist() == list(range(9))
    assert faces.labels[0] == 8


def test_classes_in_the_folder_itself_and_two_that_become_one(tmp_path: Path) -> None:
    for name in ("angry", "furious", "sad"):
        image(tmp_path / "mine" / name / "1.jpg")
    dataset = declared(tmp_path, "class_folders", 'labels = { furious = "angry" }')
    faces = dataset.read(tmp_path, ALL)
    assert faces.label_names == ("angry", "sad")
    assert faces.labels.tolist() == [0, 0, 1]
    (tmp_path / "mine/sad/Thumbs.db").write_text("")
    (finding,) = check_fe(faces, dataset).findings
    assert "Thumbs.db" in finding.what


def test_damaged_class_folders_are_named(tmp_path: Path) -> None:
    for split, name in (("train", "angry"), ("train", "sad"), ("test", "sad")):
        image(tmp_path / "mine" / split / name / "1.jpg")
    dataset = declared(tmp_path, "class_folders")
    (tmp_path / "mine/train/fear").mkdir()
    with pytest.raises(UserError, match="holds no image") as caught:
        dataset.read(tmp_path, ALL)
    assert caught.value.where == str(tmp_path / "mine/train/fear")
    (tmp_path / "mine/train/fear").rmdir()
    image(tmp_path / "mine/test/fear/1.jpg")
    with pytest.raises(UserError, match="no training images"):
        dataset.read(tmp_path, ALL)
    with pytest.raises(UserError, match="there is no folder of training images"):
        declared(tmp_path, "class_folders", 'train = "Train_Set"').read(tmp_path, ALL)


@pytest.mark.parametrize("reader", ["fe_csv", "class_folders"])
def test_stand_ins_of_eight_classes(tmp_path: Path, reader: str) -> None:
    names = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
    labels = (
        f"labels = {names}"
        if reader == "fe_csv"
        else "labels = { " + ", ".join(f'"{k}" = "{name}"' for k, name in enumerate(names)) + " }"
    )
    dataset = declared(tmp_path, reader, labels)
    profile, _ = load_profile("smoke", ["standin.size=16", "standin.fe_train=60"])
    write_standin_root(tmp_path / "data", [dataset], profile.standin)
    faces = dataset.read(tmp_path / "data", ALL)
    assert faces.label_names == tuple(names)
    assert set(faces.labels.tolist()) == set(range(8))
    assert not check_fe(faces, dataset).findings


def test_an_fe_dataset_in_the_place_of_an_au_dataset_is_named_as_such() -> None:
    with pytest.raises(UserError) as raised:
        datasets.check_name("rafdb", "au")
    assert "'rafdb' is an FE dataset" in str(raised.value)
    assert "--set data.fe=rafdb" in str(raised.value)
    with pytest.raises(UserError, match="unknown AU dataset 'rafbd'"):
        datasets.check_name("rafbd", "au")
