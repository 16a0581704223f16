"""The examples of docs/datasets.md, as a contributor would use them: two new files in a copy, nothing else edited."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import datasets
from benchmark.config.profile import load_profile

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "benchmark" / "config" / "profiles"
TEXT = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the two example files."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("benchmark", "methods", "templates", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for code in blocks("python"):
        name = re.search(r'^@(?:au|fe)_dataset\("(\w+)"\)', code, flags=re.MULTILINE)
        assert name is not None
        (root / "benchmark" / "datasets" / f"{name[1]}.py").write_text(code, encoding="utf-8")
    return root


def run(copy: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    program = [sys.executable, "-m", *command]
    ended = subprocess.run(program, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_two_examples_run_and_are_reported(copy: Path) -> None:
    (commands,) = [block for block in blocks("sh") if "talk" in block]
    lines = [line for line in commands.splitlines() if line]
    assert len(lines) == 4
    listed = run(copy, "benchmark.cli", *lines[0].split()[1:])
    assert "talk (AU): Talk; AU1 AU5 AU12 AU25 AU26; odd even" in listed
    assert "moods (FE): Moods" in listed
    run(copy, "benchmark.cli", *lines[1].split()[1:])
    run(copy, "benchmark.cli", *lines[2].split()[1:])
    tables = (copy / "scratch" / "reports" / "tables.md").read_text(encoding="utf-8")
    section = tables.split("## Talk, stand-in")[1].split("\n## ")[0]
    assert "### Summary of our runs" in section
    assert "### Table" not in section, "the paper prints no table of this dataset"
    assert "passed" in run(
        copy, "pytest", "-q", "-p", "no:cacheprovider", "tests/datasets/test_contract.py", "-k", "talk or moods"
    )


def test_the_profile_of_the_documentation_is_valid(tmp_path: Path) -> None:
    """A copy of a profile of the suite, changed as the page says."""
    chosen, declared = blocks("toml")
    (line,) = chosen.splitlines()
    copied = (PROFILES / "smoke.toml").read_text(encoding="utf-8")
    assert copied.count("[data]\n") == 1
    profile = tmp_path / "mine.toml"
    profile.write_text(copied.replace("[data]\n", f"[data]\n{line}\n") + declared, encoding="utf-8")
    settings, _ = load_profile(str(profile))
    datasets.check_settings(settings)
    assert datasets.open_fe(settings).title == "fer2013"
    assert datasets.open_au("disfaplus", settings).title == "DISFA+"
