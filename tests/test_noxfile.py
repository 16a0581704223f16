"""The main job under nox: one pool for all methods, a session for each, and the end at a failure or a signal."""

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
METHODS = ["l2t_ww", "mal", "mtan", "mtl", "stl"]
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


def start_nox(checkout: Path, body: str, session: str, *posargs: str) -> subprocess.Popen[str]:
    """Start a nox session with a program in place of `malbench`."""
    program = checkout / ".nox/environment/bin/malbench"
    program.write_text(PROGRAM.format(python=sys.executable, calls=str(checkout / "calls"), body=body))
    program.chmod(0o755)
    command = [sys.executable, "-m", "nox", "--reuse-existing-virtualenvs", "-s", session, "--", *posargs]
    # In a session of its own: a signal to its group is what Ctrl-C sends.
    return subprocess.Popen(
        command, cwd=checkout, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def calls_of(checkout: Path) -> list[list[str]]:
    """Arguments of each start of `malbench`, after the id of its parent, twice."""
    return [line.split() for line in (checkout / "calls").read_text().splitlines()]


def test_all_methods_share_one_pool_and_each_is_shown_in_its_own_session(checkout: Path) -> None:
    nox = start_nox(checkout, "", "bp4d", "--seed=1", "--runs", "elsewhere")
    said, _ = nox.communicate(timeout=60)
    assert nox.returncode == 0
    (_, _, *pool), *shown, (_, _, *report) = calls_of(checkout)
    assert pool[:2] == ["run", "bp4d"]
    assert [pool[i + 1] for i, word in enumerate(pool) if word == "--method"] == METHODS
    assert pool[-5:] == ["--processes=0", "--stop-on-failure", "--seed=1", "--runs", "elsewhere"]
    for method, (_, _, *words) in zip(METHODS, shown, strict=True):
        assert words[0] == "status"
        assert words[-6:] == ["--dataset", "bp4d", "--method", method, "--runs", "elsewhere"]
        assert f"bp4d({method}): success" in said
    assert report == ["report", "--runs", "elsewhere"]


def test_one_method_trains_alone(checkout: Path) -> None:
    nox = start_nox(checkout, "", "bp4d(mal)")
    nox.communicate(timeout=60)
    (_, _, *run), (_, _, *report) = calls_of(checkout)
    assert run == ["run", "bp4d", "--method", "mal", "--processes=0", "--stop-on-failure"]
    assert report == ["report"]


@pytest.mark.parametrize(("status", "ends"), [(130, 130), (143, 143), (1, 1)])
def test_nothing_follows_a_run_that_fails_or_is_stopped(checkout: Path, status: int, ends: int) -> None:
    nox = start_nox(checkout, STOPS_ITSELF.format(status=status), "bp4d", "--seed=1")
    nox.communicate(timeout=60)
    assert nox.returncode == ends
    ((parent, actual, *words),) = calls_of(checkout)
    assert parent == actual
    assert words[-1] == "--seed=1"


def test_ctrl_c_waits_for_the_checkpoint(checkout: Path) -> None:
    nox = start_nox(checkout, WAITS, "bp4d")
    ends = time.monotonic() + 60
    while not (checkout / "ready").exists():
        assert nox.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.1)
    os.killpg(nox.pid, signal.SIGINT)
    nox.communicate(timeout=60)
    assert nox.returncode == 130
    assert (checkout / "checkpoint").read_text() == "whole"
    assert len(calls_of(checkout)) == 1


def test_the_list_begins_with_what_a_new_user_needs(checkout: Path) -> None:
    listing = subprocess.run(
        [sys.executable, "-m", "nox", "--list"], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout
    listed = [line.split()[1] for line in listing.splitlines() if line[:2] in {"* ", "- "}]
    assert listed[:4] == ["environment", "smoke", "tests", "docs"]


def test_the_environment_says_what_to_type_next(checkout: Path) -> None:
    said, _ = start_nox(checkout, "", "environment").communicate(timeout=60)
    assert "next: . .nox/environment/bin/activate && malbench demo" in said
    said, _ = start_nox(checkout, "", "report").communicate(timeout=60)
    assert "next: " not in said
