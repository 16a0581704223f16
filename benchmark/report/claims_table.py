"""Tables of the paper's claims, on its printed tables and on our runs."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.paper.expressions import Outcome
from benchmark.report.cells import Table, cells, table
from benchmark.report.claims import JudgedClaim, JudgedReading, OurOutcome

_SAYS = {True: "yes", False: "no", None: "cannot say"}
_CALCULATED = ("network(", "share_of_peak(")
"""Functions of the language of claims whose numbers we calculate: those of networks, and of what a card can do."""


@dataclass(frozen=True)
class ClaimsContext:
    """The paper's claims.

    Attributes:
        follow: Number of claims that follow from the printed tables.
        fail: Number of claims that the printed tables contradict.
        depend: Number of claims that follow by one fair reading and not by another.
        unknown: Number of claims that the printed tables cannot decide.
        table: All claims, judged on the printed tables and on our runs.
        short: All claims, judged on the printed tables only.
    """

    follow: int
    fail: int
    depend: int
    unknown: int
    table: Table
    short: Table


def claims_context(judged: tuple[JudgedClaim, ...]) -> ClaimsContext:
    """The tables of judged claims, and their numbers."""
    worlds = [our.runs for our in judged[0].ours]
    rows = []
    for judgement in judged:
        for i, reading in enumerate(judgement.readings):
            first = i == 0
            rows.append(
                cells(
                    f"{judgement.claim.id} (§{judgement.claim.section})" if first else "",
                    judgement.claim.text if first else "",
                    reading.name,
                    _outcome(reading.printed, _source(reading)),
                    *[_our_outcome(our, _source(reading)) for our in reading.ours],
                )
            )
    short = [
        cells(judgement.claim.id, f"§{judgement.claim.section}", _follows_in_words(judgement)) for judgement in judged
    ]
    return ClaimsContext(
        follow=sum(judgement.follows is True for judgement in judged),
        fail=sum(judgement.follows is False for judgement in judged),
        depend=sum(judgement.depends for judgement in judged),
        unknown=sum(judgement.follows is None and not judgement.depends for judgement in judged),
        table=table(
            ["claim", "text", "read as", "follows from the printed tables", *[f"ours: {name}" for name in worlds]],
            rows,
            words=True,
        ),
        short=table(["claim", "section", "follows from the printed tables"], short, words=True),
    )


def _source(reading: JudgedReading) -> str:
    """Mark of an outcome that rests on our calculation and on no printed number; "" for the others."""
    return ", by calculation" if any(name in reading.expression for name in _CALCULATED) else ""


def _follows_in_words(judgement: JudgedClaim) -> str:
    if not judgement.depends:
        return f"{_SAYS[judgement.follows]}{_source(judgement.readings[0])}"
    return "; ".join(
        f"{reading.name}: {_SAYS[reading.printed.holds]}{_source(reading)}" for reading in judgement.readings
    )


def _outcome(outcome: Outcome, source: str) -> str:
    chance = "" if outcome.probability is None else f" ({100 * outcome.probability:.0f} % of draws)"
    return f"{_SAYS[outcome.holds]}{source}{chance}: {outcome.evidence}"


def _our_outcome(our: OurOutcome, source: str) -> str:
    text = _outcome(our.outcome, source)
    return f"{our.standing}; {text}" if our.standing and our.outcome.holds is not None else text
