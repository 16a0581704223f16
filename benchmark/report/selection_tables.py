"""Tables and sentences of the audit: honest rules, rules that look at test labels, optimism, order of the methods."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmark.audit.rules import HONEST, LOOKING, NORMALISED, OURS
from benchmark.report.cells import UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.ours import ONE_TRAINING
from benchmark.report.selection import AuditedGroup, AuditedRow
from benchmark.stats.crossed import Difference

NOTHING = "no snapshots stored: run with train.snapshots"
TITLES = {rule.name: rule.title for rule in (*HONEST, *LOOKING)} | NORMALISED
"""Titles of the rules by name."""
_LOOKING = {rule.name: rule for rule in LOOKING}
VOTE = "vote_test"
"""The rule that chooses a vote. Its honest counterpart may lose by its own vote, so their distance is not what the
labels are worth."""


@dataclass(frozen=True)
class SelectionContext:
    """The audit of one group.

    Attributes:
        title: Title of the group.
        is_empty: Whether no trial of the group has snapshots.
        answer: The answer in a few sentences.
        notes: What limits it, a sentence each.
        honest: Rules that see no test label.
        looking: Rules that look at test labels.
        optimism: What looking is worth, above the honest rule of the same kind.
        order: Order of the methods, and MAL − MTL, under each rule; None for fewer than two methods.
    """

    title: str
    is_empty: bool
    answer: tuple[str, ...]
    notes: tuple[str, ...]
    honest: Table
    looking: Table
    optimism: Table
    order: Table | None


def selection_context(audited: AuditedGroup, title: str) -> SelectionContext:
    """Tables and sentences of the audit of one group.

    Args:
        audited: The group.
        title: Its title.
    """
    several = len(audited.rows) > 1
    return SelectionContext(
        title=title,
        is_empty=not audited.rows,
        answer=tuple(_answer(audited)) if audited.rows else (),
        notes=tuple(_notes(audited)) if audited.rows else (),
        honest=_rule_table(audited, looking=False),
        looking=_rule_table(audited, looking=True),
        optimism=_optimism_table(audited),
        order=_order_table(audited) if several else None,
    )


def _rule_table(audited: AuditedGroup, *, looking: bool) -> Table:
    """F1 of every row under each rule of a block, and its distance from this suite's rule."""
    rows = []
    for rule in audited.rules:
        if (rule in _LOOKING) != looking:
            continue
        code = [Cell(_LOOKING[rule].code)] if looking else []
        rows.append([Cell(TITLES[rule]), *[_value(audited, row, rule) for row in audited.rows], *code])
    header = ["rule", *[row.name for row in audited.rows], *(["released code that does it"] if looking else [])]
    return table(header, rows, words=looking)


def _value(audited: AuditedGroup, row: AuditedRow, rule: str) -> Cell:
    if rule not in row.counts:
        return Cell(UNRUN)
    if rule == OURS.name:
        return Cell(number(row.ave(rule)))
    found = audited.gain(row, rule)
    assert found is not None
    return Cell(f"{number(row.ave(rule))}; {_difference(found)}")


def _difference(found: Difference) -> str:
    """A difference in `ave` with its interval, if there is one."""
    interval = percent(found.ave_interval)
    return (
        number(100 * found.ave, sign=True)
        if math.isnan(interval.low)
        else with_interval(100 * found.ave, interval, sign=True)
    )


def _optimism_table(audited: AuditedGroup) -> Table:
    """Worth of looking at the test labels: each such rule above the honest one of the same kind."""
    rows = []
    for rule in LOOKING:
        if rule.name not in audited.rules:
            continue
        gains = [audited.gain(row, rule.name, rule.honest) for row in audited.rows]
        shown = [UNRUN if found is None else _difference(found) for found in gains]
        rows.append(cells(f"{rule.title} − {TITLES[rule.honest]}", *shown))
    return table(["rule − honest rule of the same kind", *[row.name for row in audited.rows]], rows)


def _order_table(audited: AuditedGroup) -> Table:
    """Order of the methods under each rule, the pairs that change places, and MAL − MTL."""
    rows = []
    for rule in audited.rules:
        comparable = audited.comparable(rule)
        if not comparable:
            continue
        moved = _moved(comparable, rule)
        rows.append(
            cells(
                TITLES[rule],
                ", ".join(row.name for row in _ordered(comparable, rule)),
                ONE_TRAINING if audited.trainings == 1 else ("none" if not moved else "; ".join(moved)),
                *_mal_against_mtl(audited, rule),
            )
        )
    header = [
        "rule",
        "order by average F1, best first",
        "pairs that change places",
        "MAL − MTL [95 %]",
        "its sign is kept",
    ]
    return table(header, rows, words=True)


def _ordered(rows: tuple[AuditedRow, ...], rule: str) -> list[AuditedRow]:
    return sorted(rows, key=lambda row: (-np.nan_to_num(row.ave(rule), nan=-1.0), row.name))


def _moved(rows: tuple[AuditedRow, ...], rule: str) -> list[str]:
    """Pairs whose order differs from that under this suite's rule, the one that is now ahead first."""
    before = [row.name for row in _ordered(rows, OURS.name)]
    after = [row.name for row in _ordered(rows, rule)]
    return [
        f"{ahead} before {behind}"
        for i, ahead in enumerate(after)
        for behind in after[i + 1 :]
        if before.index(ahead) > before.index(behind)
    ]


def _mal_against_mtl(audited: AuditedGroup, rule: str) -> list[str]:
    """MAL − MTL under a rule, and whether its sign is that under this suite's rule."""
    found, ours = (audited.mal_minus_mtl.get(name) for name in (rule, OURS.name))
    if found is None or ours is None:
        return [UNRUN, UNRUN]
    if found.trainings == 1:
        return [number(100 * found.ave, sign=True), ONE_TRAINING]
    return [_difference(found), "yes" if _sign(found) == _sign(ours) else "no"]


def _sign(found: Difference) -> float:
    return float(np.sign(found.ave))


def _answer(audited: AuditedGroup) -> Iterator[str]:
    """The answer, a sentence each: what looking is worth, what honest choices are worth, order and sign, batch norm."""
    if max(len(row.row.seeds) for row in audited.rows) > 1:
        yield from _about_looking(audited)
        yield from _about_methods(audited)
    else:
        yield "Every method was trained once: the tables hold for these trained networks, and say nothing about methods"
    yield from _about_normalisation(audited)


def _about_looking(audited: AuditedGroup) -> Iterator[str]:
    """Yield what the test labels are worth above the honest choice of the same kind, and above this suite's rule."""
    worth = [
        (100 * float(np.mean(gains)), rule.title)
        for rule in LOOKING
        if rule.name != VOTE and (gains := _gains(audited, rule.name, rule.honest))
    ]
    if worth:
        most, title = max(worth)
        yield (
            f"Picking the moment or the threshold on the test labels adds up to {number(most, sign=True)} F1 points "
            f"({title}), above the honest choice of the same kind, in the mean of {_rows_in_words(audited)}"
        )
    above = [
        (100 * float(np.mean(gains)), rule.title)
        for rule in LOOKING
        if (gains := _gains(audited, rule.name, OURS.name))
    ]
    if above:
        most, title = max(above)
        yield f"Above this suite's own rule the most is {number(most, sign=True)} ({title})"


def _gains(audited: AuditedGroup, rule: str, base: str) -> list[float]:
    """F1 of each row under a rule − F1 under another, of the rows that have both."""
    return [found.ave for row in audited.rows if (found := audited.gain(row, rule, base)) is not None]


def _rows_in_words(audited: AuditedGroup) -> str:
    count = len(audited.rows)
    return f"{count} methods" if count > 1 else audited.rows[0].name


def _about_methods(audited: AuditedGroup) -> Iterator[str]:
    """Whether the order of the methods and the sign of MAL − MTL depend on the rule."""
    others = [rule for rule in audited.rules if rule != OURS.name and audited.comparable(rule)]
    if not others:
        return
    if audited.trainings == 1:
        yield "A method was trained once, so nothing can be said about methods: repeat with more seeds"
        return
    changed = [rule for rule in others if _moved(audited.comparable(rule), rule)]
    yield f"The order of the methods, by their values, is another one under {len(changed)} of {len(others)} other rules"
    ours = audited.mal_minus_mtl.get(OURS.name)
    if ours is not None:
        found = [(rule, audited.mal_minus_mtl.get(rule)) for rule in others]
        lost = [TITLES[rule] for rule, other in found if other is not None and _sign(other) != _sign(ours)]
        blurred = ", which does not tell them apart" if percent(ours.ave_interval).holds(0.0) else ""
        yield f"MAL − MTL is {_difference(ours)} under this suite's rule{blurred}"
        yield (
            f"Its sign is another one under {len(lost)} of {len(others)} other rules: {'; '.join(lost)}"
            if lost
            else "Its sign is the same under every other rule"
        )
        looking = {rule.name for rule in LOOKING}
        told = [
            f"{TITLES[rule]} ({_difference(other)})"
            for rule, other in found
            if rule not in looking and other is not None and not percent(other.ave_interval).holds(0.0)
        ]
        if told:
            yield (
                f"Its interval leaves out 0 under {len(told)} other honest "
                f"{'rule' if len(told) == 1 else 'rules'}: {'; '.join(told)}, not adjusted for their number"
            )


def _about_normalisation(audited: AuditedGroup) -> Iterator[str]:
    """The gap of batch norm (A13) in the mean of the methods that have it."""
    both, alone = NORMALISED
    gaps = [f.ave for row in audited.rows if (f := audited.gain(row, alone, both)) is not None]
    if gaps:
        yield (
            f"Batch norm of AU images alone instead of both streams (A13) moves the average F1 by "
            f"{number(100 * float(np.mean(gaps)), sign=True)}, in the mean of {len(gaps)} methods"
        )


def _notes(audited: AuditedGroup) -> Iterator[str]:
    if audited.trainings == 1:
        yield (
            "One training: brackets hold other people alone, for these trained networks; with more seeds they hold "
            "training, too"
        )
    if audited.without:
        yield f"Without snapshots, and so not here: {', '.join(audited.without)}"
