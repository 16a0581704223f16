"""Key and place of a trial, from the content of its `trial.json`. This module needs neither pydantic nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.core.hashing import digest_of_json

LABELS = frozenset({"profile", "shared_overrides", "variant", "row", "reading"})
"""Fields that only name a trial for readers; they are no part of its key."""


def key_of(content: Mapping[str, Any]) -> str:
    """Key of a trial: digest of everything that can change its result, 16 hex digits.

    Args:
        content: Fields of the trial as JSON values.
    """
    return digest_of_json({name: value for name, value in content.items() if name not in LABELS})


def place_of(content: Mapping[str, Any]) -> tuple[str, str, str]:
    """Folder of a trial below its store, as three names: dataset, method, and part with seed and key.

    Raises:
        KeyError: A field is missing.
    """
    name = f"{content['part']}-seed{content['seed']}-{key_of(content)}"
    return str(content["dataset"]), str(content["method"]), name
