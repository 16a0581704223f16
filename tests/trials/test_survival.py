"""Runs that lose their store or data, that stop between trials, and that find leftovers of other runs."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmark.config.trial import Trial
from benchmark.core.errors import Interrupted
from benchmark.data.known import known_fe
from benchmark.data.trial_data import TrialData
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.launch.slurm import _last_job
from benchmark.store.folder import CHECKPOINT, ERROR, FE_WEIGHTS, JOB, TRIAL, TrialFolder
from benchmark.trials.ownership import OWNER, duration, read_owner
from benchmark.trials.runner import run_trials
from benchmark.trials.states import OutcomeState, State, detail_of, unfinished_state
from benchmark.trials.trainer import RunOptions
from tests.trials.test_prerequisites import REGISTRY, trials_of
from tests.trials.test_trainer import CPU, root  # noqa: F401  # a fixture


def run(trials: list[Trial], data: TrialData, runs: Path, **options: object) -> dict[str, OutcomeState]:
    chosen = replace(RunOptions(CPU, checkpoint_s=0.0), **options)  # type: ignore[arg-type]
    return {each.trial.part: each.state for each in run_trials(trials, REGISTRY, BP4D, data, runs, chosen)}


def test_an_outcome_says_what_was_done_with_the_trial() -> None:
    words = {state.name: OutcomeState.from_state(state).value for state in State}
    assert words == {
        "DONE": "done before",
        "STALE": "done before by other sources",
        "UNSEALED": "done before, unsealed",
        "DAMAGED": "damaged",
        "FAILED": "failed",
        "BLOCKED": "blocked by a failure",
        "HELD": "not begun after a failure",
        **dict.fromkeys(("RUNNING", "INTERRUPTED", "TO_DO", "AWAITED"), "left to other processes"),
    }
    assert OutcomeState.from_state(None).value == "ran"


def at_step(number: int, do: Callable[[], object]) -> Callable[[str, int, int], None]:
    def on_step(_label: str, done: int, _steps: int) -> None:
        if done == number:
            do()

    return on_step


def test_a_store_that_goes_ends_the_run_and_is_not_made_anew(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1", "part2"))
    runs = tmp_path / "share" / "runs"
    with pytest.raises(FileNotFoundError):
        run(trials, data, runs, on_step=at_step(2, lambda: shutil.rmtree(tmp_path / "share")))
    assert not (tmp_path / "share").exists()
    assert set(run(trials, data, runs).values()) == {OutcomeState.RAN}  # the next run does all of it


def test_a_store_that_goes_between_two_trials(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1", "part2"))
    runs, first = tmp_path / "runs", TrialFolder(trials[0].folder(tmp_path / "runs"))

    def stop() -> bool:  # asked once more when the first trial is done
        if first.is_done:
            shutil.rmtree(runs)
        return False

    with pytest.raises(FileNotFoundError, match="the store is gone"):
        run(trials, data, runs, stop=stop)
    assert not runs.exists()


def test_a_standin_that_goes_during_training_leaves_the_result_whole(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("mal",), parts=("part1",))
    paths = data.fe.faces.table["path"]
    truth = pd.DataFrame({"name": paths, "path": paths, "kind": "clear", "depicted": 0, "AU1": 0.5})
    (tmp_path / "standin/truth").mkdir(parents=True)
    truth.to_parquet(tmp_path / "standin/truth/rafdb.parquet")
    fe = replace(data.fe, faces=replace(data.fe.faces, origin="stand-in", root=tmp_path / "standin"))
    drawn = TrialData(data.au, fe, pd.Series(True, index=paths).to_numpy())
    assert len(known_fe(tmp_path / "standin", "rafdb")) == len(paths)
    run(trials, drawn, tmp_path / "runs", on_step=at_step(2, lambda: shutil.rmtree(tmp_path / "standin")))
    folder = TrialFolder(trials[0].folder(tmp_path / "runs"))
    assert {"kind", "depicted", "AU1"} <= set(pd.read_parquet(folder.path / FE_WEIGHTS))
    with pytest.raises(FileNotFoundError):
        (tmp_path / "standin").stat()
    (outcome,) = run_trials(trials, REGISTRY, BP4D, drawn, tmp_path / "other", RunOptions(CPU))
    assert "ground truth of the stand-in is gone" in str(outcome.why)


def test_asked_to_stop_no_further_trial_is_begun(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1", "part2"))
    first, second = (TrialFolder(trial.folder(tmp_path)) for trial in trials)
    with pytest.raises(Interrupted, match="not begun"):
        run(trials, data, tmp_path, stop=lambda: first.is_done)
    assert (unfinished_state(second), (second.path / CHECKPOINT).exists()) == (State.TO_DO, False)


def test_what_is_to_do_stands_in_the_store(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1", "part2"))
    second = TrialFolder(trials[1].folder(tmp_path))
    seen: list[State] = []
    run(trials, data, tmp_path, on_step=at_step(1, lambda: seen.append(unfinished_state(second))))
    assert seen[0] == State.TO_DO
    assert Trial.model_validate_json((second.path / TRIAL).read_text()) == trials[1]


def test_what_a_runner_left_that_died_after_it_had_finished_is_cleared_away(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1",))
    run(trials, data, tmp_path)
    folder = TrialFolder(trials[0].folder(tmp_path))
    whole = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    for name in (CHECKPOINT, ERROR, OWNER):
        (folder.path / name).write_text("left")
    assert run(trials, data, tmp_path) == {"part1": OutcomeState.DONE}
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == whole


def test_a_trial_that_failed_and_was_interrupted_since_is_not_called_failed(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1",))
    folder = TrialFolder(trials[0].folder(tmp_path))

    def fail() -> None:
        raise ValueError("of its own")

    assert run(trials, data, tmp_path, on_step=at_step(2, fail)) == {"part1": OutcomeState.FAILED}
    assert detail_of(folder, unfinished_state(folder)) == "ValueError: of its own"
    steps: list[int] = []
    with pytest.raises(Interrupted):
        run(trials, data, tmp_path, on_step=lambda *said: steps.append(said[1]), stop=lambda: len(steps) == 1)
    assert unfinished_state(folder) == State.INTERRUPTED
    (folder.path / ERROR).unlink(missing_ok=True)
    assert detail_of(folder, State.FAILED) == ""  # somebody has begun to run it again between two looks


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "the device has too little memory"),
        (MemoryError(), "the device has too little memory"),
        (RuntimeError("CUDA error: an illegal access"), "a trial failed: RuntimeError"),
        (KeyError("origin"), "a trial failed: KeyError"),
    ],
)
def test_what_breaks_in_one_trial_does_not_end_the_others(
    root: Path,  # noqa: F811
    tmp_path: Path,
    error: Exception,
    said: str,
) -> None:
    trials, data = trials_of(root, methods=("stl",), parts=("part1", "part2"))
    broken: list[str] = []

    def on_step(label: str, _done: int, _steps: int) -> None:
        if not broken:
            broken.append(label)
            raise error

    first, second = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU, on_step=on_step))
    assert (first.state, second.state) == (OutcomeState.FAILED, OutcomeState.RAN)
    assert said in str(first.why)
    assert "Traceback" in (TrialFolder(trials[0].folder(tmp_path)).path / ERROR).read_text()


def test_a_full_disk_is_named_and_ends_the_run(
    root: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials, data = trials_of(root, methods=("stl",), parts=("part1",))
    folder = TrialFolder(trials[0].folder(tmp_path))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        run(trials, data, tmp_path, on_step=at_step(1, lambda: monkeypatch.setattr("os.fsync", full)))
    assert caught.value.filename == str(folder.path / CHECKPOINT)
    assert not list(folder.path.glob(".*.tmp"))
    monkeypatch.undo()
    assert run(trials, data, tmp_path) == {"part1": OutcomeState.RAN}


def test_states_of_a_store_that_may_only_be_read(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    folder.write_json(TRIAL, {})
    folder.lock.mkdir()  # cannot be locked by anybody, root included
    assert unfinished_state(folder) == State.INTERRUPTED
    folder.write_text(ERROR, "why")
    assert unfinished_state(folder) == State.FAILED


DEEP = "[" * 100_000
FOREIGN = (
    '{"token": 1}',
    '{"token": "t", "machine": "m", "host": "h", "pid": 1, "started": 0, "at": null}',
    DEEP,
    "\x00",
)


@pytest.mark.parametrize("text", FOREIGN)
def test_strange_records_are_no_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / OWNER).write_text(text)
    assert read_owner(tmp_path) is None
    (tmp_path / "lock").mkdir()
    assert detail_of(TrialFolder(tmp_path), State.RUNNING) == ""


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", DEEP])
def test_a_strange_file_of_a_job_is_that_of_a_trial_never_submitted(
    root: Path,  # noqa: F811
    tmp_path: Path,
    text: str,
) -> None:
    trials, _ = trials_of(root, methods=("stl",), parts=("part1",))
    folder = trials[0].folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / JOB).write_text(text)
    assert _last_job(trials[0], tmp_path) == ""


def test_durations() -> None:
    found = [duration(seconds) for seconds in (12, 90, 3590, 7190, 10_799, 3600)]
    assert found == ["12 s", "2 min", "1 h 0 min", "2 h 0 min", "3 h 0 min", "1 h 0 min"]
