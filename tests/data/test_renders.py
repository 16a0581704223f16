"""People without AUs, for backbones to start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.config.settings import StandinSettings
from benchmark.data.frames import pack
from benchmark.datasets.bp4d.standin import _plan_bp4d
from benchmark.datasets.disfa import standin as disfa
from benchmark.datasets.gft import standin as gft
from benchmark.datasets.rafdb.standin import DIGITS, _place
from benchmark.standin.drawn.identity import Identity, draw_identity
from benchmark.standin.expressions import BASIC, plan_expressions
from benchmark.standin.people import _plan_people, read_renders, write_people
from benchmark.standin.pictures import Picture, seeded_generator

SETTINGS = StandinSettings(size=32, frames_per_sequence=1, fe_train=14, fe_test=2)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("renders") / "people"
    write_people(root, SETTINGS, 5, 3)
    return root


def test_a_class_for_each_person_and_the_same_bytes_each_time(people: Path, tmp_path: Path) -> None:
    faces = read_renders(people, 5, 3)
    assert faces.origin == "stand-in"
    assert faces.labels.tolist() == np.repeat(range(5), 3).tolist()
    assert sorted(faces.table["path"]) == sorted(str(p.relative_to(people).as_posix()) for p in people.glob("*/*.jpg"))
    write_people(tmp_path / "again", SETTINGS, 5, 3)
    assert (
        pack(faces, 32, tmp_path).fingerprint == pack(read_renders(tmp_path / "again", 5, 3), 32, tmp_path).fingerprint
    )
    assert len({(people / path).read_bytes() for path in faces.table["path"]}) == 15  # another pose and light each time


def test_more_than_int8_has_room_for(tmp_path: Path) -> None:
    assert read_renders(tmp_path, 400, 2).labels.max() == 399


def test_nobody_is_one_of_the_datasets_people_and_nobody_shows_an_au(tmp_path: Path) -> None:
    def people_of(batches: list[list[Picture]]) -> set[Identity]:
        return {draw_identity(seeded_generator(SETTINGS, *picture.person)) for batch in batches for picture in batch}

    drawn = _plan_people(300, 2)
    (tmp_path / "BP4D").mkdir()
    (tmp_path / "RAF-DB").mkdir()
    splits = [("train", SETTINGS.fe_train, DIGITS["train"]), ("test", SETTINGS.fe_test, DIGITS["test"])]
    faces = plan_expressions(SETTINGS, BASIC, _place, splits)[1]
    datasets = people_of(_plan_bp4d(tmp_path, SETTINGS)[1]) | people_of(faces)
    assert len(datasets) == 41 + 16
    assert len(people_of(drawn)) == 300
    assert not people_of(drawn) & datasets
    assert not any(picture.intensity.any() for batch in drawn for picture in batch)
    # DISFA's and GFT's people are drawn from seeds that begin with words of their own.
    words = {picture.person[0] for batch in drawn for picture in batch}
    assert not words & {module._PERSON for module in (disfa, gft)}
