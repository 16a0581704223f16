"""Tables of all metrics, of the orders of methods under them, and of scores by person and by group of people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import datasets
from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.core.f1 import f1
from benchmark.report.board import Boards, Entry, boards_of
from benchmark.report.cells import UNDEFINED, UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.groups import Group, group_results
from benchmark.report.provenance import stale_note
from benchmark.report.templating import markdown_template
from benchmark.stats.bootstrap import Interval
from benchmark.stats.counts import Average, MethodCounts, average
from benchmark.stats.metrics import F1, METRICS, Metric, OfCounts, balanced_accuracy, base_rates, skew_normalised_f1
from benchmark.stats.orders import Agreement, agreement, redrawn
from benchmark.stats.people import Spread, by_person, compare_groups
from benchmark.stats.scored import crossed_interval
from benchmark.store.results import Results

PAGE = "metrics.md"
OF_PEOPLE: tuple[tuple[str, OfCounts], ...] = (("F1", f1), ("balanced accuracy", balanced_accuracy))
"""Metrics of single people."""
OF_GROUPS: tuple[tuple[str, OfCounts], ...] = (*OF_PEOPLE, ("F1, skew-normalised", skew_normalised_f1))
"""Metrics of groups of people."""


@dataclass(frozen=True)
class MetricsOfGroup:
    """Tables of one group of results.

    Attributes:
        title: Dataset, origin of the data and profile.
        facts: Methods, parts and seeds, in a sentence.
        answer: Whether the order of the methods depends on the metric, in a sentence.
        methods: One row per method, one column per metric.
        orders: One row per metric: the order of the methods; None with fewer than two methods.
        by_au: Base rate, then each metric of each method, by AU.
        people: Spread over people.
        groups: Groups of people; None where the names of subjects tell none apart.
    """

    title: str
    facts: str
    answer: str
    methods: Table
    orders: Table | None
    by_au: Table
    people: Table
    groups: Table | None


def metrics_of_groups(groups: Iterable[Group]) -> tuple[MetricsOfGroup, ...]:
    """Tables of every group of results that has a trained method.

    Raises:
        UserError: Trials do not fit together.
    """
    made = [(group, boards_of(group)) for group in groups]
    return tuple(_tables(group, boards) for group, boards in made if boards is not None)


def write_metrics(results: Results, out: Path, *, notice: str = "") -> Path:
    """Write `metrics.md` below `out`.

    Args:
        results: Finished trials.
        out: Folder, made if missing.
        notice: Sentences at the top of the page; "" for none.

    Returns:
        The page.

    Raises:
        UserError: No trained method, or trials that do not fit together.
    """
    groups = metrics_of_groups(group_results(results))
    if not groups:
        raise UserError("the results hold no trained method", remedy="run `malbench run` first")
    text = markdown_template(f"{PAGE}.j2").render(groups=groups, metrics=METRICS, notice=notice)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / PAGE, text.encode())
    return out / PAGE


def _tables(group: Group, boards: Boards) -> MetricsOfGroup:
    seeds = ", ".join(map(str, boards.seeds)) if boards.seeds else "of each method its own"
    overrides = f", {group.shared_overrides}" if group.shared_overrides else ""
    orders = _orders(boards)
    return MetricsOfGroup(
        title=f"{group.paper.title}, {group.origin_label}, profile {group.profile}{overrides}",
        facts=(
            f"Parts: {', '.join(boards.parts)}; seeds: {seeds}; methods: {len(boards.entries)}."
            f"{_left_out(boards)}"
            f"{stale_note(group.results.trials['stale'])}"
        ),
        answer=_answer(orders, len(boards.seeds)),
        methods=_methods_table(boards),
        orders=_orders_table(orders),
        by_au=_au_table(boards),
        people=_people_table(boards),
        groups=_groups_table(group, boards),
    )


def _left_out(boards: Boards) -> str:
    """Sentence about submitted rows, after a space; "" if there is none."""
    if not boards.left_out:
        return ""
    return f" Submitted rows have no trainings to compare, and are left out: {', '.join(boards.left_out)}."


def _without_skill(counts: MethodCounts, metric: Metric) -> Average:
    """Score without skill by AU and on average (A8)."""
    return average(np.stack([metric.without_skill(part.counts[:1].sum(axis=1)) for part in counts.parts], axis=1))


def _methods_table(boards: Boards) -> Table:
    rows = [cells("no skill", *(number(100 * _without_skill(boards.entries[0].counts, m).ave) for m in METRICS))]
    for entry in boards.entries:
        made = []
        for metric in METRICS:
            scores = entry.scores[metric.name]
            interval = crossed_interval(scores.average.by_seed, scores.left_out())
            made.append(_scaled(scores.average.ave, interval))
        rows.append(cells(entry.name, *made))
    return table(["method", *(metric.title for metric in METRICS)], rows)


def _scaled(value: float, interval: Interval, *, sign: bool = False) -> str:
    """A fraction × 100 with its interval; the value alone where there is none."""
    if np.isnan(interval.low):
        return number(100 * value, sign=sign)
    return with_interval(100 * value, percent(interval), sign=sign)


@dataclass(frozen=True)
class _Order:
    """Order of the methods under one metric.

    Attributes:
        metric: The metric.
        names: Names of the methods, best first.
        agreement: Agreement with the order under F1; None if a trial lacks the metric.
    """

    metric: Metric
    names: tuple[str, ...]
    agreement: Agreement | None


def _orders(boards: Boards) -> list[_Order]:
    """Orders of two methods or more with common seeds; else none."""
    if len(boards.entries) < 2 or not boards.seeds:
        return []
    first = boards.board(F1.name)
    redrawn_first, made = redrawn(first), []
    for metric in METRICS:
        board = boards.board(metric.name)
        if np.isnan(board.scores).any():
            made.append(_Order(metric, (), None))
            continue
        names = tuple(boards.entries[i].name for i in np.argsort(-board.scores, kind="stable"))
        made.append(_Order(metric, names, agreement(first, board, redrawn_a=redrawn_first)))
    return made


def _answer(orders: list[_Order], seeds: int) -> str:
    known = {order.metric.name: (order.names, order.agreement) for order in orders if order.agreement is not None}
    if F1.name not in known:
        return "One method, or no common seed: metrics cannot change an order."
    names, same = known.pop(F1.name)
    moved = [others for others, found in known.values() if found.swapped]
    said = f"Under F1 the order of the methods is {', '.join(names)}; "
    if not moved:
        said += f"it is the same under all of {len(known)} other metrics."
    else:
        said += f"it is another one under {len(moved)} of {len(known)} other metrics"
        best = sorted({others[0] for others in moved} - {names[0]})
        said += f", and the best method there can be {' or '.join(best)}." if best else ", with the same best method."
    if seeds < 2:
        return f"{said} Every method was trained once, so nothing can be said about methods."
    return (
        f"{said} Other people and other trainings change the order, too: a redraw agrees with it to a Kendall's tau of "
        f"{number(same.own, digits=2)} in the mean."
    )


def _orders_table(orders: list[_Order]) -> Table | None:
    if not orders:
        return None
    header = ["metric", "methods, best first", "Kendall's tau with F1", "pairs swapped", "tau with a redraw of itself"]
    rows = []
    for order in orders:
        found = order.agreement
        if found is None:
            rows.append(cells(order.metric.title, *[UNRUN] * 4))
            continue
        with_f1 = number(found.tau, digits=2)
        if not np.isnan(found.interval.low):
            with_f1 += f" [{number(found.interval.low, digits=2)}, {number(found.interval.high, digits=2)}]"
        swapped = f"{found.swapped} of {found.pairs}"
        rows.append(cells(order.metric.title, ", ".join(order.names), with_f1, swapped, number(found.own, digits=2)))
    return table(header, rows)


def _au_table(boards: Boards) -> Table:
    counts = boards.entries[0].counts
    rates = average(np.stack([base_rates(part.counts[:1].sum(axis=1)) for part in counts.parts], axis=1))
    rows = [_au_row("base rate, %", rates)]
    for metric in METRICS:
        nothing = _without_skill(counts, metric)
        if len(nothing.per_au) != len(counts.aus):
            continue  # one score of all AUs
        if metric.of_random_ranking is not base_rates and np.nanstd(nothing.per_au) > 0:  # else it is known
            rows.append(_au_row(f"{metric.title}: no skill", nothing))
        rows += [
            _au_row(f"{metric.title}: {entry.name}", entry.scores[metric.name].average)
            for entry in boards.entries
            if not np.isnan(entry.scores[metric.name].average.ave)
        ]
    return table(["", *counts.aus, "ave"], rows)


def _au_row(name: str, values: Average) -> list[Cell]:
    return cells(name, *(number(100 * value) for value in values.columns.tolist()))


def _people_table(boards: Boards) -> Table:
    header = ["method", "metric", "people", "mean over people", "SD over people", "worst decile", "lowest", "highest"]
    rows = [
        _people_row(entry, name, by_person(entry.counts, score))
        for entry in boards.entries
        for name, score in OF_PEOPLE
    ]
    return table(header, rows)


def _people_row(entry: Entry, metric: str, spread: Spread) -> list[Cell]:
    worst, count = spread.worst
    ends = [
        f"{spread.names[i]} {number(100 * float(spread.scores[i]))}" if spread.names else UNDEFINED for i in (0, -1)
    ]
    return cells(
        entry.name,
        metric,
        str(len(spread.names)),
        number(100 * spread.mean),
        number(100 * spread.deviation),
        f"{number(100 * worst)} ({count} people)",
        *ends,
    )


def _groups_table(group: Group, boards: Boards) -> Table | None:
    """Scores of groups of people, such as women and men; None where no two groups have a member."""
    cls = datasets.au_classes().get(group.dataset)
    subjects = [name for part in boards.entries[0].counts.parts for name in part.subjects]
    patterns = {} if cls is None else cls.people
    members = {name: [s for s in subjects if pattern.fullmatch(s)] for name, pattern in patterns.items()}
    members = {name: people for name, people in members.items() if people}
    if len(members) < 2:
        return None
    names = [*members, " − ".join(list(members)[:2])]
    rates = compare_groups(boards.entries[0].counts, members, base_rates)
    head = [f"{name} ({len(members[name])})" if name in members else name for name in names]
    rows = [cells("labels", "base rate, %", *(number(100 * rates[name].value) for name in names))]
    for entry in boards.entries:
        for metric, score in OF_GROUPS:
            made = compare_groups(entry.counts, members, score)
            scaled = [_scaled(made[n].value, made[n].interval, sign=n not in members) for n in names]
            rows.append(cells(entry.name, metric, *scaled))
    return table(["method", "metric", *head], rows)
