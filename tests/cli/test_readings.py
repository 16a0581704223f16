"""`malbench run --readings`: from the list of trials to the results."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark import api
from benchmark.cli import app
from benchmark.store.results import Results

TINY = ["--profile", "smoke", "--set", "method.backbone=test_resnet", "--set", "train.steps=2", "--part", "part1"]


def malbench(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_readings_are_listed_run_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MALBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MALBENCH_DATA", raising=False)
    wanted = ["run", "bp4d", *TINY, "--method", "mal", "--method", "mtl"]
    assert "2 trials: 2 to do" in malbench(*wanted, "--dry-run")
    listed = malbench(*wanted, "--readings", "--dry-run")
    assert "6 trials: 6 to do" in listed
    for name in ("mal (reading prose)", "mal (reading through)", "mtl (reading half-step)"):
        assert f"bp4d {name} part1 seed 0" in listed
    assert "6 trials: 6 ran" in malbench(*wanted, "--readings")
    # A second call, without readings, finds the plain trials done.
    assert "2 trials: 2 done before" in malbench(*wanted)

    reports = tmp_path / "reports"
    malbench("report", "--out", str(reports))
    for results in (api.read_results(tmp_path / "runs"), Results.read(reports / "results.parquet")):
        rows = results.trials.sort_values(["method", "variant"])
        assert list(zip(rows["method"], rows["reading"], rows["variant"], strict=True)) == [
            ("mal", "printed", ""),
            ("mal", "printed-adam", "reading printed-adam"),
            ("mal", "prose", "reading prose"),
            ("mal", "through", "reading through"),
            ("mtl", "", ""),
            ("mtl", "half-step", "reading half-step"),
        ]
        assert (results.trials["shared_overrides"].str.count("readings") == 0).all()
        assert results.trials["shared_digest"].nunique() == 1
    # Readings with other steps train otherwise.
    losses = results.curves.query("series == 'loss_au' and step == 1").set_index("trial")["value"]
    after_one_step = {(row.method, row.reading): losses[row.trial] for row in results.trials.itertuples()}
    assert after_one_step["mal", "prose"] != after_one_step["mal", "printed"]
    assert after_one_step["mtl", "half-step"] != after_one_step["mtl", ""]
