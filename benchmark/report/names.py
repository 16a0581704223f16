"""Names that rows from outside may not have: those of our methods and of the paper's rows."""

from __future__ import annotations

import re
import unicodedata

from benchmark import datasets
from benchmark.core.errors import UserError
from benchmark.paper.tables import paper_table
from benchmark.report.ours import ALL_POSITIVE
from methods.catalog import marks

LONGEST_NAME = 100
_CLAIM = re.compile(r"\((?:[^)]*\b)?(?:ours|paper|stand-in|submitted)\b", flags=re.IGNORECASE)
"""Words in brackets that the report itself writes behind a name."""


def check_name(name: str) -> None:
    """Refuse a name of rows that no table can hold, or that readers would take for another row.

    Raises:
        UserError: The name is empty, long or unprintable; it is that of a method or of a row of the paper, however it
            is spelled; or it says of itself whose it is.

    Example:
        >>> check_name("my detector")
        >>> check_name("s.t.l.")
        Traceback (most recent call last):
        benchmark.core.errors.UserError: the name of the rows is taken...
    """
    if not (name and name.isprintable() and len(name) <= LONGEST_NAME):
        raise UserError(
            "the name of the rows cannot be used",
            expected=f"1 to {LONGEST_NAME} printable characters",
            found=repr(name)[:80],
            remedy="choose another with --name",
        )
    taken = {_spelling(known): known for known in sorted(_reserved(), reverse=True)}
    if _spelling(name) in taken or not _spelling(name):
        raise UserError(
            "the name of the rows is taken",
            expected="a name of your own",
            found=f"{name!r}, which readers would take for {taken.get(_spelling(name), 'no name at all')}",
            remedy="choose another with --name; say whose it is, for example 'STL of Lee 2024'",
        )
    if _CLAIM.search(name):
        raise UserError(
            "the name of the rows says whose they are, which the report does",
            expected="a name without (ours), (paper), (stand-in) or (submitted)",
            found=repr(name),
            remedy="choose another with --name",
        )


def _reserved() -> set[str]:
    """Names of methods, controls, stages, rows of the paper, and the all-positive detector."""
    names = {ALL_POSITIVE}
    for name, mark in marks().items():
        names |= {name, str(mark.options.get("paper_row") or name)}
    for dataset, cls in datasets.au_classes().items():
        if cls.printed is not None:
            names |= {row.method for row in paper_table(dataset).rows}
    return names


def _spelling(name: str) -> str:
    """A name without case, spaces and signs, so that other spellings of it are the same."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())
