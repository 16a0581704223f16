"""Profiles: TOML files with the settings of trials, and overrides from the command line."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from benchmark.config.names import PROFILES, dataset_names, profile_names
from benchmark.config.settings import Profile, Source
from benchmark.core.errors import UserError, did_you_mean, wrong_path
from benchmark.core.files import parse_toml, regular

_INTERNAL = ("name", "path", "sections", "overridden")
"""Fields of `Profile` that no file may set."""


def load_profile(name: str, overrides: list[str] | tuple[str, ...] = ()) -> tuple[Profile, tuple[str, ...]]:
    """Read a profile and apply overrides.

    Args:
        name: A profile of the suite, or the path of a TOML file.
        overrides: `KEY=VALUE` strings. The key is a dotted path in the file (`train.steps`, `methods.mal.beta`).
            The value is TOML or, if it is no valid TOML, plain text. `method.lr=X` holds for every method, also for
            those whose own rate the profile names; `methods.mal.lr=Y` beside it is MAL's.

    Returns:
        The profile, and the overrides that change its trials, normalised and sorted.

    Raises:
        UserError: No such profile, no TOML, an unknown key, or a value of the wrong type.

    Example:
        >>> profile, changed = load_profile("smoke", ["train.steps=5"])
        >>> profile.train.steps, changed
        (5, ('train.steps=5',))
    """
    path = _find(name)
    text, raw = _read(path)
    base = _validated(raw, Source(path, text))
    first, changed = dict[str, Any](), dict[str, str]()
    # What holds for all methods comes first, so that what is said of one method wins in any order.
    for override in sorted(overrides, key=lambda text: not text.strip().startswith("method.")):
        key, value = _parse_override(override)
        dotted, before = str(key), _lookup(raw, key)
        # Of a key that is named twice the last value counts, beside that before the first.
        before = first.setdefault(dotted, _default(base, key) if before is None else before)
        changed.pop(dotted, None)
        _assign(raw, key, value)
        replaced = _replace_own(raw, key)
        if (before != value or replaced) and key[0] != "slurm":  # the place where a trial runs changes no result
            changed[dotted] = f"{dotted}={value if isinstance(value, str) else _toml(value)}"
    overridden = tuple(override.partition("=")[0].strip() for override in overrides)
    profile = _validated(raw, Source(path, text, overridden))
    said = tuple(sorted(changed.values())) if profile != base else ()
    return profile.model_copy(update={"overridden": overridden}), said


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and content of a TOML file."""
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            "the profile is not text",
            where=path,
            expected="UTF-8",
            found=str(error),
            remedy="save it as UTF-8, or start from a copy of a profile in benchmark/config/profiles/",
        ) from error
    try:
        return text, parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise UserError(
            "the profile is not TOML",
            where=path,
            line=int(line[1]) if line else None,
            found=str(error),
            remedy="mend that line, or start from a copy of a profile in benchmark/config/profiles/",
        ) from error


def _find(name: str) -> Path:
    shipped = PROFILES / f"{name}.toml"
    if shipped.is_file():
        return shipped
    if name.endswith(".toml"):
        if Path(name).is_file():
            return Path(name)
        raise wrong_path(Path(name), "file", expected="a profile", remedy="correct --profile")
    raise UserError(
        f"unknown profile '{name}'",
        remedy=did_you_mean(name, profile_names()) + "; or the path of a .toml file",
    )


def _parse_override(text: str) -> tuple[_Key, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"cannot read --set {text}",
            expected="--set KEY=VALUE",
            remedy="for example --set train.steps=100",
        )
    try:
        parsed = parse_toml(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return _Key(key.strip().split(".")), parsed


class _Key(tuple[str, ...]):
    """A key path that prints with dots."""

    def __str__(self) -> str:
        return ".".join(self)


def _lookup(tree: dict[str, Any], key: tuple[str, ...]) -> Any:
    node: Any = tree
    for name in key:
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    return node


def _default(profile: Profile, key: tuple[str, ...]) -> Any:
    """Value of a setting that the file may leave out; None for one of a method, which has its default elsewhere."""
    node: Any = profile
    for name in key:
        node = node.get(name) if isinstance(node, dict) else getattr(node, name, None)
    return list(node) if isinstance(node, tuple) else node


def _assign(tree: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    node = tree
    for name in key[:-1]:
        if not isinstance(node.setdefault(name, {}), dict):
            raise UserError(
                f"unknown setting '{'.'.join(key)}'",
                where=f"--set {'.'.join(key)}",
                found=f"{name}, which holds a value and no further settings",
                remedy="leave away what follows it: --set " + ".".join(key[: key.index(name) + 1]) + "=VALUE",
            )
        node = node[name]
    # A budget in steps replaces one in epochs, and vice versa.
    budget = {"steps": "epochs", "epochs": "steps"}
    if len(key) == 2 and key[0] == "train" and key[1] in budget:
        node.pop(budget[key[1]], None)
    node[key[-1]] = value


def _replace_own(tree: dict[str, Any], key: tuple[str, ...]) -> bool:
    """Let an override of a setting of all methods replace what the profile says of single ones; whether it did."""
    methods = tree.get("methods")
    if key[0] != "method" or len(key) != 2 or not isinstance(methods, dict):
        return False
    owners = [own for own in methods.values() if isinstance(own, dict) and key[1] in own]
    for own in owners:
        del own[key[1]]
    return bool(owners)


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _validated(raw: dict[str, Any], source: Source) -> Profile:
    known = {*dataset_names()}
    # The table of a dataset is validated by the dataset, when it is opened.
    sections = {name: table for name, table in raw.items() if name in known and isinstance(table, dict)}
    others = {name: value for name, value in raw.items() if name not in sections}
    others |= {f"{name} (internal)": others.pop(name) for name in _INTERNAL if name in others}
    named = {"name": source.path.stem if source.path.parent == PROFILES else source.path.name, "path": str(source.path)}
    _refuse_endless(raw, source)
    try:
        return Profile.model_validate({**others, **named, "sections": sections})
    except ValidationError as error:
        raise settings_error(error, Profile, source) from error


def _refuse_endless(raw: Mapping[str, Any], source: Source, before: str = "") -> None:
    """Refuse numbers that are not finite, which TOML has.

    Raises:
        UserError: A value is infinite or no number.
    """
    for name, value in raw.items():
        dotted = f"{before}{name}"
        if isinstance(value, Mapping):
            _refuse_endless(value, source, f"{dotted}.")
        elif isinstance(value, float) and not math.isfinite(value):
            overridden = _is_overridden(dotted, source)
            raise UserError(
                f"a wrong value for the setting '{dotted}'",
                where=f"--set {dotted}" if overridden else source.path,
                line=None if overridden else _line_of(dotted, source.text),
                expected="a finite number",
                found=str(value),
                remedy=f"correct --set {dotted}=VALUE" if overridden else "correct it in the profile",
            )


def settings_error(error: ValidationError, model: type[BaseModel], source: Source, *, prefix: str = "") -> UserError:
    """First fault of a validation as a `UserError`, with its line and the most similar key.

    Args:
        error: Raised by pydantic.
        model: The validated model.
        source: The profile.
        prefix: Prefix of the model's keys in the profile, for instance `method.`.

    Example:
        >>> load_profile("smoke", ["train.stepz=5"])
        Traceback (most recent call last):
        benchmark.core.errors.UserError: unknown setting 'train.stepz'...
    """
    fault = error.errors()[0]
    names = [str(part) for part in fault["loc"] if not isinstance(part, int)]
    dotted = prefix + ".".join(names)
    where: Path | str = source.path
    line = _line_of(dotted, source.text) if names else None
    if names and fault["type"] != "missing" and _is_overridden(dotted, source):
        where, line = f"--set {dotted}", None
    if fault["type"] == "extra_forbidden":
        return UserError(
            f"unknown setting '{dotted}'",
            where=where,
            line=line,
            expected="a setting that exists",
            found=f"{dotted} = {fault['input']!r}"[:120],
            remedy=_right_setting(names, fault["input"], model, prefix if isinstance(where, str) else None),
        )
    overridden = isinstance(where, str)
    given = repr(fault["input"]) if fault["type"] != "missing" else "nothing"
    return UserError(
        f"a wrong value for the setting '{dotted}'" if names else "the settings do not fit together",
        where=where,
        line=line,
        expected=fault["msg"].removeprefix("Value error, ").removeprefix("Input should be "),
        found=given[:120] if names else None,
        remedy=f"correct --set {dotted}=VALUE" if overridden else "correct it in the profile, or with --set KEY=VALUE",
    )


def _right_setting(names: list[str], value: object, model: type[BaseModel], prefix: str | None) -> str:
    """Remedy for a setting that there is not.

    Args:
        names: Its key, split at the dots.
        value: Its value.
        model: Model of the settings that it is none of.
        prefix: Prefix of the model's keys on the command line; None in a profile, where the section is a heading.
    """
    fields = _fields_at(model, names[:-1])
    if prefix is None or model is not Profile or len(names) > 1 or isinstance(value, Mapping):
        return did_you_mean(names[-1], fields, below="" if prefix is None else prefix + _dotted(names[:-1]))
    # A key alone, without its section.
    name = names[0]
    known = {name: name for name in fields} | {
        key: f"{section}.{key}"
        for section, field in Profile.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in _fields_at(Profile, [section])
    }
    for options in (fields, known):  # one without a section first
        near = difflib.get_close_matches(name.lower(), options, n=1, cutoff=_ALIKE)
        if near:
            return f"did you mean '{known[near[0]]}'? most settings are named with their section, as train.steps is"
    return (
        f"did you mean 'methods.NAME.{name}' or 'method.{name}'? `malbench methods mal` lists the keys of a method; "
        f"sections: {', '.join(sorted(fields))}"
    )


_ALIKE = 0.8
"""Least likeness of a key without its section to one of another section."""


def _dotted(names: list[str]) -> str:
    return "".join(f"{name}." for name in names)


def _is_overridden(dotted: str, source: Source) -> bool:
    """Whether a key, a table that holds it or a key in it came from the command line."""
    return any(f"{dotted}.".startswith(f"{key}.") or key.startswith(f"{dotted}.") for key in source.overridden)


def _line_of(dotted: str, text: str) -> int | None:
    """Line of a key in a TOML file; for the settings of a reading, which are in one line, that of the reading."""
    first, *others = dotted.split(".")
    if first == "readings" and len(others) > 1:
        return _line_of_reading(text, *others[:2])
    key = re.compile(rf"\s*{re.escape(dotted.rpartition('.')[2])}\s*=")
    hits = [i for i, row in enumerate(text.splitlines(), 1) if key.match(row)]
    return hits[0] if len(hits) == 1 else None


def _line_of_reading(text: str, method: str, reading: str) -> int | None:
    """Line of a TOML file where a reading starts; None if it is written in another way than those of the suite."""
    table, name = rf"readings\.{re.escape(method)}", rf"[\"']?{re.escape(reading)}[\"']?"
    section = ""
    for number, row in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", row):
            section = re.sub(r"\s", "", header[1])
        if re.fullmatch(rf"{table}\.{name}", section) or (
            re.fullmatch(table, section) and re.match(rf"\s*{name}\s*=", row)
        ):
            return number
    return None


def _fields_at(model: type[BaseModel], names: list[str]) -> list[str]:
    for name in names:
        field = model.model_fields.get(name)
        if field is None:  # a name that the user chose, in a table of tables
            continue
        models = [t for t in _types_in(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
        if not models:
            return []
        model = models[0]
    fields = [name for name in model.model_fields if model is not Profile or name not in _INTERNAL]
    return [*fields, *dataset_names()] if model is Profile else fields


def _types_in(annotation: object) -> list[object]:
    """An annotation and its arguments, and theirs."""
    return [annotation, *(inner for argument in get_args(annotation) for inner in _types_in(argument))]
