"""Measurements are of two cores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import torch_threads


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    with torch_threads(2):
        yield
