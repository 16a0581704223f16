"""Names of the methods, read from the decorators in their files: no method and no torch is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.registry import Mark, read_marks

FOLDER = Path(__file__).parent
METHOD, STAGE = "register", "stage"
"""Names of the decorators."""
Kind = Literal["paper", "beyond", "control", "stage"]
"""Kind of a registered class.

`paper`: a row of the paper's tables. `beyond`: a method that the paper does not have. `control`: a method for the
stand-in alone. `stage`: a training that other methods start from; no table has it.
"""


def names(kind: Kind | None = None) -> tuple[str, ...]:
    """Names of the methods in alphabetical order.

    Args:
        kind: Names of this kind only; None for every method, that is for all kinds but `stage`.

    Example:
        >>> names("stage")
        ('fe_source', 'identity')
    """
    kinds = {name: _kind(mark) for name, mark in marks().items()}
    return tuple(
        name for name, registered in kinds.items() if registered == kind or (kind is None and registered != "stage")
    )


def check_names(wanted: Iterable[str]) -> None:
    """Refuse a name that no method has. A stage is no method.

    Raises:
        UserError: There is no such method.
    """
    known = names()
    for name in wanted:
        if name not in known:
            raise unknown_method(name, known)


def marks() -> Mapping[str, Mark]:
    """Decorators of all methods and stages by name."""
    return read_marks(FOLDER, (METHOD, STAGE))


def unknown_method(name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is none of the `known` methods."""
    return UserError(
        f"unknown method '{name}'",
        expected="the name of a file in methods/ that registers a method",
        found=repr(name),
        remedy=did_you_mean(name, known),
    )


def _kind(mark: Mark) -> Kind:
    if mark.decorator == STAGE:
        return "stage"
    if mark.options.get("control"):
        return "control"
    return "paper" if mark.options.get("paper_row") else "beyond"
