"""Results of a store that was named, and of none: nobody gets other results than those that they asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.api import results as api_results
from benchmark.cli import options, report, status
from benchmark.core.places import near_folder
from benchmark.store.results import Results
from tests.cli.conftest import Malbench
from tests.integrity.stores import finished_store

ROOT = Path(__file__).parents[2]
NOTICE = "Your store holds no trial. These are the committed results of the repository."
READERS = ("report", "metrics", "audit", "claims")


@pytest.mark.parametrize("command", (*READERS, "status", "verify"))
def test_a_mistyped_store_is_an_error(command: str, malbench: Malbench, tmp_path: Path) -> None:
    finished_store(tmp_path / "scratch/runs")
    for wrong in ("scratch/run", "scrath/runs"):
        code, out, error = malbench(command, "--runs", tmp_path / wrong)
        assert (code, out) == (2, "")
        assert error.startswith("error: no such folder\n")
        assert f"did you mean {tmp_path / 'scratch/runs'}?" in error
        assert not (tmp_path / wrong).exists()
    code, _, error = malbench(command, "--runs", tmp_path / "nowhere")
    assert (code, "did you mean" in error, "correct --runs" in error) == (2, False, True)


@pytest.mark.parametrize("command", READERS)
def test_a_store_without_a_finished_trial_is_an_error(command: str, malbench: Malbench, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()  # MALBENCH_RUNS names it
    code, out, error = malbench(command)
    assert (code, out) == (2, "")
    assert error.startswith("error: no finished trial\n")
    assert "another store with --runs" in error


def test_a_prediction_names_the_store_that_was_meant(malbench: Malbench, tmp_path: Path) -> None:
    finished_store(tmp_path / "scratch/runs")
    (tmp_path / "face.jpg").touch()
    code, _, error = malbench("predict", tmp_path / "face.jpg", "--runs", tmp_path / "scratch/run")
    assert (code, f"did you mean {tmp_path / 'scratch/runs'}?" in error) == (2, True)


@pytest.fixture
def no_store(tmp_path: Path, malbench: Malbench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose default store is not there, with few committed results."""
    monkeypatch.delenv("MALBENCH_RUNS")
    store, committed = tmp_path / "default", tmp_path / "reports"
    committed.mkdir()
    every = Results.read(ROOT / "reports/results.parquet")
    chosen = every.trials["method"].isin(["stl", "mtl"]) & (every.trials["seed"] == 0)
    every.select(every.trials.loc[chosen, "trial"]).write(committed / "results.parquet")
    for module in (api_results, options, report, status):
        if hasattr(module, "default_runs"):
            monkeypatch.setattr(module, "default_runs", lambda: store)
        if hasattr(module, "DEFAULT_RUNS"):
            monkeypatch.setattr(module, "DEFAULT_RUNS", store)
    monkeypatch.setattr("benchmark.api.metrics.default_runs", lambda: store)
    for place in ("benchmark.api.results", "benchmark.api.metrics", "benchmark.api.audit"):
        monkeypatch.setattr(f"{place}.default_reports", lambda: committed)
    return store


def test_committed_results_say_that_they_are_not_the_users_own(
    no_store: Path, malbench: Malbench, tmp_path: Path
) -> None:
    assert malbench("status")[:2] == (0, f"no trial in {no_store}\n")
    for command, pages in (("report", ("tables.md", "index.html", "audit.md")), ("metrics", ("metrics.md",))):
        code, out, _ = malbench(command)
        assert (code, out.splitlines()[0]) == (0, NOTICE)
        for page in pages:
            assert NOTICE in (no_store / "report" / page).read_text(encoding="utf-8"), page
    shutil.copytree(tmp_path / "reports", tmp_path / "mine")
    code, out, _ = malbench("report", "--out", tmp_path / "mine")
    assert (code, out.splitlines()[0].endswith(f"the last report in {tmp_path / 'mine'}.")) == (0, True)
    # A file that was named is what was asked for.
    code, out, _ = malbench("report", "--results", tmp_path / "reports/results.parquet", "--out", tmp_path / "named")
    assert (code, NOTICE in out) == (0, False)
    assert NOTICE not in (tmp_path / "named/index.html").read_text(encoding="utf-8")


def test_what_is_printed_says_so_first(no_store: Path, malbench: Malbench, tmp_path: Path) -> None:
    where = ("--out", tmp_path / "reports")
    code, out, error = malbench("audit", *where)
    assert (code, error, NOTICE in out) == (0, f"{NOTICE}\n", True)
    assert malbench("claims", *where)[1].splitlines()[0] == NOTICE
    code, out, error = malbench("claims", "--json", *where)
    assert (code, error, out[0]) == (0, f"{NOTICE}\n", "[")


def test_a_folder_of_a_near_name(tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    (tmp_path / "trial.txt").touch()
    assert near_folder(tmp_path / "trial") == tmp_path / "trials"
    assert near_folder(tmp_path / "trials") is None
    assert near_folder(tmp_path / "other") is None
    assert near_folder(tmp_path / "trial.txt/runs") is None
