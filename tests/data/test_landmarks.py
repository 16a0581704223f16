"""Landmark files as the datasets have them, votes, and RAF-DB's original images."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError
from benchmark.data.align import TEMPLATE
from benchmark.datasets.bp4d.reader import read_bp4d, read_hdf5_landmarks
from benchmark.datasets.disfa.labels import Labels
from benchmark.datasets.disfa.landmarks import read_mat_landmarks
from benchmark.datasets.rafdb.reader import RafdbSettings, read_rafdb, read_text_landmarks, read_votes
from tests.standins import draw

FOUR = (100 * np.array(TEMPLATE)).astype(np.float32)


def points(count: int, eyes: tuple[slice, slice], mouth: tuple[int, int], shift: float = 0.0) -> np.ndarray:
    """(count, 2) landmarks whose eyes and mouth are those of FOUR; all others lie where they would be noticed."""
    all_ = np.full((count, 2), -999.0)
    for eye, at in zip(eyes, FOUR[:2], strict=True):
        all_[eye] = at + np.array([(-2, 0), (-1, 1), (1, 1), (2, 0), (1, -1), (-1, -1)])
    all_[list(mouth)] = FOUR[2:]
    return all_ + shift


def write_hdf5(file: Path, frames: list[np.ndarray | None]) -> None:
    """As MATLAB 7.3 writes `fit(k).pred`: references, arrays transposed, an empty one as its size with a mark."""
    with h5py.File(file, "w") as content:
        references = np.empty((len(frames), 1), dtype=h5py.ref_dtype)
        for k, each in enumerate(frames):
            data = content.create_dataset(f"#refs#/{k}", data=np.zeros(2, np.uint64) if each is None else each.T)
            if each is None:
                data.attrs["MATLAB_empty"] = np.uint8(1)
            references[k, 0] = data.ref
        content.create_dataset("fit/pred", data=references, dtype=h5py.ref_dtype)


def test_bp4d_landmarks_are_indexed_by_frame_and_may_be_empty(tmp_path: Path) -> None:
    layout = (slice(19, 25), slice(25, 31)), (31, 37)
    file = tmp_path / "F001_T1.mat"
    write_hdf5(file, [points(49, *layout, shift=1 + k) if k % 2 else None for k in range(6)])
    found = read_hdf5_landmarks(file, [3, 4])
    assert sorted(found) == [2, 4, 6]
    assert np.allclose(found[2], FOUR + 1, atol=1e-4)  # frame 2 is the second entry; pixels count from 1 in the file
    write_hdf5(file, [np.zeros((66, 2))] * 3)
    with pytest.raises(UserError, match="landmarks of frame 1 have another shape") as caught:
        read_hdf5_landmarks(file, [1, 2])
    assert caught.value.found == "2 x 66"
    mirrored = points(49, *layout) * (-1, 1)
    write_hdf5(file, [mirrored] * 3)
    with pytest.raises(UserError, match="not in the known order"):
        read_hdf5_landmarks(file, [1, 2])


def labels(last: int) -> Labels:
    return Labels(Path("x"), list(range(1, last + 1)), list(range(1, last + 1)), np.zeros((last, 8), np.int8))


@pytest.mark.parametrize(
    ("name", "first"), [("SN001_{:04d}_lm.mat", 0), ("lm{}.mat", 0), ("SN030_{:05d}_lm.mat", 1), ("{}.mat", 1)]
)
def test_disfa_landmarks_are_known_by_their_number(tmp_path: Path, name: str, first: int) -> None:
    layout = (slice(36, 42), slice(42, 48)), (48, 54)
    folder = tmp_path / "SN001" / "tmp_frame_lm"
    folder.mkdir(parents=True)
    for k in range(12):
        marks = np.zeros((0, 0)) if k == 5 else points(66, *layout, shift=1 + k)
        savemat(folder / name.format(k + first), {"pts": marks})
    found = read_mat_landmarks(tmp_path / "SN001", labels(12)).points
    assert sorted(found) == [1, 2, 3, 4, 5, *range(7, 13)]
    assert np.allclose(found[11], FOUR + 10, atol=1e-4)


def test_disfa_landmarks_that_start_anywhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "SN001").mkdir()
    with pytest.raises(UserError, match="a subject has no landmarks"):
        read_mat_landmarks(tmp_path / "SN001", labels(9))
    for k in range(5, 9):
        savemat(tmp_path / "SN001" / f"SN001_{k:04d}_lm.mat", {"pts": np.zeros((66, 2))})
    with pytest.raises(UserError, match="do not tell whether they count from 0 or from 1"):
        read_mat_landmarks(tmp_path / "SN001", labels(9))
    (tmp_path / "SN001" / "SN001_0000_lm.mat").write_bytes(b"no such thing")
    with pytest.raises(UserError, match="landmarks cannot be read"):
        read_mat_landmarks(tmp_path / "SN001", labels(9))


def test_rafdb_landmarks_and_votes(tmp_path: Path) -> None:
    file = tmp_path / "train_00001_manu_attri.txt"
    five = [*FOUR[:2], (50, 55), *FOUR[2:]]
    file.write_text("".join(f"{x}\t{y}\n" for x, y in five) + "1\n0\n2\n")
    assert np.allclose(read_text_landmarks(file), FOUR)
    file.write_text("1\t2\n3\tx\n")
    with pytest.raises(UserError, match="a wrong landmark") as caught:
        read_text_landmarks(file)
    assert str(caught.value.where).endswith(":2")
    votes = tmp_path / "votes.txt"
    votes.write_text("train_00001.jpg 0 0 2 35 0 0 3\ntest_0002_aligned.jpg,0.1,0.1,0.1,0.1,0.1,0.1,0.4\n")
    shares = read_votes(votes, {"train_00001", "test_0002"})
    assert shares["train_00001"][3] == 35 / 40
    assert shares["test_0002"][6] == pytest.approx(0.4)
    for line in ("train_00001 1 2 3", "train_00001 0 0 0 0 0 0 0", "train_00001 1 1 1 1 1 1 -1", "other 1 1 1 1 1 1 1"):
        votes.write_text(line + "\n")
        with pytest.raises(UserError, match="a wrong line in the file of votes"):
            read_votes(votes, {"train_00001"})


def test_consistency_and_original_images_of_a_standin(tmp_path: Path) -> None:
    root = tmp_path / "data"
    draw(root, StandinSettings(size=24, frames_per_sequence=1, fe_train=20, fe_test=4))
    faces = read_rafdb(root, settings=RafdbSettings(source="original"), alignment="landmarks")
    assert faces.points is not None
    assert faces.points.shape == (20, 4, 2)
    assert faces.table["consistency"].between(0, 1).all()
    assert faces.origin == "stand-in"
    rows = (root / "RAF-DB/basic/EmoLabel/distribution.txt").read_text().splitlines()
    votes = np.array([[int(cell) for cell in row.split()[1:]] for row in rows])
    assert (votes.sum(axis=1) == 40).all()
    assert read_rafdb(root, settings=RafdbSettings(source="original")).points is None
    (root / "RAF-DB/basic/EmoLabel/distribution.txt").unlink()
    assert "consistency" not in read_rafdb(root).table
    with pytest.raises(UserError, match="there is no file of votes"):
        read_rafdb(root, settings=RafdbSettings(votes="votes.txt"))
    shutil.rmtree(root / "BP4D/2DFeatures")
    with pytest.raises(UserError, match="a sequence has no landmarks") as caught:
        read_bp4d(root, alignment="landmarks")
    assert "data.alignment=as_is" in str(caught.value)
