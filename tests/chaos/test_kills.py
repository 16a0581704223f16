"""Packing, drawing, reporting and pruning, killed at random moments, leave nothing torn, nobody behind and no pile.

One kill of each stands for all in the default tests; `nox -s chaos` makes fifty of each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmark.store.folder import TrialFolder
from tests.chaos.process import as_another_machine, contents, start, started_with, with_two_workers
from tests.conftest import write_bp4d, write_rafdb
from tests.integrity.stores import finished_store

ENOUGH_S = 240
SHORT, LONG = 1, 50
EVERY = 5
"""After so many kills the command is let to its end."""
SMALL = (
    *("--profile", "smoke", "--set", "data.alignment=as_is", "--set", "data.frame_size=36"),
    *("--set", "method.backbone=test_resnet", "--set", "train.steps=20", "--set", "train.batch_au=6"),
)


@dataclass(frozen=True)
class Work:
    """Work that is killed.

    Attributes:
        command: Arguments of `malbench`, from the home folder.
        made: What it made, by name, from the home folder; times and locks left out.
        again: Undoes what was made, but nothing that a kill left.
        before: Called in the process first.
    """

    command: Callable[[Path], tuple[object, ...]]
    made: Callable[[Path], dict[str, bytes]]
    again: Callable[[Path], None]
    before: Callable[[], None] | None = None


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones and locks too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def packed(home: Path) -> dict[str, bytes]:
    made = files_of(home / "cache")
    # The name of a pack and its digests are functions of the files, whose inodes are the same in one home.
    return {name: b"" if name.endswith(".lock") else content for name, content in made.items()}


def unpack(home: Path) -> None:
    for pack in (home / "cache/frames").glob("[!.]*"):
        shutil.rmtree(pack)


def leave_files(home: Path) -> None:
    """Files of a runner that was killed right after it finished a trial."""
    for done in sorted((home / "runs").rglob("DONE")):
        for name in ("checkpoint.safetensors", "ERROR.txt", ".counts.parquet.0123.tmp"):
            (done.parent / name).write_bytes(b"left")


WORK = {
    "packing": Work(
        lambda home: ("data", "prepare", "bp4d", "--data", home / "data", "--cache", home / "cache", *SMALL[:6]),
        packed,
        unpack,
    ),
    "drawing": Work(
        lambda home: (
            *("data", "standin", "bp4d", "--out", home / "drawn" / "root", "--profile", "smoke"),
            *("--set", "standin.au_subjects=6", "--set", "standin.fe_train=200", "--set", "standin.fe_test=7"),
        ),
        lambda home: files_of(home / "drawn"),
        lambda home: shutil.rmtree(home / "drawn" / "root", ignore_errors=True),
        with_two_workers,
    ),
    "reporting": Work(
        lambda home: ("report", "--runs", home / "store", "--out", home / "out", "--cache", home / "none"),
        lambda home: files_of(home / "out"),
        lambda _: None,
    ),
    "pruning": Work(
        lambda home: (
            *("run", "bp4d", "--data", home / "data", "--allow-incomplete", *SMALL, "--threads", "1"),
            *("--method", "stl", "--runs", home / "runs", "--cache", home / "cache"),
        ),
        lambda home: contents(home / "runs"),
        leave_files,
    ),
}


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The server that processes are forked from takes seconds to start."""
    start(tmp_path_factory.mktemp("first") / "log", "claims", "--paper").join(ENOUGH_S)


def nobody_left(token: str) -> bool:
    until = time.monotonic() + 20
    while started_with(token) and time.monotonic() < until:
        time.sleep(0.05)
    return not started_with(token)


def finished(work: Work, home: Path) -> dict[str, bytes]:
    """Files of an undisturbed command."""
    log = home / "log"
    process = start(log, *work.command(home), before=work.before)
    process.join(ENOUGH_S)
    assert process.exitcode == 0, log.read_text()
    return work.made(home)


def killed(kind: str, home: Path, wanted: int) -> None:
    work, rng = WORK[kind], np.random.default_rng([sorted(WORK).index(kind), wanted])
    write_bp4d(home / "data")
    write_rafdb(home / "data")
    finished_store(home / "store")
    (home / "drawn").mkdir()
    expected = finished(work, home)
    work.again(home)
    began = time.monotonic()
    assert finished(work, home) == expected  # a second time, so that the comparison holds
    seconds, kills, most = time.monotonic() - began, 0, 0
    while kills < wanted:
        work.again(home)
        token = f"{kind}-{os.getpid()}-{kills}"
        process = start(home / "log", *work.command(home), before=work.before, token=token)
        process.join(rng.uniform(0, 0.95 * seconds))
        process.kill()
        process.join()
        assert nobody_left(token), kind
        if process.exitcode == 0:  # the machine has become faster
            seconds *= 0.8
            continue
        assert process.exitcode == -signal.SIGKILL, (home / "log").read_text()
        kills += 1
        most = max(most, len(list(home.rglob("*.part"))) + len(list(home.rglob(".old-*"))))
        if kills % EVERY == 0 or kills == wanted:
            assert finished(work, home) == expected
    assert most <= 2, "scratch folders pile up"


@pytest.mark.parametrize("kind", sorted(WORK))
def test_killed_now_and_then(kind: str, tmp_path: Path) -> None:
    killed(kind, tmp_path, SHORT)


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(WORK))
def test_killed_fifty_times(kind: str, tmp_path: Path) -> None:
    killed(kind, tmp_path, LONG)


def test_drawing_that_is_asked_to_stop_leaves_nothing(tmp_path: Path) -> None:
    work = WORK["drawing"]
    (tmp_path / "drawn").mkdir()
    process = start(tmp_path / "log", *work.command(tmp_path), before=work.before, token=f"term-{os.getpid()}")
    until = time.monotonic() + ENOUGH_S
    while not list((tmp_path / "drawn").glob(".*.part/*/**/*.jpg")) and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGTERM)
    process.join(ENOUGH_S)
    assert process.exitcode == 128 + signal.SIGTERM
    assert nobody_left(f"term-{os.getpid()}")
    assert list((tmp_path / "drawn").iterdir()) == []


def results_of(folder: Path) -> dict[str, bytes]:
    """Files of a finished trial, without what only a restart needs."""
    others = {".lock", "checkpoint.safetensors"}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in others}


def test_an_owner_that_wakes_after_another_finished_its_trial_changes_nothing(tmp_path: Path) -> None:
    """Stopped while it trains, taken for dead by a process of another machine, and woken when that has finished."""
    write_bp4d(tmp_path / "data")
    write_rafdb(tmp_path / "data")
    command = [*WORK["pruning"].command(tmp_path), "--part", "part1", "--checkpoint-every", "0"]
    command[command.index("train.steps=20")] = "train.steps=100"
    first = start(tmp_path / "first", *command)
    until = time.monotonic() + ENOUGH_S
    while not list(tmp_path.rglob("checkpoint.safetensors")) and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(first.pid or 0, signal.SIGSTOP)
    second = start(tmp_path / "second", *command, before=as_another_machine)
    second.join(ENOUGH_S)
    assert second.exitcode == 0, (tmp_path / "second").read_text()
    (done,) = (tmp_path / "runs").rglob("DONE")
    before = results_of(done.parent)
    os.kill(first.pid or 0, signal.SIGCONT)
    first.join(ENOUGH_S)
    assert first.exitcode == 0, (tmp_path / "first").read_text()
    assert "left to other processes" in (tmp_path / "first").read_text()
    after = results_of(done.parent)
    assert after == before
    folder = TrialFolder(done.parent)
    assert folder.faults(folder.seals()) == []
    assert json.loads(after["provenance.json"])["steps"] == 100
    # It may have been stopped while it wrote a checkpoint, which then got its place; the next run takes it away.
    third = start(tmp_path / "third", *command)
    third.join(ENOUGH_S)
    assert "1 done before" in (tmp_path / "third").read_text()
    assert {path.name for path in done.parent.iterdir()} == {*after, ".lock"}
