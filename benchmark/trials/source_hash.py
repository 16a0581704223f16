"""Hashes of the code that can change results. Comments, docstrings and layout do not count."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""Folder of the package `benchmark`."""
_SHARED = (
    "audit/counts",
    "audit/frames",
    "audit/rules",
    "audit/thresholds",
    "audit/vote",
    "core/f1",
    "data/augment",
    "data/sampling",
    "stats/rankings",
    "stats/scores",
    "trials/elsewhere",
    "trials/normalisation",
    "trials/scoring",
    "trials/setup",
    "trials/snapshots",
    "trials/trainer",
)
"""Modules that can change the results of every method."""


def source_hash(method_files: Iterable[Path]) -> str:
    """Hash of the code that can change a method's results.

    The code of the readers, of the protocol and of the packed frames is left out: a trial's key holds its output.

    Args:
        method_files: The files that `methods.source_files` names.

    Returns:
        16 hexadecimal digits.
    """
    return hash_sources((*(PACKAGE / f"{name}.py" for name in _SHARED), *method_files))


def standin_hash(dataset_files: Iterable[Path] = ()) -> str:
    """Hash of the code that draws the stand-in, so that each version of the code has a stand-in of its own.

    Args:
        dataset_files: Source files of the drawn datasets.
    """
    return hash_sources((*sorted((PACKAGE / "standin").rglob("*.py")), *sorted(set(dataset_files))))


def hash_sources(files: Iterable[Path]) -> str:
    """Hash of Python files without their comments, docstrings and layout: 16 hexadecimal digits."""
    digest = blake2b(digest_size=8)
    for file in files:
        digest.update(f"{file.name}\n{_code_of(file)}\n".encode())
    return digest.hexdigest()


@cache  # methods share most of their files
def _code_of(file: Path) -> str:
    """The syntax tree of a file as text, without docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # Docstrings, and the strings that document a field.
            node.body = [n for n in body if not _is_text(n)] or [ast.Pass()]  # type: ignore[attr-defined]
    return _shape(tree)


def _shape(node: object) -> str:
    """Syntax tree as text that is the same under all Python versions, unlike `ast.dump` and `ast.unparse`."""
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_shape(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(_shape(item) for item in node)}]"
    return repr(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
