"""The data check: what is missing, surplus or damaged is named; what is whole passes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError
from benchmark.data.check import check_au, check_fe
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Report
from benchmark.data.known import Known
from benchmark.datasets.base import AuDataset
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.disfa.protocol import DISFA
from benchmark.datasets.gft.protocol import GFT
from benchmark.trials.prepare import read_au, read_fe
from tests.standins import draw

PAPER, _ = load_profile("paper")
SMALL = StandinSettings(size=20, frames_per_sequence=6, fe_train=60, fe_test=8)
FRAMES = ("disfa.standin_frames=16", "gft.standin_frames=8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A stand-in for a dataset, written once."""
    home = tmp_path_factory.mktemp("standins")

    def root(dataset: str) -> Path:
        if not (home / dataset).is_dir():
            draw(home / dataset, SMALL, dataset, "rafdb", overrides=FRAMES)
        return home / dataset

    return root


def checked(root: Path, dataset: str) -> Report:
    au, fe = datasets.open_au(dataset, PAPER), datasets.open_fe(PAPER)
    protocol = au.protocol_at(root)
    of_au: list[UserError] = []
    of_fe: list[UserError] = []
    frames, images = read_au(root, au, protocol, PAPER, faults=of_au), read_fe(root, fe, PAPER, of_fe)
    return check_au(frames, au, protocol, of_au) + check_fe(images, fe, of_fe)


def opened(name: str, *overrides: str) -> AuDataset:
    return datasets.open_au(name, load_profile("paper", overrides)[0])


def known_of(name: str, *overrides: str) -> Known:
    dataset = opened(name, *overrides)
    return dataset.known(dataset.protocol)


@pytest.mark.parametrize("dataset", ["bp4d", "disfa", "gft"])
def test_a_whole_standin_passes(whole: Callable[[str], Path], dataset: str) -> None:
    report = checked(whole(dataset), dataset)
    assert report.findings == ()
    lines = {line.name: line for line in report.lines}
    assert lines["subjects"].found == lines["subjects"].known
    assert int(lines["train images"].found) == 60


CODING = "BP4D/AUCoding/AU_OCC"
IMAGES = "BP4D/Sequences(2D+3D)"


def subject_gone(root: Path) -> None:
    for file in (root / CODING).glob("F007_*.csv"):
        file.unlink()
    shutil.rmtree(root / IMAGES / "F007")


def labels_swapped(root: Path) -> None:
    one, two = (root / CODING / f"F002_T{k}.csv" for k in (1, 2))
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


def rows_of(root: Path, name: str) -> tuple[Path, list[str]]:
    file = root / CODING / f"{name}.csv"
    return file, file.read_text().splitlines()


def frames_shifted(root: Path) -> None:
    file, rows = rows_of(root, "M003_T4")
    moved = [",".join([str(int(row.split(",")[0]) + 1), *row.split(",")[1:]]) for row in rows[1:]]
    file.write_text("\n".join([rows[0], *moved]) + "\n")


def csv_duplicated(root: Path) -> None:
    shutil.copy(root / CODING / "F003_T1.csv", root / CODING / "F003_T2.csv")


def image_gone(root: Path) -> None:
    _, rows = rows_of(root, "F010_T5")
    frame = int(rows[3].split(",")[0])
    next(p for p in (root / IMAGES / "F010/T5").iterdir() if int(p.stem) == frame).unlink()


def labels_truncated(root: Path) -> None:
    file, rows = rows_of(root, "F011_T1")
    file.write_text("\n".join(rows[:-2]) + "\n")


def row_gone(root: Path) -> None:
    file, rows = rows_of(root, "F011_T1")
    file.write_text("\n".join(rows[:3] + rows[4:]) + "\n")


def stranger(root: Path) -> None:
    shutil.copy(root / CODING / "F001_T1.csv", root / CODING / "F099_T1.csv")


def images_gone(root: Path) -> None:
    shutil.rmtree(root / IMAGES / "M001/T3")


def labels_gone(root: Path) -> None:
    (root / CODING / "M001_T3.csv").unlink()


def columns_swapped(root: Path) -> None:
    for file in (root / CODING).glob("*.csv"):
        header, rest = file.read_text().split("\n", 1)
        cells = header.split(",")
        i, j = cells.index("1"), cells.index("12")
        cells[i], cells[j] = cells[j], cells[i]
        file.write_text(",".join(cells) + "\n" + rest)


def wrong_code(root: Path) -> None:
    file, rows = rows_of(root, "F005_T2")
    rows[2] = rows[2].split(",")[0] + ",7" * 23
    file.write_text("\n".join(rows) + "\n")


def no_landmarks(root: Path) -> None:
    (root / "BP4D/2DFeatures/F004_T6.mat").unlink()


def broken_landmarks(root: Path) -> None:
    (root / "BP4D/2DFeatures/F004_T6.mat").write_bytes(b"MATLAB 7.3" * 20)


def votes_empty(root: Path) -> None:
    (root / "RAF-DB/basic/EmoLabel/distribution.txt").write_text("")


def votes_of_six(root: Path) -> None:
    (root / "RAF-DB/basic/EmoLabel/distribution.txt").write_text("train_00001.jpg .1 .2 .3 .2 .1 .1\n")


def class_changed(root: Path) -> None:
    file = root / "RAF-DB/basic/EmoLabel/list_patition_label.txt"
    lines = file.read_text().splitlines()
    name, code = lines[0].split()
    lines[0] = f"{name} {int(code) % 7 + 1}"
    file.write_text("\n".join(lines) + "\n")


def fe_image_gone(root: Path) -> None:
    (root / "RAF-DB/basic/Image/aligned/train_00004_aligned.jpg").unlink()


def fe_line_gone(root: Path) -> None:
    file = root / "RAF-DB/basic/EmoLabel/list_patition_label.txt"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))


LEFT = "DISFA/Videos_LeftCamera"


def video_of(root: Path, subject: str) -> Path:
    return next(p for p in (root / LEFT).iterdir() if subject in p.name)


def wrong_camera(root: Path) -> None:
    (root / "DISFA/Videos_RightCamera").mkdir()
    video_of(root, "SN003").rename(root / "DISFA/Videos_RightCamera/RightVideoSN003_comp.avi")


def camera_misplaced(root: Path) -> None:
    video = video_of(root, "SN003")
    video.rename(video.with_name("RightVideoSN003_comp.avi"))


def one_video_twice(root: Path) -> None:
    (root / "DISFA/Videos_RightCamera").mkdir()
    shutil.copy(video_of(root, "SN003"), root / "DISFA/Videos_RightCamera/RightVideoSN003_comp.avi")


def labels_copied(root: Path) -> None:
    folder = root / "DISFA/ActionUnit_Labels"
    for file in (folder / "SN001").iterdir():
        shutil.copy(file, folder / "SN002" / file.name.replace("SN001", "SN002"))


def au_file_gone(root: Path) -> None:
    (root / "DISFA/ActionUnit_Labels/SN009/SN009_au12.txt").unlink()


def end_of_labels_gone(root: Path) -> None:
    for file in (root / "DISFA/ActionUnit_Labels/SN009").iterdir():
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-3]))


def participant_gone(root: Path) -> None:
    (root / "GFT/annotations/012B_occ.csv").unlink()


def gft_image_gone(root: Path) -> None:
    rows = (root / "GFT/annotations/030A_occ.csv").read_text().splitlines()
    frame = int(rows[1].split(",")[0])
    next(p for p in (root / "GFT/images/030A").iterdir() if int(p.stem) == frame).unlink()


Damage = Callable[[Path], None]
CASES: list[tuple[str, Damage, list[str]]] = [
    ("bp4d", subject_gone, ["there is no label file of them: F007", "label files F007_T1, F007_T2"]),
    ("bp4d", labels_swapped, ["F002/T1: holds the frames of F002/T2", "F002/T2: holds the frames of F002/T1"]),
    ("bp4d", frames_shifted, ["M003/T4: all frames shifted by +1"]),
    ("bp4d", csv_duplicated, ["2 names: F003_T1.csv, F003_T2.csv", "F003/T2: holds the frames of F003/T1"]),
    ("bp4d", image_gone, ["coded frames without an image: 1", "F010_T5.csv:4"]),
    ("bp4d", labels_truncated, ["F011/T1: ends 2 frames early"]),
    ("bp4d", row_gone, ["F011/T1: 1 frames missing in between"]),
    ("bp4d", stranger, ["an AU coding file of an unknown subject", "F099_T1.csv"]),
    ("bp4d", images_gone, ["coded frames without an image: 6", "M001_T3.csv:2"]),
    ("bp4d", labels_gone, ["M001: sequences missing: T3", "images without labels: M001/T3"]),
    ("bp4d", columns_swapped, ["AUs occur more or less often than known (all): AU1 5", "AU12 2"]),
    ("bp4d", wrong_code, ["a wrong code for AU1", "F005_T2.csv:3"]),
    ("bp4d", no_landmarks, ["a sequence has no landmarks", "F004_T6.mat"]),
    ("bp4d", broken_landmarks, ["landmarks cannot be read", "F004_T6.mat"]),
    ("bp4d", votes_empty, ["the file of votes is empty", "distribution.txt"]),
    ("bp4d", votes_of_six, ["a wrong line in the file of votes", "distribution.txt:1", "RAF-ML"]),
    ("bp4d", class_changed, ["RAF-DB train: class counts differ"]),
    ("bp4d", fe_image_gone, ["a labelled RAF-DB image is missing", "train_00004_aligned.jpg"]),
    ("bp4d", fe_line_gone, ["train: class counts differ", "without a label line: train_00001_aligned.jpg"]),
    ("disfa", wrong_camera, ["SN003 has labels, but neither a video nor images of the left camera", "right camera"]),
    ("disfa", camera_misplaced, ["a video of the right camera stands among those of the left one", "RightVideoSN003"]),
    ("disfa", one_video_twice, ["SN003 has one and the same video for both cameras"]),
    ("disfa", labels_copied, ["the same labels under 2 names: SN001, SN002"]),
    ("disfa", au_file_gone, ["SN009 lacks label files", "AU12"]),
    ("disfa", end_of_labels_gone, ["SN009: ends 3 frames early"]),
    ("gft", participant_gone, ["there is no label file of them: 012B", "images without labels: 012B"]),
    ("gft", gft_image_gone, ["coded frames without an image", "030A_occ.csv:2"]),
]  # fmt: skip


def linked(source: str, target: str) -> str:
    """Link an image, which no damage writes to, and copy any other file."""
    return os.link(source, target) or target if source.endswith(".jpg") else str(shutil.copy2(source, target))


@pytest.mark.parametrize(("dataset", "damage", "words"), CASES, ids=[f"{d}-{f.__name__}" for d, f, _ in CASES])
def test_damage_is_named(
    whole: Callable[[str], Path], tmp_path: Path, dataset: str, damage: Damage, words: list[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(whole(dataset), root, copy_function=linked)
    damage(root)
    report = checked(root, dataset)
    assert report.faults
    told = "\n".join(" | ".join((f.what, f.where, f.expected, f.found, f.remedy)) for f in report.findings)
    for word in words:
        assert word in told, told


def full_bp4d(**changes: tuple[int, int]) -> FaceSet:
    """BP4D's coded frames as known, without a file; `F001_T1=(5, 9)` gives a sequence other frames."""
    ranges = {name: (r.first, r.last) for name, r in known_of("bp4d").ranges.items()}
    ranges |= {name.replace("_", "/"): frames for name, frames in changes.items()}
    table = pd.concat(
        pd.DataFrame({"sequence": name, "frame": np.arange(first, last + 1)}) for name, (first, last) in ranges.items()
    ).reset_index(drop=True)
    table["subject"] = table["sequence"].str[:4]
    table["path"] = table["sequence"] + table["frame"].astype(str)
    labels = np.zeros((len(table), 12), dtype=np.int8)
    rates = known_of("bp4d").rates
    for part, subjects in BP4D.parts.items():
        rows = np.flatnonzero(table["subject"].isin(subjects))
        for k, au in enumerate(BP4D.au_names):
            labels[rows[: round(rates[part][au] / 100 * len(rows))], k] = 1
    return FaceSet("bp4d", Path("/nowhere"), table, labels, BP4D.au_names, "complete", "")


def test_the_known_frames_of_bp4d_are_those_of_the_public_lists() -> None:
    known = known_of("bp4d")
    assert len(known.ranges) == BP4D.sequences == 328
    assert sum(r.frames for r in known.ranges.values()) == BP4D.frames == 146_847
    of_part = {
        part: sum(r.frames for name, r in known.ranges.items() if name[:4] in subjects)
        for part, subjects in BP4D.parts.items()
    }
    assert of_part == {"part1": 50_631, "part2": 50_182, "part3": 46_034}  # ME-GraphAU's lists
    # Rates of all frames are those of the parts, weighed by their frames; all are printed rounded.
    for au in BP4D.au_names:
        mean = sum(known.rates[part][au] * n for part, n in of_part.items()) / BP4D.frames
        assert mean == pytest.approx(known.rates["all"][au], abs=0.06), au


def test_the_known_frames_of_disfa_are_those_of_the_public_lists() -> None:
    known = known_of("disfa")
    assert sum(r.frames for r in known.ranges.values()) == DISFA.frames == 130_814
    clean = known_of("disfa", "disfa.frames=jaa_clean")
    assert sum(r.frames for r in clean.ranges.values()) == 126_144
    for au in DISFA.au_names:
        mean = np.mean([known.rates[part][au] for part in DISFA.parts])
        assert mean == pytest.approx(known.rates["all"][au], abs=0.1), au


def test_a_full_bp4d_passes_and_says_what_differs_otherwise() -> None:
    def told(**changes: tuple[int, int]) -> list[str]:
        return [finding.what for finding in check_au(full_bp4d(**changes), opened("bp4d"), BP4D).findings]

    assert told() == []
    assert told(F001_T1=(2441, 2993)) == ["F001/T1: all frames shifted by +1"]
    assert told(F001_T1=(721, 1294), F001_T2=(2440, 2992)) == [
        "F001/T1: holds the frames of F001/T2, as if label files were swapped or copied",
        "F001/T2: holds the frames of F001/T1, as if label files were swapped or copied",
    ]
    assert told(F001_T1=(2441, 2990)) == ["F001/T1: starts 1 frames late, ends 2 frames early"]
    assert told(F001_T1=(1, 4)) == ["F001/T1: none of the known frames, but others"]


def test_frames_left_out_for_want_of_landmarks_are_not_missing() -> None:
    faces = full_bp4d()
    lost = (faces.table["sequence"] == "M010/T6").to_numpy()
    left_out = faces.table.loc[lost, ["subject", "sequence", "frame"]]
    table = faces.table[~lost].reset_index(drop=True)
    without = replace(faces, table=table, labels=faces.labels[~lost], left_out=left_out)
    report = check_au(without, opened("bp4d"), BP4D)
    assert report.faults == ()
    assert (
        next(line.found for line in report.lines if line.name == "frames")
        == "146,411 and 436 without landmarks near, or an image"
    )


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_report_does_not_depend_on_the_order_of_rows(random) -> None:  # type: ignore[no-untyped-def]
    faces = full_bp4d(F001_T1=(2441, 2993), M018_T8=(1, 190))
    order = list(range(len(faces)))
    start = random.randrange(len(order))
    order = order[start:] + order[:start] if random.random() < 0.5 else order[::-1]
    other = replace(faces, table=faces.table.iloc[order].reset_index(drop=True), labels=faces.labels[order])
    assert check_au(other, opened("bp4d"), BP4D) == check_au(faces, opened("bp4d"), BP4D)


def test_a_list_that_may_be_thinned_out_only_remarks() -> None:
    known = known_of("gft")
    assert len(known.counts) == 36
    assert not known.certain
    table = pd.concat(
        pd.DataFrame({"sequence": s, "subject": s, "frame": np.arange(1, known.counts.get(s, 1500) + 1)})
        for s in sorted(GFT.subjects)
    ).reset_index(drop=True)
    table = table[~((table["subject"] == "005A") & (table["frame"] > 1000))].reset_index(drop=True)
    table["path"] = table["subject"] + table["frame"].astype(str)
    labels = np.zeros((len(table), 10), np.int8)
    faces = FaceSet("gft", Path("/nowhere"), table, labels, GFT.au_names, "complete", "")
    report = check_au(faces, opened("gft"), GFT)
    assert report.faults == ()
    assert any(f.what.startswith("005A: another number of frames") for f in report.findings)
    assert any("occur more or less often than known (val)" in f.what for f in report.findings)
