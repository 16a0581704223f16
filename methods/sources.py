"""Source files that can change the results of a method."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from methods.catalog import FOLDER, marks, unknown_method

if TYPE_CHECKING:
    from methods.base import Method


def source_files(method: type[Method] | str) -> tuple[Path, ...]:
    """Files of `methods/` that can change a method's results: its own file, and what it imports from there.

    Args:
        method: A class, or the name of a method or a stage. A name needs no import.

    Returns:
        Paths in alphabetical order.

    Raises:
        UserError: There is no method and no stage of this name.

    Example:
        >>> [file.stem for file in source_files("stl")]
        ['alexnet', 'backbone', 'base', 'build', 'losses', 'packaged', 'stl']
    """
    if not isinstance(method, str):
        return _reached_from(Path(inspect.getfile(method)))
    method_marks = marks()
    if method not in method_marks:
        raise unknown_method(method, method_marks)
    return _reached_from(method_marks[method].file)


def all_source_files() -> dict[str, tuple[Path, ...]]:
    """`source_files` of every method and stage, by name; imports none."""
    return {name: _reached_from(mark.file) for name, mark in marks().items()}


def _reached_from(file: Path) -> tuple[Path, ...]:
    reached, waiting = set[Path](), [file]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting += _imported(file)
    return tuple(sorted(reached))


@cache  # most methods share most files
def _imported(file: Path) -> tuple[Path, ...]:
    """Files of `methods/` that a file imports, at its top or in a function."""
    files: list[Path] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        named: list[str] = []
        if isinstance(node, ast.ImportFrom):
            start = ".".join(filter(None, ("methods" if node.level else "", node.module)))
            named = [start, *(f"{start}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        files += [FOLDER / f"{name.split('.')[1]}.py" for name in named if name.startswith("methods.")]
    return tuple(file for file in files if file.is_file())
