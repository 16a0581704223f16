"""The adapters, one file a program, found by the decorator in their files."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.registry import read_marks

if TYPE_CHECKING:
    from benchmark.submit.base import Adapter

FOLDER = Path(__file__).parent


def adapter_names() -> tuple[str, ...]:
    """Names of the adapters in alphabetical order.

    Example:
        >>> adapter_names()
        ('libreface', 'openface2', 'openface3', 'pyfeat')
    """
    return tuple(read_marks(FOLDER, ("adapter",)))


def open_adapter(name: str) -> Adapter:
    """The adapter of this name.

    Raises:
        UserError: There is none.

    Example:
        >>> open_adapter("openface2").title
        'OpenFace 2'
    """
    from benchmark.submit.base import Adapter  # noqa: PLC0415  # imports pandas; names are listed without it

    known = adapter_names()
    if name not in known:
        raise UserError(f"no adapter '{name}'", remedy=did_you_mean(name, known))
    module = importlib.import_module(f"{__name__}.{read_marks(FOLDER, ('adapter',))[name].file.stem}")
    (cls,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Adapter) and vars(value).get("name") == name
    )
    made: Adapter = cls()
    return made
