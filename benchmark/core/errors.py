"""The one form of an error that a user can cause, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """A mistake in input, settings or environment that the user can mend.

    The command line prints it as one block, without a traceback, and exits with status 2.

    Args:
        what: One sentence: what is wrong.
        where: File, or any other place a reader can look at.
        line: 1-based line in `where`, if there is one.
        expected: What should have stood there.
        found: What stands there.
        remedy: What to do about it.
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
    """Work that was asked to stop, and stopped where it can be taken up again."""


class Abandoned(Exception):
    """Work that another process has taken over, and that stopped without a trace."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A remedy for an unknown `name`: the nearest of the `known` names, or all of them.

    Upper case counts as lower case, and two letters that changed places are the smallest mistake.

    Example:
        >>> did_you_mean("MLA", ["mal", "mtl"])
        "did you mean 'mal'? known: mal, mtl"
    """
    options = sorted(known)
    given, lower = name.lower(), {option.lower(): option for option in options}
    swapped = (given[:i] + given[i + 1] + given[i] + given[i + 2 :] for i in range(len(given) - 1))
    exact = [lower[variant] for variant in (given, *swapped) if variant in lower]
    near = exact or [lower[match] for match in difflib.get_close_matches(given, lower, n=1, cutoff=0.5)]
    listing = ", ".join(options) or "none"
    return f"did you mean '{near[0]}'? known: {listing}" if near else f"known: {listing}"
