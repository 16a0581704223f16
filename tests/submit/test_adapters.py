"""Outputs of other programs: their columns and scales, and the frames that they are of. The files are made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.disfa.protocol import DISFA
from benchmark.submit.adapters import adapter_names, open_adapter
from benchmark.submit.matching import MISSING, rows_in, shortest_ending, with_keys
from benchmark.submit.outputs import Outputs, read_outputs
from methods.catalog import FOLDER as METHODS

SUBJECTS = ("F001", "M001")
SEQUENCES = ("T1", "T2")
FIRST = {"T1": 95, "T2": 7}
"""Number in the name of the first image of each sequence; its first image is not coded."""


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceSet:
    """Three coded frames of two sequences of two people, and an image before them."""
    root, rows = tmp_path_factory.mktemp("root"), []
    for subject in SUBJECTS:
        for sequence in SEQUENCES:
            folder = root / "BP4D" / "Sequences" / subject / sequence
            folder.mkdir(parents=True)
            for k in range(4):
                Image.new("RGB", (4, 4)).save(folder / f"{FIRST[sequence] + k:04d}.png")
                if k:
                    path = (folder / f"{FIRST[sequence] + k:04d}.png").relative_to(root).as_posix()
                    rows.append((path, subject, f"{subject}/{sequence}", FIRST[sequence] + k))
    table = pd.DataFrame(rows, columns=["path", "subject", "sequence", "frame"])
    return FaceSet("bp4d", root, table, np.zeros((len(table), 12), np.int8), BP4D.au_names, "partial", "")


def openface2_rows(count: int, spaced: bool = False) -> pd.DataFrame:
    """`FeatureExtraction`'s table; row k has AU12 in frames 2 and 4, and loses the face in frame 3."""
    presence = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)
    frames = np.arange(1, count + 1)
    table = pd.DataFrame({"frame": frames, "face_id": 0, "timestamp": 0.0, "confidence": 0.98, "success": 1})
    for au in presence:
        if au != 28:
            table[f"AU{au:02d}_r"] = 0.4
    for au in presence:
        table[f"AU{au:02d}_c"] = 0.0
    table["AU12_c"] = (frames % 2 == 0).astype(float)
    table["AU12_r"] = frames * 1.0
    table.loc[frames == 3, "success"] = 0
    return table.rename(columns=lambda name: f" {name}") if spaced else table


def written(table: pd.DataFrame, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(file, index=False)
    return file


def read(path: Path, name: str, threshold: float | None = None, protocol: object = BP4D) -> Outputs:
    return read_outputs(path, open_adapter(name), protocol, threshold)  # type: ignore[arg-type]


def test_each_adapter_is_one_file_and_says_where_its_format_is_described() -> None:
    assert set(adapter_names()) == {"libreface", "openface2", "openface3", "pyfeat"}
    for name in adapter_names():
        adapter = open_adapter(name)
        assert adapter.name == name
        assert adapter.source.startswith("https://")
        assert adapter.presence.threshold is not None
    with pytest.raises(UserError, match="no adapter 'openface'") as caught:
        open_adapter("openface")
    assert "openface2" in str(caught.value.remedy)
    assert METHODS.is_dir()


@pytest.mark.parametrize("spaced", [False, True])
def test_openface2_by_folder_of_images(faces: FaceSet, tmp_path: Path, spaced: bool) -> None:
    written(openface2_rows(4, spaced), tmp_path / "F001_T1.csv")
    written(openface2_rows(4, spaced), tmp_path / "M001" / "T2.csv")
    outputs = read(tmp_path, "openface2")
    assert outputs.lacking == ("AU24",)
    assert outputs.no_face == 2
    keys, scores = with_keys(outputs, faces)
    # Frame 1 of each is the image before the coded ones.
    assert keys.to_numpy().tolist() == [
        *(["F001", "F001/T1", frame] for frame in (96, 97, 98)),
        *(["M001", "M001/T2", frame] for frame in (8, 9, 10)),
    ]
    au12 = scores[:, outputs.aus.index("AU12")]
    assert (au12 > 0).tolist() == [True, False, True] * 2


def test_openface2_intensities_by_a_threshold(faces: FaceSet, tmp_path: Path) -> None:
    file = written(openface2_rows(4), tmp_path / "F001_T1.csv")
    outputs = read(file, "openface2", threshold=2.5)
    _, scores = with_keys(outputs, faces)
    # Intensities 2, 3 and 4 of the frames 2 to 4, of which 3 has no face.
    np.testing.assert_allclose(scores[:, outputs.aus.index("AU12")], [-0.5, -2.5, 1.5])
    assert outputs.lacking == ("AU24",)
    assert read(file, "openface2", threshold=2.0, protocol=DISFA).lacking == ()


def test_openface2_by_image(faces: FaceSet, tmp_path: Path) -> None:
    """`FaceLandmarkImg` writes one file an image, one row a face, without numbers of frames."""
    rows = openface2_rows(2).drop(columns=["frame", "timestamp", "success", "face_id"])
    rows["confidence"] = [0.3, 0.9]
    written(rows, tmp_path / "F001" / "T1" / "0096.csv")
    outputs = read(tmp_path, "openface2")
    assert outputs.several == 1
    keys, scores = with_keys(outputs, faces)
    assert keys.to_numpy().tolist() == [["F001", "F001/T1", 96]]
    assert scores[0, outputs.aus.index("AU12")] == 0.5  # of the surer face
    assert outputs.chosen_by == "confidence"
    written(rows.drop(columns="confidence"), tmp_path / "F001" / "T1" / "0096.csv")
    assert read(tmp_path, "openface2").chosen_by == "order"


def pyfeat_rows(faces: FaceSet, prefix: str) -> pd.DataFrame:
    """A `Fex` table of all coded images; the first has no face, the second has two."""
    table = pd.DataFrame({"input": [prefix + str(path) for path in faces.table["path"]]})
    table["frame"] = range(len(table))
    table["FaceScore"] = 0.9
    for au in (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43):
        table[f"AU{au:02d}"] = np.linspace(0, 1, len(table))
    table.loc[0, [column for column in table if column not in {"input", "frame"}]] = np.nan
    other = table.loc[[1]].assign(FaceScore=0.99, AU12=0.8)
    return pd.concat([table, other], ignore_index=True)


@pytest.mark.parametrize("prefix", ["", "/data/", "D:\\bp4d\\"])
def test_pyfeat(faces: FaceSet, tmp_path: Path, prefix: str) -> None:
    table = pyfeat_rows(faces, prefix)
    if "\\" in prefix:
        table["input"] = table["input"].str.replace("/", "\\")
    outputs = read(written(table, tmp_path / "fex.csv"), "pyfeat")
    assert (outputs.lacking, outputs.no_face, outputs.several) == ((), 1, 1)
    assert outputs.chosen_by == "FaceScore"
    keys, scores = with_keys(outputs, faces)
    assert len(keys) == len(faces)
    au12 = pd.Series(scores[:, outputs.aus.index("AU12")], index=pd.MultiIndex.from_frame(keys))
    expected = np.linspace(0, 1, len(faces)) - 0.5
    expected[:2] = -0.5, 0.3
    wanted = pd.MultiIndex.from_frame(faces.table[["subject", "sequence", "frame"]])
    np.testing.assert_allclose(au12.reindex(wanted), expected, atol=1e-6)


def libreface_rows(count: int) -> pd.DataFrame:
    table = pd.DataFrame({"Unnamed: 0": range(count), "frame_idx": range(count), "frame_time_in_ms": 0.0})
    for au in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24):
        table[f"au_{au}"] = np.arange(count) % 2
    for au in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26):
        table[f"au_{au}_intensity"] = np.arange(count, dtype=float)
    return table.assign(facial_expression="Happiness")


def test_libreface(faces: FaceSet, tmp_path: Path) -> None:
    file = written(libreface_rows(4), tmp_path / "F001_T2.csv")
    decisions = read(file, "libreface")
    assert decisions.lacking == ()
    keys, scores = with_keys(decisions, faces)
    assert keys["frame"].tolist() == [8, 9, 10]
    assert (scores > 0).all(axis=1).tolist() == [True, False, True]
    assert read(file, "libreface", protocol=DISFA).lacking == ("AU9", "AU25", "AU26")
    assert read(file, "libreface", threshold=2.0, protocol=DISFA).lacking == ()
    assert read(file, "libreface", threshold=2.0).lacking == ("AU7", "AU10", "AU14", "AU23", "AU24")
    image = libreface_rows(1).drop(columns=["frame_idx", "frame_time_in_ms"])
    image["input_image_path"] = "photos/F001/T1/0097.jpg"
    assert with_keys(read(written(image, tmp_path / "one.csv"), "libreface"), faces)[0]["frame"].tolist() == [97]


def test_openface3_numbers_are_named_by_our_reading(faces: FaceSet, tmp_path: Path) -> None:
    table = pd.DataFrame({"input": faces.table["path"], **{f"au_{i}": i / 10 for i in range(8)}})
    outputs = read(written(table, tmp_path / "of3.csv"), "openface3")
    assert outputs.aus == ("AU1", "AU2", "AU4", "AU6", "AU12")
    assert outputs.lacking == ("AU7", "AU10", "AU14", "AU15", "AU17", "AU23", "AU24")
    np.testing.assert_allclose(outputs.scores[0], np.array([0, 0.1, 0.2, 0.3, 0.5]) - 0.5, atol=1e-7)
    # The reading: the entries of DISFA's labels that its training takes, named in alphabetical order.
    alphabetical = sorted(f"AU{au}" for au in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26))
    chosen = [alphabetical[i] for i in (0, 4, 8, 10, 11, 1, 6, 7)]
    assert chosen == [f"AU{au}" for au in open_adapter("openface3").presence.columns]


def test_rows_of_a_video(tmp_path: Path) -> None:
    (tmp_path / "Videos").mkdir()
    (tmp_path / "Videos" / "LeftVideoSN001_comp.avi").write_bytes(b"")
    path = "Videos/LeftVideoSN001_comp.avi"
    table = pd.DataFrame(
        {"path": [f"{path}#{i}" for i in (0, 2)], "subject": "SN001", "sequence": "1", "frame": [1, 3]}
    )
    faces = FaceSet("disfa", tmp_path, table, np.zeros((2, 8), np.int8), DISFA.au_names, "partial", "")
    outputs = read(written(openface2_rows(3), tmp_path / "LeftVideoSN001_comp.csv"), "openface2", protocol=DISFA)
    assert rows_in(outputs, faces).tolist() == [0, MISSING, 1]


def wrong_program(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns=lambda name: name.replace("_c", "").replace("_r", "_i"))


def percent(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AU12_c=100.0)


def a_word(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AU12_c="high")


def one_empty_cell(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AU12_c=table["AU12_c"].where(table.index != 1))


def lists(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AU12_c=[[1]] * len(table))


def endless_frames(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(frame=np.inf)


def half_frames(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(frame=table["frame"] + 0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wrong_program, "no output of OpenFace 2"),
        (percent, "a value of AU12_c is out of the scale"),
        (a_word, "a value of AU12_c is out of the scale"),
        (one_empty_cell, "a value of AU12_c is out of the scale"),
        (lists, "a value of AU12_c is out of the scale"),
        (endless_frames, "a frame is no whole number"),
        (half_frames, "a frame is no whole number"),
    ],
)
def test_what_is_refused_at_once(change: object, said: str, tmp_path: Path) -> None:
    file = tmp_path / "F001_T1.parquet"
    change(openface2_rows(3)).to_parquet(file)  # type: ignore[operator]
    with pytest.raises(UserError, match=said):
        read(file, "openface2")


def test_nothing_to_read_and_other_images(faces: FaceSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        read(tmp_path / "nowhere", "openface2")
    with pytest.raises(UserError, match="no output in the folder"):
        read(tmp_path, "openface2")
    file = written(openface2_rows(3), tmp_path / "F009_T1.csv")
    with pytest.raises(UserError, match="of no image of the dataset") as caught:
        with_keys(read(file, "openface2"), faces)
    assert "F001/T1/0096" in str(caught.value.expected)
    for threshold in (-1.0, 5.0):
        with pytest.raises(UserError, match="out of the scale"):
            read(file, "openface2", threshold=threshold)


def test_an_image_of_another_person_is_not_taken_for_one_of_the_same_number(faces: FaceSet, tmp_path: Path) -> None:
    rows = openface2_rows(1).drop(columns=["frame", "success"])
    written(rows, tmp_path / "F001" / "T1" / "0096.csv")
    written(rows, tmp_path / "F002" / "T1" / "0096.csv")
    assert sorted(rows_in(read(tmp_path, "openface2"), faces).tolist()) == [MISSING, 0]


def test_two_outputs_of_one_frame_are_refused(faces: FaceSet, tmp_path: Path) -> None:
    written(openface2_rows(4), tmp_path / "F001_T1.csv")
    written(openface2_rows(4), tmp_path / "F001" / "T1.csv")
    with pytest.raises(UserError, match="two outputs are of one frame") as caught:
        with_keys(read(tmp_path, "openface2"), faces)
    assert "F001/T1 and F001_T1" in str(caught.value.found)


def test_the_shortest_ending_tells_all_apart() -> None:
    assert shortest_ending([("a", "1"), ("a", "2")]) == 1
    assert shortest_ending([("x", "a", "1"), ("x", "b", "1")]) == 2
