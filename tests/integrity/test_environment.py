"""Strange environments: each command works there, or ends in one plain block."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmark.core.places import PROJECT
from tests.conftest import write_bp4d, write_rafdb
from tests.integrity.stores import finished_store

OTHER = 12345
"""A user without a name or a home."""


@dataclass(frozen=True)
class Place:
    """One environment.

    Attributes:
        set: Variables to set.
        unset: Variables to remove.
        before: Called in the process before the program starts.
        shell: Redirections, in the words of a shell.
        output: Whether the output can be read afterwards.
    """

    set: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    before: Callable[[], None] | None = None
    shell: str = ""
    output: bool = True


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def another_user() -> None:
    os.setgroups([])
    os.setgid(OTHER)
    os.setuid(OTHER)


PLACES = {
    "no HOME": Place(unset=("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")),
    "a HOME that is not there": Place(set={"HOME": "/nowhere/at/all"}),
    "LC_ALL=C": Place(set={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "output in ASCII": Place(set={"PYTHONIOENCODING": "ascii"}),
    "closed input and output": Place(shell="<&- >&-", output=False),
    "all streams closed": Place(shell="<&- >&- 2>&-", output=False),
    "PYTHONOPTIMIZE=2": Place(set={"PYTHONOPTIMIZE": "2"}),
    "64 open files": Place(before=few_files),
    "20 columns": Place(set={"COLUMNS": "20"}),
    "a dumb terminal": Place(set={"TERM": "dumb", "NO_COLOR": "1"}),
    "a backend that is none": Place(set={"MPLBACKEND": "nonsense"}),
    "another user": Place(before=another_user),
}
SHORT = ("no HOME",)
"""The default tests try this one; `nox -s chaos` tries all."""


def places() -> list[object]:
    marked = [pytest.param(name, marks=[] if name in SHORT else pytest.mark.long, id=name) for name in PLACES]
    return list(marked)


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a store with results, and a copy of the code; everybody may read and write all of it."""
    home = tmp_path_factory.mktemp("home")
    write_bp4d(home / "data")
    write_rafdb(home / "data")
    finished_store(home / "store")
    copy_code(home / "code")
    for path in (*home.parents, home):
        if path.name.startswith("pytest-"):
            path.chmod(0o755)
    for path in (home, *home.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    return home


def copy_code(target: Path) -> None:
    """The code as in a checkout, without its git folder."""
    target.mkdir()
    for name in ("benchmark", "methods", "templates"):
        shutil.copytree(PROJECT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))


def commands(home: Path) -> dict[str, tuple[str, ...]]:
    small = (
        *("--profile", "smoke", "--set", "data.alignment=as_is", "--set", "data.frame_size=36"),
        *("--set", "method.backbone=test_resnet", "--set", "train.steps=2", "--set", "train.batch_au=6"),
    )
    where = ("--runs", f"{home}/runs", "--cache", f"{home}/cache")
    return {
        "run": (
            *("run", "bp4d", "--data", f"{home}/data", "--allow-incomplete", "--threads", "1", *where, *small),
            *("--method", "stl", "--part", "part1"),
        ),
        "status": ("status", "--runs", f"{home}/store"),
        "report": ("report", "--runs", f"{home}/store", "--out", f"{home}/out", "--cache", f"{home}/cache"),
    }


def malbench(home: Path, place: Place, arguments: tuple[str, ...], code: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in place.unset}
    environment |= {**place.set, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmark.cli", *arguments]
    if place.shell:
        command = ["/bin/sh", "-c", f'exec "$@" {place.shell}', "sh", *command]
    return subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=300,
        cwd=home,
        env=environment,
        preexec_fn=place.before,
    )


def assert_plain(ran: subprocess.CompletedProcess[str], *, works: bool = True) -> None:
    """The command worked, or ended in one block that says why."""
    said = f"status {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    assert "Traceback" not in ran.stdout + ran.stderr, said
    assert "Exception ignored" not in ran.stderr, said
    assert ran.returncode == 0 if works else ran.returncode in {0, 2}, said
    assert ran.returncode == 0 or ran.stderr.count("error: ") == 1, said


@pytest.mark.parametrize("name", places())
def test_commands_work(name: str, home: Path) -> None:
    place = PLACES[name]
    if place.before is another_user and (os.geteuid() != 0 or not reachable_by_others()):
        pytest.skip("only root can be another user, who must be able to read the interpreter")
    for command, arguments in commands(home).items():
        assert_plain(malbench(home, place, arguments, home / "code"))
        if command == "run":
            assert len(list((home / "runs").rglob("DONE"))) == 1
    assert (home / "out/results.parquet").is_file()


def reachable_by_others() -> bool:
    """Whether another user may run this interpreter."""
    command = [sys.executable, "-c", "import numpy"]
    try:
        ran = subprocess.run(command, check=False, capture_output=True, preexec_fn=tried_by_another)
    except PermissionError:  # its folder is root's alone
        return False
    return ran.returncode == 0


def tried_by_another() -> None:
    try:
        another_user()
    except OSError:
        os._exit(3)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what it may not write, and give files away")
def test_a_read_only_checkout_of_another_owner_with_a_store_elsewhere(home: Path) -> None:
    """Root may write anywhere, so a user runs who may not."""
    if not reachable_by_others():
        pytest.skip("another user must be able to read the interpreter")
    for path in (home / "code", *(home / "code").rglob("*")):
        os.chown(path, OTHER + 1, OTHER + 1)
        path.chmod(0o555 if path.is_dir() else 0o444)
    place = Place(unset=("HOME",), before=another_user)
    for arguments in commands(home).values():
        assert_plain(malbench(home, place, arguments, home / "code"))
    # Without a store elsewhere it ends in a plain block.
    ran = malbench(home, place, (*commands(home)["run"][:5], "--profile", "smoke"), home / "code")
    assert ran.returncode == 2
    assert_plain(ran, works=False)


@pytest.mark.long
def test_a_wheel_works_outside_the_checkout(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for name in ("benchmark", "methods", "templates"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path / "wheels"), str(source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if built.returncode != 0 and "setuptools" in built.stderr:
        pytest.skip("no setuptools to build a wheel with")
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)], check=True, timeout=300
    )
    for arguments in commands(home).values():
        assert_plain(malbench(home, Place(), arguments, tmp_path / "site"))
