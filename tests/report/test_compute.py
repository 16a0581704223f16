"""Hours of training: each training counts once, with its own machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.api.compute import add_up_compute
from benchmark.core.errors import UserError
from benchmark.report.compute import compute_table, trainings_of
from tests.report.conftest import make_results

STAGE = {"source": {"key": "stage", "time_train_s": 1800.0}}


def made(seconds: float, device: str = "CPU", **more: object) -> dict[str, object]:
    return {"time_train_s": seconds, "device": device, "prerequisites": {}, **more}


def rows(*sources: list[tuple[str, dict[str, object]]]) -> list[list[str]]:
    named = {
        f"file{number}": [training for key, record in source for training in trainings_of(key, record)]
        for number, source in enumerate(sources)
    }
    return [[cell.text for cell in row] for row in compute_table(named).rows]


def test_a_stage_that_two_trials_start_from_counts_once() -> None:
    trials = [("a", made(3600, prerequisites=STAGE)), ("b", made(7200, prerequisites=STAGE))]
    assert rows(trials) == [["file0", "CPU", "3", "3.50"], ["all", "", "3", "3.50"]]


def test_a_trial_in_two_files_counts_in_the_first() -> None:
    assert rows([("a", made(3600))], [("a", made(3600)), ("b", made(1800))]) == [
        ["file0", "CPU", "1", "1.00"],
        ["file1", "CPU", "1", "0.50"],
        ["all", "", "2", "1.50"],
    ]


def test_a_trial_that_was_trained_on_two_machines_counts_twice() -> None:
    assert rows([("a", made(3600)), ("a", made(360, "GPU"))])[-1] == ["all", "", "2", "1.10"]


def test_the_own_record_of_a_stage_names_its_machine() -> None:
    stage_last = [("a", made(3600, prerequisites=STAGE)), ("stage", made(1800.0, "GPU"))]
    assert ["file0", "GPU", "1", "0.50"] in rows(stage_last)


def test_submitted_rows_have_no_training() -> None:
    assert list(trainings_of("x", {"device": "CPU", "scored_from": "mine.csv"})) == []


def test_the_sum_of_a_file_is_that_of_its_columns(tmp_path: Path) -> None:
    record = json.dumps(made(61.5))
    results = make_results(("stl", "mtl"), provenance=record)
    results.write(tmp_path / "some.parquet")
    table = add_up_compute([tmp_path / "some.parquet"])
    seconds = results.trials["time_train_s"].sum()
    assert [cell.text for cell in table.rows[-1]] == ["all", "", "6", f"{seconds / 3600:.2f}"]


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        add_up_compute([tmp_path / "absent"])
