"""Mock copies of the licensed datasets. A sample runs with all tests; `nox -s owners` runs the whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[Any], *, whole: int) -> list[Any]:
    """Cases for `parametrize`: one of `whole` always, the others with the mark `long`."""
    return [case if i % whole == 0 else _long(case) for i, case in enumerate(cases)]


def _long(case: Any) -> Any:
    if isinstance(case, str):
        return pytest.param(case, marks=pytest.mark.long)
    return pytest.param(*case.values, id=case.id, marks=pytest.mark.long)
