"""Runners that lose a trial to another, and runners that wait for one: what they write, and how they end."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from benchmark.core.errors import Interrupted, UserError
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.store.folder import CHECKPOINT, DONE, ERROR, TRIAL, TrialFolder
from benchmark.store.record import read_trial
from benchmark.trials import runner
from benchmark.trials.ownership import OWNER, Ownership, Record, read_owner
from benchmark.trials.runner import run_trials
from benchmark.trials.states import OutcomeState, State, state_of
from benchmark.trials.trainer import RunOptions
from tests.trials.test_prerequisites import REGISTRY, trials_of
from tests.trials.test_trainer import CPU, RESULT_FILES, root  # noqa: F401  # a fixture

BEAT_S = 0.05
LONG_ENOUGH_S = 4 * BEAT_S
"""After it, an owner whose record is another's has looked."""
ENDS_IN_S = 2.5
"""Seconds within which a waiting runner stops when asked."""


class Other:
    """A runner on another machine: what one sees of it in a trial's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = Record("other", "there", "node7", 42, time.time(), at=time.time())

    def beat(self) -> None:
        self.record = replace(self.record, beats=self.record.beats + 1, at=time.time())
        made = self.folder / ".other"
        made.write_text(json.dumps(asdict(self.record)))
        made.replace(self.folder / OWNER)

    def beat_until(self, over: threading.Event, then: Callable[[], None] = lambda: None) -> threading.Thread:
        """Beat from now on; once it is over, do what is left to do, and go."""
        self.beat()

        def live() -> None:
            while not over.wait(BEAT_S):
                self.beat()
            then()
            (self.folder / OWNER).unlink()

        thread = threading.Thread(target=live)
        thread.start()
        return thread


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "Ownership", partial(Ownership, beat_s=BEAT_S, dead_s=1.0))


MOMENTS = ("step", "checkpoint", "score", "results", "mark", "error")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_lost_owner_writes_nothing_more(
    root: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """Another takes the trial over while step 2 is made, or its checkpoint, or what comes after the last step."""
    trials, data = trials_of(root, methods=("stl",), parts=("part1",))
    folder, other = TrialFolder(trials[0].folder(tmp_path)), Other(trials[0].folder(tmp_path))
    before: dict[str, bytes] = {}

    def lose(at: str) -> None:
        if at == moment and not before:
            other.beat()
            time.sleep(LONG_ENOUGH_S)
            before.update({path.name: path.read_bytes() for path in folder.path.iterdir()})

    def on_step(_: str, done: int, __: int) -> None:
        if done == 2:
            lose("step")
            lose("error")
            if moment == "error":
                raise UserError("a file is gone, because the other swept it away")

    def watched(cls: type, name: str, at: str, when: Callable[..., bool] = lambda *_: True) -> None:
        real = getattr(cls, name)

        def call(self: object, *arguments: object) -> object:
            found = real(self, *arguments)
            if when(self, *arguments):
                lose(at)
            return found

        monkeypatch.setattr(cls, name, call)

    watched(REGISTRY["stl"], "training_state", "checkpoint", lambda *_: folder.steps_done() == 1)
    watched(REGISTRY["stl"], "predict", "score", lambda *_: folder.steps_done() == 3)  # an earlier look is no score
    watched(TrialFolder, "save_model", "results")
    watched(TrialFolder, "write_json", "mark", lambda _, name, __: name == "provenance.json")
    options = RunOptions(CPU, checkpoint_s=0.0, on_step=on_step)
    (outcome,) = run_trials(trials, REGISTRY, BP4D, data, tmp_path, options)
    assert outcome.state == OutcomeState.RUNNING
    assert before
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before
    assert read_owner(folder.path) == other.record
    assert not before.keys() & {DONE, ERROR}
    whole = {"trial.json", CHECKPOINT, OWNER, ".lock"}
    tables = RESULT_FILES | {"provenance.json"} if moment == "mark" else RESULT_FILES if moment == "results" else set()
    assert before.keys() == whole | tables
    assert folder.steps_done() == (1 if moment in ("step", "checkpoint", "error") else 3)


def test_asked_to_stop_a_lost_owner_stops_the_runner(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1", "part2"))
    folder, asked = trials[0].folder(tmp_path), threading.Event()

    def on_step(_: str, done: int, __: int) -> None:
        Other(folder).beat()
        asked.set()
        time.sleep(LONG_ENOUGH_S)

    with pytest.raises(Interrupted, match="part1 seed 0: another process runs it"):
        run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU, on_step=on_step, stop=asked.is_set))
    assert not (folder / CHECKPOINT).exists()
    assert [path.name for path in trials[1].folder(tmp_path).iterdir()] == [TRIAL]  # not begun


def test_what_dead_writers_left_is_gone_with_the_next_owner(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1",))
    folder = TrialFolder(trials[0].folder(tmp_path))
    folder.path.mkdir(parents=True)
    left = [folder.path / name for name in (f".{CHECKPOINT}.0123.tmp", ".owner.0123.tmp", ".slurm.json.0123.tmp")]
    for file in left:
        file.write_text("half")
    seen: list[bool] = []
    options = RunOptions(CPU, on_step=lambda *_: seen.append(any(file.exists() for file in left[:2])))
    run_trials(trials, REGISTRY, BP4D, data, tmp_path, options)
    assert seen == [False] * 4
    # What submits jobs is no owner, and may be writing.
    assert [path for path in folder.path.glob(".*") if path.suffix == ".tmp"] == left[2:]


def test_a_lost_prerequisite_is_waited_for_and_what_starts_from_it_goes_on(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, parts=("part1",))
    source, target = (TrialFolder(trial.folder(tmp_path / "here")) for trial in trials)
    run_trials(trials, REGISTRY, BP4D, data, tmp_path / "there", RunOptions(CPU))
    whole = trials[0].folder(tmp_path / "there")
    over, threads, seen = threading.Event(), [], []

    def finish() -> None:
        shutil.copytree(whole, source.path, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)

    def on_step(label: str, done: int, _: int) -> None:
        if "fe_source" in label and done == 2:
            threads.append(Other(source.path).beat_until(over, finish))
            time.sleep(LONG_ENOUGH_S)

    def on_trial(trial: object, state: State) -> None:
        seen.append((trial, state))
        if state == State.AWAITED:
            over.set()

    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path / "here", RunOptions(CPU, on_step=on_step), on_trial)
    (thread,) = threads
    thread.join()
    assert [outcome.state for outcome in outcomes] == [OutcomeState.DONE, OutcomeState.RAN]
    assert seen == [
        (trials[0], State.TO_DO),
        (trials[0], State.AWAITED),
        (trials[0], State.DONE),
        (trials[1], State.TO_DO),
    ]
    for name in RESULT_FILES:
        assert (target.path / name).read_bytes() == (trials[1].folder(tmp_path / "there") / name).read_bytes(), name


def test_a_lost_prerequisite_that_fails_blocks_what_starts_from_it(root: Path, tmp_path: Path) -> None:  # noqa: F811
    wrong = ("methods.fe_source.lr=1e30", "methods.fe_source.optimizer=sgd")
    trials, data = trials_of(root, *wrong, parts=("part1",))
    source = TrialFolder(trials[0].folder(tmp_path))
    over, threads, seen = threading.Event(), [], []

    def on_step(_: str, done: int, __: int) -> None:
        if done == 1 and not threads:
            fails = partial(source.write_text, ERROR, "training diverged\n")
            threads.append(Other(source.path).beat_until(over, fails))
            time.sleep(LONG_ENOUGH_S)

    def on_trial(_: object, state: State) -> None:
        seen.append(state)
        if state == State.AWAITED:
            over.set()

    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU, on_step=on_step), on_trial)
    threads[0].join()
    assert [outcome.state for outcome in outcomes] == [OutcomeState.FAILED, OutcomeState.BLOCKED]
    assert seen == [State.TO_DO, State.AWAITED, State.TO_DO, State.FAILED, State.BLOCKED]
    assert state_of(source, {}) == State.FAILED


def test_what_another_checkout_has_done_meanwhile_is_kept(
    root: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials, data = trials_of(root, parts=("part1",))
    trials = [trial for trial in trials if not trial.prerequisites]
    folder = TrialFolder(trials[0].folder(tmp_path))

    def done_by_others() -> bool:  # asked between the look at the trial and its ownership
        if not folder.is_done:
            with monkeypatch.context() as patch:
                patch.setattr(runner, "sources", lambda cls: "others")
                run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
        return False

    (outcome,) = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU, stop=done_by_others))
    assert outcome.state == OutcomeState.STALE
    assert read_trial(folder)[1]["source_hash"] == "others"


@pytest.mark.parametrize("held", ["lock", "record", "silent record"])
def test_who_waits_ends_soon_after_it_is_asked_to(
    root: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    held: str,
) -> None:
    """For a process of this machine, for one of another, and for an owner that may be dead."""
    monkeypatch.setattr(runner, "Ownership", Ownership)  # of seconds and a minute
    trials, data = trials_of(root, parts=("part1",))
    folder, over, asked = TrialFolder(trials[0].folder(tmp_path)), threading.Event(), []
    folder.path.mkdir(parents=True)
    lock, other, beating = FileLock(folder.lock), Other(folder.path), None
    if held == "lock":
        lock.acquire()
    elif held == "record":
        beating = other.beat_until(over)
    else:
        other.beat()

    def stop() -> bool:
        if began + 1.5 < time.monotonic():
            asked.append(time.monotonic())
        return bool(asked)

    seen: list[State] = []
    began = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            run_trials(
                trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU, stop=stop), lambda _, state: seen.append(state)
            )
        ended = time.monotonic()
    finally:
        over.set()
        lock.release()
        if beating is not None:
            beating.join()
    assert ended - (began + 1.5) < ENDS_IN_S
    assert seen == ([] if held == "silent record" else [State.AWAITED])
    assert not (folder.path / CHECKPOINT).exists()
    assert (read_owner(folder.path) == other.record) == (held == "silent record")
