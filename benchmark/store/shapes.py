"""Shapes of the JSON in results files: what reports read of settings and provenance."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from benchmark.config.key import key_of
from benchmark.core.files import json_object


class _Facts(BaseModel, extra="allow"):
    """JSON object with other fields, too."""


class _Verified(_Facts):
    source_hash: str = ""
    steps: int = 0
    agreement: str = ""


class _Before(_Facts):
    """A trial that another one started from."""

    key: str = ""
    dataset: str = ""
    learned: dict[str, float | None] = {}


class _Provenance(_Facts):
    title: str = ""
    parts: list[str] = []
    aus: list[str] = []
    packages: dict[str, str | None] = {}
    prerequisites: dict[str, _Before] = {}
    verified: _Verified | None = None
    source_hash: str = ""
    commit: str | None = None
    device: str | None = None
    profile: dict[str, Any] = {}
    unsealed: bool = False
    lacking: list[str] = []


class _Settings(_Facts):
    data: dict[str, Any] = {}
    train: dict[str, Any] = {}
    hparams: dict[str, Any] = {}


_PROVENANCE, _SETTINGS = TypeAdapter(_Provenance), TypeAdapter(_Settings)


def check_shapes(trial: str, settings: str, provenance: str) -> None:
    """Check the JSON of one row of a results file.

    Args:
        trial: Key of the trial.
        settings: JSON of its settings; an empty object for predictions that somebody else made.
        provenance: JSON of its provenance.

    Raises:
        ValueError: A text is no JSON object, a field is of another shape, or the settings are not those of the key.
    """
    for name, adapter, text in (("settings", _SETTINGS, settings), ("provenance", _PROVENANCE, provenance)):
        try:
            adapter.validate_python(json_object(text))
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, (name, *fault["loc"])))
            raise ValueError(f"trial {trial}: {place}: {fault['msg']}") from None
        except ValueError as error:
            raise ValueError(f"trial {trial}: {name}: {error}") from None
    content = json_object(settings)
    if content and key_of(content) != trial:
        raise ValueError(f"trial {trial}: its settings have the key {key_of(content)}")
