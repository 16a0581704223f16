"""The methods, one file each, and the registry that finds them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.core.errors import UserError, did_you_mean
from methods.base import Method

PACKAGE = Path(__file__).parent


class Registry(Mapping[str, type[Method]]):
    """Registered methods by name; an unknown name is an error that suggests the nearest.

    Args:
        methods: Those that tables have.
        stages: Those that must be done before one of them.
    """

    def __init__(self, methods: Mapping[str, type[Method]], stages: Mapping[str, type[Method]] | None = None) -> None:
        self._methods = dict(sorted(methods.items()))
        self._all = {**(stages or {}), **self._methods}

    def __getitem__(self, name: str) -> type[Method]:
        if name not in self._methods:
            raise self._unknown(name)
        return self._methods[name]

    def __contains__(self, name: object) -> bool:
        return name in self._methods

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)

    def any(self, name: str) -> type[Method]:
        """A method or a stage.

        Raises:
            UserError: It is neither.
        """
        if name not in self._all:
            raise self._unknown(name)
        return self._all[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Of methods and stages."""
        return tuple(self._all)

    def _unknown(self, name: str) -> UserError:
        return UserError(
            f"unknown method '{name}'",
            expected="the name of a file in methods/ that registers a method",
            found=repr(name),
            remedy=did_you_mean(name, self._methods),
        )


def source_files(cls: type[Method]) -> tuple[Path, ...]:
    """The files of `methods/` that can change a method's results: its own, and what it imports from there."""
    found, waiting = set[Path](), [Path(inspect.getfile(cls))]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named: list[str] = []
            if isinstance(node, ast.ImportFrom):
                start = ".".join(filter(None, ("methods" if node.level else "", node.module)))
                named = [start, *(f"{start}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            files = [PACKAGE / f"{name.split('.')[1]}.py" for name in named if name.startswith("methods.")]
            waiting += [f for f in files if f.is_file()]
    return tuple(sorted(found))


def discover(package: str = __name__, folder: Path = PACKAGE) -> Registry:
    """Import every file of the package and collect the classes marked by `register` or `stage`.

    A file without such a class is support code. The name of a method is the name of its file.

    Args:
        package: Name of an importable package.
        folder: Where its files are.

    Raises:
        UserError: A file cannot be imported, a name stands twice, a name is not that of its file, or what is
            registered is no method. A broken file never leaves the table silently.
    """
    found: dict[str, type[Method]] = {}
    for module_info in pkgutil.iter_modules([str(folder)]):
        file = folder / f"{module_info.name}.py"
        try:
            module = importlib.import_module(f"{package}.{module_info.name}")
        except Exception as error:  # whatever the file raises
            raise UserError(
                "a method file cannot be imported",
                where=file,
                found=f"{type(error).__name__}: {error}",
                remedy="mend the file, or take it out of methods/",
            ) from error
        for cls in vars(module).values():
            if not isinstance(cls, type) or cls.__module__ != module.__name__ or "paper_row" not in vars(cls):
                continue
            if not issubclass(cls, Method):
                raise UserError(
                    "a registered class is no method",
                    where=file,
                    expected="a subclass of methods.base.Method",
                    found=cls.__name__,
                    remedy="derive it from Method",
                )
            if cls.name != module_info.name:
                clash = cls.name in found or (folder / f"{cls.name}.py").is_file()
                raise UserError(
                    f"the method name '{cls.name}' {'is taken' if clash else 'is not the name of its file'}",
                    where=file,
                    expected=f'@register("{module_info.name}", ...)',
                    found=f'@register("{cls.name}", ...)',
                    remedy="a file in methods/ holds one method, and both have one name",
                )
            if cls.name in found:
                raise UserError(
                    f"the method name '{cls.name}' is taken",
                    where=file,
                    expected="one registered class in a file",
                    found=f"{found[cls.name].__name__} and {cls.__name__}",
                    remedy="give each method a file of its own",
                )
            found[cls.name] = cls
    return Registry(
        {name: cls for name, cls in found.items() if not cls.is_stage},
        {name: cls for name, cls in found.items() if cls.is_stage},
    )
