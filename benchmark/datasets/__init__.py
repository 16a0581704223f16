"""Datasets, a file or a folder each, and the functions that find and open them."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from benchmark.config.names import DATASET_DECORATORS
from benchmark.config.profile import settings_error
from benchmark.config.settings import Profile
from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.registry import read_marks

if TYPE_CHECKING:
    from benchmark.datasets.base import AuDataset, Dataset, FeDataset

FOLDER = Path(__file__).parent
_DECORATOR_OF = {"au": "au_dataset", "fe": "fe_dataset"}


def names(kind: Literal["au", "fe"], profile: Profile | None = None) -> tuple[str, ...]:
    """Names of the datasets of one kind, including those that a profile declares. No dataset is imported.

    Args:
        kind: `au` or `fe`.
        profile: Profile with declared datasets; None for the suite's datasets alone.

    Example:
        >>> names("fe")
        ('class_folders', 'fe_csv', 'rafdb')
    """
    shipped = {
        name for name, mark in read_marks(FOLDER, DATASET_DECORATORS).items() if mark.decorator == _DECORATOR_OF[kind]
    }
    declared = {} if profile is None else profile.datasets
    return tuple(sorted({*shipped, *(name for name, declaration in declared.items() if declaration.reader in shipped)}))


def check_name(name: str, kind: Literal["au", "fe"], profile: Profile | None = None) -> None:
    """Refuse an unknown dataset name, without importing any dataset.

    Args:
        name: Name of a dataset.
        kind: `au` or `fe`.
        profile: Profile with declared datasets; None for the suite's datasets alone.

    Raises:
        UserError: There is no such dataset of this kind.

    Example:
        >>> check_name("bp4d", "au")
        >>> check_name("bp4", "au")
        Traceback (most recent call last):
        benchmark.core.errors.UserError: unknown AU dataset 'bp4'
          ...
    """
    known = names(kind, profile)
    if name not in known:
        words = {"au": "AU dataset", "fe": "FE dataset"}[kind]
        known = tuple(one for one in known if not is_reader(one))
        if kind == "au" and name in names("fe", profile):
            raise UserError(
                f"'{name}' is an FE dataset, which is read beside an AU dataset",
                remedy=f"name an AU dataset ({', '.join(known)}), with --set data.fe={name} or data.fe in the profile",
            )
        raise UserError(
            f"unknown {words} '{name}'",
            remedy=f"{did_you_mean(name, known)}; or declare it in a profile: [datasets.{name}]",
        )


def is_reader(name: str) -> bool:
    """Whether a name is no dataset but a reader of datasets that a profile declares.

    Example:
        >>> is_reader("csv"), is_reader("bp4d")
        (True, False)
    """
    mark = read_marks(FOLDER, DATASET_DECORATORS).get(name)
    return mark is not None and bool(mark.options.get("reader"))


def open_au(name: str, profile: Profile) -> AuDataset:
    """Open an AU dataset with its settings from a profile.

    Args:
        name: Name of an AU dataset.
        profile: Profile with the settings and the declared datasets.

    Raises:
        UserError: No such dataset, or a wrong setting.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> open_au("bp4d", load_profile("smoke")[0]).protocol.aus[:3]
        (1, 2, 4)
    """
    from benchmark.datasets.base import AuDataset  # noqa: PLC0415  # keeps `import benchmark.datasets` light

    check_name(name, "au", profile)
    dataset = _open(name, profile)
    assert isinstance(dataset, AuDataset)
    return dataset


def open_fe(profile: Profile, name: str = "") -> FeDataset:
    """Open an FE dataset with its settings from a profile.

    Args:
        profile: Profile with the settings and the declared datasets.
        name: Name of an FE dataset; "" for the profile's `data.fe`.

    Raises:
        UserError: No such dataset, or a wrong setting.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> open_fe(load_profile("smoke")[0]).folder
        'RAF-DB'
    """
    from benchmark.datasets.base import FeDataset  # noqa: PLC0415  # as above

    name = name or profile.data.fe
    check_name(name, "fe", profile)
    dataset = _open(name, profile)
    assert isinstance(dataset, FeDataset)
    return dataset


def check_settings(profile: Profile) -> None:
    """Validate the settings of every dataset in a profile, whether it is used or not.

    Raises:
        UserError: An unknown reader, an unknown setting or a wrong value.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> check_settings(load_profile("paper")[0])
    """
    known = (*names("au"), *names("fe"))
    for name, declared in profile.datasets.items():
        if declared.reader not in known:
            raise UserError(
                f"unknown reader '{declared.reader}' of the dataset '{name}'",
                where=profile.path,
                remedy=did_you_mean(declared.reader, known),
            )
        if name in known:
            raise UserError(
                f"the name '{name}' is taken by a dataset of the suite",
                where=profile.path,
                remedy=f"declare [datasets.{name}] under another name, or write its settings under [{name}]",
            )
    for name in (*profile.sections, *profile.datasets):
        _open(name, profile)


def source_files(dataset: Dataset) -> tuple[Path, ...]:
    """Python files of a dataset: its file, or all files of its folder.

    Example:
        >>> from benchmark.config.profile import load_profile
        >>> [file.name for file in source_files(open_fe(load_profile("smoke")[0]))]
        ['__init__.py', 'layout.py', 'reader.py', 'standin.py']
    """
    file = read_marks(FOLDER, DATASET_DECORATORS)[dataset.registered].file
    return tuple(sorted(file.parent.glob("*.py"))) if file.name == "__init__.py" else (file,)


def registered_class(name: str) -> type[Dataset]:
    """Class of a dataset of the suite.

    Raises:
        UserError: Its file cannot be imported, or registers the class under another name.

    Example:
        >>> registered_class("gft").title
        'GFT'
    """
    from benchmark.datasets.base import Dataset  # noqa: PLC0415  # as above

    mark = read_marks(FOLDER, DATASET_DECORATORS)[name]
    module_name = mark.file.parent.name if mark.file.name == "__init__.py" else mark.file.stem
    if module_name != name:
        raise UserError(
            f"the dataset name '{name}' is not the name of its file",
            where=mark.file,
            expected=f'@{mark.decorator}("{module_name}")',
            found=f'@{mark.decorator}("{name}")',
            remedy="give the file and the dataset one name",
        )
    return _import(name, mark.file, Dataset)


def au_classes() -> dict[str, type[AuDataset]]:
    """Classes of the suite's AU datasets, by name.

    Raises:
        UserError: A file cannot be imported, or registers its class under another name.

    Example:
        >>> [name for name, cls in au_classes().items() if cls.printed is not None]
        ['bp4d', 'disfa', 'gft']
    """
    from benchmark.datasets.base import AuDataset  # noqa: PLC0415  # as above

    classes = {name: registered_class(name) for name in names("au")}
    return {name: cls for name, cls in classes.items() if issubclass(cls, AuDataset)}


@cache
def _import(name: str, file: Path, base: type[Dataset]) -> type[Dataset]:
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except UserError:
        raise
    except Exception as error:  # the file can raise anything
        raise UserError(
            "a dataset file cannot be imported",
            where=file,
            found=f"{type(error).__name__}: {error}",
            remedy="mend the file, or take it out of benchmark/datasets/",
        ) from error
    classes = [c for c in vars(module).values() if isinstance(c, type) and vars(c).get("registered") == name]
    if len(classes) != 1 or not issubclass(classes[0], base):
        raise UserError(
            f"the file of the dataset '{name}' registers no dataset",
            where=file,
            expected="one subclass of AuDataset or FeDataset",
            found=", ".join(c.__name__ for c in classes) or "none",
            remedy="derive the class from benchmark.datasets.base.AuDataset or FeDataset",
        )
    return classes[0]


def _open(name: str, profile: Profile) -> Dataset:
    declared = profile.datasets.get(name)
    cls = registered_class(declared.reader if declared is not None else name)
    raw = profile.sections.get(name, {}) if declared is None else (declared.model_extra or {})
    prefix = f"{name}." if declared is None else f"datasets.{name}."
    try:
        settings = cls.Settings.model_validate(raw)
    except ValidationError as error:
        raise settings_error(error, cls.Settings, profile.source, prefix=prefix) from error
    return cls(name, settings)
