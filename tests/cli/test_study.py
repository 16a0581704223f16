"""`malbench study` on plans of a few steps: it goes on where it stopped, and says what became of each trial."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.store.folder import CHECKPOINT
from benchmark.store.results import Results
from benchmark.trials.ownership import OWNER, read_owner
from tests.cli.small import SMALL

SMALL_SET = [word for word in SMALL if "=" in word]


def write_plan(file: Path, *questions: dict[str, Any], choices: Sequence[dict[str, Any]] = ()) -> Path:
    """A plan of trials of two steps, unless a question says otherwise."""
    usual = {"title": "Who?", "parts": ["part1"], "seeds": [0], "set": SMALL_SET}
    lines = ['profile = "smoke"', 'dataset = "bp4d"']
    for heading, tables in (("questions", questions), ("choices", choices)):
        for each in tables:
            lines += [f"[[{heading}]]", *(f"{key} = {json.dumps(value)}" for key, value in (usual | each).items())]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("processes", [1, 2])
def test_a_study_is_resumed_and_told(malbench, tmp_path: Path, shared_cache: Path, processes: int) -> None:
    pairs = [["mtl_oracle", "mtl"]]
    plan = write_plan(
        tmp_path / "plan.toml", {"name": "base", "methods": ["mtl", "mtl_oracle"], "seeds": [0, 1], "pairs": pairs}
    )
    where = ("--runs", tmp_path / "study", "--cache", shared_cache, "--out", tmp_path / "out")
    status, out, _ = malbench("study", plan, "--processes", processes, *where)
    logs = [file.read_text() for file in (tmp_path / "study").glob("runners/*.log")]
    assert len(logs) == processes - 1
    assert (status, sum(each.count(": training") for each in [out, *logs])) == (0, 4)
    assert out.count("No data root was given") == 1, "said once, however many grids there are"
    text = (tmp_path / "out/plan.md").read_text()
    assert "Incomplete" not in text
    assert "| mtl\\_oracle − mtl" in text
    status, out, _ = malbench("study", plan, *where)
    assert (status, out.count("skipped: done before")) == (0, 4)
    status, _, error = malbench("study", plan, "--question", "bas", *where)
    assert (status, "did you mean 'base'?" in error) == (2, True)


def test_a_study_runs_the_candidates_of_a_choice(malbench, tmp_path: Path, shared_cache: Path) -> None:
    # Of the first few drawings, so small, this one has the known base rates within the data check's bounds.
    choice = {"name": "rate", "method": "stl", "set": [*SMALL_SET, "standin.seed=3"]}
    choice |= {"title": "Which rate?", "candidates": [[], ["methods.stl.lr=0.01"]]}
    plan = write_plan(tmp_path / "plan.toml", {"name": "base", "methods": ["mtl"]}, choices=[choice])
    where = ("--runs", tmp_path / "study", "--cache", shared_cache, "--out", tmp_path / "out")
    status, out, _ = malbench("study", plan, "--question", "rate", *where)
    assert (status, out.count(": training")) == (0, 2)
    base, chosen = (tmp_path / "out/plan.md").read_text().split("## Which rate?")
    assert "no trial is done" in base
    assert "so chosen: " in chosen
    assert "Incomplete" not in chosen
    assert len(set(Results.read(tmp_path / "out/plan.parquet").trials["fingerprint"])) == 1
    status, out, _ = malbench("study", plan, *where)
    assert (status, out.count(": training"), out.count("skipped: done before")) == (0, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "number"), [("run", signal.SIGINT), ("study", signal.SIGTERM)])
def test_every_process_that_is_stopped_keeps_what_it_learned(
    tmp_path: Path, shared_cache: Path, command: str, number: int
) -> None:
    runs, long = tmp_path / "runs", [word.replace("steps=2", "steps=1000000") for word in SMALL_SET]
    plan = write_plan(tmp_path / "plan.toml", {"name": "long", "methods": ["stl", "mtl"], "set": long})
    arguments = {
        "study": ["study", str(plan), f"--out={tmp_path / 'out'}"],
        "run": ["run", "bp4d", "--profile=smoke", "--method=stl", "--method=mtl", "--part=part1"]
        + [f"--set={word}" for word in long],
    }
    where = ["--processes=2", "--threads=1", f"--runs={runs}", f"--cache={shared_cache}"]
    with (tmp_path / "log").open("wb") as log:
        first = subprocess.Popen(
            [sys.executable, "-m", "benchmark.cli", *arguments[command], *where], stdout=log, stderr=subprocess.STDOUT
        )
    owners: set[int] = set()
    try:
        while len(owners) < 2 and first.poll() is None:
            records = [read_owner(file.parent) for file in runs.glob(f"bp4d/*/*/{OWNER}")]
            owners = {record.pid for record in records if record is not None and record.done}
            time.sleep(0.2)
        assert len(owners) == 2, (tmp_path / "log").read_text()
        first.send_signal(number)
        assert first.wait(timeout=60) == 128 + number
    finally:
        first.kill()
    assert first.pid in owners
    for pid in owners:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    said = "\n".join(file.read_text() for file in [tmp_path / "log", *runs.glob("runners/*.log")])
    assert "Traceback" not in said
    assert said.count("steps done; the same command goes on from there") == 2
    assert len(list(runs.glob(f"bp4d/*/*/{CHECKPOINT}"))) == 2
    assert not list(runs.glob(f"bp4d/*/*/{OWNER}"))


def test_a_process_of_a_study_that_dies_is_told_of_and_its_trials_are_done(
    malbench, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(tmp_path / "plan.toml", {"name": "base", "methods": ["stl"]})
    # What is started beside this process ends at once.
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    where = ("--runs", tmp_path / "study", "--cache", shared_cache, "--out", tmp_path / "out")
    status, out, _ = malbench("study", plan, "--processes", "2", *where)
    assert status == 0
    assert "a process ended with status 1; its output:" in out
    assert "Incomplete" not in (tmp_path / "out/plan.md").read_text()


def test_a_study_goes_on_after_a_trial_that_fails(malbench, tmp_path: Path, shared_cache: Path) -> None:
    wrong = [*SMALL_SET, "methods.stl.lr=1e30", "methods.stl.optimizer=sgd"]
    asked = {"methods": ["stl", "mtl"], "pairs": [["mtl", "stl"]]}
    plan = write_plan(tmp_path / "plan.toml", {"name": "wrong", **asked, "set": wrong}, {"name": "right", **asked})
    where = ("--runs", tmp_path / "study", "--cache", shared_cache, "--out", tmp_path / "out")
    status, out, error = malbench("study", plan, *where)
    assert status == 1
    assert error.count("training diverged") == 1
    # The trial of MTL is the same in both.
    assert ("2 trials: 1 ran, 1 failed" in out, "2 trials: 1 ran, 1 done before" in out) == (True, True)
    text = (tmp_path / "out/plan.md").read_text()
    assert text.count("Incomplete") == 1
    trials = Results.read(tmp_path / "out/plan.parquet").trials
    assert sorted(trials["method"]) == ["mtl", "stl"]


@pytest.mark.parametrize("processes", [1, 2])
def test_trials_of_other_results_are_not_run_again(
    malbench, tmp_path: Path, shared_cache: Path, processes: int
) -> None:
    pairs = [["mtl", "stl"]]
    first, second = ({"name": "base", "methods": ["stl", "mtl"], "seeds": s, "pairs": pairs} for s in ([0], [0, 1]))
    plan = write_plan(tmp_path / "plan.toml", first)
    where = ("--cache", shared_cache, "--out", tmp_path / "out")
    assert malbench("study", plan, "--runs", tmp_path / "there", *where)[0] == 0
    there = tmp_path / "there.parquet"
    shutil.copy(tmp_path / "out/plan.parquet", there)
    plan = write_plan(plan, second)
    here = (*where, "--runs", tmp_path / "here", "--with", there, "--processes", processes)
    status, out, _ = malbench("study", plan, *here)
    logs = [file.read_text() for file in (tmp_path / "here").glob("runners/*.log")]
    assert (status, sum(said.count(": training") for said in [out, *logs])) == (0, 2)
    assert "not run again, since other results have them: 2 trials" in out
    assert "Incomplete" not in (tmp_path / "out/plan.md").read_text()
    assert sorted(Results.read(tmp_path / "out/plan.parquet").trials["seed"]) == [0, 0, 1, 1]
    # Those of other code are.
    old = Results.read(there)
    text = old.trials["provenance"].str.replace(r'"source_hash": "[0-9a-f]{16}"', '"source_hash": "0"', regex=True)
    assert (text != old.trials["provenance"]).all()
    replace(old, trials=old.trials.assign(provenance=text)).write(there)
    status, out, _ = malbench("study", plan, *here[:-2], "--no-page")
    assert (status, out.count(": training"), "not run again" in out) == (0, 2, False)
