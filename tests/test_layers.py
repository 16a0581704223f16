"""The import contracts hold, and fail where a forbidden import is added."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def check_contracts(root: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=root, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("benchmark", "methods"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_hold_and_a_forbidden_import_breaks_them(copy: Path) -> None:
    before = check_contracts(copy)
    assert before.returncode == 0, before.stdout
    with (copy / "benchmark" / "stats" / "ranks.py").open("a", encoding="utf-8") as file:
        file.write("\n\nfrom benchmark.report import cells  # noqa\n")
    after = check_contracts(copy)
    assert after.returncode == 1
    assert "benchmark.stats is not allowed to import benchmark.report" in after.stdout


def test_a_renderer_that_borrows_from_the_other_breaks_the_contract(copy: Path) -> None:
    with (copy / "benchmark" / "standin" / "head" / "person.py").open("a", encoding="utf-8") as file:
        file.write("\n\nfrom benchmark.standin.drawn import identity  # noqa\n")
    after = check_contracts(copy)
    assert after.returncode == 1
    assert "benchmark.standin.head is not allowed to import benchmark.standin.drawn" in after.stdout
