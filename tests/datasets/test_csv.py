"""The readers that need no code: a profile declares a dataset, and every mistake in its files is named."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.data.align import POINT_COLUMNS, TEMPLATE
from benchmark.data.check import check_au
from benchmark.data.faces import UNKNOWN, FaceSet
from benchmark.datasets.base import AuDataset, ReadOptions
from benchmark.datasets.folds import draw_folds
from benchmark.standin.write import write_standin_root

PEOPLE = ("S1", "S2", "S3", "S4")
HEADER = ["path", "subject", "sequence", "frame", "AU12", "au01", "4", "remark"]


def declared(tmp_path: Path, *settings: str) -> AuDataset:
    """The dataset `mine`, declared in a profile of the user's."""
    smoke, _ = load_profile("smoke")
    file = tmp_path / "mine.toml"
    lines = ["[datasets.mine]", 'reader = "csv"', "folds = 2", *settings]
    file.write_text(Path(smoke.path).read_text() + "\n" + "\n".join(lines) + "\n")
    return datasets.open_au("mine", load_profile(str(file))[0])


def rows() -> list[list[str]]:
    """Two sequences of three frames of each subject; AU 12 on the last frame, AU 1 never, AU 4 always."""
    return [
        [f"{subject}/{sequence}/{frame}.jpg", subject, sequence, str(frame), str(int(frame == 3)), "0", "1", "x"]
        for subject in PEOPLE
        for sequence in ("a", "b")
        for frame in (1, 2, 3)
    ]


def write(root: Path, table: list[list[str]], header: list[str] = HEADER) -> Path:
    home = root / "mine"
    home.mkdir(exist_ok=True)
    for row in table:
        if row and row[0] and not row[0].startswith(("/", "..")):
            (home / row[0]).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12)).save(home / row[0])
    with (home / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *table])
    return home / "labels.csv"


def read(dataset: AuDataset, root: Path, options: ReadOptions | None = None) -> tuple[Protocol, FaceSet]:
    protocol = dataset.protocol_at(root)
    return protocol, dataset.read(root, protocol, options or ReadOptions())


def test_a_declared_dataset_is_read(tmp_path: Path) -> None:
    write(tmp_path, rows())
    dataset = declared(tmp_path, 'title = "My faces"')
    protocol, faces = read(dataset, tmp_path)
    assert (dataset.title, dataset.folder) == ("My faces", "mine")
    assert protocol.aus == (1, 4, 12)
    assert (protocol.frames, protocol.sequences) == (24, 8)
    assert protocol.parts == draw_folds(PEOPLE, 2, 0)
    assert faces.label_names == ("AU1", "AU4", "AU12")
    assert faces.labels[:3].tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 1]]
    assert faces.table["sequence"].unique().tolist() == [f"{s}/{q}" for s in PEOPLE for q in "ab"]
    assert faces.origin == "complete"
    assert "24 frames of 4 subjects from mine/labels.csv" in faces.note
    assert "2 folds drawn with seed 0" in faces.note
    assert not check_au(faces, dataset, protocol).findings


def test_sequence_and_frame_are_optional(tmp_path: Path) -> None:
    table = [[row[0], row[1], *row[4:]] for row in rows()]
    write(tmp_path, table[::-1], [*HEADER[:2], *HEADER[4:]])
    _, faces = read(declared(tmp_path), tmp_path)
    assert faces.table["sequence"].tolist() == faces.table["subject"].tolist()
    assert faces.table["frame"].tolist() == [1, 2, 3, 4, 5, 6] * 4
    assert faces.table["path"].tolist() == sorted(faces.table["path"])


def test_folds_are_balanced_and_follow_the_seed_and_the_set_of_subjects_alone() -> None:
    people = [f"P{k}" for k in range(11)]
    folds = draw_folds(people, 3, 0)
    assert draw_folds(reversed([*people, *people]), 3, 0) == folds
    assert draw_folds(people, 3, 1) != folds
    assert sorted(len(part) for part in folds.values()) == [3, 4, 4]
    assert sorted(s for part in folds.values() for s in part) == sorted(people)
    with pytest.raises(UserError, match="fewer subjects than parts"):
        draw_folds(people[:2], 3, 0)


def test_parts_of_the_file(tmp_path: Path) -> None:
    part_of = dict(zip(PEOPLE, ("learn", "b", "a", "b"), strict=True))
    table = [[*row, part_of[row[1]]] for row in rows()]
    write(tmp_path, table, [*HEADER, "part"])
    protocol, faces = read(declared(tmp_path, 'train_only = "learn"'), tmp_path)
    assert protocol.parts == {"a": ("S3",), "b": ("S2", "S4")}
    assert protocol.train_only == ("S1",)
    assert "parts of the file" in faces.note
    with pytest.raises(UserError, match="no part is tested"):
        write(tmp_path, [[*row, "train"] for row in rows()], [*HEADER, "part"])
        read(declared(tmp_path), tmp_path)


@pytest.mark.parametrize("cell", ["", "9", "-1", "nan", "NaN", "9.0"])
def test_unknown_cells(tmp_path: Path, cell: str) -> None:
    table = rows()
    table[0][4] = cell
    write(tmp_path, table)
    _, faces = read(declared(tmp_path), tmp_path)
    assert faces.labels[0].tolist() == [0, 1, UNKNOWN]


def test_intensities_need_a_threshold(tmp_path: Path) -> None:
    table = rows()
    for row, cell in zip(table, ("0", "1.5", "2", "5", "9"), strict=False):
        row[4] = cell
    file = write(tmp_path, table)
    with pytest.raises(UserError, match="a wrong code of AU12") as caught:
        read(declared(tmp_path), tmp_path)
    assert caught.value.where == f"{file}:3"
    assert "active_from" in (caught.value.remedy or "")
    _, faces = read(declared(tmp_path, "active_from = 2"), tmp_path)
    assert faces.labels[:5, 2].tolist() == [0, 0, 1, 1, UNKNOWN]


def cell(line: int, column: str, value: str) -> Callable[[list[list[str]]], None]:
    def damage(table: list[list[str]]) -> None:
        table[line - 2][HEADER.index(column)] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "line", "what", "found"),
    [
        (cell(4, "AU12", "2"), 4, "a wrong code of AU12", "2"),
        (cell(4, "au01", "yes"), 4, "a wrong code of AU1", "yes"),
        (cell(5, "AU12", "inf"), 5, "a wrong code of AU12", "inf"),
        (cell(4, "frame", "1.5"), 4, "a wrong frame number", "1.5"),
        (cell(4, "frame", "1"), 4, "a frame stands twice in a sequence", "as in line 2"),
        (cell(4, "frame", ""), 4, "a wrong frame number", "nothing"),
        (cell(6, "subject", ""), 6, "a cell of the column subject is empty", "nothing"),
        (cell(7, "path", ""), 7, "a cell of the column path is empty", "nothing"),
        (cell(7, "path", "../a.jpg"), 7, "a path leaves the folder", "../a.jpg"),
        (cell(7, "path", "/a.jpg"), 7, "a path leaves the folder", "/a.jpg"),
        (cell(3, "path", "S1/a/./1.jpg"), 3, "an image stands in two rows", "in line 2, too"),
        (lambda table: table[8].pop(), 10, "a row of an AU table has the wrong length", "7 cells"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(
    tmp_path: Path, damage: Callable[[list[list[str]]], None], line: int, what: str, found: str
) -> None:
    table = rows()
    damage(table)
    file = write(tmp_path, table)
    with pytest.raises(UserError, match=what) as caught:
        read(declared(tmp_path), tmp_path)
    assert caught.value.where == f"{file}:{line}"
    assert found in (caught.value.found or "")
    assert caught.value.expected
    assert caught.value.remedy


def test_a_missing_image_is_named_or_left_out(tmp_path: Path) -> None:
    file = write(tmp_path, rows())
    (tmp_path / "mine/S2/b/3.jpg").unlink()
    dataset = declared(tmp_path)
    with pytest.raises(UserError, match="an image of the table is missing") as caught:
        read(dataset, tmp_path)
    assert caught.value.where == f"{file}:13"
    assert caught.value.expected == str(tmp_path / "mine/S2/b/3.jpg")
    faults: list[UserError] = []
    protocol, faces = read(dataset, tmp_path, ReadOptions(faults=faults))
    assert (len(faces), len(faults), faces.origin) == (23, 1, "partial")
    assert len(check_au(faces, dataset, protocol, faults).faults) == 1


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (["file", *HEADER[1:]], "lacks the column path"),
        (["path", "who", *HEADER[2:]], "lacks the column subject"),
        ([*HEADER[:5], "AU012", *HEADER[6:]], "two columns of the AU table are AU12"),
        ([*HEADER[:5], "AU12", *HEADER[6:]], "stands twice: au12"),
        ([*HEADER[:4], "a", "b", "c", "d"], "no AU column"),
        ([*HEADER[:7], "AU6_c"], "a column of the AU table could be an AU"),
        ([*HEADER[:7], "left_eye_x"], "columns of landmarks are missing"),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, header: list[str], what: str) -> None:
    file = write(tmp_path, rows(), header)
    with pytest.raises(UserError, match=what) as caught:
        read(declared(tmp_path), tmp_path)
    assert caught.value.where == f"{file}:1"


def test_a_missing_or_empty_table_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, [])
    with pytest.raises(UserError, match="the AU table has no row"):
        read(declared(tmp_path), tmp_path)
    file.unlink()
    with pytest.raises(UserError, match="there is no AU table") as caught:
        read(declared(tmp_path), tmp_path)
    assert caught.value.where == str(file)


def test_a_subject_in_two_parts_is_named(tmp_path: Path) -> None:
    table = [[*row, "a" if row[1] in PEOPLE[:2] else "b"] for row in rows()]
    table[4][-1] = "b"
    file = write(tmp_path, table, [*HEADER, "part"])
    with pytest.raises(UserError, match="subject S1 stands in two parts") as caught:
        read(declared(tmp_path), tmp_path)
    assert caught.value.where == f"{file}:6"
    assert caught.value.expected == "a, as in line 2"
    table[4][-1] = "all"
    write(tmp_path, table, [*HEADER, "part"])
    with pytest.raises(UserError, match="a wrong name of a part"):
        read(declared(tmp_path), tmp_path)


def test_landmarks(tmp_path: Path) -> None:
    points = (12 * np.array(TEMPLATE)).ravel()
    table = [[*row, *(f"{value:.2f}" for value in points)] for row in rows()]
    table[1][len(HEADER) :] = [""] * 8
    write(tmp_path, table, [*HEADER, *POINT_COLUMNS])
    dataset, options = declared(tmp_path), ReadOptions("landmarks")
    _, faces = read(dataset, tmp_path, options)
    assert faces.points is not None
    assert np.allclose(faces.points, points.reshape(4, 2), atol=0.01)
    assert "1 frames with the landmarks of one at most 30 frames away" in faces.note
    _, as_is = read(dataset, tmp_path)
    assert as_is.points is None
    assert "images as they are" in as_is.note
    table[5][-1] = "x"
    file = write(tmp_path, table, [*HEADER, *POINT_COLUMNS])
    with pytest.raises(UserError, match="wrong landmarks") as caught:
        read(dataset, tmp_path, options)
    assert caught.value.where == f"{file}:7"
    # Without columns of landmarks, images are taken as they are.
    write(tmp_path, rows())
    assert read(dataset, tmp_path, options)[1].note == as_is.note


@pytest.mark.parametrize("setting", ["folder=/etc", "file=../labels.csv", "folds=1", "active_from=0"])
def test_wrong_settings_are_refused(setting: str) -> None:
    profile, _ = load_profile("smoke", [f"csv.{setting}"])
    with pytest.raises(UserError, match="a wrong value for the setting 'csv"):
        datasets.open_au("csv", profile)


def test_two_declared_datasets_show_different_people(tmp_path: Path) -> None:
    lines = ["[datasets.one]", 'reader = "csv"', "[datasets.two]", 'reader = "csv"', "active_from = 2.5", "folds = 7"]
    file = tmp_path / "mine.toml"
    file.write_text(Path(load_profile("smoke")[0].path).read_text() + "\n" + "\n".join(lines) + "\n")
    profile, _ = load_profile(str(file), ["standin.size=16"])
    one, two = (datasets.open_au(name, profile) for name in ("one", "two"))
    write_standin_root(tmp_path / "data", [one, two], profile.standin)
    for dataset in (one, two):
        protocol, faces = read(dataset, tmp_path / "data", ReadOptions("landmarks"))
        assert not check_au(faces, dataset, protocol).findings
        assert protocol.parts == dataset.protocol.parts
    images = {p.read_bytes() for p in (tmp_path / "data").rglob("*.jpg")}
    assert len(images) == len(list((tmp_path / "data").rglob("*.jpg")))
    assert [len(part) for part in two.protocol.parts.values()] == [2] * 7
