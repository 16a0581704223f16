"""The DISFA reader: spellings, cameras, counting from 0 or 1, thresholds. And its stand-in, read back."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from benchmark.core.errors import UserError
from benchmark.data.faces import JPEG_COMMENT, MARKER, MARKER_FORMAT, FaceSet
from benchmark.datasets.disfa.labels import read_labels
from benchmark.datasets.disfa.protocol import DISFA
from benchmark.datasets.disfa.reader import JAA_BAD_FRAMES, JAA_CLEAN_FRAMES, DisfaSettings, read_disfa
from benchmark.datasets.disfa.standin import BASE_RATES, labels_of, write_disfa
from benchmark.standin.terms import DRAWN_AUS

AUS = DISFA.aus
ALL_AUS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
TWO = DISFA.model_copy(update={"parts": {"part1": ("SN001", "SN002")}, "frames": 10, "sequences": 2})
N = 5


def write_labels(root: Path, subject: str, table: Mapping[int, Sequence[int]], first: int = 1) -> None:
    folder = root / "DISFA" / "ActionUnit_Labels" / subject
    folder.mkdir(parents=True, exist_ok=True)
    for au, column in table.items():
        lines = [f"{frame},{value}\n" for frame, value in enumerate(column, start=first)]
        (folder / f"{subject}_au{au}.txt").write_text("".join(lines))


def a_table(frames: int = N) -> dict[int, list[int]]:
    return {au: [(frame + au) % 6 for frame in range(frames)] for au in ALL_AUS}


def write_video(root: Path, name: str, frames: int = N) -> Path:
    file = root / "DISFA" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(file), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (16, 16))
    for k in range(frames):
        writer.write(np.full((16, 16, 3), 10 * k % 256, np.uint8))
    writer.release()
    return file


def write_images(root: Path, folder: str, names: Iterable[str], comment: bytes = b"") -> Path:
    home = root / "DISFA" / folder
    home.mkdir(parents=True, exist_ok=True)
    for name in names:
        kind = {"comment": comment} if comment else {}
        Image.new("RGB", (16, 16)).save(home / name, **kind)
    return home


def au_file(root: Path, au: int, subject: str = "SN001") -> Path:
    return root / "DISFA" / "ActionUnit_Labels" / subject / f"{subject}_au{au}.txt"


def read(root: Path, **options: str) -> FaceSet:
    return read_disfa(root, TWO, settings=DisfaSettings.model_validate(options))


def refuse(root: Path, match: str, **options: str) -> UserError:
    with pytest.raises(UserError, match=match) as caught:
        read(root, **options)
    assert caught.value.where
    assert caught.value.remedy
    return caught.value


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Two subjects' labels, without footage."""
    for subject in ("SN001", "SN002"):
        write_labels(tmp_path, subject, a_table())
    return tmp_path


@pytest.fixture
def data(labels: Path) -> Path:
    """Two subjects with videos, in two spellings."""
    write_video(labels, "Videos_LeftCamera/LeftVideoSN001_comp.avi")
    write_video(labels, "Videos_LeftCamera/leftVideoSN002_Comp.avi")
    return labels


def test_a_video_frame_is_named_by_its_index_from_0(data: Path) -> None:
    faces = read_disfa(data, TWO)
    assert faces.dataset == "disfa"
    assert faces.root == data
    assert list(faces.table.columns) == ["path", "subject", "sequence", "frame"]
    assert list(faces.table["frame"]) == [1, 2, 3, 4, 5] * 2
    assert list(faces.table["subject"]) == list(faces.table["sequence"]) == ["SN001"] * N + ["SN002"] * N
    assert faces.table["path"][0] == "DISFA/Videos_LeftCamera/LeftVideoSN001_comp.avi#0"
    assert faces.table["path"][9] == "DISFA/Videos_LeftCamera/leftVideoSN002_Comp.avi#4"
    assert faces.label_names == DISFA.au_names


def test_active_is_an_intensity_greater_than_1(labels: Path) -> None:
    for subject in ("SN001", "SN002"):
        write_labels(labels, subject, {au: [0, 1, 2, 3, 5] for au in ALL_AUS})
        write_video(labels, f"Videos_LeftCamera/LeftVideo{subject}_comp.avi")
    faces = read_disfa(labels, TWO)
    assert faces.labels.dtype == np.int8
    assert faces.labels.tolist() == [[k] * len(AUS) for k in (0, 0, 1, 1, 1)] * 2


@pytest.mark.parametrize("folder", ["Video_LeftCamera", "Videos_LeftCamera", "videos_leftcamera"])
@pytest.mark.parametrize("name", ["LeftVideo{}_comp.avi", "leftVideo{}_Comp.avi", "leftvideo{}.AVI"])
def test_spellings(labels: Path, folder: str, name: str) -> None:
    for subject in ("SN001", "SN002"):
        write_video(labels, f"{folder}/{name.format(subject)}")
    faces = read_disfa(labels, TWO)
    assert faces.table["path"][0] == f"DISFA/{folder}/{name.format('SN001')}#0"


def test_a_video_in_two_spellings_is_refused(data: Path) -> None:
    shutil.copy(
        data / "DISFA/Videos_LeftCamera/LeftVideoSN001_comp.avi",
        data / "DISFA/Videos_LeftCamera/leftVideoSN001_Comp.avi",
    )
    error = refuse(data, "2 sources of frames for SN001")
    assert error.found == "LeftVideoSN001_comp.avi and leftVideoSN001_Comp.avi"


def test_a_video_in_two_folders_is_refused(data: Path) -> None:
    write_video(data, "Video_LeftCamera/LeftVideoSN002_comp.avi")
    error = refuse(data, "2 sources of frames for SN002")
    assert error.found == "Video_LeftCamera/LeftVideoSN002_comp.avi and Videos_LeftCamera/leftVideoSN002_Comp.avi"


def test_the_camera_is_a_setting(data: Path) -> None:
    error = refuse(data, "SN001 has labels, but neither a video nor images of the right camera", camera="right")
    assert error.remedy == "--set disfa.camera=left"
    for subject in ("SN001", "SN002"):
        write_video(data, f"Video_RightCamera/RightVideo{subject}_comp.avi")
    left, right = read(data), read(data, camera="right")
    assert left.table["path"][0].startswith("DISFA/Videos_LeftCamera/")
    assert right.table["path"][0] == "DISFA/Video_RightCamera/RightVideoSN001_comp.avi#0"
    assert "left camera" in left.note
    assert "right camera" in right.note
    assert np.array_equal(left.labels, right.labels)


def test_images_of_the_right_camera_are_not_those_without_a_camera_in_their_folder(labels: Path) -> None:
    for subject in ("SN001", "SN002"):
        write_images(labels, f"Frames/{subject}", [f"{k}.png" for k in range(N)])
    assert read(labels).table["path"][0] == "DISFA/Frames/SN001/0.png"
    refuse(labels, "of the right camera", camera="right")
    for subject in ("SN001", "SN002"):
        write_images(labels, f"Frames_RightCamera/{subject}", [f"{k}.png" for k in range(N)])
    assert read(labels, camera="right").table["path"][0] == "DISFA/Frames_RightCamera/SN001/0.png"


def test_images_in_two_folders_are_refused(labels: Path) -> None:
    for folder in ("Frames", "Frames_LeftCamera"):
        write_images(labels, f"{folder}/SN001", [f"{k}.png" for k in range(N)])
    refuse(labels, "2 sources of frames for SN001")


@pytest.mark.parametrize(("first", "ending", "digits"), [(0, "png", 1), (0, "jpg", 4), (1, "png", 5), (1, "jpeg", 1)])
def test_images_count_from_0_or_from_1_whatever_their_padding(
    labels: Path, first: int, ending: str, digits: int
) -> None:
    for subject in ("SN001", "SN002"):
        write_images(
            labels, f"Frames_LeftCamera/{subject}", [f"{first + k:0{digits}d}.{ending}" for k in reversed(range(N))]
        )
    for numbers in ("auto", f"from_{first}"):
        faces = read(labels, image_numbers=numbers)
        assert list(faces.table["frame"]) == [1, 2, 3, 4, 5] * 2
        assert [int(Path(path).stem) for path in faces.table["path"]] == [first + k for k in range(N)] * 2
        assert f"images that count from {first}" in faces.note


def test_padding_may_differ_within_a_folder(labels: Path) -> None:
    for subject in ("SN001", "SN002"):
        write_images(labels, f"Frames/{subject}", ["0000.png", "1.png", "002.jpg", "3.png", "4.png"])
    assert [Path(path).name for path in read(labels).table["path"]][:3] == ["0000.png", "1.png", "002.jpg"]


def test_one_number_on_two_images_is_refused(labels: Path) -> None:
    write_images(labels, "Frames/SN001", ["0.png", "1.png", "01.png", "2.png", "3.png", "4.png"])
    error = refuse(labels, "2 images numbered 1")
    assert error.found == "01.png and 1.png"


@pytest.mark.parametrize("numbers", [range(1, N), range(2, N + 2)])
def test_where_images_start_is_not_guessed(labels: Path, numbers: range) -> None:
    # 1 to 4 for five labels: image 0 may be missing, or image 5.
    for subject in ("SN001", "SN002"):
        write_images(labels, f"Frames/{subject}", [f"{k}.png" for k in numbers])
    error = refuse(labels, "do not tell whether they count from 0 or from 1")
    assert "disfa.image_numbers=from_0 or from_1" in str(error.remedy)
    assert f"numbers {numbers[0]} to {numbers[-1]}; labels up to frame 5" in str(error.found)


def test_a_setting_settles_where_images_start(labels: Path) -> None:
    for subject in ("SN001", "SN002"):
        write_images(labels, f"Frames/{subject}", [f"{k}.png" for k in range(1, N)])
    faces = read(labels, image_numbers="from_1")
    assert list(faces.table["frame"]) == [1, 2, 3, 4] * 2
    assert faces.table["path"][0] == "DISFA/Frames/SN001/1.png"
    assert "2 labels without a frame" in faces.note
    error = refuse(labels, "1 labelled frames have no image, the first is frame 1", image_numbers="from_0")
    assert error.where == f"{au_file(labels, 1)}:1"
    assert error.expected
    assert error.expected.startswith(f"{labels / 'DISFA/Frames/SN001/0.png'}")


def test_a_setting_against_the_files_is_refused(labels: Path) -> None:
    write_images(labels, "Frames/SN001", [f"{k}.png" for k in range(N)])
    refuse(labels, "there is an image 0", image_numbers="from_1")


def test_subjects_that_count_differently_are_refused(labels: Path) -> None:
    write_images(labels, "Frames/SN001", [f"{k}.png" for k in range(N)])
    write_images(labels, "Frames/SN002", [f"{k}.png" for k in range(1, N + 1)])
    error = refuse(labels, "some subjects count from 0 and those of others from 1")
    assert "SN001" in str(error.found)
    assert "SN002" in str(error.found)


def test_a_hole_in_the_images_names_the_frame(labels: Path) -> None:
    for subject in ("SN001", "SN002"):
        folder = write_images(labels, f"Frames/{subject}", [f"{k}.png" for k in range(N)])
    (folder / "2.png").unlink()
    error = refuse(labels, "1 labelled frames have no image, the first is frame 3")
    assert error.where == f"{au_file(labels, 1, 'SN002')}:3"


def test_images_go_before_videos_and_the_note_says_so(data: Path) -> None:
    write_images(data, "Frames_LeftCamera/SN001", [f"{k}.png" for k in range(N)])
    faces = read(data)
    assert faces.table["path"][0] == "DISFA/Frames_LeftCamera/SN001/0.png"
    assert faces.table["path"][N].endswith("leftVideoSN002_Comp.avi#0")
    assert "images that count from 0 of 1 subjects (1 videos beside them not read), videos of 1" in faces.note
    write_images(data, "Frames_LeftCamera/SN002", [f"{k}.png" for k in range(N)])
    assert "images that count from 0 (2 videos beside them not read)" in read(data).note


@pytest.mark.parametrize("frames", [3, 4, 6, 5 + 15])
def test_the_shorter_of_labels_and_video_counts(data: Path, frames: int) -> None:
    write_video(data, "Videos_LeftCamera/LeftVideoSN001_comp.avi", frames)
    faces = read(data)
    first = faces.table[faces.table["subject"] == "SN001"]
    assert list(first["frame"]) == list(range(1, min(N, frames) + 1))
    assert ("labels without a frame" in faces.note) == (frames < N)


def test_a_large_mismatch_names_both_numbers(data: Path) -> None:
    video = write_video(data, "Videos_LeftCamera/LeftVideoSN001_comp.avi", 5 + 16)
    error = refuse(data, "labels and frames of a subject do not fit together")
    assert error.where == str(video)
    assert "5 frames" in str(error.expected)
    assert error.found == "21 frames"


def test_a_broken_video_is_named(data: Path) -> None:
    video = data / "DISFA/Videos_LeftCamera/LeftVideoSN001_comp.avi"
    video.write_bytes(b"not a video")
    assert refuse(data, "a video cannot be read").where == str(video)


def test_label_lines_in_any_order_and_with_other_line_ends(data: Path) -> None:
    before = read(data)
    for au in ALL_AUS:
        lines = au_file(data, au).read_text().splitlines()
        text = "\r\n".join(line.replace(",", " , ") for line in reversed(lines))
        au_file(data, au).write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    after = read(data)
    assert after.table.equals(before.table)
    assert np.array_equal(after.labels, before.labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "a wrong line"),
        ("3,6", "a wrong line"),
        ("3,9", "a wrong line"),
        ("3,-1", "a wrong line"),
        ("3,2.0", "a wrong line"),
        ("3,", "a wrong line"),
        ("3,1,0", "a wrong line"),
        ("frame,intensity", "a wrong line"),
        ("0,1", "a wrong frame number"),
        ("2,1", "a wrong frame number"),  # frame 2 stands in line 2 already
    ],
)
def test_wrong_lines_name_file_and_line(data: Path, text: str, message: str) -> None:
    file = au_file(data, 12, "SN002")
    lines = file.read_text().splitlines()
    lines[2] = text
    file.write_text("\n".join(lines))
    error = refuse(data, message)
    assert error.where == f"{file}:3"
    assert error.found == text
    assert error.expected


def test_label_files_that_disagree_on_frames(data: Path) -> None:
    short = au_file(data, 9)
    short.write_text("".join(line for line in short.read_text().splitlines(keepends=True) if line[0] != "4"))
    error = refuse(data, "different frames")
    assert error.where == f"{au_file(data, 1)}:4"
    assert error.expected == "a line for frame 4 in SN001_au9.txt, too"
    long = au_file(data, 2)
    long.write_text(long.read_text() + "6,0\n")
    error = refuse(data, "different frames")
    assert error.where == f"{long}:6"
    assert error.expected == "a line for frame 6 in SN001_au1.txt, too"


def test_a_missing_au_is_named_and_one_that_is_not_scored_may_lack(data: Path) -> None:
    au_file(data, 20).unlink()
    read(data)
    au_file(data, 25).unlink()
    error = refuse(data, "SN001 lacks label files")
    assert error.found == "none for AU25"


def test_an_au_with_two_files_is_refused(data: Path) -> None:
    shutil.copy(au_file(data, 4), au_file(data, 4).with_name("SN001_au04.txt"))
    refuse(data, "2 label files of AU4 of SN001")


def test_an_unknown_subject_is_refused_and_folders_of_systems_are_not(data: Path) -> None:
    labels = data / "DISFA" / "ActionUnit_Labels"
    (labels / ".Spotlight").mkdir()
    (labels / ".DS_Store").write_bytes(b"\x00")
    read(data)
    shutil.copytree(labels / "SN001", labels / "SN014")
    error = refuse(data, "unknown subject")
    assert error.found == "SN014"


def test_missing_labels(data: Path) -> None:
    shutil.rmtree(data / "DISFA" / "ActionUnit_Labels")
    error = refuse(data, "no AU labels")
    assert error.found == "Videos_LeftCamera"


def test_labels_without_footage(labels: Path) -> None:
    refuse(labels, "SN001 has labels, but neither a video nor images of the left camera")


def test_bad_frames_add_up() -> None:
    dropped = sum(last - first + 1 for ranges in JAA_BAD_FRAMES.values() for first, last in ranges)
    assert DISFA.frames - dropped == JAA_CLEAN_FRAMES
    assert JAA_BAD_FRAMES.keys() <= DISFA.subjects


def test_jaa_clean_drops_frames_counted_from_0(tmp_path: Path) -> None:
    write_labels(tmp_path, "SN002", {au: [2] * 830 for au in ALL_AUS})
    write_video(tmp_path, "Videos_LeftCamera/LeftVideoSN002_comp.avi", 830)
    every, clean = read(tmp_path), read(tmp_path, frames="jaa_clean")
    # Of SN002 the frames with indices 799 to 825 are bad, which label lines 800 to 826 describe.
    assert set(every.table["frame"]) - set(clean.table["frame"]) == set(range(800, 827))
    assert list(clean.table["path"].str.rpartition("#")[2].astype(int)) == [*range(799), *range(826, 830)]
    assert "frames as in JAA-Net's lists" in clean.note
    assert "all frames" in every.note


def test_jaa_clean_needs_no_image_of_a_bad_frame(tmp_path: Path) -> None:
    write_labels(tmp_path, "SN002", {au: [2] * 826 for au in ALL_AUS})
    write_images(tmp_path, "Frames/SN002", [f"{k}.png" for k in range(799)])
    faces = read(tmp_path, frames="jaa_clean")
    assert list(faces.table["frame"]) == list(range(1, 800))
    refuse(tmp_path, "do not fit together")


def test_complete_partial_and_standin(data: Path) -> None:
    whole = read(data)
    assert whole.origin == "complete"
    assert "left camera, all frames, videos" in whole.note
    assert "no alignment, A12" in whole.note
    # 126,144 frames are expected of clean ones.
    assert read(data, frames="jaa_clean").origin == "partial"
    part = read_disfa(data)
    assert part.origin == "partial"
    assert "10 frames of 2 subjects, of 130,814 frames of 27" in part.note
    (data / MARKER).write_text(f'{{"format": "{MARKER_FORMAT}"}}')
    assert read(data).origin == "stand-in"


def test_images_of_a_standin_are_known_without_the_marker(labels: Path) -> None:
    for subject in ("SN001", "SN002"):
        write_images(labels, f"Frames/{subject}", [f"{k}.jpg" for k in range(N)], JPEG_COMMENT)
    assert read(labels).origin == "stand-in"


def test_progress_counts_subjects(data: Path) -> None:
    seen: list[tuple[int, int]] = []
    read_disfa(data, TWO, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_settings_refuse_other_values() -> None:
    for wrong in ({"camera": "middle"}, {"frames": "some"}, {"image_numbers": "from_2"}, {"colour": "red"}):
        with pytest.raises(ValidationError):
            DisfaSettings.model_validate(wrong)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=st.permutations(ALL_AUS),
    wanted=st.permutations(AUS),
    first=st.integers(1, 4000),
    values=st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=12, max_size=12),
)
def test_no_column_ever_changes_places(
    tmp_path_factory: pytest.TempPathFactory,
    written: list[int],
    wanted: list[int],
    first: int,
    values: list[list[int]],
) -> None:
    root = tmp_path_factory.mktemp("p")
    table = dict(zip(written, values, strict=True))
    write_labels(root, "SN001", table, first)
    found = read_labels(root / "DISFA" / "ActionUnit_Labels" / "SN001", "SN001", tuple(wanted))
    assert found.frames == [first + k for k in range(4)]
    assert found.lines == [1, 2, 3, 4]
    for au, column in zip(wanted, found.intensities.T, strict=True):
        assert column.tolist() == table[au]


def test_directory_order_does_not_matter(data: Path, tmp_path: Path) -> None:
    write_images(data, "Frames/SN002", [f"{k}.png" for k in range(N)])
    again = tmp_path / "again"
    for file in sorted((p for p in (data / "DISFA").rglob("*") if p.is_file()), reverse=True):
        target = again / file.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    one, two = read(data), read(again)
    assert one.table.equals(two.table)
    assert np.array_equal(one.labels, two.labels)


def test_labels_of_a_standin_keep_the_threshold() -> None:
    assert labels_of(np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.56, 0.71, 0.9, 1.0])).tolist() == [0, 0, 1, 1, 2, 3, 4, 5, 5]


def test_a_standin_is_read_back(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    truth = write_disfa(tmp_path, 16, 6, 3, lambda done, total: seen.append((done, total)))
    assert len(truth) == 27 * 6 - 1  # the video of SN027 lacks its last frame
    assert seen[-1] == (161, 161)
    (tmp_path / MARKER).write_text(f'{{"format": "{MARKER_FORMAT}"}}')
    faces = read_disfa(tmp_path)
    assert faces.origin == "stand-in"
    assert "1 labels without a frame" in faces.note
    coded = truth[truth["coded"]].reset_index(drop=True)
    assert len(coded) == len(truth) - 1  # SN010 has a frame more than labels
    assert faces.table[["subject", "frame", "path"]].equals(coded[["subject", "frame", "path"]])
    expected = coded[list(DISFA.au_names)].to_numpy() > 0.35
    assert np.array_equal(faces.labels, expected)
    for name, rate in zip(DISFA.au_names, faces.labels.mean(axis=0), strict=True):
        assert rate == pytest.approx(BASE_RATES[int(name[2:])], abs=1.5 / len(coded))
    files = sorted(p.name for p in (tmp_path / "DISFA" / "ActionUnit_Labels" / "SN032").iterdir())
    assert files == sorted(f"SN032_au{au}.txt" for au in ALL_AUS)
    assert set(au_file(tmp_path, 20).read_text().split()) == {f"{frame},0" for frame in range(1, 7)}
    names = {p.name.replace(p.name[9:14], "") for p in (tmp_path / "DISFA" / "Videos_LeftCamera").iterdir()}
    assert len(names) == 4


def test_a_standin_depends_on_its_arguments_alone(tmp_path: Path) -> None:
    def digest(home: Path, seed: int) -> list[str]:
        truth = write_disfa(home, 17, 4, seed)  # an odd size is kept
        assert set(truth.columns) >= {"subject", "frame", "path", "yaw", *(f"AU{au}" for au in DRAWN_AUS)}
        files = sorted(p for p in home.rglob("*") if p.is_file())
        return [truth.to_csv(), *(hashlib.sha256(p.read_bytes()).hexdigest() for p in files)]

    first = digest(tmp_path / "a", 1)
    assert digest(tmp_path / "b", 1) == first
    assert digest(tmp_path / "c", 2) != first
    source = cv2.VideoCapture(str(tmp_path / "a" / "DISFA" / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi"))
    whole, frame = source.read()
    assert whole
    assert frame.shape == (17, 17, 3)
