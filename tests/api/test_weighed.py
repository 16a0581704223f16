"""Figures 5 and 6 of drawn faces: from a report's own files they are drawn as they were from the store."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark import api
from benchmark.api.listener import Listener

FIGURES = ("figure5.svg", "figure6.svg", "figure5.png", "figure6.png")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """Report of a store with one trial of MAL, and nothing of the store."""
    place = tmp_path_factory.mktemp("report")
    request = api.GridRequest(
        "bp4d",
        methods=("mal",),
        parts=("part1",),
        profile="smoke",
        runs=place / "runs",
        cache=shared_cache,
        execution=api.Execution("cpu", 1),
    )
    api.run(request)
    api.write_report(place / "runs", place / "first", cache=shared_cache)
    return place / "first"


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_report_of_its_own_files_is_the_same_byte_for_byte(report: Path, shared_cache: Path, tmp_path: Path) -> None:
    assert {f"figures/{name}" for name in FIGURES} <= set(content(report))
    file = report / "results.parquet"
    api.write_report(tmp_path / "none", tmp_path / "again", results=file, cache=shared_cache)
    assert content(tmp_path / "again") == content(report)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.assign(path="../../other.png"), "other images than the trial's"),
        (lambda table: table.assign(label=table["label"].to_numpy()[::-1]), "other images than the trial's"),
        (lambda table: table.drop(columns="weight"), "weights.parquet cannot be read"),
        (lambda table: table.assign(weight="heavy"), "weights.parquet cannot be read"),
        (lambda table: table.assign(weight=float("nan")), "weights.parquet cannot be read"),
    ],
    ids=["path", "label", "column", "text", "nan"],
)
def test_damaged_weights_cost_two_figures_and_are_named(
    report: Path, shared_cache: Path, tmp_path: Path, change, reason: str
) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "results.parquet").write_bytes((report / "results.parquet").read_bytes())
    stored = pq.read_table(report / "weights.parquet")
    table: pd.DataFrame = change(stored.to_pandas())
    changed = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(stored.schema.metadata)
    pq.write_table(changed, folder / "weights.parquet")
    notes: list[str] = []
    api.write_report(
        tmp_path / "none",
        folder,
        results=folder / "results.parquet",
        cache=shared_cache,
        listener=Listener(note=notes.append),
    )
    assert [note for note in notes if reason in note]
    assert not (folder / "weights.parquet").exists()  # no file of another report stays beside the new one
    assert not list((folder / "figures").glob("figure5*"))


def test_weights_of_a_trial_that_is_not_in_the_results(report: Path, shared_cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "results.parquet").write_bytes((report / "results.parquet").read_bytes())
    stored = pq.read_table(report / "weights.parquet")
    pq.write_table(stored.replace_schema_metadata({"trial": "0" * 16}), folder / "weights.parquet")
    notes: list[str] = []
    listener = Listener(note=notes.append)
    api.write_report(
        tmp_path / "none", folder, results=folder / "results.parquet", cache=shared_cache, listener=listener
    )
    assert any("not in the results" in note for note in notes)
