"""The main job under nox: a method that a signal stops is the last one, and has the time to write its checkpoint."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """#!{python}
import os, signal, sys, time
from pathlib import Path

calls = Path({calls!r})
with calls.open("a") as file:
    file.write(" ".join([os.environ.get("MALBENCH_PARENT", ""), str(os.getppid()), *sys.argv[1:]]) + "\\n")


def stop(number, _):
    time.sleep(1)  # longer than nox waits by itself
    calls.with_name("checkpoint").write_text("whole")
    sys.exit(128 + number)


{body}
"""
STOPS_ITSELF = "sys.exit({status})"
WAITS = """
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
calls.with_name("ready").touch()
time.sleep(60)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an environment that has all requirements, and no `malbench` yet."""
    place = tmp_path / "checkout"
    for name in ("benchmark", "methods"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("noxfile.py", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, place / name)
    venv.create(place / ".nox" / "environment", with_pip=False)
    wanted = b"".join((place / name).read_bytes() for name in ("pyproject.toml", "requirements.lock"))
    (place / ".nox/environment/malbench-requirements").write_text(hashlib.sha256(wanted).hexdigest())
    return place


def start_nox(checkout: Path, body: str) -> subprocess.Popen[bytes]:
    """Start `nox -s bp4d` with a program in place of `malbench`."""
    program = checkout / ".nox/environment/bin/malbench"
    program.write_text(PROGRAM.format(python=sys.executable, calls=str(checkout / "calls"), body=body))
    program.chmod(0o755)
    command = [sys.executable, "-m", "nox", "--reuse-existing-virtualenvs", "-s", "bp4d", "--", "--seed=1"]
    # In a session of its own: a signal to its group is what Ctrl-C sends.
    return subprocess.Popen(command, cwd=checkout, start_new_session=True)


@pytest.mark.parametrize(
    ("status", "ends", "runs"), [(130, 130, ["l2t_ww"]), (143, 143, ["l2t_ww"]), (1, 1, ["l2t_ww", "mal", "mtan"])]
)
def test_a_method_that_a_signal_stops_is_the_last(checkout: Path, status: int, ends: int, runs: list[str]) -> None:
    nox = start_nox(checkout, STOPS_ITSELF.format(status=status))
    assert nox.wait(timeout=60) == ends
    calls = [line.split() for line in (checkout / "calls").read_text().splitlines()]
    methods = [words[words.index("--method") + 1] for words in calls if "--method" in words]
    assert methods[: len(runs)] == runs
    assert len(methods) == (1 if status > 128 else 5)
    for parent, actual, *words in calls:
        assert parent == actual
        assert words[-1] == "--seed=1"


def test_ctrl_c_waits_for_the_checkpoint(checkout: Path) -> None:
    nox = start_nox(checkout, WAITS)
    ends = time.monotonic() + 60
    while not (checkout / "ready").exists():
        assert nox.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.1)
    os.killpg(nox.pid, signal.SIGINT)
    assert nox.wait(timeout=60) == 130
    assert (checkout / "checkpoint").read_text() == "whole"
    assert len((checkout / "calls").read_text().splitlines()) == 1
