"""Tables and sentences of the page of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.report.cells import UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.groups import Row
from benchmark.stats.compare import f1_with_intervals
from benchmark.stats.counts import average, mean_over_parts, seed_spread
from benchmark.store.results import Results
from benchmark.study.plan import WeightSelection
from benchmark.study.statistics import BETTER, WORSE, RowDifference, fe_share_ends, trial_weights

Pair = tuple[str, str, RowDifference | None]
"""Names of two rows, and the first minus the second; None if they share no part."""
LISTED = 9
"""Most trials whose values a sentence lists one by one."""


def row_table(rows: Mapping[str, Row], heading: str) -> Table:
    """F1 and AUC of each method, or of each candidate."""
    header = [heading, "parts", "seeds", "F1 ave [95 % over subjects]", "SD over seeds", "AUC", "SD over seeds"]
    made = []
    for method, row in rows.items():
        scored, by_seed = f1_with_intervals(row.counts), average(row.auc)
        spread = seed_spread(mean_over_parts(row.counts).ave_by_seed)
        made.append(
            cells(
                method,
                str(len(row.parts)),
                ", ".join(map(str, row.seeds)),
                with_interval(100 * scored.ave, percent(scored.ave_interval)),
                number(None if spread is None else 100 * spread),
                number(by_seed.ave, digits=3),
                number(seed_spread(by_seed.ave_by_seed), digits=3),
            )
        )
    return table(header, made)


def pair_table(pairs: Sequence[Pair]) -> Table:
    """Differences of pairs."""
    header = ["pair", "F1 [95 %]", "AUC × 100 [95 % over trainings]", "seeds", "so the first is"]
    rows = []
    for a, b, difference in pairs:
        if difference is None:
            rows.append(cells(f"{a} − {b}", *[UNRUN] * 4))
            continue
        f1, auc = (
            number(value, sign=True) if math.isnan(interval.low) else with_interval(value, interval, sign=True)
            for value, interval in ((difference.f1, difference.interval), (difference.auc, difference.auc_interval))
        )
        rows.append(cells(f"{a} − {b}", f1, auc, difference.seeds, difference.verdict))
    return table(header, rows)


def sentence(a: str, b: str, difference: RowDifference) -> str:
    """A difference in words, by its interval alone."""
    f1 = number(difference.f1, sign=True)
    if math.isnan(difference.interval.low):
        return f"{a} against {b}: {f1} F1 points of {difference.verdict}, so nothing can be said of the methods."
    low, high = (number(end, sign=True) for end in (difference.interval.low, difference.interval.high))
    is_clear = difference.verdict in (BETTER, WORSE)
    words = f"is {difference.verdict} than" if is_clear else "is not told apart from"
    return f"{a} {words} {b}: {f1} F1 points [{low}, {high}], {difference.trainings} trainings each."


def weight_table(rows: Mapping[str, Row], results: Results, heading: str) -> Table | None:
    """Statistics of the final weights of FE images, as mean [least, most] over trials; None if no method weighs."""
    by_method = {method: weights for method, row in rows.items() if (weights := trial_weights(results, row))}
    if not by_method:
        return None
    aucs = sorted({n for statistics in by_method.values() for n in statistics if n.startswith("auc_")}, key=_auc_title)
    means = ["mean_clear", *sorted({f"mean_{_kind(name)}" for name in aucs})]
    names = [*means, *aucs, "spearman_consistency_within", "spearman_clear_within"]
    header = [
        heading,
        *(f"mean weight, {name.removeprefix('mean_').replace('_', ' ')}" for name in means),
        *(_auc_title(name) for name in aucs),
        "Spearman with consistency, within class",
        "the same of clear or not",
        "FE share of all weight, start to end",
    ]
    made = []
    for method, values in by_method.items():
        spans = [_span(values.get(name, [])) for name in names]
        made.append([Cell(method), *map(Cell, spans), Cell(_share(rows[method], results))])
    return table(header, made)


def _kind(auc: str) -> str:
    """Kind of images that an AUC compares with clear ones."""
    return auc.removeprefix("auc_").removeprefix("within_")


def _auc_title(name: str) -> str:
    return f"AUC, clear against {_kind(name).replace('_', ' ')}" + (
        ", same emotion depicted" if name.startswith("auc_within_") else ""
    )


def _span(values: Sequence[float]) -> str:
    if not values:
        return UNRUN
    middle = number(float(np.mean(values)), digits=2)
    return (
        middle if len(values) == 1 else f"{middle} [{number(min(values), digits=2)}, {number(max(values), digits=2)}]"
    )


def _share(row: Row, results: Results) -> str:
    """FE samples' share of all weight in the first and the last tenth of training, averaged over trials."""
    ends = fe_share_ends(row, results)
    return UNRUN if ends is None else " to ".join(number(end, digits=2) for end in ends)


def _each(values: Sequence[float | None], *, digits: int) -> str:
    """Every value, or of more than `LISTED` their median and range."""
    known = [value for value in values if value is not None]
    if len(values) <= LISTED or len(known) < len(values):
        return ", ".join(number(value, digits=digits) for value in values)
    middle, least, most = (number(float(f(known)), digits=digits) for f in (np.median, min, max))
    return f"median {middle}, {least} to {most}"


def selected(asked: WeightSelection, rows: Mapping[str, Row], results: Results) -> str:
    """Sentence on the trials whose weights find FE images of a kind, against the plan; "" if no trial is done."""
    row = rows.get(asked.method)
    weights = {} if row is None else trial_weights(results, row)
    names = (f"auc_{asked.kind}", f"mean_{asked.kind}", "mean_clear")
    trials = list(zip(*(weights.get(name, []) for name in names), strict=True))
    if not trials:
        return ""
    meets = [auc >= asked.auc and weight <= asked.share * clear for auc, weight, clear in trials]
    kind, wanted = asked.kind.replace("_", " "), "every one" if asked.found else "none"
    verdict = "holds" if all(met == asked.found for met in meets) else "does not hold"
    aucs = _each([auc for auc, _, _ in trials], digits=3)
    shares = _each([weight / clear if clear else None for _, weight, clear in trials], digits=2)
    return (
        f"{asked.method} finds {kind} images in {sum(meets)} of {len(meets)} trials, asked was {wanted}: {verdict}."
        f" AUC of the weight, clear against {kind}, at least {asked.auc:g}: {aucs}."
        f" Mean weight of {kind} images over that of clear ones, at most {asked.share:g}: {shares}."
    )
