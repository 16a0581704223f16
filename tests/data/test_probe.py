"""The linear probe tells what a pixel carries, on people it has not seen, and nothing else; the stand-in's page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.config.settings import StandinSettings
from benchmark.core.action_units import NAMES
from benchmark.data.faces import UNKNOWN, FaceSet
from benchmark.data.frames import PackedFaces
from benchmark.data.probe import pixel_probe
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.report.standin import Sheet, write_standin_page
from benchmark.standin.terms import DRAWN_AUS
from tests.report.conftest import TEMPLATES
from tests.standins import draw

PER_SUBJECT = 12


@pytest.fixture(scope="module")
def packed() -> PackedFaces:
    """AU 1 lights a corner, AU 6 is always active, the others are noise."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(sorted(BP4D.subjects), PER_SUBJECT)
    frames = rng.integers(90, 110, size=(len(subjects), 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 2, size=(len(subjects), len(BP4D.aus)), dtype=np.int8)
    frames[labels[:, 0] == 1, 4:12, 4:12] += 60
    labels[::5, 0] = UNKNOWN
    labels[:, 3] = 1
    table = pd.DataFrame(
        {"path": [f"{i}.jpg" for i in range(len(subjects))], "subject": subjects, "sequence": "T1", "frame": 1}
    )
    faces = FaceSet("bp4d", Path("/nowhere"), table, labels, BP4D.au_names, "partial", "")
    return PackedFaces(faces, frames, "f", 0, 0.0)


@pytest.fixture(scope="module")
def found(packed: PackedFaces) -> pd.DataFrame:
    """Its AUCs on these frames."""
    return pixel_probe(packed, BP4D, 28)


def test_it_finds_what_is_there_and_not_what_is_not(found: pd.DataFrame) -> None:
    assert set(found["part"]) == set(BP4D.parts)
    by_au = found.groupby("au")["auc"]
    assert by_au.min()["AU1"] > 0.99
    assert abs(by_au.mean()["AU2"] - 0.5) < 0.1
    assert by_au.count()["AU6"] == 0  # of one value only: no AUC


def test_the_test_subjects_teach_nothing(packed: PackedFaces, found: pd.DataFrame) -> None:
    """Other labels of a part's subjects change what is asked there, not what is fitted for it: AUCs mirror."""
    part, tested = next(iter(BP4D.parts.items()))
    before = found.set_index(["part", "au"])["auc"]
    labels = packed.faces.labels.copy()
    rows = packed.faces.table["subject"].isin(tested).to_numpy()
    labels[rows] = np.where(labels[rows] >= 0, 1 - labels[rows], labels[rows])
    faces = FaceSet(**{**vars(packed.faces), "labels": labels})
    after = pixel_probe(PackedFaces(faces, packed.frames, "f", 0, 0.0), BP4D, 28).set_index(["part", "au"])["auc"]
    assert after[part].dropna().to_list() == pytest.approx((1 - before[part].dropna()).to_list())


def test_the_page(found: pd.DataFrame, tmp_path: Path) -> None:
    assert set(NAMES) >= set(DRAWN_AUS)
    settings = StandinSettings(size=24, frames_per_sequence=1, fe_train=40, fe_test=0)
    draw(tmp_path / "data", settings)
    written = write_standin_page(
        [Sheet(tmp_path / "data", found, settings)],
        tmp_path / "out",
        templates=TEMPLATES,
        results=None,
    )
    assert [path.name for path in written] == ["standin.md", "standin_drawn_aus.png", "standin_drawn_faces.png"]
    text = written[0].read_text()
    assert "AU12 lip corner puller" in text
    assert "*STL* is not run." in text
    assert all(path.stat().st_size > 10_000 for path in written[1:])
