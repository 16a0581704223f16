"""Predictions of others under the rules: the same counts as of a trial's own, and no test subject among validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.audit.counts import audit_counts
from benchmark.audit.frames import ValidationFrames
from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.report.predictions import read_predictions
from benchmark.report.submitted_audit import audit_predictions
from benchmark.store.results import Results
from benchmark.trials.snapshots import test_frames as frames_of
from tests.report.conftest import AUS, written
from tests.report.test_selection import TITLES, column, context


def audit(table: pd.DataFrame, faces: FaceSet, file: Path) -> Results:
    given = read_predictions(written(table, file), "mine", BP4D)
    return audit_predictions(given, faces, BP4D).validated()


@pytest.fixture(scope="module")
def both(faces: FaceSet, predictions: pd.DataFrame) -> pd.DataFrame:
    """Test frames of part1, and AU validation frames of the network that was tested there."""
    of_part = predictions["subject"].isin(BP4D.parts["part1"])
    test, rest = predictions[of_part], predictions[~of_part].iloc[::3]
    return pd.concat([test.assign(set="test"), rest.assign(set="au_val")]).assign(part="part1")


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_the_counts_are_those_of_the_rules(
    name: str,
    faces: FaceSet,
    both: pd.DataFrame,
    tmp_path: Path,
) -> None:
    made = audit(both, faces, tmp_path / name)
    sides = [both[both["set"] == kind] for kind in ("test", "au_val")]
    logits = [(side[AUS].to_numpy(np.float64) - 0.5).astype(np.float32).astype(np.float64)[None] for side in sides]
    labels = [faces.labels[side.index] for side in sides]
    validation = ValidationFrames(logits[1], labels[1], sides[1]["subject"].to_numpy(dtype=object))
    expected = audit_counts(frames_of(logits[0], labels[0], sides[0]), validation, BP4D.au_names)
    pd.testing.assert_frame_equal(made.audit.drop(columns="trial"), expected, check_dtype=False)
    page = context(made)
    assert TITLES["by_au_val"] in column(page.honest, 0)
    assert page.order is None


def test_without_validation_frames_rules_that_need_them_are_left_out(
    faces: FaceSet,
    predictions: pd.DataFrame,
    tmp_path: Path,
) -> None:
    made = context(audit(predictions, faces, tmp_path / "mine.csv"))
    assert set(column(made.honest, 0)) == {TITLES["ours"], TITLES["vote_fixed"]}
    assert TITLES["common_test"] in column(made.looking, 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.assign(set=t["set"].replace("au_val", "val")), "unknown set of frames"),
        (lambda t: t.drop(columns="part"), "AU validation frames without part"),
        (
            lambda t: pd.concat([t, t[t["set"] == "test"].head(1).assign(set="au_val")]),
            "AU validation frame of part1 is of a test subject",
        ),
    ],
)
def test_wrong_rows_are_refused(change, says: str, faces: FaceSet, both: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        audit(change(both), faces, tmp_path / "mine.csv")
