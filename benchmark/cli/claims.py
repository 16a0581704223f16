"""`malbench claims`: the paper's claims on its own tables and on our runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import DEFAULT_REPORTS, JsonFlag, LastReport, NamedRuns, ResultsFile
from benchmark.core.errors import UserError
from benchmark.core.words import counted

if TYPE_CHECKING:
    from benchmark.report.claims import JudgedClaim, OurOutcome

BY_ONE = "by one reading alone"
REPEATED = 3
"""Smallest number of claims with one reason for no answer that are listed together, below the others."""


def claims(
    runs: NamedRuns = None,
    out: LastReport = DEFAULT_REPORTS,
    results: ResultsFile = None,
    paper: Annotated[bool, typer.Option("--paper", help="The paper's printed tables alone.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the paper's claims: whether its own tables bear them out, and what our runs say."""
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding

    from benchmark.api.results import find_results, judge_paper_claims

    if paper and results is not None:
        raise UserError(
            "--paper judges the printed tables alone, and --results names results of ours",
            remedy="leave one of the two out",
        )
    console = Console()
    found = None if paper else find_results(runs, out, results)
    judged = judge_paper_claims(None if found is None else found.results)
    if found is not None and found.notice:
        # Programs read JSON alone from the output.
        (Console(stderr=True) if as_json else console).print(escape(found.notice), soft_wrap=True)
    if as_json:
        console.out(json.dumps([claim.as_json() for claim in judged], indent=2, allow_nan=False), highlight=False)
        return
    together = reasons(judged)
    for judgement in judged:
        console.print(
            f"[bold]{judgement.claim.id}[/bold] §{judgement.claim.section}: {escape(judgement.claim.text)}",
            soft_wrap=True,
        )
        for line in _lines(judgement, together):
            console.print(Padding(escape(line), (0, 0, 0, 4)))
    for (where, reason), ids in together.items():
        console.print(escape(f"{where}: cannot say. {reason}: {', '.join(ids)}"), soft_wrap=True)
    for line in totals(judged):
        console.print(escape(line), soft_wrap=True)


def _lines(judgement: JudgedClaim, together: dict[tuple[str, str], list[str]]) -> Iterator[str]:
    """Outcomes of a claim, without those that stand together below."""
    for reading in judgement.readings:
        read = f", read as {reading.name}" if reading.name else ""
        shown = [("printed tables", reading.printed)]
        shown += [(_where(our), our.outcome) for our in reading.ours if _reason(our) not in together]
        for name, outcome in shown:
            chance = "" if outcome.probability is None else f" ({100 * outcome.probability:.0f} % of the draws)"
            said = {True: "yes", False: "no", None: "cannot say"}[outcome.holds]
            yield f"{name}{read}: {said}{chance}. {outcome.evidence}"


def reasons(judged: Iterable[JudgedClaim]) -> dict[tuple[str, str], list[str]]:
    """Claims that our runs cannot answer for one and the same reason, by the runs and the reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for judgement in judged:
        for reason in dict.fromkeys(_reason(our) for reading in judgement.readings for our in reading.ours):
            found.setdefault(reason, []).append(judgement.claim.id)
    return {reason: ids for reason, ids in found.items() if reason[1] and len(ids) >= REPEATED}


def totals(judged: Sequence[JudgedClaim]) -> list[str]:
    """Numbers of claims by outcome: on the printed tables, and on each set of runs."""
    lines = [f"{counted(len(judged), 'claim')} on the printed tables: {_numbers(judged)}"]
    for place, our in enumerate(judged[0].readings[0].ours if judged else ()):
        outcomes = [[reading.ours[place].outcome.holds for reading in claim.readings] for claim in judged]
        lines.append(f"{counted(len(judged), 'claim')} on our runs, {_where(our)}: {_summed(outcomes)}")
    return lines


def _numbers(judged: Sequence[JudgedClaim]) -> str:
    return _summed([[reading.printed.holds for reading in claim.readings] for claim in judged])


def _summed(outcomes: Iterable[Sequence[bool | None]]) -> str:
    """Numbers of claims, each from the outcomes of its readings."""
    numbers = Counter(_outcome(of_claim) for of_claim in outcomes)
    words = ("yes", "no", BY_ONE, "cannot say")
    return ", ".join(f"{numbers[word]} {word}" for word in words)


def _outcome(readings: Sequence[bool | None]) -> str:
    said: set[bool | None] = set(readings)
    if {True, False} <= said:
        return BY_ONE
    return "yes" if said == {True} else "no" if said == {False} else "cannot say"


def _where(our: OurOutcome) -> str:
    return f"{our.runs}{f'; {our.standing}' if our.standing else ''}"


def _reason(our: OurOutcome) -> tuple[str, str]:
    """The runs, and why they cannot answer; no reason if they can."""
    return _where(our), our.outcome.evidence if our.outcome.holds is None else ""
