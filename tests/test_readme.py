"""The README is true: its table is the report's, its commands exist, its method can be added."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def committed(file: str) -> str:
    """A file as it was committed: a run of one's own writes reports/ anew, and does not make the README wrong."""
    shown = subprocess.run(
        ["git", "-C", str(ROOT), "show", f"HEAD:{file}"], capture_output=True, text=True, check=False
    )
    return shown.stdout if shown.returncode == 0 else (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(("block", "file"), [("results", "reports/tables.md"), ("cost", "reports/cost.md")])
def test_the_results_shown_are_those_of_the_committed_report(block: str, file: str) -> None:
    shown = README.split(f"<!-- {block}")[1].split("-->", 1)[1].split(f"<!-- /{block} -->")[0]
    rows = [cells(row) for row in shown.splitlines() if row.startswith("|") and not set(row) <= set("|:- ")]
    report = [cells(row) for row in committed(file).splitlines() if "|" in row]
    assert len(rows) > 5
    for row in rows:
        assert row in report, row


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_the_test_command_is_the_one_that_ci_calls() -> None:
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    (command,) = re.findall(r"^.*nox -s tests$", README, flags=re.MULTILINE)
    for step in command.split(" && "):
        assert step in ci, step


def method_section(text: str) -> str:
    return text.split("## Add a method")[1].split("\n## ", maxsplit=1)[0]


def test_the_readme_and_the_guide_add_the_same_method() -> None:
    code = [re.findall(r"```\w+\n.*?```", method_section(text), flags=re.DOTALL) for text in (README, GUIDE)]
    assert code[0] == code[1]


def test_a_method_is_added_by_following_the_guide(tmp_path: Path, shared_cache: Path) -> None:
    """Word for word, in a copy of the checkout: save the file, run the commands, find the row."""
    section = method_section(GUIDE)
    (code,), (commands,) = (re.findall(rf"```{kind}\n(.*?)```", section, flags=re.DOTALL) for kind in ("python", "sh"))
    (place,) = re.findall(r"Save this as `(methods/\w+\.py)`", section)
    row, heading, report = re.search(r'Its row, `(.+?)`, stands under "(.+?)" in `(.+?)`', section).groups()
    checkout = tmp_path / "checkout"
    for name in ("benchmark", "methods", "templates"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / place).write_text(code, encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "malbench").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m benchmark.cli "$@"\n')
    (programs / "malbench").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(checkout)}
    environment["MALBENCH_CACHE"] = str(shared_cache)
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "share = 0.5" in done.stdout
    text = (checkout / report).read_text(encoding="utf-8")
    rows = [cells(line)[0] for line in text.split(f"### {heading}")[1].split("\n### ")[0].splitlines() if "|" in line]
    assert row in rows
