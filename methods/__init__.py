"""The methods, one file each, and the registry that finds them.

This package imports neither torch nor a method until `discover` is called.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from benchmark.core.errors import UserError
from methods.catalog import FOLDER, Kind, check_names, names, unknown_method
from methods.sources import all_source_files, source_files

if TYPE_CHECKING:
    from methods.base import Method

__all__ = ["Kind", "Registry", "all_source_files", "check_names", "discover", "names", "source_files"]


class Registry(Mapping[str, "type[Method]"]):
    """Registered methods by name; an unknown name is an error that suggests the nearest.

    Args:
        methods: The methods of the tables, and the controls.
        stages: Trainings that some of the methods start from.
    """

    def __init__(self, methods: Mapping[str, type[Method]], stages: Mapping[str, type[Method]] | None = None) -> None:
        self._methods = dict(sorted(methods.items()))
        self._all = {**(stages or {}), **self._methods}

    def __getitem__(self, name: str) -> type[Method]:
        if name not in self._methods:
            raise unknown_method(name, self._methods)
        return self._methods[name]

    def __contains__(self, name: object) -> bool:
        return name in self._methods

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)

    def any(self, name: str) -> type[Method]:
        """The method or the stage of this name.

        Raises:
            UserError: There is none.
        """
        if name not in self._all:
            raise unknown_method(name, self._methods)
        return self._all[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stages, then of the methods."""
        return tuple(self._all)


def discover(package: str = __name__, folder: Path = FOLDER) -> Registry:
    """Import every file of the package and collect the classes marked by `register` or `stage`.

    A file without such a class is support code. The name of a method is the name of its file.

    Args:
        package: Name of an importable package.
        folder: Folder with its files.

    Returns:
        The methods and the stages.

    Raises:
        UserError: A file cannot be imported, two classes have one name, a name is not that of its file, or a
            registered class is no method. A broken file is always an error: no method is missing silently.
    """
    classes: dict[str, type[Method]] = {}
    for module_info in pkgutil.iter_modules([str(folder)]):
        file = folder / f"{module_info.name}.py"
        module = _import(f"{package}.{module_info.name}", file)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == module.__name__ and "paper_row" in vars(cls):
                method = _checked(cls, file, classes)
                classes[method.name] = method
    return Registry(
        {name: cls for name, cls in classes.items() if not cls.is_stage},
        {name: cls for name, cls in classes.items() if cls.is_stage},
    )


def _import(name: str, file: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the file raises
        raise UserError(
            "a method file cannot be imported",
            where=file,
            found=f"{type(error).__name__}: {error}",
            remedy="mend the file, or take it out of methods/",
        ) from error


def _checked(cls: type, file: Path, classes: Mapping[str, type[Method]]) -> type[Method]:
    """A registered class of a file, if it is a method under the file's name and the first of this name."""
    from methods.base import Method  # noqa: PLC0415  # keeps `import methods` light: this imports torch

    if not issubclass(cls, Method):
        raise UserError(
            "a registered class is no method",
            where=file,
            expected="a subclass of methods.base.Method",
            found=cls.__name__,
            remedy="derive it from Method",
        )
    if cls.name != file.stem:
        clash = cls.name in classes or file.with_stem(cls.name).is_file()
        raise UserError(
            f"the method name '{cls.name}' {'is taken' if clash else 'is not the name of its file'}",
            where=file,
            expected=f'@register("{file.stem}", ...)',
            found=f'@register("{cls.name}", ...)',
            remedy="a file in methods/ holds one method, and both have one name",
        )
    if cls.name in classes:
        raise UserError(
            f"the method name '{cls.name}' is taken",
            where=file,
            expected="one registered class in a file",
            found=f"{classes[cls.name].__name__} and {cls.__name__}",
            remedy="give each method a file of its own",
        )
    return cls
