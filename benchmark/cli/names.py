"""Names at the command line: in any case, and completed by the shell. No method and no torch is imported for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmark.config.names import DATASETS, dataset_names, profile_names
from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.registry import read_marks
from benchmark.study.names import plan_names
from methods.catalog import names as method_names

METHOD_SETS = ("paper", "beyond", "controls", "all")
"""Names of sets of methods."""
PARTS = ("part1", "part2", "part3", "test")
"""Test parts of the suite's datasets; `test` is GFT's."""


def au_datasets() -> tuple[str, ...]:
    """Names of the suite's AU datasets, without readers for datasets that a profile declares."""
    return tuple(name for name, mark in read_marks(DATASETS, ("au_dataset",)).items() if "reader" not in mark.options)


def methods_and_sets() -> tuple[str, ...]:
    """Names of methods, and of sets of them."""
    return (*method_names(), *METHOD_SETS)


def all_methods() -> tuple[str, ...]:
    """Names of methods and of the stages that some of them start from."""
    return (*method_names(), *method_names("stage"))


def in_known_case(text: str, known: Iterable[str]) -> str:
    """A name as the suite spells it, whatever its case and hyphens; a name that is not known stays as it is.

    Example:
        >>> in_known_case("L2T-WW", ["mal", "l2t_ww"]), in_known_case("Mine", ["mal"])
        ('l2t_ww', 'Mine')
    """
    spelled = {_plain(name): name for name in known}
    return spelled.get(_plain(text), text)


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")


def dataset_of(text: str) -> str:
    """Name of a dataset."""
    return in_known_case(text, dataset_names())


def method_of(text: str) -> str:
    """Name of a method, of a set of methods, or of a stage."""
    return in_known_case(text, (*all_methods(), *METHOD_SETS))


def part_of(text: str) -> str:
    """Name of a test part.

    Raises:
        UserError: The text names several.
    """
    return in_known_case(_one(text, "--part"), PARTS)


def one_method_of(text: str) -> str:
    """Name of one method or of a set of them, for an option that is repeated for several.

    Raises:
        UserError: The text names several.
    """
    return method_of(_one(text, "--method"))


def only_method_of(text: str) -> str:
    """Name of one method, for an option that takes one alone.

    Raises:
        UserError: The text names several.
    """
    return method_of(_one(text, "--method", repeatable=False))


def _one(text: str, option: str, *, repeatable: bool = True) -> str:
    """The text, if it is one name.

    Raises:
        UserError: It names several.
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) > 1:
        raise UserError(
            f"several names in one {option}",
            where=option,
            found=repr(text)[:80],
            remedy=f"repeat the option: {' '.join(f'{option} {name}' for name in names if name)}"
            if repeatable
            else f"name one of them: {option} {names[0]}",
        )
    return text


def profile_of(text: str) -> str:
    """Name of a profile, or path of one."""
    return in_known_case(text, profile_names())


def plan_of(text: str) -> str:
    """Name of a study, or path of a plan."""
    return in_known_case(text, plan_names())


def datasets_of(text: str) -> str:
    """Names of datasets, with commas."""
    return ",".join(dataset_of(name.strip()) for name in text.split(","))


def methods_of(text: str) -> str:
    """Names of methods, with commas."""
    return ",".join(method_of(name.strip()) for name in text.split(","))


def seed_of(text: str) -> int:
    """A seed.

    Raises:
        UserError: The text is no seed.
    """
    text = str(text)  # also the default, which is a number
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise UserError(
            "this is not a seed",
            where="--seed",
            expected="a whole number from 0 to 9223372036854775807",
            found=repr(text)[:80],
            remedy="for example --seed 0; repeat the option for several: --seed 0 --seed 1",
        )
    return int(text)


def completing(known: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Completion of one name."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in known() if _plain(name).startswith(_plain(incomplete))]

    return complete


def completing_list(known: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Completion of the last of several names with commas."""
    one = completing(known)

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in one(last)]

    return complete


def check_known(name: str, known: Iterable[str], what: str) -> None:
    """Refuse a name that is not known.

    Raises:
        UserError: It is not, with the most similar one as remedy.
    """
    names = tuple(known)
    if name and name not in names:
        raise UserError(f"unknown {what} '{name}'", remedy=did_you_mean(name, names))
