"""The GFT reader: nothing that is not public is guessed silently. And its stand-in, read back."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from benchmark.core.errors import UserError
from benchmark.data.faces import JPEG_COMMENT, UNKNOWN
from benchmark.datasets.gft.annotations import read_annotations
from benchmark.datasets.gft.partition import gft_protocol
from benchmark.datasets.gft.protocol import GFT
from benchmark.datasets.gft.reader import read_gft
from benchmark.datasets.gft.settings import GftSettings
from benchmark.datasets.gft.standin import write_gft

AUS = GFT.aus
INFERRED = GftSettings(split="inferred")
PEOPLE = ("001A", "001B", "005C")
HEADER = ["frame", *(f"AU{au}" for au in AUS)]
ROWS = [[str(frame), *(str((frame + au) % 2) for au in AUS)] for frame in (3, 4, 6, 7)]
"""Frame 5 is a gap."""


def write_table(file: Path, rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def write_images(
    root: Path, subject: str, frames: Iterable[int], digits: int = 1, folder: str = "images", comment: bytes = b""
) -> None:
    home = root / "GFT" / folder / subject
    home.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        Image.new("RGB", (16, 16), (frame % 256, 90, 90)).save(home / f"{frame:0{digits}d}.jpg", comment=comment)


def annotations(root: Path, name: str = "001A_occ") -> Path:
    return root / "GFT" / "annotations" / f"{name}.csv"


def write_split(root: Path, text: str) -> Path:
    file = root / "GFT" / "split.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three participants with four coded frames each, and one image that is not coded."""
    root = tmp_path / "data"
    for digits, subject in enumerate(PEOPLE, 1):
        write_table(annotations(root, f"{subject}_occ"), ROWS)
        write_images(root, subject, (3, 4, 5, 6, 7), digits)
    write_split(root, "001A,train\n005C,test\n001B,train\n")
    return root


def replace_line(file: Path, number: int, text: str) -> None:
    lines = file.read_text().splitlines()
    lines[number - 1] = text
    file.write_text("\n".join(lines) + "\n")


def fails(root: Path, match: str, given: GftSettings = INFERRED) -> UserError:
    with pytest.raises(UserError, match=match) as caught:
        read_gft(root, GFT, settings=given)
    return caught.value


# --- frames and images


def test_rows_are_ordered_and_images_are_found_by_number(data: Path) -> None:
    seen: list[tuple[int, int]] = []
    faces = read_gft(data, gft_protocol(data), lambda done, total: seen.append((done, total)))
    assert list(faces.table.columns) == ["path", "subject", "sequence", "frame"]
    assert list(faces.table["subject"]) == [s for s in PEOPLE for _ in range(4)]
    assert list(faces.table["sequence"]) == list(faces.table["subject"])
    assert list(faces.table["frame"]) == [3, 4, 6, 7] * 3
    assert list(faces.table["path"])[::4] == [
        "GFT/images/001A/3.jpg",
        "GFT/images/001B/03.jpg",
        "GFT/images/005C/003.jpg",
    ]
    assert all((data / path).is_file() for path in faces.table["path"])
    expected = [[(frame + au) % 2 for au in AUS] for frame in (3, 4, 6, 7)] * 3
    assert faces.labels.dtype == np.int8
    assert faces.labels.tolist() == expected
    assert faces.label_names == GFT.au_names
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_rows_in_any_order_and_both_file_names(data: Path) -> None:
    before = read_gft(data, GFT)
    write_table(annotations(data), reversed(ROWS))
    annotations(data).rename(annotations(data, "001A"))
    (data / "GFT" / "annotations" / "._001A.csv").write_bytes(b"\x00")  # macOS
    after = read_gft(data, GFT)
    assert after.table.equals(before.table)
    assert np.array_equal(after.labels, before.labels)


def test_folders_are_settings(data: Path) -> None:
    before = read_gft(data, GFT)
    (data / "GFT" / "annotations").rename(data / "GFT" / "occ")
    (data / "GFT" / "images").rename(data / "GFT" / "frames")
    assert fails(data, "no annotation files").remedy
    after = read_gft(data, GFT, settings=GftSettings(annotations="occ", images="frames"))
    assert [p.replace("frames", "images") for p in after.table["path"]] == list(before.table["path"])


@pytest.mark.parametrize("field", ["split", "columns", "annotations", "images"])
@pytest.mark.parametrize("value", ["/abs", "../up"])
def test_settings_stay_below_the_data_root(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        GftSettings.model_validate({field: value})


def test_a_coded_frame_without_image_names_the_row(data: Path) -> None:
    (data / "GFT" / "images" / "001A" / "6.jpg").unlink()
    error = fails(data, "coded frames without an image: 1, the first is frame 6")
    assert error.where == f"{annotations(data)}:4"
    assert error.found == "4 images, frames 3 to 7"
    shutil.rmtree(data / "GFT" / "images" / "001A")
    assert fails(data, "coded frames without an image: 4").found == "no image"


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (3, "4,0", "wrong length"),
        (3, "x" + ",0" * 10, "wrong frame number"),
        (3, ",0" * 10, "wrong frame number"),
        (3, "0" + ",0" * 10, "wrong frame number"),
        (3, "4.5" + ",0" * 10, "wrong frame number"),
        (3, "-4" + ",0" * 10, "wrong frame number"),
        (4, "004" + ",0" * 10, "frame 4 is repeated"),
        (5, "3" + ",9" * 10, "frame 3 is repeated"),
    ],
)
def test_damaged_rows(data: Path, line: int, text: str, message: str) -> None:
    replace_line(annotations(data), line, text)
    assert fails(data, message).where == f"{annotations(data)}:{line}"


@pytest.mark.parametrize("name", ["033A_occ", "000A", "001D_occ", "1A", "001A_int", "notes"])
def test_an_unknown_participant_is_refused(data: Path, name: str) -> None:
    shutil.copy(annotations(data), annotations(data, name))
    error = fails(data, "unknown participant")
    assert error.where == str(annotations(data, name))
    assert error.remedy


def test_two_files_of_one_participant_are_refused(data: Path) -> None:
    shutil.copy(annotations(data), annotations(data, "001A"))
    assert fails(data, "two annotation files of participant 001A").found == "001A.csv and 001A_occ.csv"


def test_two_image_folders_of_one_participant_are_refused(data: Path) -> None:
    images = data / "GFT" / "images"
    (images / "001A").rename(images / "001A_raw")
    shutil.copytree(images / "001A_raw", images / "001A_aligned")
    assert fails(data, "2 folders of images of participant 001A").found == "001A_aligned and 001A_raw"


# --- columns


@pytest.mark.parametrize("frame", ["frame", "Frames", "FRAME_NUMBER", "0", " frame "])
@pytest.mark.parametrize("au", ["AU{}", "AU{:02d}", "{}", "{:02d}", "au{}"])
def test_spellings_of_the_header(tmp_path: Path, frame: str, au: str) -> None:
    file = tmp_path / "001A.csv"
    write_table(file, ROWS, [frame, *(au.format(k) for k in AUS)])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())  # as Excel does
    read = read_annotations(file, AUS, {})
    assert read.coded.frames == [3, 4, 6, 7]
    assert read.coded.lines == [2, 3, 4, 5]
    assert read.coded.codes.tolist() == [[int(cell) for cell in row[1:]] for row in ROWS]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(14)),
    spelling=st.sampled_from(["AU{}", "AU{:02d}", "{}", "{:02d}", "au{}"]),
    cells=st.lists(st.lists(st.sampled_from(["0", "1", "9", ""]), min_size=14, max_size=14), min_size=1, max_size=5),
)
def test_no_column_ever_changes_places(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], spelling: str, cells: list[list[str]]
) -> None:
    numbers = [*AUS, 5, 11, 17]
    names = ["frame", *(spelling.format(k) for k in numbers)]
    file = tmp_path_factory.mktemp("p") / "001A.csv"
    plain = [[str(i), *row[1:]] for i, row in enumerate(cells, 1)]
    write_table(file, [[row[k] for k in order] for row in plain], [names[k] for k in order])
    read = read_annotations(file, AUS, {})
    codes = {"0": 0, "1": 1}
    wanted = {i: [codes.get(cell, UNKNOWN) for cell in row[1 : 1 + len(AUS)]] for i, row in enumerate(cells, 1)}
    known = {i: row for i, row in wanted.items() if set(row) != {UNKNOWN}}
    assert read.coded.frames == list(known)
    assert read.coded.codes.tolist() == list(known.values())
    assert read.left_out == len(wanted) - len(known)
    assert read.unknown.total() == sum(row.count(UNKNOWN) for row in known.values())


@pytest.mark.parametrize(
    ("extra", "what"), [("01", "AU1"), ("au1", "AU1"), ("AU24", "AU24"), ("0", "frame"), ("frames", "frame")]
)
def test_two_candidates_for_a_column_are_refused(data: Path, extra: str, what: str) -> None:
    write_table(annotations(data), [[*row, "1"] for row in ROWS], [*HEADER, extra])
    error = fails(data, f"2 columns of an annotation file could be {what}")
    assert error.where == f"{annotations(data)}:1"
    assert error.found is not None
    assert extra in error.found
    assert error.remedy is not None
    assert "gft.columns" in error.remedy


def test_a_column_that_no_one_asks_for_may_be_called_anything(data: Path) -> None:
    write_table(annotations(data), [[*row, "1", "2"] for row in ROWS], [*HEADER, "AU17", "17"])
    assert len(read_gft(data, GFT)) == 12


ODD = ["t", *(f"Occ {au}, coded" for au in AUS)]


def test_a_header_that_is_not_understood_is_shown_and_wants_a_map(data: Path) -> None:
    write_table(annotations(data), ROWS, ["t", *HEADER[1:]])
    error = fails(data, "no column for frame")
    assert error.where == f"{annotations(data)}:1"
    assert error.found == ",".join(["t", *HEADER[1:]])
    assert error.remedy is not None
    assert "gft.columns" in error.remedy
    annotations(data).write_text("")
    assert fails(data, "no column for frame, AU1, AU2").found == "an empty line"


def test_a_file_without_a_header_is_refused(data: Path) -> None:
    annotations(data).write_text("1,0,0,1,0,1,0,0,1,0,0\n2,0,0,1,0,1,0,0,1,0,0\n")
    assert fails(data, "could be frame").where == f"{annotations(data)}:1"


def write_map(root: Path, lines: Iterable[Sequence[str]]) -> GftSettings:
    file = root / "GFT" / "columns.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    return GftSettings(split="inferred", columns="GFT/columns.csv")


def test_a_column_map_names_what_detection_does_not_know(data: Path) -> None:
    before = read_gft(data, GFT)
    for subject in PEOPLE:
        write_table(annotations(data, f"{subject}_occ"), ROWS, ODD)
    fails(data, "no column for frame, AU1")
    given = write_map(data, zip(["Frame", "au01", *HEADER[2:]], ODD, strict=True))
    assert np.array_equal(read_gft(data, GFT, settings=given).labels, before.labels)


def test_a_column_map_settles_an_ambiguity_and_leaves_the_rest_to_detection(tmp_path: Path) -> None:
    file = tmp_path / "001A.csv"
    write_table(file, [["1", *"0000000000", "1"]], [*HEADER, "01"])
    assert read_annotations(file, AUS, {"AU1": "01"}).coded.codes[0].tolist() == [1, *[0] * 9]
    assert read_annotations(file, AUS, {"AU1": "AU1"}).coded.codes[0].tolist() == [0] * 10


def test_a_map_that_does_not_fit_the_header(data: Path) -> None:
    assert "mapped to 'nowhere'" in fails(data, "no column for AU1", write_map(data, [("AU1", "nowhere")])).what
    # AU2's own column is found by its name: one column may not stand for both.
    fails(data, "column AU2 of an annotation file stands for two", write_map(data, [("AU1", "AU2")]))
    write_table(annotations(data), [[*row, "1", "1"] for row in ROWS], [*HEADER, "x", "x"])
    fails(data, "2 columns of an annotation file could be AU1", write_map(data, [("AU1", "x")]))


@pytest.mark.parametrize(
    "line",
    [("AU2",), ("AU2", ""), ("AU2", "b", "c"), ("AUx", "b"), ("2", "b"), ("time", "b"), ("AU01", "b"), ("AU2", "a")],
)
def test_bad_lines_of_a_column_map(data: Path, line: tuple[str, ...]) -> None:
    error = fails(data, "bad line in the column map", write_map(data, [("AU1", "a"), line]))
    assert error.where == f"{data / 'GFT' / 'columns.csv'}:2"


def test_an_empty_and_a_missing_column_map(data: Path) -> None:
    given = write_map(data, [])
    fails(data, "column map is empty", given)
    (data / "GFT" / "columns.csv").unlink()
    fails(data, "there is no column map", given)


# --- values


def test_other_values_are_unknown_and_counted(data: Path) -> None:
    replace_line(annotations(data), 2, "3,9,,NaN,-1,1.0,0.0,1,0,0.5,2")
    faces = read_gft(data, GFT)
    u = UNKNOWN
    assert faces.labels[0].tolist() == [u, u, u, u, 1, 0, 1, 0, u, u]
    assert (faces.labels[1:] != UNKNOWN).all()
    assert "6 cells unknown (1 empty, 1 -1, 1 0.5, 1 2, ...), 0 frames left out" in faces.note


def test_a_frame_without_any_known_au_is_left_out_and_needs_no_image(data: Path) -> None:
    replace_line(annotations(data), 2, "3" + ",9" * 10)
    replace_line(annotations(data, "001B_occ"), 5, "7" + "," * 10)
    (data / "GFT" / "images" / "001A" / "3.jpg").unlink()
    faces = read_gft(data, GFT)
    assert len(faces) == 10
    assert list(faces.table["frame"])[:3] == [4, 6, 7]
    assert "0 cells unknown, 2 frames left out with no AU known" in faces.note


def test_a_participant_of_whom_nothing_is_known_is_absent(data: Path) -> None:
    write_table(annotations(data), [[row[0], *"9999999999"] for row in ROWS])
    faces = read_gft(data, GFT)
    assert set(faces.table["subject"]) == {"001B", "005C"}
    assert faces.table["frame"].dtype == np.int64
    for subject in PEOPLE:
        write_table(annotations(data, f"{subject}_occ"), [])
    assert fails(data, "no frame has an AU that is known").found == "no rows"


# --- split


def test_the_split_file_gives_the_parts(data: Path) -> None:
    protocol = gft_protocol(data)
    assert protocol.parts == {"test": ("005C",)}
    assert protocol.train_only == ("001A", "001B")
    assert protocol.aus == GFT.aus
    assert gft_protocol(data, protocol) == protocol
    (data / "GFT" / "split.csv").rename(data / "mine.csv")
    assert gft_protocol(data, GFT, GftSettings(split="mine.csv")) == protocol


def test_no_split_is_an_error_unless_the_inferred_one_is_asked_for(data: Path) -> None:
    file = data / "GFT" / "split.csv"
    file.unlink()
    for call in (lambda: gft_protocol(data), lambda: read_gft(data, GFT)):
        with pytest.raises(UserError, match="no split file") as caught:
            call()
        assert caught.value.where == str(file)
        assert caught.value.remedy is not None
        assert "GFT/split.csv" in caught.value.remedy
        assert "gft.split=inferred" in caught.value.remedy
    assert gft_protocol(data, GFT, INFERRED) == GFT
    assert "inferred split" in read_gft(data, GFT, settings=INFERRED).note
    with pytest.raises(UserError, match="no split file"):
        gft_protocol(data, GFT, GftSettings(split="GFT/other.csv"))


@pytest.mark.parametrize(
    ("line", "message", "found"),
    [
        ("001C", "bad line", "001C"),
        ("001C,val", "bad line", "001C,val"),
        ("001C,test,x", "bad line", "001C,test,x"),
        ("001C;test", "bad line", "001C;test"),
        ("subject,split", "bad line", "subject,split"),
        ("033A,test", "unknown subject", "033A"),
        (",test", "unknown subject", "an empty cell"),
        ("001A,test", "repeated subject", "001A, as in line 1"),
        ("001A,train", "repeated subject", "001A, as in line 1"),
    ],
)
def test_bad_lines_of_a_split(data: Path, line: str, message: str, found: str) -> None:
    file = write_split(data, f"001A,train\n\n{line}\n005C , test\n")
    with pytest.raises(UserError, match=message) as caught:
        gft_protocol(data)
    assert caught.value.where == f"{file}:3"
    assert caught.value.found == found


@pytest.mark.parametrize(("text", "side"), [("001A,train\n", "test"), ("001A,test\n", "train"), ("", "train")])
def test_a_split_with_an_empty_side(data: Path, text: str, side: str) -> None:
    file = write_split(data, text)
    with pytest.raises(UserError, match=f"no {side} subject") as caught:
        gft_protocol(data)
    assert caught.value.where == str(file)


def test_a_participant_on_no_side_is_refused(data: Path) -> None:
    write_split(data, "001A,train\n005C,test\n")
    error = fails(data, "001B stands on no side", GftSettings())
    assert error.where == str(annotations(data, "001B_occ"))


# --- origin, order


def test_a_small_copy_is_partial_and_names_its_split(data: Path) -> None:
    faces = read_gft(data, GFT)
    assert faces.origin == "partial"
    assert "12 frames of 3 participants, of 132,600 frames and 96; split of GFT/split.csv" in faces.note


def test_only_a_full_copy_with_the_authors_split_is_complete(tmp_path: Path) -> None:
    people = sorted(GFT.subjects)
    for subject in people:
        write_table(annotations(tmp_path, subject), ROWS[:2])
        write_images(tmp_path, subject, (3, 4))
    write_split(tmp_path, "".join(f"{s},{'test' if s > '028' else 'train'}\n" for s in people))
    for frames, origin in ((192, "complete"), (200, "complete"), (203, "partial"), (180, "partial")):
        protocol = GFT.model_copy(update={"frames": frames})
        assert read_gft(tmp_path, protocol).origin == "partial"  # whole frames are no faces
        faces = read_gft(tmp_path, protocol, alignment="detected")
        assert faces.origin == origin
        assert "no alignment, A12" in faces.note
        guessed = read_gft(tmp_path, protocol, settings=INFERRED)
        assert guessed.origin == "partial"
        assert "inferred split" in guessed.note


def test_a_stand_in_is_recognised_by_its_images(data: Path) -> None:
    write_images(data, "001B", (3, 4, 5, 6, 7), 2, comment=JPEG_COMMENT)
    faces = read_gft(data, GFT)
    assert faces.origin == "stand-in"
    assert "stand-in" in faces.note
    assert "split of GFT/split.csv" in faces.note


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rng=st.randoms(use_true_random=False))
def test_the_manifest_is_independent_of_directory_order(
    data: Path, tmp_path_factory: pytest.TempPathFactory, rng: object
) -> None:
    write_images(data, "001A", (3, 4), 4)  # a second image for two frames
    again = tmp_path_factory.mktemp("again")
    files = sorted(p for p in data.rglob("*") if p.is_file())
    rng.shuffle(files)  # type: ignore[attr-defined]
    for file in files:
        target = again / file.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    one, two = read_gft(data, GFT), read_gft(again, GFT)
    assert one.table.equals(two.table)
    assert np.array_equal(one.labels, two.labels)
    assert one.note == two.note


# --- stand-in


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    home = tmp_path_factory.mktemp("gft")
    return home, write_gft(home, 16, 4, 0)


def test_the_stand_in_is_read_back_as_its_truth(standin: tuple[Path, pd.DataFrame]) -> None:
    home, truth = standin
    protocol = gft_protocol(home)
    assert protocol.parts["test"] == GFT.parts["test"]
    faces = read_gft(home, protocol)
    assert faces.origin == "stand-in"
    assert set(faces.table["subject"]) == GFT.subjects
    coded = truth[truth["coded"]].reset_index(drop=True)
    for column in ("subject", "frame", "path"):
        assert list(faces.table[column]) == list(coded[column])
    true = (coded[list(GFT.au_names)].to_numpy() > 0.35).astype(int)
    known = faces.labels != UNKNOWN
    assert np.array_equal(faces.labels[known], true[known])
    assert 0 < (~known).sum() < 0.05 * known.size
    assert not truth["path"].duplicated().any()
    assert len(list(home.rglob("*.jpg"))) == len(truth) == 96 * 4


def test_the_stand_in_has_the_base_rates_of_gft(standin: tuple[Path, pd.DataFrame]) -> None:
    home, _ = standin
    faces = read_gft(home, GFT)
    rates = {1: 4.49, 2: 12.21, 4: 3.39, 6: 27.71, 10: 24.68, 12: 29.17, 14: 3.02, 15: 9.53, 23: 25.45, 24: 14.09}
    for labels, au in zip(faces.labels.T, AUS, strict=True):
        known = labels[labels != UNKNOWN]
        assert abs(int((known == 1).sum()) - rates[au] / 100 * len(known)) <= 1


def test_the_stand_in_has_the_quirks_that_it_is_for(standin: tuple[Path, pd.DataFrame]) -> None:
    home, truth = standin
    texts = [file.read_text() for file in sorted((home / "GFT" / "annotations").iterdir())]
    headers = {text.splitlines()[0] for text in texts}
    assert len(headers) == 5
    cells = {cell for text in texts for row in text.splitlines()[1:] for cell in row.split(",")[1:]}
    assert cells == {"0", "1", "9", ""}
    frames = [[int(row.split(",")[0]) for row in text.splitlines()[1:]] for text in texts]
    assert any(last - first >= len(own) for own in frames for first, last in [(own[0], own[-1])])
    assert {len(Path(p).stem) for p in truth["path"]} >= {3, 4, 5}
    assert truth["frame"].between(1, 1800).all()
    assert 0.04 < truth["occluded"].mean() < 0.16
    with Image.open(home / truth["path"][0]) as image:
        assert image.size == (16, 16)
        assert image.info["comment"] == JPEG_COMMENT


def test_the_stand_in_is_a_pure_function_of_its_arguments(standin: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    def digests(home: Path) -> dict[str, str]:
        files = (p for p in home.rglob("*") if p.is_file())
        return {p.relative_to(home).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    home, truth = standin
    seen: list[tuple[int, int]] = []
    again = write_gft(tmp_path / "again", 16, 4, 0, lambda done, total: seen.append((done, total)))
    assert again.equals(truth)
    assert digests(tmp_path / "again") == digests(home)
    assert seen == [(i, 384) for i in range(1, 385)]
    assert not write_gft(tmp_path / "other", 16, 4, 1)[list(GFT.au_names)].equals(truth[list(GFT.au_names)])
