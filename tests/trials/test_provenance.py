"""Provenance of a result, and hashes of the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.trials.provenance import checkout, provenance


def test_without_a_checkout_the_commit_and_its_changes_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.trials.provenance.PROJECT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    made = provenance(torch.device("cpu"))
    assert made["commit"] == "unknown"
    assert made["dirty"] is None
    assert made["packages"]["torch"] == torch.__version__


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit, in the place of the suite's."""
    home = tmp_path / "outer" / "project"
    file = home / "benchmark/trials/provenance.py"
    file.parent.mkdir(parents=True)
    file.write_text("code = 1\n")
    commit_all(home)
    monkeypatch.setattr("benchmark.trials.provenance.PROJECT", home)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return home


def git(home: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ["git", "-C", str(home), *named, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit_all(home: Path) -> None:
    git(home, "init", "--quiet")
    git(home, "add", "--all")
    git(home, "commit", "--quiet", "--message", "all")


def test_a_checkout_tells_its_commit_and_its_changes(project: Path) -> None:
    assert checkout() == (git(project, "rev-parse", "HEAD"), False)
    (project / "benchmark/trials/provenance.py").write_text("code = 2\n")
    assert checkout()[1] is True


def test_new_code_is_a_change(project: Path) -> None:
    (project / "methods").mkdir()
    (project / "methods/mine.py").write_text("")
    assert checkout()[1] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_checkout_of_another_owner_tells_nothing(project: Path) -> None:
    for path in (project, *project.rglob("*")):
        os.chown(path, 12345, 12345)
    assert checkout() == ("unknown", None)


def test_a_repository_around_an_installed_package_tells_nothing(project: Path) -> None:
    shutil.rmtree(project / ".git")
    outer = project.parent
    (outer / ".gitignore").write_text("project\n")
    commit_all(outer)
    assert checkout() == ("unknown", None)


def test_a_repository_that_a_variable_names_tells_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = project.parent / "other"
    other.mkdir()
    (other / "a").write_text("")
    commit_all(other)
    head = git(project, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert checkout() == (head, False)


def test_files_that_git_was_told_not_to_look_at_are_unknown(project: Path) -> None:
    git(project, "update-index", "--skip-worktree", "benchmark/trials/provenance.py")
    (project / "benchmark/trials/provenance.py").write_text("code = 3\n")
    assert checkout()[1] is None


def test_a_checkout_without_a_commit_tells_nothing(project: Path) -> None:
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    assert checkout() == ("unknown", None)


def test_without_git_nothing_is_known(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project))
    assert checkout() == ("unknown", None)


def test_the_state_of_trials_needs_no_torch() -> None:
    code = """
import sys
from benchmark.trials.states import source_hashes
assert set(source_hashes()) > {"mal", "stl", "identity"}
print(sorted({"torch", "torchvision", "timm", "pandas"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
