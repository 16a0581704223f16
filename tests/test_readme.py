"""The README is true: its table is the report's, its commands exist, its method can be added."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmark.api.results import judge_paper_claims
from benchmark.study.names import PLANS
from tests.docs.pages import cells, committed_text, rows_below

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")


def test_the_results_shown_are_those_of_the_committed_report() -> None:
    shown = README.split("<!-- results")[1].split("-->", 1)[1].split("<!-- /results -->")[0]
    rows = [cells(row) for row in shown.splitlines() if row.startswith("|") and not set(row) <= set("|:- ")]
    report = [cells(row) for row in committed_text("reports/tables.md").splitlines() if "|" in row]
    assert len(rows) > 5
    for row in rows:
        assert row in report, row


def test_the_differences_named_are_those_of_the_pages_that_they_link() -> None:
    findings = README.split("## What we found")[1].split("\n## ")[0].split("\n- ")[1:]
    checked = 0
    for finding in findings:
        (page,) = re.findall(r"\]\(([^)]+)\)", finding)
        for number in re.findall(r"[+-]\d+\.\d(?: |\n)\[[^\]]+\]", finding):
            value, interval = number.split(maxsplit=1)
            # A sentence of a study's page, or a cell of the report.
            assert re.search(rf"{re.escape(value)}( F1 points)? {re.escape(interval)}", committed_text(page)), finding
            checked += 1
    assert checked >= 4


def test_what_test_labels_are_worth_is_the_optimism_of_the_audit() -> None:
    """Not the distance from this suite's rule, part of which an honest threshold gives, too."""
    (said,) = re.findall(r"What is it worth to choose on test labels\?.*?MAL\s+(\+\S+ \[[^\]]+\])", README, re.DOTALL)
    head, *rows = rows_below(committed_text("reports/audit.md"), "Optimism")
    (row,) = (row for row in rows if row[0].startswith("last moment, a threshold per AU on test"))
    assert said == row[head.index("MAL")]
    pairs = rows_below(committed_text("reports/tables.md"), "Differences in average F1, over subjects and trainings")
    methods = [row for row in pairs[1:] if "all positive" not in row[0]]
    assert len(methods) > 5
    assert float(said.split()[0]) > max(abs(float(row[1].split()[0])) for row in methods), "more than any difference"


def test_the_study_was_written_down_first_and_answers_what_the_readme_says() -> None:
    page = committed_text("reports/study/decisive.md")
    assert (PLANS / "decisive.registered").exists()
    assert "has not changed since. Of its 342 test trials, 44 of the question order-drawn began before;" in page
    assert "**The primary question: no.**" in page
    assert page.count("- mal finds harmful images in 0 of 24 trials") == 2
    assert page.count("**mal and mtl are practically the same, within 1.5 points: ") == 2
    assert "practically the same as MTL on both" in README


def test_the_claims_are_counted_as_the_paper_alone_decides_them() -> None:
    claims = judge_paper_claims(None)
    follow, fail = (sum(claim.follows is wanted for claim in claims) for wanted in (True, False))
    depend = sum(claim.depends for claim in claims)
    said = re.search(
        r"We list (\d+) claims.*?yes for (\d+), no for (\d+), and depends.*? for (\d+)\. For (\d+) the tables",
        README,
        re.DOTALL,
    )
    assert said is not None
    assert list(map(int, said.groups())) == [len(claims), follow, fail, depend, len(claims) - follow - fail - depend]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


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


def test_a_method_is_added_by_following_the_guide(tmp_path: Path, shared_cache: Path) -> None:
    """Word for word, in a copy of the checkout: save the file, run the commands, find the row."""
    section = method_section(GUIDE)
    (code,), (commands,) = (
        re.findall(rf"^```{kind}\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE) for kind in ("python", "sh")
    )
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
