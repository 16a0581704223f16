"""Results of finished trials in one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.core.errors import UserError
from benchmark.core.places import PROJECT
from benchmark.report.weighed import WEIGHTS
from benchmark.store.results import ADDED, COLUMNS, FORMAT, Results
from tests.report.conftest import make_results


def some_results() -> Results:
    row = {
        name: {"string": "x", "int64": 3, "float64": 0.5, "bool": True}[kind]
        for name, kind in COLUMNS["trials"].items()
    } | {"settings": "{}", "provenance": "{}"}
    return Results(
        trials=pd.DataFrame([row]),
        counts=pd.DataFrame([{"trial": "x", "subject": "F001", "au": "AU1", "tp": 1, "fp": 2, "fn": 3, "tn": 4}]),
        scores=pd.DataFrame([{"trial": "x", "au": "AU1", "f1": 0.25, "auc": np.nan}]),
        curves=pd.DataFrame([{"trial": "x", "step": 0, "series": "loss_au", "value": 8.3}]),
        weights=pd.DataFrame([{"trial": "x", "name": "mean", "value": 0.4}]),
    )


def test_results_round_trip(tmp_path: Path) -> None:
    before = some_results()
    before.write(tmp_path / "r.parquet")
    after = Results.read(tmp_path / "r.parquet")
    for name in COLUMNS:
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))


def test_strange_results_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        Results.read(tmp_path / "nothing")
    file = tmp_path / "r.parquet"
    file.write_bytes(b"not parquet")
    with pytest.raises(UserError, match="not a readable parquet"):
        Results.read(file)
    pd.DataFrame({"a": [1]}).to_parquet(file)
    with pytest.raises(UserError, match="not a results file"):
        Results.read(file)


def test_staleness_is_told_anew_from_a_results_file(tmp_path: Path) -> None:
    results = some_results()
    made = replace(results, trials=results.trials.assign(provenance='{"source_hash": "abc"}', method="mal"))
    made.write(tmp_path / "r.parquet")
    again = Results.read(tmp_path / "r.parquet")
    assert not again.mark_stale({"mal": "abc"}).trials["stale"].any()
    assert again.mark_stale({"mal": "other"}).trials["stale"].all()
    assert again.mark_stale({}).trials["stale"].all()  # a method that is not here any more


def test_one_trial_stands_once() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Results.concat([some_results(), some_results()])


@pytest.mark.parametrize("column", ["time_train_s", "time_before_s", "peak_memory_mb", "base_memory_mb"])
def test_a_trial_that_was_run_twice_is_merged_whatever_it_cost(column: str) -> None:
    one = make_results(("mal",), parts=("part1",))
    again = replace(one, trials=one.trials.assign(**{column: one.trials[column] + 1}))
    assert Results.merge({"here": one, "there": again}).trials["trial"].tolist() == one.trials["trial"].tolist()
    other = replace(again, trials=again.trials.assign(steps=1))
    with pytest.raises(UserError, match="stands in two results files, and differs"):
        Results.merge({"here": one, "there": other})


def test_a_verification_by_the_present_sources_is_not_stale() -> None:
    results = some_results()
    made = '{"source_hash": "abc", "verified": {"source_hash": "new"}}'
    verified = replace(results, trials=results.trials.assign(provenance=made, method="mal"))
    assert not verified.mark_stale({"mal": "new"}).trials["stale"].any()
    assert not verified.mark_stale({"mal": "abc"}).trials["stale"].any()
    assert verified.mark_stale({"mal": "other"}).trials["stale"].all()


def test_a_large_seed_round_trips_exactly(tmp_path: Path) -> None:
    results = some_results()
    before = replace(results, trials=results.trials.assign(seed=2**62 + 1))
    before.write(tmp_path / "r.parquet")
    assert pq.read_schema(tmp_path / "r.parquet").field("seed").type == pa.int64()
    after = Results.read(tmp_path / "r.parquet")
    assert after.trials["seed"].tolist() == [2**62 + 1]
    for name in COLUMNS:
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))


@pytest.mark.parametrize("seed", [2**63, 2**70, 0.5, np.nan, np.inf])
def test_what_is_no_integer_of_64_bits_is_refused(seed: float) -> None:
    results = some_results()
    with pytest.raises(ValueError, match=r"seed = .* is no integer of 64 bits"):
        replace(results, trials=results.trials.assign(seed=pd.Series([seed])))


def test_files_with_integers_as_floats_are_read(tmp_path: Path) -> None:
    before = some_results()
    before.write(tmp_path / "r.parquet")
    typed = pq.read_table(tmp_path / "r.parquet")
    floats = [pa.field(f.name, pa.float64() if f.type == pa.int64() else f.type) for f in typed.schema]
    old = typed.cast(pa.schema(floats)).replace_schema_metadata({"format": FORMAT})
    pq.write_table(old, tmp_path / "old.parquet")
    after = Results.read(tmp_path / "old.parquet")
    for name in COLUMNS:
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))


COMMITTED = [file for file in sorted((PROJECT / "reports").glob("**/*.parquet")) if file.name != WEIGHTS]


@pytest.mark.parametrize("file", COMMITTED, ids=lambda file: file.name)
def test_committed_results_are_read_and_stay_equal(tmp_path: Path, file: Path) -> None:
    before, raw = Results.read(file), pq.read_table(file).replace_schema_metadata(None).to_pandas()
    for name, columns in COLUMNS.items():
        whole = raw.assign(**{column: value for column, value in ADDED.items() if column not in raw})
        expected = whole.loc[whole["table"] == name, list(columns)].reset_index(drop=True).astype(columns)
        pd.testing.assert_frame_equal(getattr(before, name), expected)
    before.write(tmp_path / "again.parquet")
    after = Results.read(tmp_path / "again.parquet")
    for name in COLUMNS:
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))


def test_a_file_without_a_column_that_came_later_reads_as_its_default(tmp_path: Path) -> None:
    some_results().write(tmp_path / "r.parquet")
    whole = pq.read_table(tmp_path / "r.parquet")
    pq.write_table(whole.drop_columns(["reading"]), tmp_path / "old.parquet")
    assert Results.read(tmp_path / "r.parquet").trials["reading"].tolist() == ["x"]
    assert Results.read(tmp_path / "old.parquet").trials["reading"].tolist() == [""]
    pq.write_table(whole.drop_columns(["variant"]), tmp_path / "broken.parquet")
    with pytest.raises(UserError, match="holds what no report can be made of"):
        Results.read(tmp_path / "broken.parquet")
