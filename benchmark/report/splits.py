"""How far scores, and differences of methods, move when the people are split into other test parts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.core.f1 import FloatArray
from benchmark.core.hashing import digest_of_json
from benchmark.datasets.folds import RANDOM_PARTS
from benchmark.paper.tables import AVE, PaperTable
from benchmark.report.cells import UNRUN, Cell, Table, cells, number, table, with_interval
from benchmark.report.groups import Group, Row, group_results
from benchmark.report.ours import row_name
from benchmark.report.provenance import stale_note
from benchmark.report.templating import markdown_template
from benchmark.stats.bootstrap import Interval
from benchmark.stats.components import components, deviation_interval
from benchmark.stats.counts import mean_over_parts
from benchmark.store.results import Results


@dataclass
class Moves:
    """One method's `ave` on every split.

    Attributes:
        name: Name for readers.
        paper_row: The paper's spelling; "" for a method that it does not have.
        values: F1 as a fraction, by split and seed.
    """

    name: str
    paper_row: str
    values: dict[int, dict[int, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """Results that differ in the split alone.

    Attributes:
        title: Dataset, origin of the data and profile.
        paper: The paper's table.
        methods: Methods by their settings.
        stale: Whether each trial is stale.
    """

    title: str
    paper: PaperTable
    methods: dict[tuple[str, str], Moves]
    stale: list[bool]


@dataclass(frozen=True)
class SplitsOfFamily:
    """Tables of one family.

    Attributes:
        title: Dataset, origin of the data and profile.
        facts: Splits and seeds, in a sentence.
        answer: How far the split moves a difference of methods, in a sentence.
        methods: One row per method.
        differences: One row per pair of methods; None for a single method.
    """

    title: str
    facts: str
    answer: str
    methods: Table
    differences: Table | None


def splits_of(results: Results) -> tuple[SplitsOfFamily, ...]:
    """Tables of each dataset and profile with random splits.

    Raises:
        UserError: No method has two splits, or trials do not fit together.
    """
    families = _families(group_results(results) if len(results.trials) else ())
    made = [tables for family in families if (tables := _tables(family)) is not None]
    if not made:
        raise UserError(
            "the results hold no method on two random splits or more, with all parts",
            remedy="run `malbench splits` until two splits are done",
        )
    return tuple(made)


def write_splits(results: Results, out: Path, name: str = "splits.md") -> Path:
    """Write the page of the splits below `out`; errors are those of `splits_of`."""
    text = markdown_template("splits.md.j2").render(families=splits_of(results))
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / name, text.encode())
    return out / name


def _families(groups: Iterable[Group]) -> list[Family]:
    """Groups whose trials differ in the split alone, put together; groups of the protocol's split are left out."""
    families: dict[tuple[str, ...], Family] = {}
    for group in groups:
        split, digest = _split_of(group)
        if not split:
            continue
        overrides = "; ".join(o for o in group.shared_overrides.split("; ") if o and not o.startswith("data.split="))
        title = f"{group.paper.title}, {group.origin_label}, profile {group.profile}"
        place = (group.origin, group.dataset, group.fingerprint, digest)
        made = Family(f"{title}, {overrides}" if overrides else title, group.paper, {}, [])
        family = families.setdefault(place, made)
        family.stale.extend(group.results.trials["stale"].tolist())
        for row in group.rows:
            if len(row.parts) == RANDOM_PARTS:
                _add(family, group, row, split)
    return list(families.values())


def _split_of(group: Group) -> tuple[int, str]:
    """Number of the split of a group, 0 for the protocol's, and digest of the settings without it."""
    settings = json.loads(str(group.results.trials["settings"].iloc[0]))
    data = dict(settings.get("data", {}))
    return int(data.pop("split", 0)), digest_of_json(
        {"data": data, "train": settings.get("train"), "of": group.profile}
    )


def _add(family: Family, group: Group, row: Row, split: int) -> None:
    key = (row.method, str(row.trials["own_digest"].iloc[0]))
    moves = family.methods.setdefault(key, Moves(row_name(group, row), row.paper_row))
    by_seed = mean_over_parts(row.counts).ave_by_seed.tolist()
    moves.values[split] = dict(zip(row.seeds, by_seed, strict=True))


def _tables(family: Family) -> SplitsOfFamily | None:
    methods = [moves for moves in family.methods.values() if len(_common(moves)) > 1]
    if not methods:
        return None
    order = {row.method: i for i, row in enumerate(family.paper.rows)}
    methods.sort(key=lambda moves: order.get(moves.paper_row, len(order)))
    splits = sorted({split for moves in methods for split in moves.values})
    seeds = sorted({seed for moves in methods for of_split in moves.values.values() for seed in of_split})
    rows = [_row(m.name, _printed(family, m), _common(m)) for m in methods]
    pairs = [
        (f"{a.name} − {b.name}", _minus(_printed(family, a), _printed(family, b)), made)
        for b, a in combinations(methods, 2)
        if (made := _difference(a, b)).shape[0] > 1
    ]
    return SplitsOfFamily(
        title=family.title,
        facts=(
            f"Splits: {', '.join(map(str, splits))}; seeds: {', '.join(map(str, seeds))}.{stale_note(family.stale)}"
        ),
        answer=_answer(*(next((pair for pair in pairs if pair[0] == "MAL − MTL"), pairs[0]))) if pairs else "",
        methods=table(_header("method"), rows),
        differences=table(_header("difference"), [_row(*pair, sign=True) for pair in pairs]) if pairs else None,
    )


def _answer(name: str, printed: float | None, values: FloatArray) -> str:
    of_split = 100 * values.mean(axis=1)
    deviation = float(of_split.std(ddof=1))
    spread = with_interval(deviation, deviation_interval(deviation, len(of_split) - 1))
    said = (
        f"Over {len(of_split)} random splits of the same people, {name} lies between "
        f"{number(float(of_split.min()), sign=True)} and {number(float(of_split.max()), sign=True)} F1, with a "
        f"standard deviation of {spread}"
    )
    return said + ("." if printed is None else f"; the paper prints {number(printed, sign=True)} on its one split.")


def _header(first: str) -> list[str]:
    spread = ["splits", "mean", "SD over splits", "lowest", "highest", "splits above 0"]
    return [first, "printed", *spread, "printed / SD", "SD: split", "SD: seed", "SD: training"]


def _row(name: str, printed: float | None, values: FloatArray, *, sign: bool = False) -> list[Cell]:
    """A row from F1 (K, R), splits × seeds, as fractions; spreads are of the means over seeds."""
    percents = 100 * values
    of_split, parts = percents.mean(axis=1), components(percents)
    deviation = float(of_split.std(ddof=1)) if len(of_split) > 1 else math.nan
    interval: Interval = deviation_interval(deviation, len(of_split) - 1)
    ratio = None if printed is None or not sign or not deviation else printed / deviation
    return cells(
        name,
        number(printed, sign=sign),
        str(len(of_split)),
        number(float(of_split.mean()), sign=sign),
        with_interval(deviation, interval),
        number(float(of_split.min()), sign=sign),
        number(float(of_split.max()), sign=sign),
        f"{int((of_split > 0).sum())} of {len(of_split)}" if sign else UNRUN,
        number(ratio),
        *(UNRUN if math.isnan(part) else number(part) for part in (parts.split, parts.seed, parts.rest)),
    )


def _common(moves: Moves) -> FloatArray:
    """Values (K, R) of the splits, with the seeds that all of them have."""
    return _array(moves.values)


def _difference(a: Moves, b: Moves) -> FloatArray:
    """Differences (K, R) on the splits and seeds that both methods have."""
    shared = {
        split: {seed: of_a[seed] - b.values[split][seed] for seed in of_a if seed in b.values[split]}
        for split, of_a in a.values.items()
        if split in b.values
    }
    return _array(shared)


def _array(by_split: dict[int, dict[int, float]]) -> FloatArray:
    """Values of the seeds that all splits have, (K, R); splits without any value do not count."""
    filled = [of_split for _, of_split in sorted(by_split.items()) if of_split]
    seeds = sorted(set.intersection(*(set(of_split) for of_split in filled))) if filled else []
    if not seeds:
        return np.empty((0, 0))
    return np.array([[of_split[seed] for seed in seeds] for of_split in filled])


def _printed(family: Family, moves: Moves) -> float | None:
    row = family.paper.row(moves.paper_row)
    return None if row is None else row.values[AVE]


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
