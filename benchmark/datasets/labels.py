"""Class names of an FE dataset and their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmark.core.errors import UserError
from benchmark.datasets.tables import number_of

MOST = 127
"""Maximum number of classes of a dataset; labels are int8."""


def in_order(labels: Iterable[str]) -> list[str]:
    """Sort labels alphabetically, or numerically if all are numbers.

    Example:
        >>> in_order(["10", "9"]), in_order(["sad", "happy", "10"])
        (['9', '10'], ['10', 'happy', 'sad'])
    """
    names = list(labels)
    numeric = all(np.isfinite(number_of(name)) for name in names)
    return sorted(names, key=lambda name: (number_of(name) if numeric else 0.0, name))


def label_names(names: Sequence[str], where: Path) -> tuple[str, ...]:
    """Check the names of the classes and return them.

    Args:
        names: Names in the order of their codes.
        where: File or folder of the names, for an error.

    Raises:
        UserError: There are too few or too many names, or a name is repeated.
    """
    if not 2 <= len(names) <= MOST or len(set(names)) != len(names):
        raise UserError(
            "the labels are no classes of expressions",
            where=where,
            expected=f"2 to {MOST} different names",
            found=f"{len(names)}: {', '.join(names[:12])}",
            remedy="correct the labels, or name the classes with the setting `labels`",
        )
    return tuple(names)
