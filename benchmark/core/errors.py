"""Errors that a user can cause, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal


class UserError(Exception):
    """A mistake in input, settings or environment that the user can correct.

    The command line prints it as one block, without a traceback, and exits with status 2.

    Args:
        what: One sentence: what is wrong.
        where: File or other place of the mistake.
        line: 1-based line in `where`, if there is one.
        expected: Correct content of that place.
        found: Present content of that place.
        remedy: Action that corrects the mistake.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        line: int | None = None,
        expected: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else f"{where}:{line}" if line is not None else str(where)
        self.expected = expected
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        rows = [
            ("where", self.where),
            ("expected", self.expected),
            ("found", self.found),
            ("remedy", self.remedy),
        ]
        return "\n".join([self.what, *(f"  {name + ':':<10}{text}" for name, text in rows if text is not None)])


class Interrupted(Exception):
    """Work that stopped on request and can be resumed."""


class Abandoned(Exception):
    """Work that stopped without writing anything, because another process has taken it over."""


def did_you_mean(name: str, known: Iterable[str], *, below: str = "") -> str:
    """Remedy for an unknown name: the most similar of the `known` names, and a list of all of them.

    Case is ignored. Two swapped neighbouring letters count as the smallest mistake, the end of one known name alone as
    the largest.

    Args:
        name: The name that was given.
        known: The names that there are.
        below: Text before the name in the suggestion, such as the section of a setting.

    Example:
        >>> did_you_mean("MLA", ["mal", "mtl"])
        "did you mean 'mal'? known: mal, mtl"
        >>> did_you_mean("1", ["part1", "part2"])
        "did you mean 'part1'? known: part1, part2"
    """
    options = sorted(known)
    given, lower = name.lower(), {option.lower(): option for option in options}
    swapped = (given[:i] + given[i + 1] + given[i] + given[i + 2 :] for i in range(len(given) - 1))
    exact = [lower[variant] for variant in (given, *swapped) if variant in lower]
    near = exact or [lower[match] for match in difflib.get_close_matches(given, lower, n=1, cutoff=0.5)]
    ending = [lower[option] for option in lower if given and option.endswith(given)]
    near = near or (ending if len(ending) == 1 else [])
    listing = ", ".join(options) or "none"
    return f"did you mean '{below}{near[0]}'? known: {listing}" if near else f"known: {listing}"


def near_keys(key: str, labels: Mapping[str, str], most: int = 5) -> str:
    """The trials whose keys are most like one that there is not, for an error.

    Args:
        key: The key that was asked for.
        labels: Label of each trial, by its key.
        most: Largest number of trials to name.

    Example:
        >>> near_keys("ab1", {"ab12": "stl part1", "ffff": "mal part1"}, most=1)
        'ab12 (stl part1); and 1 more'
        >>> near_keys("ab1", {})
        'no trial'
    """
    likeness = {known: difflib.SequenceMatcher(None, key, known).ratio() for known in labels}
    ordered = sorted(labels, key=lambda known: (not known.startswith(key), -likeness[known]))
    named = [f"{known} ({labels[known]})" for known in ordered[:most]]
    more = [f"and {len(ordered) - most} more"] if len(ordered) > most else []
    return "; ".join([*named, *more]) or "no trial"


def wrong_path(path: Path, wanted: Literal["file", "folder"], *, expected: str | None = None, remedy: str) -> UserError:
    """The error for a path where there is nothing, or a thing of the other kind.

    Args:
        path: The path.
        wanted: The kind of thing that should be there.
        expected: What it should hold.
        remedy: Action that corrects the mistake.

    Example:
        >>> str(wrong_path(Path("absent.csv"), "file", remedy="name another")).splitlines()[0]
        'no such file'
    """
    kind = "folder" if path.is_dir() else "file"
    what = f"a {kind} in the place of a {wanted}" if path.exists() else f"no such {wanted}"
    return UserError(what, where=path, expected=expected, remedy=remedy)
