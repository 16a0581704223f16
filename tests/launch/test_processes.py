"""Trials that several processes share: the same results, one view, and what happens when a process fails or dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmark import api
from benchmark.api.listener import Listener
from benchmark.api.request import Execution, GridRequest
from benchmark.launch import processes
from benchmark.launch.processes import PARENT, Others, beside, orphaned, share, sharing
from benchmark.launch.watch import View, Watch
from benchmark.store.folder import DONE, ERROR, TrialFolder
from benchmark.trials.ownership import OWNER, Ownership, read_owner
from benchmark.trials.states import OutcomeState
from tests.chaos.process import contents, trained

SETTINGS = (
    "method.backbone=test_resnet",
    "methods.l2t_ww.pairs=[[4, 4]]",
    "methods.l2t_ww.inner_steps=1",
    "standin.size=16",
    "data.frame_size=16",
    "data.crop_size=16",
    "train.steps=3",
)
ENOUGH_S = 120.0


@pytest.fixture(scope="module")
def cache(shared_cache: Path) -> Path:
    return shared_cache


def request_of(
    runs: Path, cache: Path, *overrides: str, methods: tuple[str, ...], parts: tuple[str, ...] = (), count: int = 1
) -> GridRequest:
    return GridRequest(
        "bp4d",
        methods=methods,
        parts=parts,
        profile="smoke",
        overrides=(*SETTINGS, *overrides),
        runs=runs,
        cache=cache,
        execution=Execution("cpu", threads=1, processes=count),
    )


def run_in(count: int, runs: Path, cache: Path) -> dict[str, bytes]:
    """Files of a store after a run of two methods and a stage in so many processes."""
    outcomes = api.run(request_of(runs, cache, methods=("stl", "l2t_ww"), parts=("part1", "part2"), count=count))
    assert {outcome.state for outcome in outcomes} <= {OutcomeState.RAN, OutcomeState.ELSEWHERE}
    assert [o.trial.label for o in outcomes] == [
        "bp4d stl part1 seed 0",
        "bp4d stl part2 seed 0",
        "rafdb fe_source all seed 0",
        "bp4d l2t_ww part1 seed 0",
        "bp4d l2t_ww part2 seed 0",
    ]
    logs = list((runs / "runners").glob("*.log"))
    assert len(logs) == count - 1
    here = sum(outcome.state == OutcomeState.RAN for outcome in outcomes)
    assert here + trained(logs).total() == 5
    return {name: content for name, content in contents(runs).items() if not name.startswith("runners/")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, bytes]:
    """Files of the store of one process."""
    return run_in(1, tmp_path_factory.mktemp("alone"), cache)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.long)])
def test_results_are_those_of_one_process(alone, tmp_path: Path, cache: Path, count: int) -> None:
    """Keys, history, counts, predictions and weights, bit for bit; every trial is trained once."""
    files = {Path(name).name for name in alone}
    assert {DONE, "history.parquet", "counts.parquet", "predictions.parquet", "model.safetensors"} <= files
    assert run_in(count, tmp_path, cache) == alone


def start_program(program: str) -> Callable[..., Others]:
    """Others that run a Python program instead of `malbench`."""

    def start(folder: Path, *, since: int = 1) -> Others:
        made = subprocess.Popen([sys.executable, "-c", program])
        return Others({folder / "1.log": made}, since)

    return start


def test_what_a_killed_process_leaves_is_run_and_its_log_is_named(tmp_path: Path) -> None:
    others = start_program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")(tmp_path)
    worked, notes = [], []
    share(lambda: worked.append(len(notes)), others, lambda: False, notes.append)
    assert worked == [0, 1]
    assert notes == [f"a process was killed by signal 9; its output: {tmp_path / '1.log'}"]


def test_a_process_that_ends_well_leaves_nothing(tmp_path: Path) -> None:
    worked, notes = [], []
    share(lambda: worked.append(1), start_program("")(tmp_path), lambda: False, notes.append)
    assert (worked, notes) == ([1], [])


def test_a_process_gets_one_signal_to_stop(tmp_path: Path) -> None:
    """A second one would end it before its checkpoint is written."""
    program = (
        "import signal, sys, time; from pathlib import Path; said = Path(sys.argv[1])\n"
        "def note(*_):\n"
        "    with said.open('a') as file: file.write('stop ')\n"
        "signal.signal(signal.SIGTERM, note); said.touch(); time.sleep(0.5); time.sleep(0.5)"
    )
    said = tmp_path / "said"
    process = subprocess.Popen([sys.executable, "-c", program, str(said)])
    others = Others({tmp_path / "1.log": process}, since=1)
    wait_for(said.exists)
    stop = others.stopping(lambda: True)
    assert (stop(), stop()) == (True, True)
    others.stop()
    process.wait()
    assert said.read_text() == "stop "


@pytest.mark.long
def test_a_killed_child_of_a_run(tmp_path: Path, cache: Path) -> None:
    """The second process is killed in the middle of its trial; the first one takes the trial over."""
    killed: list[int] = []
    notes: list[str] = []

    def on_view(view: View) -> None:
        theirs = [running.record.pid for running in view.running if running.process == 2]
        if theirs and not killed:
            os.kill(theirs[0], signal.SIGKILL)
            killed.append(theirs[0])

    def dawdle() -> bool:
        """Leave the second trial to the process that is still starting."""
        time.sleep(0 if killed else 0.05)
        return False

    request = request_of(tmp_path, cache, "train.steps=1000", methods=("stl",), parts=("part1", "part2"), count=2)
    outcomes = api.run(request, Listener(note=notes.append, on_view=on_view), dawdle)
    assert len(killed) == 1
    assert [outcome.state for outcome in outcomes] == [OutcomeState.RAN, OutcomeState.RAN]
    (note,) = [note for note in notes if "killed by signal 9" in note]
    log = Path(note.rpartition("its output: ")[2])
    assert log.parent == tmp_path / "runners"
    assert "training" in log.read_text()


@pytest.mark.long
def test_a_trial_that_fails_is_tried_once_and_does_not_stop_the_others(tmp_path: Path, cache: Path) -> None:
    wrong = ("methods.stl.lr=1e30", "methods.stl.optimizer=sgd")
    begun: list[str] = []
    listener = Listener(on_trial=lambda trial, state: begun.append(f"{trial.key}): {state}"))
    request = request_of(tmp_path, cache, *wrong, methods=("stl", "mtl"), parts=("part1", "part2"), count=2)
    outcomes = api.run(request, listener)
    states = {o.trial.method: [x.state for x in outcomes if x.trial.method == o.trial.method] for o in outcomes}
    assert states["stl"] == [OutcomeState.FAILED] * 2
    assert set(states["mtl"]) <= {OutcomeState.RAN, OutcomeState.ELSEWHERE}
    assert all("diverged" in str(o.why) for o in outcomes if o.trial.method == "stl")
    (log,) = (tmp_path / "runners").glob("*.log")
    wrong_keys = [o.trial.key for o in outcomes if o.trial.method == "stl"]
    here = [line for line in begun if line.endswith(": to do")]
    for key in wrong_keys:
        assert trained([log])[key] + sum(key in line for line in here) == 1
    # The next run tries again.
    again = api.run(request_of(tmp_path, cache, *wrong, methods=("stl",), parts=("part1",)))
    assert "trial failed in another process" not in str(again[0].why)


@dataclass
class Machine:
    cores: int
    free: int | None


@pytest.mark.parametrize(
    ("machine", "asked", "on_cpu", "expected"),
    [
        (Machine(4, None), (0, 0), True, (4, 1)),
        (Machine(64, 2**40), (0, 0), True, (8, 8)),
        (Machine(8, 3 * 10**9), (0, 0), True, (2, 4)),  # each takes 600 MiB and a step of 500 MiB
        (Machine(8, 10**8), (0, 0), True, (1, 8)),
        (Machine(8, 2**40), (0, 3), True, (8, 3)),
        (Machine(2, 10**8), (4, 0), True, (4, 1)),  # a number of the user's own counts
        (Machine(16, 2**40), (0, 0), False, (1, 16)),
        (Machine(16, 2**40), (4, 0), False, (4, 4)),
    ],
)
def test_number_of_processes_and_threads(
    monkeypatch: pytest.MonkeyPatch,
    machine: Machine,
    asked: tuple[int, int],
    on_cpu: bool,
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(processes, "available_cores", lambda: machine.cores)
    monkeypatch.setattr(processes, "free_memory", lambda: machine.free)
    shared = sharing(*asked, on_cpu=on_cpu, step_bytes=500 * 2**20)
    assert (shared.processes, shared.threads) == expected


def test_a_process_notices_that_the_one_that_started_it_is_gone(tmp_path: Path) -> None:
    """A program whose parent is killed; it says so in a file."""
    child = (
        "import sys, time; from benchmark.launch.processes import orphaned; gone = orphaned();"
        "open(sys.argv[1] + '.ready', 'w').close()\n"
        "while not gone(): time.sleep(0.05)\n"
        "open(sys.argv[1], 'w').close()"
    )
    parent = (
        "import os, subprocess, sys, time;"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, sys.argv[1]],"
        f" env={{**os.environ, {PARENT!r}: str(os.getpid())}}); time.sleep(600)"
    )
    said = tmp_path / "said"
    process = subprocess.Popen([sys.executable, "-c", parent, str(said)])
    wait_for(said.with_suffix(".ready").exists)
    assert not said.exists()
    process.kill()
    process.wait()
    wait_for(said.exists)


def test_a_process_that_nobody_started_is_no_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "1", "nonsense"):
        monkeypatch.setenv(PARENT, value)
        assert not orphaned()()


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + ENOUGH_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_the_view_reads_the_records_of_the_trials(tmp_path: Path, cache: Path) -> None:
    grid = api.plan_grid(request_of(tmp_path, cache, methods=("stl",)))
    folders = [TrialFolder(trial.folder(tmp_path)) for trial in grid.trials]
    for folder, trial in zip(folders, grid.trials, strict=True):
        folder.announce(trial)
    others = Others({}, since=time.time_ns())
    watch = Watch(grid.trials, tmp_path, others)
    assert watch.look() == View(3, 0, (), (), None)
    with Ownership(folders[0].path, beat_s=0.05) as owner:
        owner.on_step(1, 4)
        owner.on_step(2, 4)
        wait_for(lambda: (record := read_owner(folders[0].path)) is not None and record.done == 2)
        view = watch.look()
        (running,) = view.running
        assert (running.trial, running.process, running.record.done) == (grid.trials[0], 1, 2)
        # One process: the rest of this trial, then two more as long as it.
        taken, left = running.record.at - running.record.started, running.record.left_s()
        assert left is not None
        assert view.left_s == pytest.approx(left + 2 * (taken + left), abs=0.2)
        folders[0].write_text(DONE, "")
    folders[1].write_text(ERROR, "why\n")
    view = watch.look()
    assert (view.total, view.ended, view.running) == (3, 2, ())
    assert [(news.trial, news.process, news.failed) for news in view.news] == [
        (grid.trials[0], 1, False),
        (grid.trials[1], None, True),
    ]
    assert watch.look().news == ()
    assert not (folders[0].path / OWNER).exists()


def test_the_time_of_a_method_that_has_not_run_follows_from_its_cost(tmp_path: Path, cache: Path) -> None:
    grid = api.plan_grid(request_of(tmp_path, cache, methods=("stl", "mtl"), parts=("part1",)))
    (mtl,), (stl,) = ([t for t in grid.trials if t.method == name] for name in ("mtl", "stl"))
    for trial in (mtl, stl):
        TrialFolder(trial.folder(tmp_path)).announce(trial)
    watch = Watch((stl, mtl), tmp_path, Others({}, time.time_ns()), {stl.key: 2.0, mtl.key: 6.0})
    with Ownership(stl.folder(tmp_path), beat_s=0.05) as owner:
        owner.on_step(1, 4)
        owner.on_step(2, 4)
        wait_for(lambda: (record := read_owner(stl.folder(tmp_path))) is not None and record.done == 2)
        record, view = read_owner(stl.folder(tmp_path)), watch.look()
        assert record is not None
        left = record.left_s()
        assert left is not None
        assert view.left_s == pytest.approx(left + 3 * (record.at - record.started + left), abs=0.2)


def test_an_error_from_before_the_start_is_no_failure(tmp_path: Path, cache: Path) -> None:
    grid = api.plan_grid(request_of(tmp_path, cache, methods=("stl",), parts=("part1",)))
    folder = TrialFolder(grid.trials[0].folder(tmp_path))
    folder.announce(grid.trials[0])
    folder.write_text(ERROR, "why\n")
    since = (folder.path / ERROR).stat().st_mtime_ns
    assert Watch(grid.trials, tmp_path, Others({}, since + 1)).look().ended == 0
    assert Watch(grid.trials, tmp_path, Others({}, since)).look().ended == 1


def test_arguments_say_what_the_request_says(tmp_path: Path) -> None:
    """The command line makes the same request of them."""
    import typer

    from benchmark.cli import run as command

    request = GridRequest(
        "gft",
        methods=("stl", "mal"),
        rows=("ResNet-50",),
        readings=True,
        parts=("test",),
        seeds=(3, 4),
        profile="smoke",
        overrides=("train.steps=5", "train.amp=true"),
        root=tmp_path / "a root",
        allow_incomplete=True,
        check_pixels=False,
        runs=tmp_path / "runs",
        cache=tmp_path / "cache",
        execution=Execution("cpu", threads=7, checkpoint_s=2.5, processes=4, stop_on_failure=True),
        only="0123456789abcdef",
    )
    made: list[GridRequest] = []

    def keep(given: GridRequest) -> None:
        made.append(given)
        raise typer.Exit

    app = typer.Typer(add_completion=False)
    app.command()(command.run)
    app.callback()(lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.api.request.check_request", keep)
        app(request.arguments(threads=2), standalone_mode=False)
    (seen,) = made
    execution = replace(request.execution, threads=2, processes=1)
    assert seen == replace(request, execution=execution)


def test_no_process_is_left_when_the_work_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    monkeypatch.setattr(sys, "executable", "sleep")  # `sleep -m benchmark.cli` ends at once, with an error
    with pytest.raises(ValueError, match="of its own"), beside(2, ["run"], tmp_path) as others:
        started += others.pids[1:]
        raise ValueError("of its own")
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert sorted(file.name for file in (tmp_path / "runners").iterdir()) == [
        f"{os.getpid()}-2.log",
        f"{os.getpid()}-3.log",
    ]


def script(file: Path, line: str) -> str:
    """Path of a program that ignores its arguments."""
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)
    return str(file)


def test_processes_get_no_data_root_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without a data root uses the stand-in, and so do the processes that it starts."""
    monkeypatch.setenv("MALBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("MALBENCH_OTHER", "kept")
    monkeypatch.setattr(sys, "executable", script(tmp_path / "show", "env"))
    with beside(1, ["run"], tmp_path) as others:
        (process,) = others.processes.values()
        assert process.wait() == 0
    (log,) = (tmp_path / "runners").iterdir()
    names = {line.split("=")[0] for line in log.read_text().splitlines()}
    assert "MALBENCH_DATA" not in names
    assert {"MALBENCH_OTHER", PARENT} <= names


def test_no_process_is_left_when_another_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, started, start = script(tmp_path / "wait", "exec sleep 100"), [], subprocess.Popen

    def first_alone(call: list[str], **options: Any) -> subprocess.Popen[bytes]:
        if started:
            raise OSError("no more memory")
        started.append(start([program], **options))
        return started[0]

    monkeypatch.setattr("benchmark.launch.processes.subprocess.Popen", first_alone)
    with pytest.raises(OSError, match="no more memory"), beside(2, ["run"], tmp_path):
        pytest.fail("the work must not begin")
    assert started[0].returncode == -signal.SIGTERM
