"""The BP4D reader on files laid out as the dataset's owners receive them, and on damaged ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.core.errors import UserError
from benchmark.data.faces import UNKNOWN, data_root
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.bp4d.reader import read_bp4d, read_coding
from tests.conftest import HEADER, write_bp4d, write_coding


def coding(root: Path, name: str = "F001_T1") -> Path:
    return root / "BP4D" / "AUCoding" / "AU_OCC" / f"{name}.csv"


def test_frames_are_matched_as_integers_and_uncoded_images_are_left_out(data: Path) -> None:
    faces = read_bp4d(data)
    assert len(faces) == 6 * 2 * 6
    first = faces.table[faces.table["sequence"] == "F001/T1"]
    assert list(first["frame"]) == list(range(95, 101))
    widths = {len(Path(p).stem) for p in faces.table["path"]}
    assert widths == {3, 4}
    for path, frame in zip(faces.table["path"], faces.table["frame"], strict=True):
        assert int(Path(path).stem) == frame
        assert (data / path).is_file()


def test_codes_are_read_by_header_name_and_9_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    shuffled = [0, *reversed(HEADER[1:])]
    row = [9 if au == 7 else au % 2 for au in shuffled[1:]]
    write_coding(file, [[12, *row]], shuffled)
    found = read_coding(file, BP4D.aus)
    assert found.frames == [12]
    assert found.codes.tolist() == [[UNKNOWN if au == 7 else au % 2 for au in BP4D.aus]]


def test_a_root_without_the_sequences_level_reads_the_same(tmp_path: Path) -> None:
    write_bp4d(tmp_path / "a")
    write_bp4d(tmp_path / "b", flat=True)
    nested, flat = read_bp4d(tmp_path / "a"), read_bp4d(tmp_path / "b")
    assert np.array_equal(nested.labels, flat.labels)
    assert [p.replace("Sequences(2D+3D)/", "") for p in nested.table["path"]] == list(flat.table["path"])


def test_a_small_copy_is_partial_and_says_so(data: Path) -> None:
    faces = read_bp4d(data)
    assert faces.origin == "partial"
    assert "72 frames of 6 subjects in 12 sequences, of 146,847 frames" in faces.note


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(1, 3000),
    gaps=st.sets(st.integers(0, 9), max_size=8),
    order=st.permutations(HEADER[1:]),
    codes=st.lists(st.lists(st.sampled_from([0, 1, 9]), min_size=23, max_size=23), min_size=10, max_size=10),
)
def test_no_column_ever_changes_places(
    tmp_path_factory: pytest.TempPathFactory,
    start: int,
    gaps: set[int],
    order: list[int],
    codes: list[list[int]],
) -> None:
    file = tmp_path_factory.mktemp("p") / "F001_T1.csv"
    kept = [i for i in range(10) if i not in gaps]
    rows = [[start + i, *codes[i]] for i in reversed(kept)]  # rows in any order
    write_coding(file, rows, [0, *order])
    found = read_coding(file, BP4D.aus)
    assert found.frames == [start + i for i in kept]
    for frame, line, row in zip(found.frames, found.lines, found.codes, strict=True):
        assert file.read_text().splitlines()[line - 1].startswith(f"{frame},")
        for au, value in zip(BP4D.aus, row, strict=True):
            code = codes[frame - start][order.index(au)]
            assert value == (UNKNOWN if code == 9 else code)


def replace_line(file: Path, number: int, text: str) -> None:
    lines = file.read_text().splitlines()
    lines[number - 1] = text
    file.write_text("\n".join(lines) + "\n")


def test_a_wrong_header_names_file_and_line(data: Path) -> None:
    replace_line(coding(data), 1, "frame,AU1,AU2")
    with pytest.raises(UserError) as caught:
        read_bp4d(data)
    assert caught.value.where == f"{coding(data)}:1"
    assert caught.value.found == "frame,AU1,AU2"
    assert caught.value.expected
    assert caught.value.remedy


def test_a_code_of_7_names_file_line_and_au(data: Path) -> None:
    file = coding(data, "F003_T2")
    row = file.read_text().splitlines()[3].split(",")
    row[HEADER.index(12)] = "7"
    replace_line(file, 4, ",".join(row))
    with pytest.raises(UserError) as caught:
        read_bp4d(data)
    assert "AU12" in caught.value.what
    assert caught.value.where == f"{file}:4"
    assert caught.value.found == "7"


def test_cells_that_no_au_is_looked_up_by_may_hold_anything(data: Path) -> None:
    before = read_bp4d(data)
    file = coding(data)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0] + ",occluded", *(line + ",1" for line in lines[1:])]))
    (file.parent / "._F001_T1.csv").write_bytes(b"\x00\x05")  # macOS
    assert np.array_equal(read_bp4d(data).labels, before.labels)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (3, "1,0", "wrong length"),
        (3, "x" + ",0" * 23, "wrong frame number"),
        (3, "95" + ",0" * 23, "wrong frame number"),  # frame 95 stands in line 2 already
        (3, ",".join(["96", "", *["0"] * 22]), "wrong code for AU1"),
    ],
)
def test_damaged_rows(data: Path, line: int, text: str, message: str) -> None:
    replace_line(coding(data), line, text)
    with pytest.raises(UserError, match=message) as caught:
        read_bp4d(data)
    assert caught.value.where == f"{coding(data)}:{line}"


def test_a_coded_frame_without_image_names_the_row(data: Path) -> None:
    faces = read_bp4d(data)
    gone = data / faces.table["path"][2]
    gone.unlink()
    with pytest.raises(UserError, match="coded frames without an image: 1, the first is frame 97") as caught:
        read_bp4d(data)
    assert caught.value.where == f"{coding(data)}:4"


def test_missing_auc_coding(data: Path) -> None:
    shutil.rmtree(data / "BP4D" / "AUCoding")
    with pytest.raises(UserError, match="no AU coding files"):
        read_bp4d(data)


def test_an_unknown_subject_is_refused(data: Path) -> None:
    shutil.copy(coding(data), coding(data, "F099_T1"))
    with pytest.raises(UserError, match="unknown subject"):
        read_bp4d(data)


def test_a_root_one_level_too_deep_gets_the_right_hint(data: Path) -> None:
    with pytest.raises(UserError) as caught:
        data_root(data / "BP4D", needs=("BP4D", "RAF-DB"))
    assert caught.value.remedy == f"name it: --data {data}"


def test_directory_order_does_not_matter(data: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    for file in sorted((p for p in data.rglob("*") if p.is_file()), reverse=True):
        target = again / file.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    one, two = read_bp4d(data), read_bp4d(again)
    assert one.table.equals(two.table)
    assert np.array_equal(one.labels, two.labels)
