"""The paper's claims: our list of sentences of its text, each with one or several fair readings as an expression."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class ClaimReading:
    """One fair reading of a claim.

    Attributes:
        name: Name of the reading; "" if the claim has one alone.
        expression: The reading, in the language of `benchmark.paper.expressions`.
    """

    name: str
    expression: str


@dataclass(frozen=True)
class Claim:
    """One claim of the paper's text.

    Attributes:
        id: Its name here, such as `C07`.
        section: Section of the paper.
        text: The claim, in our words.
        readings: Fair readings, the strict one first.
    """

    id: str
    section: str
    text: str
    readings: tuple[ClaimReading, ...]


@cache
def paper_claims() -> tuple[Claim, ...]:
    """All claims, in order."""
    text = (resources.files("benchmark.paper") / "claims.csv").read_text(encoding="utf-8")
    claims: dict[str, Claim] = {}
    for row in csv.DictReader(text.splitlines()):
        first = claims.get(row["id"])
        readings = (*(first.readings if first else ()), ClaimReading(row["reading"], row["expression"]))
        section, words = (first.section, first.text) if first else (row["section"], row["claim"])
        claims[row["id"]] = Claim(row["id"], section, words, readings)
    return tuple(claims.values())
