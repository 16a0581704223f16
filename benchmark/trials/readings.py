"""Readings: named settings of a method, each a fair answer to what the paper leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from benchmark.config.profile import settings_error
from benchmark.config.settings import Profile
from benchmark.config.trial import READING
from benchmark.core.errors import UserError, did_you_mean
from methods.base import Method


def reading_hparams(profile: Profile, cls: type[Method], name: str, *, strict: bool = False) -> Method.HParams:
    """Settings of a method under one of its readings.

    They are those of `[method]`, `[methods.METHOD]`, the reading's `set`, and `--set methods.METHOD.KEY=VALUE`, where
    the later wins; then come the reading's factors.

    Args:
        profile: Settings of all methods.
        cls: The method.
        name: Name of the reading.
        strict: Whether the reading's `set` wins over `--set`, too.

    Returns:
        An instance of the method's `HParams`.

    Raises:
        UserError: No such reading, an unknown setting, a wrong value, or a factor of a setting that is no number.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> from methods import discover
        >>> profile, _ = load_profile("paper")
        >>> reading_hparams(profile, discover()["mtl"], "half-step").lr
        0.0005
    """
    readings = profile.readings.get(cls.name, {})
    if name not in readings:
        raise UserError(f"{cls.name} has no reading '{name}'", where=profile.path, remedy=did_you_mean(name, readings))
    reading = readings[name]
    specific = profile.methods.get(cls.name, {})
    chosen = {} if strict else {key: specific[key] for key in _overridden(profile, cls.name) if key in specific}
    settings = {**profile.method, **specific, **reading.set, **chosen}
    try:
        hparams = cls.HParams.model_validate(settings)
        if not reading.factor:
            return hparams
        scaled = {key: _scaled(profile, cls, name, hparams, key) for key in reading.factor}
        return cls.HParams.model_validate({**settings, **scaled})
    except ValidationError as error:
        prefix = f"readings.{cls.name}.{name}.set."
        raise settings_error(error, cls.HParams, profile.source, prefix=prefix) from error


def _overridden(profile: Profile, method: str) -> list[str]:
    """Settings of a method that `--set` gave, in `[methods.METHOD]`."""
    prefix = f"methods.{method}."
    return [key.removeprefix(prefix).split(".")[0] for key in profile.overridden if key.startswith(prefix)]


def _scaled(profile: Profile, cls: type[Method], name: str, hparams: Method.HParams, key: str) -> float:
    """A setting times the factor of a reading."""
    value = getattr(hparams, key, None) if key in cls.HParams.model_fields else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        numbers = [k for k, v in hparams if isinstance(v, int | float) and not isinstance(v, bool)]
        raise UserError(
            f"a factor of '{key}', which is no number, in the reading '{name}' of {cls.name}",
            where=profile.path,
            expected="a setting of the method whose value is a number",
            found=f"readings.{cls.name}.{name}.factor.{key}",
            remedy=did_you_mean(key, numbers),
        )
    return value * profile.readings[cls.name][name].factor[key]


def matching_reading(profile: Profile, cls: type[Method], hparams: Mapping[str, Any]) -> str:
    """Name of the first reading with exactly these settings of a method; "" if there is none.

    Args:
        profile: Settings of all methods.
        cls: The method.
        hparams: All settings, as JSON values.

    Raises:
        UserError: A setting of a reading is wrong.
    """
    made = {name: reading_hparams(profile, cls, name, strict=True) for name in profile.readings.get(cls.name, {})}
    return next((name for name, settings in made.items() if settings.model_dump(mode="json") == hparams), "")


def reading_variant(overrides: Sequence[str], method: str, name: str, own: str) -> str:
    """Content of `Trial.variant` for a reading that is not the profile's own settings.

    Args:
        overrides: The overrides that changed the profile.
        method: Name of the method.
        name: Name of the reading.
        own: Overrides of the method's settings.

    Example:
        >>> reading_variant(["readings.mal.prose.set.beta=0.1"], "mal", "prose", "alpha=0.2")
        'reading prose; beta=0.1; alpha=0.2'
    """
    prefix = f"readings.{method}.{name}."
    changed = [o.removeprefix(prefix).removeprefix("set.") for o in overrides if o.startswith(prefix)]
    return "; ".join([f"{READING}{name}", *changed, *([own] if own else [])])
