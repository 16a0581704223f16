"""Errors that a user can cause, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Remedy for an unknown name: the most similar of the `known` names, and a list of all of them.

    Case is ignored. Two swapped neighbouring letters count as the smallest mistake.

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
