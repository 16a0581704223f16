"""The README is true: its table is the report's, its commands exist, its method can be added."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from benchmark.protocol import BP4D, EMOTIONS
from methods import discover
from methods.base import Samples, Stream, TaskSpec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def test_the_results_shown_are_those_of_the_committed_report() -> None:
    shown = README.split("<!-- results")[1].split("-->", 1)[1].split("<!-- /results -->")[0]
    rows = [cells(row) for row in shown.splitlines() if row.startswith("|") and not set(row) <= set("|:- ")]
    report = [cells(row) for row in (ROOT / "reports/tables.md").read_text(encoding="utf-8").splitlines() if "|" in row]
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


def test_the_method_of_the_readme_can_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = next(block for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "@register" in block)
    name = re.search(r'"""methods/(\w+)\.py"""', text)
    assert name is not None
    package = tmp_path / "added_methods"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / f"{name[1]}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        cls = discover("added_methods", package)[name[1]]
    finally:
        for module in [m for m in sys.modules if m.startswith("added_methods")]:
            del sys.modules[module]
    spec = TaskSpec(BP4D.au_names, EMOTIONS, 5, torch.zeros(4, 12, dtype=torch.int8))
    method = cls.build(cls.HParams(backbone="test_resnet"), spec, torch.device("cpu")).train()
    samples = Samples(torch.randn(4, 3, 32, 32), torch.ones(4, 12, dtype=torch.int8))
    losses = [method.update({Stream.AU: samples}, t)["loss_au"].item() for t in range(5)]
    assert losses[-1] < losses[0]
