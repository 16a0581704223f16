"""Names of registered classes, read from source files without importing them.

A plug-in (a method, a dataset) is a class that a decorator marks with its name. The files are parsed, not run, so a
list of names costs no import of torch or OpenCV. This module uses the standard library alone: `noxfile.py` loads it
from its file.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Mark:
    """The decorator of one registered class.

    Attributes:
        name: The registered name.
        file: The file that holds the class.
        decorator: Name of the decorator, for example `register`.
        options: Keyword arguments of the decorator that are constants.
    """

    name: str
    file: Path
    decorator: str
    options: Mapping[str, object]


@cache
def read_marks(folder: Path, decorators: tuple[str, ...]) -> Mapping[str, Mark]:
    """Marks of the registered classes below a folder, by name in alphabetical order. A folder is read once.

    A plug-in is a file `NAME.py` or a folder `NAME/__init__.py`. A file that cannot be parsed has no mark
    here; its import reports the error.

    Args:
        folder: Folder of the plug-ins.
        decorators: Names of the decorators that register a class.

    Example:
        >>> import benchmark.datasets
        >>> sorted(read_marks(benchmark.datasets.FOLDER, ("au_dataset",)))[:2]
        ['bp4d', 'csv']
    """
    files = [*folder.glob("*.py"), *folder.glob("*/__init__.py")]
    marks = [mark for file in files for mark in _marks_of(file, decorators)]
    return MappingProxyType({mark.name: mark for mark in sorted(marks, key=lambda mark: mark.name)})


def _marks_of(file: Path, decorators: tuple[str, ...]) -> list[Mark]:
    text = file.read_text(encoding="utf-8", errors="replace")
    if not any(f"@{decorator}(" in text for decorator in decorators):
        return []
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    calls = [
        call
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in decorators
    ]
    return [_mark(call, file) for call in calls if call.args and isinstance(call.args[0], ast.Constant)]


def _mark(call: ast.Call, file: Path) -> Mark:
    first, function = call.args[0], call.func
    assert isinstance(first, ast.Constant)
    assert isinstance(function, ast.Name)
    options = {k.arg: k.value.value for k in call.keywords if k.arg and isinstance(k.value, ast.Constant)}
    return Mark(str(first.value), file, function.id, options)
