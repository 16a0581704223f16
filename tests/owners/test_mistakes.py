"""Ways to get it wrong: `data check` names each of them, in one screen, and never passes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from scipy.io import savemat

from benchmark.api.checks import check_data
from benchmark.cli.console import show_check
from benchmark.core.errors import UserError
from benchmark.data.known import read_known_csv
from benchmark.datasets.rafdb import HERE
from tests.owners import mock, sampled

LINES = 40
"""Most lines that findings, verdict and next steps may take below the table: one screen."""


def only(folder: Path, pattern: str) -> list[Path]:
    paths = sorted(folder.glob(pattern))
    assert paths
    return paths


def zipped(root: Path, *folders: str) -> None:
    """Archives in place of folders, as they arrive."""
    for folder in folders:
        shutil.rmtree(root / folder)
        (root / f"{folder}.zip").parent.mkdir(parents=True, exist_ok=True)
        (root / f"{folder}.zip").write_bytes(b"PK")


def half_unpacked(root: Path) -> None:
    mock.bp4d(root)
    home = root / "BP4D/Sequences(2D+3D)"
    shutil.rmtree(home)
    home.mkdir()
    for subject in mock.PEOPLE:
        (home / f"{subject}.zip").write_bytes(b"PK")


def plus(root: Path) -> None:
    mock.bp4d(root, marks="")
    coding = root / "BP4D/AUCoding/AU_OCC"
    for file in only(coding, "*_T2.csv"):
        for task in ("T6", "T7", "T8"):
            shutil.copy(file, coding / file.name.replace("T2", task))
        file.unlink()


def fera_videos(root: Path) -> None:
    mock.bp4d(root)
    shutil.rmtree(root / "BP4D/Sequences(2D+3D)")
    (root / "BP4D/videos").mkdir()
    for session in ("01", "03"):
        (root / f"BP4D/videos/2F01_{session}.avi").write_bytes(b"RIFF")


def matlab_5(root: Path) -> None:
    mock.bp4d(root)
    for file in only(root / "BP4D/2DFeatures", "*.mat"):
        savemat(file, {"pts_2d": np.zeros((4, 49, 2))})


def intensities(root: Path) -> None:
    mock.bp4d(root)
    for file in only(root / "BP4D/AUCoding/AU_OCC", "*.csv"):
        head, *rows = file.read_text().splitlines()
        file.write_text("\n".join([head, *(row.replace(",1", ",4") for row in rows)]) + "\n")


def one_image_missing(root: Path) -> None:
    mock.bp4d(root)
    only(root / "BP4D/Sequences(2D+3D)/F001/T1", "*.jpg")[2].unlink()


def one_subject_missing(root: Path) -> None:
    mock.bp4d(root)
    shutil.rmtree(root / "BP4D/Sequences(2D+3D)/M002")


def copied_labels(root: Path) -> None:
    mock.bp4d(root, frames=6)
    coding = root / "BP4D/AUCoding/AU_OCC"
    shutil.copy(coding / "F001_T1.csv", coding / "F001_T2.csv")


def list_crops(root: Path) -> None:
    mock.bp4d(root, images="crops/{s}/{t}/{f}.jpg")
    shutil.rmtree(root / "BP4D/AUCoding")
    (root / "BP4D/BP4D_part1_path.txt").write_text("BP4D/F001/T1/0095.jpg\n")


def renumbered(folder: Path) -> None:
    """Give each image of a folder the number of the next one."""
    for path in sorted(folder.iterdir(), key=lambda p: int(p.stem), reverse=True):
        path.rename(path.with_stem(f"{int(path.stem) + 1:0{len(path.stem)}d}"))


def frames_off_by_one(root: Path) -> None:
    """Images renumbered from another start, with one more in front, so that each coded frame has an image."""
    mock.bp4d(root, frames=12)
    for folder in only(root / "BP4D/Sequences(2D+3D)", "*/*"):
        renumbered(folder)


def labels_off_by_one(root: Path) -> None:
    """Codes of a sequence as published, with every frame number one too high."""
    mock.bp4d(root)
    images, coding = root / "BP4D/Sequences(2D+3D)/M016/T3", root / "BP4D/AUCoding/AU_OCC/M016_T3.csv"
    images.mkdir(parents=True)
    header, row = (root / "BP4D/AUCoding/AU_OCC/F001_T1.csv").read_text().splitlines()[:2]
    for frame in range(1, 353):
        os.link(only(root / "BP4D/Sequences(2D+3D)/F001/T1", "*.jpg")[0], images / f"{frame}.jpg")
    coding.write_text(header + "\n" + "".join(f"{f},{row.partition(',')[2]}\n" for f in range(2, 353)))
    shutil.copy(root / "BP4D/2DFeatures/F001_T1.mat", root / "BP4D/2DFeatures/M016_T3.mat")


def right_camera_video(root: Path) -> None:
    mock.disfa(root)
    videos = root / "DISFA/Videos_LeftCamera"
    (videos / "LeftVideoSN001_comp.avi").rename(videos / "RightVideoSN001_comp.avi")


def landmarks_shifted(root: Path) -> None:
    mock.disfa(root, first_mark=2)


def one_from_1(root: Path) -> None:
    mock.disfa(root, footage="img/{s}/{n}.png")
    for path in sorted((root / "DISFA/img/SN003").iterdir(), key=lambda p: int(p.stem), reverse=True):
        path.rename(path.with_stem(str(int(path.stem) + 1)))


def other_subject(root: Path) -> None:
    mock.disfa(root)
    labels = root / "DISFA/ActionUnit_Labels"
    for file in only(labels / "SN001", "*.txt"):
        file.rename(file.with_name(file.name.replace("SN001", "SN002")))


def same_labels(root: Path) -> None:
    mock.disfa(root)
    labels = root / "DISFA/ActionUnit_Labels"
    for file in only(labels / "SN001", "*.txt"):
        shutil.copy(file, labels / "SN002" / file.name.replace("SN001", "SN002"))


def same_video(root: Path) -> None:
    mock.disfa(root)
    shutil.copytree(root / "DISFA/Videos_LeftCamera", root / "DISFA/Videos_RightCamera")
    for file in only(root / "DISFA/Videos_RightCamera", "*.avi"):
        file.rename(file.with_name(file.name.replace("Left", "Right")))


def no_au_12(root: Path) -> None:
    mock.disfa(root)
    for file in only(root / "DISFA/ActionUnit_Labels", "*/*_au12.txt"):
        file.unlink()


def short_video(root: Path) -> None:
    mock.disfa(root)
    for subject in mock.DISFA_PEOPLE:
        for file in only(root / f"DISFA/ActionUnit_Labels/{subject}", "*.txt"):
            file.write_text("".join(f"{f},0\n" for f in range(1, 61)))


def two_videos(root: Path) -> None:
    mock.gft(root)
    shutil.copytree(root / "GFT/videos", root / "GFT/more")


def no_header(root: Path) -> None:
    mock.gft(root)
    for file in only(root / "GFT/annotations", "*.csv"):
        file.write_text(file.read_text().replace("frame,", "f,"))


def no_videos(root: Path) -> None:
    mock.gft(root)
    shutil.rmtree(root / "GFT/videos")


def wrong_split(root: Path) -> None:
    mock.rafdb(root, "{split}/{code}/{stem}_aligned.jpg", listed="")
    for code in range(1, 8):
        for path in list((root / f"RAF-DB/test/{code}").glob("*.jpg")):
            path.rename(root / f"RAF-DB/train/{code}" / path.name)


def shuffled_classes(root: Path) -> None:
    """All 12,271 images, in class folders in another order of the emotions: anger first, as FER2013 has them."""
    mock.rafdb(root, "{split}/{code}/{stem}_aligned.jpg", listed="")
    home = root / "RAF-DB/train"
    source = only(home, "*/*.jpg")[0]
    kept = root / "one.jpg"
    shutil.copy(source, kept)
    shutil.rmtree(home)
    counts = read_known_csv(HERE / "known_classes.csv").set_index("split").loc["train"]
    order = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    number = 0
    for code, emotion in enumerate(order, start=1):
        (home / str(code)).mkdir(parents=True)
        for _ in range(int(counts[emotion])):
            number += 1
            os.link(kept, home / f"{code}/train_{number:05d}_aligned.jpg")


def compound(root: Path) -> None:
    mock.rafdb(root)
    (root / "RAF-DB/basic").rename(root / "RAF-DB/compound")


def raf_image_missing(root: Path) -> None:
    mock.rafdb(root)
    (root / "RAF-DB/basic/Image/aligned/train_00003_aligned.jpg").unlink()


def tiny_faces(root: Path) -> None:
    """Landmarks in another order: mouth first."""
    mock.rafdb(root)
    for file in only(root / "RAF-DB/basic/Annotation/manual", "*.txt"):
        lines = file.read_text().splitlines()
        file.write_text("\n".join([*lines[3:5], lines[2], *lines[:2], *lines[5:]]) + "\n")
    _originals(root)


def far_landmarks(root: Path) -> None:
    """Original images reduced, their landmarks not."""
    mock.rafdb(root)
    _originals(root)


def _originals(root: Path) -> None:
    for path in only(root / "RAF-DB/basic/Image/aligned", "*.jpg"):
        image = cv2.resize(np.asarray(Image.open(path)), (60, 60))
        target = root / "RAF-DB/basic/Image/original" / path.name.replace("_aligned", "")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(target)


Make = Callable[[Path], object]
BP4D_MISTAKES: dict[str, tuple[Make, str]] = {
    "crops beside landmarks": (lambda r: mock.bp4d(r, crop=200), "landmarks lie outside the images"),
    "crops of another size": (lambda r: mock.bp4d(r, crop=512), "of another size|lie outside the images"),
    "images of half the size": (lambda r: mock.bp4d(r, scale=0.5), "of another size|lie outside the images"),
    "images of double size": (lambda r: mock.bp4d(r, scale=1.5), "images of another size than the dataset's"),
    "image archives": (half_unpacked, "F001.zip is not unpacked, nor 5 other archives"),
    "coding archive": (lambda r: (mock.bp4d(r), zipped(r, "BP4D/AUCoding")), "AUCoding.zip is not unpacked"),
    "BP4D+": (plus, r"this is BP4D\+, another dataset"),
    "FERA's videos": (fera_videos, "videos of the FERA 2015 challenge"),
    "no landmarks": (lambda r: mock.bp4d(r, marks=""), "a sequence has no landmarks"),
    "landmarks of MATLAB 5": (matlab_5, "landmarks cannot be read"),
    "intensities for occurrences": (intensities, r"intensities \(AU_INT\) are not occurrences"),
    "one image missing": (one_image_missing, r"coded frames without an image: 1[\s\S]*data.missing=leave_out"),
    "a subject without images": (one_subject_missing, "coded frames without an image"),
    "labels of another sequence": (copied_labels, "the same labels under 2 names"),
    "crops with lists alone": (list_crops, "no AU coding files"),
    "images off by one": (frames_off_by_one, "one frame off their landmarks: those of the frame before fit better"),
    "labels off by one": (labels_off_by_one, r"M016/T3: all frames shifted by \+1"),
    "another folder name": (lambda r: mock.bp4d(r, home="bp4d"), r"lacks BP4D[\s\S]*recognised: BP4D in \S*bp4d"),
}
DISFA_MISTAKES: dict[str, tuple[Make, str]] = {
    "right camera alone": (
        lambda r: mock.disfa(r, footage="Videos_RightCamera/RightVideo{s}_comp.avi"),
        "disfa.camera=right",
    ),
    "a right video on the left": (right_camera_video, "right camera stands among those of the left|neither a video"),
    "one video for both cameras": (same_video, "one and the same video for both cameras"),
    "label archive": (lambda r: (mock.disfa(r), zipped(r, "DISFA/ActionUnit_Labels")), "ActionUnit_Labels.zip is not"),
    "landmark archive": (lambda r: (mock.disfa(r), zipped(r, "DISFA/Landmark_Points")), "has no landmarks"),
    "images from 2": (lambda r: mock.disfa(r, footage="img/{s}/{n}.png", first_image=2), "whether they count from 0"),
    "landmarks from 2": (landmarks_shifted, "whether they count from 0 or from 1"),
    "one subject from 1": (one_from_1, "count from 0 and those of others from 1"),
    "labels of another subject": (other_subject, "SN001 lacks label files"),
    "labels copied": (same_labels, "the same labels under 2 names"),
    "an AU without labels": (no_au_12, "none for AU12"),
    "a cut video": (short_video, "labels and frames of a subject do not fit together"),
}
GFT_MISTAKES: dict[str, tuple[Make, str]] = {
    "two videos": (two_videos, "2 videos of participant"),
    "an unknown header": (no_header, "gft.columns=FILE"),
    "no videos": (no_videos, "coded frames without an image"),
    "no split": (lambda r: (mock.gft(r), (r / "GFT/split.csv").unlink()), "there is no split file"),
}
RAFDB_MISTAKES: dict[str, tuple[Make, str]] = {
    "test images in train": (wrong_split, "a test image stands among the train images"),
    "class folders shuffled": (
        shuffled_classes,
        "classes changed places: surprise has the images of anger, fear those of disgust, disgust those of fear",
    ),
    "the compound subset": (compound, "compound subset"),
    "an image missing": (raf_image_missing, "a labelled RAF-DB image is missing"),
    "archives": (lambda r: (mock.rafdb(r), zipped(r, "RAF-DB/basic")), "basic.zip is not unpacked"),
    "landmarks in another order": (tiny_faces, "landmarks are not in the known order"),
    "originals reduced": (far_landmarks, "landmarks lie outside the images"),
}
CASES = [
    pytest.param(name, make, words, id=f"{name}: {case}")
    for name, cases in (
        ("bp4d", BP4D_MISTAKES),
        ("disfa", DISFA_MISTAKES),
        ("gft", GFT_MISTAKES),
        ("rafdb", RAFDB_MISTAKES),
    )
    for case, (make, words) in cases.items()
]


@pytest.mark.parametrize(("name", "make", "words"), sampled(CASES, whole=4))
def test_a_mistake_is_named_in_one_screen(name: str, make: Make, words: str, tmp_path: Path) -> None:
    make(tmp_path)
    if name != "rafdb":
        mock.rafdb(tmp_path)
    else:
        mock.bp4d(tmp_path)
    originals = ["rafdb.source=original"] if (tmp_path / "RAF-DB/basic/Image/original").is_dir() else []
    outcome = check_data("bp4d" if name == "rafdb" else name, tmp_path, overrides=originals)
    text = "\n".join("\n".join((f.what, f.where, f.expected, f.found, f.remedy)) for f in outcome.report.findings)
    assert outcome.report.faults
    assert_matches(words, text)
    assert outcome.steps[0].startswith("malbench data doctor ")
    assert outcome.steps[1].startswith("malbench data check ")
    assert not any(step.startswith("malbench data prepare ") for step in outcome.steps), "of data with faults"
    screen = Console(file=StringIO(), width=100)
    show_check(screen, outcome.report, outcome.faces, outcome.steps)
    below_the_table = screen.file.getvalue().rpartition("┘")[2].splitlines()
    assert len(below_the_table) <= LINES, below_the_table


def assert_matches(words: str, text: str) -> None:
    with pytest.raises(UserError, match=words):  # a readable difference when the words are missing
        raise UserError(text)


def test_there_are_thirty_ways() -> None:
    assert len(CASES) >= 30
