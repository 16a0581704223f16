"""Predictions of others: scored like a trial's own, and refused where they are not of the same frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.report.groups import group_results
from benchmark.report.predictions import read_predictions
from benchmark.report.submitted import score_predictions
from benchmark.stats.scores import confusion_counts, scores_by_au
from benchmark.store.results import Results
from tests.report.conftest import AUS, written


def scored_of(file: Path, name: str, faces: FaceSet, protocol: Protocol, beside: Results, **options: float) -> Results:
    return score_predictions(read_predictions(file, name, protocol, beside, **options), faces, protocol, beside)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_of_the_tables(
    suffix: str, faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    shuffled = predictions.sample(frac=1, random_state=0)
    scored = scored_of(written(shuffled, tmp_path / f"p{suffix}"), "mine", faces, BP4D, beside)
    (group,) = group_results(Results.concat([beside, scored]))
    assert [row.method for row in group.rows] == ["mal", "mine"]
    assert group.rows[1].parts == ("part1", "part2", "part3")
    part = BP4D.parts["part2"]
    rows = faces.table["subject"].isin(part).to_numpy()
    logits = predictions[AUS].to_numpy(np.float32)[rows] - np.float32(0.5)
    counts = confusion_counts(logits, faces.labels[rows], faces.table["subject"].to_numpy()[rows], BP4D.au_names)
    trial = scored.trials.loc[scored.trials["part"] == "part2", "trial"].iloc[0]
    pd.testing.assert_frame_equal(
        scored.counts[scored.counts["trial"] == trial][["tp", "fp", "fn", "tn"]].reset_index(drop=True),
        counts[["tp", "fp", "fn", "tn"]],
    )
    expected = scores_by_au(logits, faces.labels[rows], counts, BP4D.au_names)
    np.testing.assert_allclose(scored.scores[scored.scores["trial"] == trial]["f1"], expected["f1"])


def test_logits_and_thresholds(faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path) -> None:
    logits = predictions.copy()
    logits[AUS] = np.log(predictions[AUS] / (1 - predictions[AUS]))
    one = scored_of(written(predictions, tmp_path / "a.csv"), "x", faces, BP4D, beside)
    other = scored_of(
        written(logits.rename(columns={au: f"logit_{au}" for au in AUS}), tmp_path / "b.csv"), "x", faces, BP4D, beside
    )
    pd.testing.assert_frame_equal(one.counts.drop(columns="trial"), other.counts.drop(columns="trial"))
    high = scored_of(written(predictions, tmp_path / "a.csv"), "x", faces, BP4D, beside, threshold=0.9)
    assert high.counts["tp"].sum() < one.counts["tp"].sum()


def test_one_part_alone(faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path) -> None:
    chosen = predictions[predictions["subject"].isin(BP4D.parts["part3"])]
    scored = scored_of(written(chosen, tmp_path / "p.csv"), "x", faces, BP4D, beside)
    assert list(scored.trials["part"]) == ["part3"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="AU7"), "without AU7"),
        (lambda t: t.drop(columns="frame"), "without frame"),
        (lambda t: t.iloc[1:], "lack a test frame"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "a frame twice"),
        (lambda t: t.assign(frame=t["frame"] + 1000), "not coded"),
        (lambda t: t.assign(AU1=t["AU1"].mask(t["AU1"].index == 3)), "no finite number"),
        (lambda t: t.assign(AU1="high"), "no finite number"),
        (lambda t: t.iloc[:0], "name no subject"),
    ],
    ids=["column", "key", "frame", "twice", "unknown", "nan", "text", "empty"],
)
def test_what_is_refused(
    change: object, said: str, faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        scored_of(written(change(predictions), tmp_path / "p.csv"), "x", faces, BP4D, beside)  # type: ignore[operator]


def test_a_file_that_is_none(faces: FaceSet, beside: Results, tmp_path: Path) -> None:
    for name in ("p.csv", "p.parquet"):
        (tmp_path / name).write_bytes(b"\x00\xff" * 9)
        with pytest.raises(UserError):
            scored_of(tmp_path / name, "x", faces, BP4D, beside)
    with pytest.raises(UserError, match="no such file"):
        scored_of(tmp_path / "absent.csv", "x", faces, BP4D, beside)


def test_other_labels_are_not_put_beside(
    faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    labels = faces.labels.copy()
    labels[labels[:, 0] == 1, 0] = 0
    other = FaceSet("bp4d", Path(), faces.table, labels, BP4D.au_names, "partial", "")
    with pytest.raises(UserError, match="no results to put"):
        scored_of(written(predictions, tmp_path / "p.csv"), "x", other, BP4D, beside)


def as_dates(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AU1=pd.Timestamp("2020-01-01"))


def as_logits(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(AU1=table["AU1"] * 8 - 4)


def called_logits(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={au: f"logit_{au}" for au in AUS})


def of_others(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(subject="SN001")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (as_dates, "the column AU1 holds no scores"),
        (as_logits, "a score of AU1 is no probability"),
        (called_logits, "the logits look like probabilities"),
        (of_others, "the predictions name no subject of bp4d"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_needs_no_frame_is_checked_before_any_is_read(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    what: str,
    predictions: pd.DataFrame,
    beside: Results,
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=what):
        read_predictions(written(change(predictions), tmp_path / "p.parquet"), "x", BP4D, beside)


def test_scores_of_any_scale_need_a_threshold(predictions: pd.DataFrame, beside: Results, tmp_path: Path) -> None:
    file = written(as_logits(predictions), tmp_path / "p.parquet")
    assert (read_predictions(file, "x", BP4D, beside, threshold=0.0).scores[:, 0] > 0).any()
    for threshold in (float("nan"), float("inf")):
        with pytest.raises(UserError, match="the threshold is no number"):
            read_predictions(file, "x", BP4D, beside, threshold=threshold)


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 100_000, "a\nb"])
def test_a_name_that_no_table_can_hold_is_refused(
    name: str, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="name of the rows"):
        read_predictions(written(predictions, tmp_path / "p.csv"), name, BP4D, beside)


def test_another_threshold_is_another_trial(
    faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    file = written(predictions, tmp_path / "p.csv")
    one, other = scored_of(file, "x", faces, BP4D, beside), scored_of(file, "x", faces, BP4D, beside, threshold=0.9)
    assert not set(one.trials["trial"]) & set(other.trials["trial"])


def test_predictions_of_others_are_never_stale(
    faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    scored = scored_of(written(predictions, tmp_path / "p.csv"), "x", faces, BP4D, beside)
    assert not scored.mark_stale({"mal": "a"}).trials["stale"].any()


def test_the_same_predictions_twice_are_merged(
    faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    scored = scored_of(written(predictions, tmp_path / "p.csv"), "x", faces, BP4D, beside)
    merged = Results.merge({"report": Results.concat([beside, scored]), "again": scored})
    assert len(merged.trials) == len(beside.trials) + len(scored.trials)
    changed = scored.counts.assign(tp=scored.counts["tp"] + 1)
    other = Results(scored.trials, changed, scored.scores, scored.curves, scored.weights)
    with pytest.raises(UserError, match="stands in two results files, and differs") as caught:
        Results.merge({"report": scored, "again": other})
    assert caught.value.where == "again"
