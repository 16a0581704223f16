"""Examples in docstrings run, and no docstring of the suite begins with a question."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import pkgutil
from pathlib import Path

import pytest

import benchmark
import methods

ROOT = Path(__file__).parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
MODULES = sorted(
    info.name
    for package in (benchmark, methods)
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not info.name.endswith("__main__")
)
WITH_EXAMPLES = [
    name
    for name in MODULES
    if (spec := importlib.util.find_spec(name))
    and spec.origin
    and ">>> " in Path(spec.origin).read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # examples read the committed reports
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert tried > 0
    assert failed == 0


def test_no_docstring_begins_with_what() -> None:
    found = []
    for file in [*(ROOT / "benchmark").rglob("*.py"), *(ROOT / "methods").rglob("*.py"), ROOT / "noxfile.py"]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if text.startswith("What "):
                    found.append(f"{file.relative_to(ROOT)}: {text.splitlines()[0]}")
    assert found == []


def test_no_function_has_a_hundred_lines() -> None:
    found = []
    for file in [*(ROOT / "benchmark").rglob("*.py"), *(ROOT / "methods").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 100:
                found.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1}")
    assert found == []
