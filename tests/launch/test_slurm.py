"""Submission of trials to a cluster: jobs, resources and dependencies. tests/slurm has the tests on a real cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmark.config.profile import load_profile
from benchmark.config.settings import SlurmResources, SlurmSettings
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.launch.slurm import Submission, submit_trials, with_prerequisites
from benchmark.store.folder import TrialFolder
from benchmark.trials.states import State, source_hashes
from methods import discover
from tests.grids import expanded

REGISTRY = discover()
COMMAND = ("run", "bp4d", "--profile", "smoke")


@dataclass
class Paper:
    """A queue on paper."""

    waiting: set[str] = field(default_factory=set)
    arrays: list[tuple[str, SlurmResources, tuple[str, ...], list[list[str]]]] = field(default_factory=list)

    def jobs(self) -> set[str]:
        return self.waiting

    def submit(
        self, name: str, resources: SlurmResources, after: Sequence[str], commands: Sequence[list[str]]
    ) -> list[str]:
        self.arrays.append((name, resources, tuple(after), list(commands)))
        ids = [f"{len(self.arrays)}_{i}" for i in range(len(commands))]
        self.waiting |= set(ids)
        return ids


def smoke(*overrides: str) -> list[Trial]:
    settings, changed = load_profile("smoke", ["method.backbone=test_resnet", *overrides])
    return expanded(BP4D, settings, changed, REGISTRY, ("a", "b"), methods=("stl", "l2t_ww"), seeds=(0, 1))


def submit(runs: Path, queue: Paper, settings: SlurmSettings | None = None, *command: str) -> dict[str, Submission]:
    found = submit_trials(smoke(), REGISTRY, runs, settings or SlurmSettings(), [*COMMAND, *command], queue)
    assert [each.trial.key for each in found] == [trial.key for trial in smoke()]
    return {each.trial.label: each for each in found}


def finish(runs: Path, trial: Trial, hashed: str | None = None) -> None:
    folder = TrialFolder(trial.folder(runs))
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write_json("trial.json", trial.model_dump(mode="json"))
    folder.write_json("provenance.json", {"source_hash": hashed or source_hashes(REGISTRY)[trial.method]})
    folder.finish(trial.key)


def test_a_task_is_the_command_for_one_trial_and_stages_come_first(tmp_path: Path) -> None:
    queue = Paper()
    found = submit(tmp_path, queue)
    assert [(name, len(commands)) for name, _, _, commands in queue.arrays] == [
        ("malbench-stl", 6),
        ("malbench-fe_source", 2),
        ("malbench-l2t_ww", 3),
        ("malbench-l2t_ww", 3),
    ]
    for seed in (0, 1):
        stage = found[f"rafdb fe_source all seed {seed}"]
        for part in BP4D.parts:
            assert found[f"bp4d l2t_ww {part} seed {seed}"].after == (stage.job,)
            assert found[f"bp4d stl {part} seed {seed}"].after == ()
    keys = [command[-2:] for _, _, _, commands in queue.arrays for command in commands]
    assert sorted(keys) == sorted(["--trial", trial.key] for trial in smoke())
    assert queue.arrays[0][3][0][:-2] == [*COMMAND, "--threads", "1"]


def test_done_and_queued_trials_are_not_submitted_again(tmp_path: Path) -> None:
    queue = Paper()
    first = submit(tmp_path, queue)
    again = submit(tmp_path, queue)
    assert len(queue.arrays) == 4
    assert {label: each.job for label, each in again.items()} == {label: each.job for label, each in first.items()}
    assert not any(each.fresh for each in again.values())

    # One ended well, one left the queue without an end.
    done, lost = first["bp4d stl part1 seed 0"], first["bp4d l2t_ww part2 seed 1"]
    finish(tmp_path, done.trial)
    queue.waiting -= {done.job, lost.job}
    third = submit(tmp_path, queue)
    assert (third["bp4d stl part1 seed 0"].state, third["bp4d stl part1 seed 0"].job) == (State.DONE, "")
    assert [each.trial.label for each in third.values() if each.fresh] == ["bp4d l2t_ww part2 seed 1"]
    assert third["bp4d l2t_ww part2 seed 1"].after == (first["rafdb fe_source all seed 1"].job,)


def test_a_stale_stage_is_made_anew_only_if_somebody_starts_from_it(tmp_path: Path) -> None:
    trials = smoke()
    for trial in trials:
        finish(tmp_path, trial, "other sources")
    queue = Paper()
    assert {each.state for each in submit(tmp_path, queue).values()} == {State.STALE}
    TrialFolder(trials[-1].folder(tmp_path)).reopen()
    fresh = [label for label, each in submit(tmp_path, queue).items() if each.fresh]
    assert fresh == ["rafdb fe_source all seed 1", "bp4d l2t_ww part3 seed 1"]


def test_a_damaged_trial_is_not_submitted_and_stops_no_other(tmp_path: Path) -> None:
    damaged = smoke()[0]
    finish(tmp_path, damaged)
    (damaged.folder(tmp_path) / "trial.json").write_text("{}")
    found = submit(tmp_path, Paper())
    assert [label for label, each in found.items() if not each.fresh] == [damaged.label]
    assert found[damaged.label].state == State.DAMAGED


def test_resources_of_single_methods_and_what_the_user_said_of_them(tmp_path: Path) -> None:
    settings, _ = load_profile(
        "smoke",
        [
            "slurm.partition=main",
            "slurm.cpus=4",
            'slurm.options={ qos = "low" }',
            "slurm.methods.l2t_ww={ gpus = 1, time_min = 9, options = { nice = 5 } }",
        ],
    )
    queue = Paper()
    submit(tmp_path / "a", queue, settings.slurm)
    stl, *_, l2t_ww = queue.arrays
    shared = SlurmResources(partition="main", cpus=4, options={"qos": "low"})
    assert stl[1] == shared
    own = {"gpus": 1, "time_min": 9, "options": {"qos": "low", "nice": 5}}
    assert l2t_ww[1] == shared.model_copy(update=own)
    assert stl[3][0][4:-2] == ["--threads", "4"]
    assert l2t_ww[3][0][4:-2] == ["--threads", "4", "--device", "cuda"]
    submit(tmp_path / "b", queue, settings.slurm, "--threads=2", "--device", "cuda:1")
    assert queue.arrays[-1][3][0][4:-2] == ["--threads=2", "--device", "cuda:1"]


def test_where_trials_run_is_no_part_of_them() -> None:
    elsewhere = smoke("slurm.partition=main", "slurm.methods.stl={ gpus = 1 }", "slurm.time_min=9")
    assert [trial.model_dump() for trial in elsewhere] == [trial.model_dump() for trial in smoke()]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("slurm.partitoin=main", ["unknown setting 'slurm.partitoin'", "did you mean 'slurm.partition'"]),
        ("slurm.time_min=0", ["slurm.time_min", "greater than or equal to 1"]),
        ("slurm.methods.stl.gpu=1", ["slurm.methods.stl.gpu", "did you mean 'slurm.methods.stl.gpus'"]),
    ],
)
def test_a_wrong_setting_is_named(override: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load_profile("smoke", [override])
    for word in words:
        assert word in str(caught.value)


def test_a_method_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown method 'mall' in slurm\.methods") as caught:
        submit(tmp_path, Paper(), SlurmSettings(methods={"mall": SlurmResources()}))
    assert "did you mean 'mal'" in str(caught.value)


def test_one_trial_with_what_it_starts_from() -> None:
    trials = smoke()
    labels = [trial.label for trial in with_prerequisites(trials, trials[-1].key)]
    assert labels == ["rafdb fe_source all seed 1", "bp4d l2t_ww part3 seed 1"]
    assert with_prerequisites(trials, trials[0].key) == trials[:1]
    with pytest.raises(UserError, match="no trial with the key 'gone'"):
        with_prerequisites(trials, "gone")


def test_without_submitit_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.launch.slurm import Slurm

    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError) as caught:
        Slurm(Path("logs"))
    assert "[slurm]" in str(caught.value)
