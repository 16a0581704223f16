"""The registration of a plan: only of a committed one, and the page tells a change and early trials."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmark.core.errors import UserError
from benchmark.study.registration import read_registration, register, registration_sentence

IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    file = tmp_path / "plan.toml"
    file.write_text('profile = "standin"\n')
    return file


def commit(plan: Path) -> str:
    git(plan.parent, "add", plan.name)
    git(plan.parent, "commit", "--quiet", "--message=plan")
    return git(plan.parent, "rev-parse", "HEAD")


def provenance(started: str) -> str:
    return json.dumps({"started": started})


def test_a_committed_plan_is_registered_with_its_commit(plan: Path) -> None:
    made = commit(plan)
    register(plan)
    registered = read_registration(plan)
    assert registered is not None
    assert registered.commit == made
    said = registration_sentence(plan, {"one": [provenance("2100-01-01T00:00:00+00:00")]})
    assert f"registered in commit {made[:12]}" in said
    assert "and has not changed since. Of its 1 test trials, none began before;" in said
    plan.write_bytes(plan.read_bytes().replace(b"\n", b"\r\n"))  # as a checkout on Windows has it
    assert registration_sentence(plan, {"one": [provenance("2100-01-01T00:00:00+00:00")]}) == said


def test_a_change_and_early_trials_are_told(plan: Path) -> None:
    commit(plan)
    register(plan)
    plan.write_text('profile = "smoke"\n')
    starts = ("1999-01-01T00:00:00+00:00", "2100-01-01T00:00:00+00:00")
    said = registration_sentence(plan, {"one": map(provenance, starts), "other": [provenance(starts[1])]})
    assert "has changed since: what follows is not of the registered plan" in said
    assert "Of its 3 test trials, 1 of the question one began before;" in said


def test_a_plan_that_is_not_committed_as_it_stands_is_refused(plan: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not committed as it stands"):
        register(plan)
    commit(plan)
    plan.write_text("x = 1\n")
    with pytest.raises(UserError, match="not committed as it stands"):
        register(plan)
    assert read_registration(plan) is None
    assert "not registered" in registration_sentence(plan, {})


def test_a_damaged_registration_is_a_plain_error(plan: Path) -> None:
    commit(plan)
    file = register(plan)
    file.write_text('commit = "x"\n')
    with pytest.raises(UserError, match="registration of the plan cannot be read"):
        read_registration(plan)


def test_the_repository_is_that_of_the_plan_whatever_the_environment_names(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = commit(plan)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    register(plan)
    registered = read_registration(plan)
    assert registered is not None
    assert registered.commit == made
