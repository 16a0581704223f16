"""The template, reserved names, and rows that call themselves submitted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.report.comparison import beyond_table, submitted_table
from benchmark.report.groups import group_results
from benchmark.report.names import check_name
from benchmark.report.ours import difference_table, interval_table, score_groups, summary_table
from benchmark.report.pairs import pair_rows
from benchmark.report.predictions import Predictions, read_predictions
from benchmark.report.render import render_markdown
from benchmark.report.row_cost import cost_table
from benchmark.report.submitted import score_predictions
from benchmark.report.tables import build_context
from benchmark.store.results import Results
from benchmark.submit.template import template_of
from tests.report.conftest import AUS, TEMPLATES, written


def test_a_filled_template_is_scored(faces: FaceSet, beside: Results, tmp_path: Path) -> None:
    table = template_of(faces, BP4D)
    assert list(table) == ["subject", "sequence", "frame", "path", *AUS]
    assert table[AUS].isna().all(axis=None)
    with pytest.raises(UserError, match="no finite number") as caught:
        read_predictions(written(table, tmp_path / "empty.csv"), "mine", BP4D, beside)
    assert caught.value.found == "an empty cell"
    table[AUS] = np.random.default_rng(0).random((len(table), len(AUS)))
    filled = read_predictions(written(table, tmp_path / "p.csv"), "mine", BP4D, beside)
    assert list(score_predictions(filled, faces, BP4D, beside).trials["part"]) == list(BP4D.parts)


def test_the_template_has_no_frame_of_people_who_only_train(faces: FaceSet) -> None:
    some = BP4D.model_copy(update={"parts": {"part1": BP4D.parts["part1"]}, "train_only": BP4D.parts["part2"]})
    assert set(template_of(faces, some)["subject"]) == set(BP4D.parts["part1"])


@pytest.mark.parametrize("name", ["STL", "stl", "S.T.L.", "mal", "L2T WW", "JAA-Net", "All positive", "ＭＡＬ", "***"])
def test_a_second_row_of_ours_or_the_papers_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="the name of the rows is taken"):
        check_name(name)


@pytest.mark.parametrize("name", ["STL (ours)", "x (Ours, complete data)", "y (paper)", "z (stand-in)"])
def test_a_name_does_not_say_whose_it_is(name: str) -> None:
    with pytest.raises(UserError, match="says whose they are"):
        check_name(name)


def test_names_of_ones_own_are_free() -> None:
    for name in ("mine", "STL of Lee 2024", "OpenFace 2", "MAL2", "our best", "paper-free (2 heads)"):
        check_name(name)


def test_a_frame_as_a_float_is_a_whole_number_again(
    faces: FaceSet,
    predictions: pd.DataFrame,
    beside: Results,
    tmp_path: Path,
) -> None:
    floats = predictions.assign(frame=predictions["frame"].astype(float))
    read = read_predictions(written(floats, tmp_path / "p.csv"), "mine", BP4D, beside)
    assert len(score_predictions(read, faces, BP4D, beside).trials) == len(BP4D.parts)


def of_disfa(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(subject="SN001")


def one_stranger(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(subject=table["subject"].where(table.index != 3, "X999"))


def twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.iloc[:1]])


def nameless(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(frame=table["frame"].where(table.index != 2))


def test_a_frame_without_end_is_no_frame(
    faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    endless = predictions.assign(frame=predictions["frame"].astype(float).where(predictions.index != 2, np.inf))
    read = read_predictions(written(endless, tmp_path / "p.csv"), "mine", BP4D, beside)
    with pytest.raises(UserError, match="not coded"):
        score_predictions(read, faces, BP4D, beside)


@pytest.mark.parametrize(
    ("change", "said", "detail"),
    [
        (of_disfa, "name no subject of bp4d", "subjects of disfa"),
        (one_stranger, "a subject that bp4d does not have", "p.csv, line 5"),
        (twice, "a frame twice", "p.csv, line 207"),
        (nameless, "without subject, sequence or frame", "p.csv, line 4"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_told_before_any_frame_is_read(
    change: object,
    said: str,
    detail: str,
    predictions: pd.DataFrame,
    beside: Results,
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        read_predictions(written(change(predictions), tmp_path / "p.csv"), "mine", BP4D, beside)  # type: ignore[operator]
    assert detail in str(caught.value)


def test_a_threshold_is_not_for_logits(predictions: pd.DataFrame, beside: Results, tmp_path: Path) -> None:
    logits = predictions.assign(**{f"logit_{au}": predictions[au] - 0.5 for au in AUS}).drop(columns=AUS)
    file = written(logits, tmp_path / "p.csv")
    with pytest.raises(UserError, match="--threshold is for the columns AU1"):
        read_predictions(file, "mine", BP4D, beside, threshold=-0.7)
    assert read_predictions(file, "mine", BP4D, beside).name == "mine"


@pytest.fixture
def partial(faces: FaceSet, predictions: pd.DataFrame, beside: Results) -> Results:
    """Rows of a program that lacks AU24, beside those of a method, and named before it in the alphabet."""
    keys = predictions[["subject", "sequence", "frame"]]
    scores = predictions[AUS[:-1]].to_numpy(np.float32) - np.float32(0.5)
    made = Predictions(Path("of2"), "a program", "digest", keys, scores, tuple(AUS[:-1]), {"program": "OpenFace 2"})
    return Results.concat([beside, score_predictions(made, faces, BP4D, beside)])


def test_rows_from_outside_are_submitted_and_lacking_aus_are_a_dash(partial: Results, tmp_path: Path) -> None:
    partial.write(tmp_path / "r.parquet")
    (group,) = group_results(Results.read(tmp_path / "r.parquet"))
    (ours,) = score_groups([group])
    label = "a program (submitted, partial data)"
    assert beyond_table(ours) is None
    table = submitted_table(ours)
    assert table is not None
    shown = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert shown[label][-2:] == ["-", "-"]  # AU24, and the average
    assert not {"-", "n/a"} & set(shown[label][:-2])
    intervals = {row[0].text: [cell.text for cell in row[1:]] for row in interval_table(ours).rows}
    assert intervals[label][-2:] == ["-", "-"]
    summary = {row[0].text: [cell.text for cell in row[1:]] for row in summary_table(ours).rows}
    assert summary[label] == ["3 of 3", "-", "-", "-", "-", "-", "-"]
    everywhere = [row[0].text for made in (difference_table(ours), cost_table(ours)) for row in made.rows]
    assert not [text for text in everywhere if "a program" in text]


def test_a_submitted_row_counts_as_one_training(
    faces: FaceSet, predictions: pd.DataFrame, beside: Results, tmp_path: Path
) -> None:
    made = read_predictions(written(predictions, tmp_path / "p.csv"), "mine", BP4D, beside)
    (group,) = group_results(Results.concat([beside, score_predictions(made, faces, BP4D, beside)]))
    mal, mine = group.rows
    assert mine.is_trained
    paired = pair_rows(mal, mine)
    assert paired is not None
    assert paired.pairing == "by seed"
    assert math.isnan(paired.difference.ave_interval.low)  # the noise of its training is unknown


def test_nothing_is_said_of_the_machine_of_rows_from_outside(partial: Results) -> None:
    (section,) = build_context(partial).groups
    assert not [note for note in section.notes if "kind of machine" in note]
    assert [row[0].text for row in section.summary.rows][1] == "a program (submitted, partial data)"


def test_facts_and_seeds_are_those_of_our_runs(
    faces: FaceSet, predictions: pd.DataFrame, tmp_path: Path, beside: Results
) -> None:
    trained = replace(beside, trials=beside.trials.assign(seed=2))
    made = read_predictions(written(predictions, tmp_path / "p.csv"), "mine", BP4D, trained)
    scored = score_predictions(made, faces, BP4D, trained)
    scored = replace(scored, trials=scored.trials.assign(seed=0))
    (section,) = build_context(Results.concat([trained, scored])).groups
    facts = dict(section.facts)
    wanted = ("backbone", "weights", "steps", "seeds", "device", "trials")
    assert [facts[name] for name in wanted] == ["resnet18", "scratch", "2,000", "2", "Some CPU", "3"]
    assert not [note for note in section.notes if "seeds" in note]
    for shown in (section.summary, section.differences, section.trials):
        column = shown.header.index("seeds" if "seeds" in shown.header else "seed")
        rows = [row[column].text for row in shown.rows if row[0].text.startswith("mine") or row[1].text == "mine"]
        assert set(rows) == {"-"}
    text = render_markdown(build_context(Results.concat([trained, scored])), TEMPLATES, [])
    assert "### Submitted" in text
    assert "### Beyond the paper" not in text
    (alone,) = build_context(scored).groups
    assert dict(alone.facts)["trials"] == "3"  # where all are submitted, they are what there is


def test_the_all_positive_reference_comes_from_a_row_with_all_aus(partial: Results) -> None:
    (group,) = group_results(partial)
    reversed_rows = replace(group, rows=group.rows[::-1])
    assert reversed_rows.rows[0].lacking == {"AU24"}
    for part in reversed_rows.reference.parts:
        assert part.counts[0, :, AUS.index("AU24")].sum() > 0


def test_lacking_aus_are_those_of_the_provenance(partial: Results) -> None:
    made = [json.loads(text) for text in partial.trials["provenance"]]
    assert [facts.get("lacking") for facts in made if "scored_from" in facts] == [["AU24"]] * 3
    assert all("lacking" not in facts for facts in made if "scored_from" not in facts)
