"""The answer that a report begins with: on each dataset one sentence about MAL and MTL."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from benchmark.core.origin import Origin
from benchmark.report.cells import number, percent
from benchmark.report.groups import Group
from benchmark.report.ours import Ours, OursOfGroup
from benchmark.report.provenance import stale_note
from benchmark.stats.verdict import Verdict

MAL, MTL = "MAL", "MTL"
"""Rows of the paper that the sentence is about: the paper's method, and the same without learned weights."""

_PLACES: Mapping[Origin, str] = {
    "complete": "On {title}",
    "partial": "On a part of {title}",
    "stand-in": "On drawn faces in {title}'s layout",
}
_SAID: Mapping[Verdict, str] = {
    "reproduced": "reproduced",
    "differs": "differ",
    "inconclusive": "inconclusive",
    "needs seeds": "need more seeds",
    "other settings": "under other settings",
    "stale": "stale",
    "incomplete": "incomplete",
}
"""Verdicts behind a number of cells, in the order of the sentence."""


def answers(scored: Sequence[OursOfGroup]) -> list[str]:
    """One sentence for each group: whether MAL and MTL are told apart, and what stands in the way of saying more.

    The difference and its interval are those of the table of differences.
    """
    places = [_place(ours.group) for ours in scored]
    return [
        _sentence(ours, place if places.count(place) == 1 else f"{place}, {_settings(ours.group)},")
        for ours, place in zip(scored, places, strict=True)
    ]


def _place(group: Group) -> str:
    renderer = group.origin_label.removeprefix(group.origin) if group.origin == "stand-in" else ""
    return _PLACES[group.origin].format(title=group.paper.title) + renderer


def _settings(group: Group) -> str:
    """Profile, changed settings and data of a group, which tell it from others of its kind."""
    overrides = f", with {group.shared_overrides}" if group.shared_overrides else ""
    return f"profile {group.profile}{overrides}, data {group.fingerprint[:8]}"


def _sentence(ours: OursOfGroup, place: str) -> str:
    mal, mtl = ours.default_row(MAL), ours.default_row(MTL)
    finding = _not_run(ours) if mal is None or mtl is None else _compared(ours, mal, mtl)
    return f"{'; '.join([f'{place} {finding}', *_reservations(ours, mal)])}."


def _not_run(ours: OursOfGroup) -> str:
    """Name the one of the two that is missing, or both."""
    missing = [name for name in (MAL, MTL) if ours.default_row(name) is None]
    elsewhere = any(o.row.paper_row in missing for o in ours.rows)
    settings = " in default settings" if elsewhere else ""
    return f"{' and '.join(missing)} {_were(missing)} not run{settings}, so nothing can be said of MAL against MTL"


def _were(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _compared(ours: OursOfGroup, mal: Ours, mtl: Ours) -> str:
    """Say what the difference of both rows shows."""
    both, pair, folds = f"{mal.name} and {mtl.name}", ours.pair_of(mal, mtl), ours.group.paper.folds
    if pair is None:
        return f"{both} were tested on different parts, so nothing can be said of them"
    of_folds = f", {len(pair.parts)} of {folds} test parts" if len(pair.parts) < folds else ""
    difference, interval = pair.difference, percent(pair.difference.ave_interval)
    value = f"{number(100 * difference.ave, sign=True)} F1"
    minus = f"{mal.name} − {mtl.name} is {value}"
    if math.isnan(interval.low):
        once = [o.name for o in (mal, mtl) if len(o.row.seeds) == 1]
        why = f"{' and '.join(once)} {_were(once)} trained once" if once else f"the noise of {both} is unknown"
        return f"{why}, so nothing can be said about which is better: {minus}{of_folds}"
    seeds = " and ".join(map(str, pair.trainings)) + (" seeds" if pair.trainings != (1,) else " seed")
    numbers = f"{number(interval.low, sign=True)} to {number(interval.high, sign=True)}, {seeds}{of_folds}"
    if interval.holds(0.0):
        return f"{both} cannot be told apart: {value}, {numbers}"
    higher, lower = (mal, mtl) if difference.ave > 0 else (mtl, mal)
    return f"{higher.name} is higher than {lower.name}: {minus}, {numbers}"


def _reservations(ours: OursOfGroup, mal: Ours | None) -> Iterator[str]:
    """Yield what a reader must know with the finding: stale trials, rows from outside, the data, the paper's values."""
    group = ours.group
    own = [o.row.trials["stale"] for o in ours.rows if not o.row.is_submitted]
    if stale := stale_note(pd.concat(own) if own else ()).strip(" ."):
        yield stale
    submitted = sum(o.row.is_submitted for o in ours.rows)
    if submitted:
        yield f"{submitted} of {len(ours.rows)} rows {'is' if submitted == 1 else 'are'} submitted, not ours"
    if not group.is_judged:
        yield "nothing here speaks about the paper's numbers"
    elif not group.paper.is_printed:
        yield "the paper prints nothing of these data"
    elif mal is not None:
        counts = Counter(cell.verdict for cell in mal.judged.values())
        listed = ", ".join(f"{counts[name]} {said}" for name, said in _SAID.items() if counts[name])
        yield f"of the paper's {counts.total()} values of {mal.name}: {listed}"
