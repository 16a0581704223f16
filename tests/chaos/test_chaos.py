"""Runs that are killed at random moments, and many runners on one store, end in the same bits as an undisturbed run.

A few kills stand for all in the default tests; `nox -s chaos` makes fifty and more.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.chaos.process import contents, start, trained
from tests.conftest import write_bp4d, write_rafdb

METHODS = ("mal", "l2t_ww", "mtan", "mtl", "stl")
ENOUGH_S = 120
"""No run here takes so long, unless it hangs."""
STOPS_IN_S = 10
"""Between a signal to stop and the end of the process: a step, a checkpoint, and the leave of the interpreter."""

Start = Callable[..., tuple[str, ...]]


def first_short(cases: list, short: int) -> list:
    """All but the first so many are for the long form alone."""
    return [*cases[:short], *(pytest.param(*case, marks=pytest.mark.long) for case in cases[short:])]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Arguments of a run of a few seconds, by method, on a small data root and in a folder of its own."""
    root = tmp_path_factory.mktemp("data")
    write_bp4d(root)
    write_rafdb(root)
    settings = {
        "data.alignment": "as_is",
        "data.frame_size": 36,
        "method.backbone": "test_resnet",
        "method.optimizer": "adam",
        "method.schedule": "cosine",
        "methods.mal.meta_optimizer": "adam",
        "methods.l2t_ww.pairs": [[4, 4]],
        "methods.l2t_ww.inner_steps": 1,
        "train.steps": 20,
        "train.batch_au": 6,
    }

    def arguments(home: Path, *methods: str, every: float = 0, parts: tuple[str, ...] = ("part1",)) -> tuple[str, ...]:
        return (
            *("run", "bp4d", "--data", str(root), "--allow-incomplete", "--profile", "smoke", "--threads", "1"),
            *("--runs", str(home / "runs"), "--cache", str(home / "cache"), "--checkpoint-every", str(every)),
            *(word for key, value in settings.items() for word in ("--set", f"{key}={value}")),
            *(word for method in methods for word in ("--method", method)),
            *(word for part in parts for word in ("--part", part)),
        )

    return arguments


@pytest.fixture(scope="module")
def undisturbed(
    command: Start, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[dict[str, bytes], float]]:
    """Files of an undisturbed run of a method, and its duration in seconds."""

    # The server that processes are forked from takes seconds to start.
    start(tmp_path_factory.mktemp("first") / "log", "claims", "--paper").join(ENOUGH_S)

    @cache
    def files_and_seconds(method: str) -> tuple[dict[str, bytes], float]:
        home = tmp_path_factory.mktemp(method)
        began = time.monotonic()
        process = start(home / "log", *command(home, method))
        process.join(ENOUGH_S)
        assert process.exitcode == 0, (home / "log").read_text()
        return contents(home / "runs"), time.monotonic() - began

    return files_and_seconds


@pytest.mark.parametrize(("number", "method"), first_short(list(product(range(10), METHODS)), 2))
def test_killed_at_random_moments(command: Start, undisturbed, tmp_path: Path, method: str, number: int) -> None:
    expected, seconds = undisturbed(method)
    rng = np.random.default_rng([METHODS.index(method), number])
    kills, log = 0, tmp_path / "log"
    while not kills:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        # More than once, so that what a resumed run left is resumed from, too.
        for moment in rng.uniform(0, 0.9 * seconds, size=rng.integers(2, 4)):
            process = start(log, *command(tmp_path, method))
            process.join(moment)
            process.kill()
            process.join()
            kills += process.exitcode == -signal.SIGKILL
        seconds /= 2  # if the machine has become faster, and the run was done before it could be killed
    process = start(log, *command(tmp_path, method))
    process.join(ENOUGH_S)
    assert process.exitcode == 0, log.read_text()
    assert contents(tmp_path / "runs") == expected


@pytest.mark.parametrize(("method", "number"), first_short(list(product(METHODS, (signal.SIGTERM, signal.SIGINT))), 1))
def test_asked_to_stop(command: Start, undisturbed, tmp_path: Path, method: str, number: signal.Signals) -> None:
    """The only checkpoint is the one that the signal asks for."""
    expected, seconds = undisturbed(method)
    rng = np.random.default_rng([METHODS.index(method), number])
    log = tmp_path / "log"
    done = True
    while done:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        log.unlink(missing_ok=True)
        process = start(log, *command(tmp_path, method, every=ENOUGH_S))
        while not (log.is_file() and trained([log])):
            time.sleep(0.01)
            assert process.is_alive(), log.read_text()
        time.sleep(rng.uniform(0, 0.3 * seconds))
        with contextlib.suppress(ProcessLookupError):  # it has ended: the machine has become faster
            os.kill(process.pid, number)
        process.join(STOPS_IN_S)
        done = process.exitcode == 0  # the signal came after the last step
        seconds /= 2
    assert process.exitcode == 128 + number, log.read_text()
    # The signal may come while the test frames are scored, too.
    assert re.search(r"(steps done|images scored); the same command goes on from there", log.read_text())
    assert len(list(tmp_path.rglob("checkpoint.safetensors"))) == 1
    process = start(log, *command(tmp_path, method))
    process.join(ENOUGH_S)
    assert process.exitcode == 0, log.read_text()
    assert "training, from its checkpoint on" in log.read_text()
    assert contents(tmp_path / "runs") == expected


@pytest.mark.parametrize(
    ("methods", "parts"),
    [
        (("stl", "l2t_ww"), ("part1",)),
        pytest.param(METHODS, ("part1", "part2", "part3"), marks=pytest.mark.long),
    ],
    ids=["short", "all"],
)
def test_eight_runners_on_one_store(command: Start, tmp_path: Path, methods, parts) -> None:
    alone = start(tmp_path / "alone/log", *command(tmp_path / "alone", *methods, parts=parts))
    alone.join(ENOUGH_S)
    assert alone.exitcode == 0
    logs = [tmp_path / f"log{i}" for i in range(8)]
    runners = [start(log, *command(tmp_path, *methods, parts=parts)) for log in logs]
    for runner, log in zip(runners, logs, strict=True):
        runner.join(ENOUGH_S)
        assert runner.exitcode == 0, log.read_text()
    found = contents(tmp_path / "runs")
    assert found == contents(tmp_path / "alone/runs")
    keys = [Path(name).parent.name.rsplit("-", 1)[1] for name in found if name.endswith("/DONE")]
    assert len(keys) == len(methods) * len(parts) + 1  # and the stage that L2T-WW starts from
    assert trained(logs) == dict.fromkeys(keys, 1)


@pytest.mark.long
def test_runners_that_die_beside_others(command: Start, tmp_path: Path) -> None:
    """Four runners, of which one after the other is killed and replaced: the others take over what it had."""
    alone = start(tmp_path / "alone/log", *command(tmp_path / "alone", *METHODS))
    alone.join(ENOUGH_S)
    rng = np.random.default_rng(8)
    logs = [tmp_path / f"log{i}" for i in range(4)]
    runners = [start(log, *command(tmp_path, *METHODS)) for log in logs]
    for _ in range(10):
        victim = int(rng.integers(4))
        runners[victim].join(rng.uniform(0, 1))
        runners[victim].kill()
        runners[victim].join()
        runners[victim] = start(logs[victim], *command(tmp_path, *METHODS))
    for runner, log in zip(runners, logs, strict=True):
        runner.join(ENOUGH_S)
        assert runner.exitcode == 0, log.read_text()
    assert contents(tmp_path / "runs") == contents(tmp_path / "alone/runs")
