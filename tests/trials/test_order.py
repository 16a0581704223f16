"""The order of trials: what others start from, then the longest by what the store has measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from benchmark.config.profile import load_profile
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.store.folder import ERROR, TrialFolder
from benchmark.trials import runner
from benchmark.trials.order import estimated_cost, in_order, measured_seconds
from benchmark.trials.states import OutcomeState, State
from benchmark.trials.trainer import RunOptions
from methods import discover
from tests.grids import expanded

REGISTRY = discover()


def trials_of(*methods: str, seeds: tuple[int, ...] = (0,), **changes: int) -> list[Trial]:
    overrides = ["method.backbone=test_resnet", *(f"train.{name}={value}" for name, value in changes.items())]
    profile, changed = load_profile("smoke", overrides)
    return expanded(BP4D, profile, changed, REGISTRY, ("a", "b"), methods=methods, parts=("part1",), seeds=seeds)


def finish(trial: Trial, runs: Path, seconds: float) -> None:
    folder = TrialFolder(trial.folder(runs))
    folder.announce(trial)
    folder.write_json("provenance.json", {"time_train_s": seconds})
    folder.finish(trial.key)


def names(trials: list[Trial]) -> list[str]:
    return [trial.method for trial in trials]


def test_stages_come_first_then_the_longest_by_estimate(tmp_path: Path) -> None:
    trials = trials_of("stl", "mtl", "mtan", "mal", "l2t_ww", batch_au=4, batch_fe=4, batch_val=8)
    costs = {trial.method: estimated_cost(trial, REGISTRY) for trial in trials}
    assert (costs["stl"], costs["mtl"], costs["mal"]) == (4, 8, 16 * REGISTRY["mal"].cost)
    stage = next(trial for trial in trials if trial.method == "fe_source")
    ordered = names(in_order(trials, {stage.key}, REGISTRY, tmp_path))
    assert ordered == ["fe_source", *sorted(costs.keys() - {"fe_source"}, key=lambda name: -costs[name])]


def test_no_trial_begins_after_a_failure_in_a_run_that_stops_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the failure of this process, or of one that another process has recorded since the start."""
    begun: list[str] = []

    def fail(trial: Trial, *_: object) -> None:
        begun.append(trial.method)
        raise UserError("it failed")

    monkeypatch.setattr(runner, "_train", fail)
    trials, nothing, options = trials_of("stl", "mtl", "l2t_ww"), SimpleNamespace(), RunOptions(torch.device("cpu"))

    def states(since: int | None) -> dict[str, OutcomeState]:
        outcomes = runner.run_trials(
            trials, REGISTRY, BP4D, nothing, tmp_path, options, since=since, stop_on_failure=True
        )
        return {outcome.trial.method: outcome.state for outcome in outcomes}

    held = OutcomeState.HELD
    assert states(None) == {
        "fe_source": OutcomeState.FAILED,
        "l2t_ww": OutcomeState.BLOCKED,
        "mtl": held,
        "stl": held,
    }
    assert begun == ["fe_source"]
    assert states(since=0)["fe_source"] == OutcomeState.FAILED
    folders = {trial.method: TrialFolder(trial.folder(tmp_path)) for trial in trials}
    (folders["fe_source"].path / ERROR).unlink()
    folders["stl"].write_text(ERROR, "another process failed\n")
    assert states(since=0) == {"fe_source": held, "l2t_ww": held, "mtl": held, "stl": OutcomeState.FAILED}
    assert begun == ["fe_source"]


def test_the_longest_measured_comes_first_and_an_unmeasured_one_before_it(tmp_path: Path) -> None:
    for (trial,), seconds in ((trials_of("stl"), 30.0), (trials_of("mtl"), 10.0)):
        finish(trial, tmp_path, seconds)
    trials = trials_of("mtl", "stl", "uncertainty", seeds=(1, 2))
    ordered = in_order(trials, set(), REGISTRY, tmp_path)
    assert names(ordered) == ["uncertainty"] * 2 + ["stl"] * 2 + ["mtl"] * 2
    assert [trial.seed for trial in ordered] == [1, 2] * 3  # equal trials keep their order


def test_times_are_those_of_the_same_settings(tmp_path: Path) -> None:
    for seed, seconds in ((0, 10.0), (1, 20.0)):
        finish(trials_of("stl", seeds=(seed,))[0], tmp_path, seconds)
    assert measured_seconds(trials_of("stl", seeds=(7,))[0], tmp_path) == 15.0
    assert measured_seconds(trials_of("stl", steps=5)[0], tmp_path) == float("inf")
    (broken,) = trials_of("stl", seeds=(1,))
    (broken.folder(tmp_path) / "provenance.json").write_text("{")
    assert measured_seconds(trials_of("stl", seeds=(7,))[0], tmp_path) == 10.0


def test_what_is_free_runs_while_another_process_trains_a_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage that another process runs is left, what is free is run, and only then is it waited for."""
    trials = trials_of("stl", "l2t_ww")
    stage = next(trial for trial in trials if trial.method == "fe_source")
    folder = TrialFolder(stage.folder(tmp_path))
    folder.announce(stage)
    lock, begun = FileLock(folder.lock), []
    lock.acquire()

    def train(trial: Trial, *_: object) -> None:
        begun.append(trial.method)
        finish(trial, tmp_path, 1.0)

    def on_trial(trial: Trial, state: State) -> None:
        if state == State.AWAITED:
            begun.append("waited")
            lock.release()

    monkeypatch.setattr(runner, "_train", train)
    monkeypatch.setattr(runner, "LOOK_S", 0.05)
    options, nothing = RunOptions(torch.device("cpu")), SimpleNamespace()
    outcomes = runner.run_trials(trials, REGISTRY, BP4D, nothing, tmp_path, options, on_trial)
    assert begun == ["stl", "waited", "fe_source", "l2t_ww"]
    assert {outcome.state for outcome in outcomes} == {OutcomeState.RAN}
