"""Matrix of scores: trained on one dataset, tested on another, by the AUs that all of them score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import datasets
from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.core.f1 import FloatArray, IntArray, mean_defined
from benchmark.report.cells import UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.groups import ORIGINS
from benchmark.report.provenance import read_provenance, stale_note
from benchmark.report.templating import markdown_template
from benchmark.stats.metrics import F1, METRICS, Metric
from benchmark.stats.scored import MethodScores, crossed_interval
from benchmark.store.results import Results

PAGE = "cross.md"
SHOWN: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.name in {"f1", "f1_skew", "balanced_accuracy"})
"""Metrics of the matrices. Base rates differ between datasets, and F1 with them, so it is not alone."""
_COUNTS = ["tp", "fp", "fn", "tn"]


@dataclass(frozen=True)
class Crossed:
    """Scores of one method that was trained on one dataset and tested on another, or on its own people.

    Attributes:
        counts: (N, R, S, J, 4) by test part: networks of one seed, which are averaged, × seeds × subjects × AUs.
        seeds: R seeds that all networks have.
    """

    counts: tuple[IntArray, ...]
    seeds: tuple[int, ...]

    def scores(self, metric: Metric) -> MethodScores:
        """Scores by test part, as mean over the networks."""
        assert metric.of_counts is not None
        whole = [mean_defined(metric.of_counts(part.sum(axis=2)), axis=0) for part in self.counts]
        without = [
            mean_defined(metric.of_counts(part.sum(axis=2, keepdims=True) - part), axis=0) for part in self.counts
        ]
        return MethodScores(tuple(whole), tuple(without))

    @property
    def subjects(self) -> int:
        """Number of test people."""
        return sum(part.shape[2] for part in self.counts)


@dataclass(frozen=True)
class MatrixOfMetric:
    """One method's matrix under one metric."""

    title: str
    table: Table


@dataclass(frozen=True)
class CrossContext:
    """Content of the page.

    Attributes:
        facts: Origin, profile and AUs, in a sentence.
        answer: What another dataset costs each method, in a sentence.
        summary: Own and other datasets by method and metric.
        matrices: Matrices by method and metric.
    """

    facts: str
    answer: str
    summary: Table
    matrices: tuple[MatrixOfMetric, ...]


def cross_context(results: Results) -> CrossContext:
    """Matrices of all methods.

    Raises:
        UserError: No network was tested on another dataset, or the results are of several settings or data.
    """
    trials = results.trials.assign(
        on=results.trials["tested"].where(results.trials["tested"] != "", results.trials["dataset"])
    )
    crossing = trials[trials["tested"] != ""]
    if crossing.empty:
        raise UserError("no network was tested on another dataset", remedy="run `malbench cross` first")
    trials = trials[trials["dataset"].isin(crossing["dataset"])]
    _check_alike(trials)
    trials = _newest(trials)
    trials["called"] = trials["paper_row"].where(trials["paper_row"] != "", trials["method"])
    names = list(dict.fromkeys((*crossing["dataset"], *crossing["tested"])))
    aus = _common_aus(results, trials)
    parts = _parts_of(trials, results)
    cells_of = {
        (str(method), str(train), str(test)): made
        for (method, train, test), rows in trials.groupby(["called", "dataset", "on"], sort=False)
        if (made := _crossed(rows, results, aus, parts[str(test)])) is not None
    }
    methods = list(dict.fromkeys(method for method, _, _ in cells_of))
    return CrossContext(
        facts=(
            f"{_settings_of(trials)}. AUs: {', '.join(aus)}. Seeds: {', '.join(map(str, _seeds(cells_of.values())))}."
            f"{stale_note(trials['stale'])}"
        ),
        answer=_answer(cells_of, methods),
        summary=_summary(cells_of, methods),
        matrices=tuple(
            MatrixOfMetric(f"{method}: {metric.title}", _matrix(cells_of, method, metric, names))
            for method in methods
            for metric in SHOWN
        ),
    )


def write_cross(results: Results, out: Path) -> Path:
    """Write `cross.md` below `out`; errors are those of `cross_context`."""
    text = markdown_template(f"{PAGE}.j2").render(cross=cross_context(results))
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / PAGE, text.encode())
    return out / PAGE


def _settings_of(trials: pd.DataFrame) -> str:
    """Origin, profile and overrides of the trials, and the overrides of single datasets."""
    first = trials.iloc[0]
    by_dataset = {
        str(name): {o for text in rows["shared_overrides"] for o in str(text).split("; ") if o}
        for name, rows in trials.groupby("dataset", sort=False)
    }
    common = set.intersection(*by_dataset.values())
    said = [f"{ORIGINS[first['origin']]}, profile {first['profile']}", *sorted(common)]
    said += [
        f"{_title(name)} alone: {', '.join(sorted(own - common))}" for name, own in by_dataset.items() if own - common
    ]
    return "; ".join(said)


def _check_alike(trials: pd.DataFrame) -> None:
    """Check that one matrix holds trials of one profile, with one data set, budget and setting of each method."""
    _check_one(trials, "profile", "")
    for (dataset, method), rows in trials[trials["tested"] == ""].groupby(["dataset", "method"]):
        for column in ("own_digest", "shared_digest", "fingerprint", "origin"):
            _check_one(rows, column, f"{method} on {dataset} with ")


def _check_one(trials: pd.DataFrame, column: str, what: str) -> None:
    values = set(trials[column])
    if len(values) > 1:
        raise UserError(
            f"the results hold {what}several values of {column}",
            found=", ".join(sorted(map(str, values))[:4]),
            remedy="name another store with --runs, one for each setting",
        )


def _newest(trials: pd.DataFrame) -> pd.DataFrame:
    """One trial per network and tested dataset: fresh before stale, then the highest version of the method."""
    ordered = trials.sort_values(["stale", "method_version", "trial"], ascending=[True, False, False])
    return ordered.drop_duplicates(["dataset", "on", "method", "part", "seed"]).sort_index()


def _common_aus(results: Results, trials: pd.DataFrame) -> tuple[str, ...]:
    """AUs that every trial scored, in the order of their numbers.

    Raises:
        UserError: There is none.
    """
    counted = results.counts[results.counts["trial"].isin(trials["trial"])]
    sets = [set(aus) for aus in counted.groupby("trial")["au"].unique()]
    shared = sorted(set.intersection(*sets), key=lambda au: (len(au), au))
    if not shared:
        raise UserError("the datasets have no AU in common", remedy="choose other datasets")
    return tuple(shared)


def _parts_of(trials: pd.DataFrame, results: Results) -> dict[str, dict[str, list[str]]]:
    """Test people of each tested dataset by part."""
    parts: dict[str, dict[str, list[str]]] = {}
    own = trials[trials["tested"] == ""]
    counts = results.counts[["trial", "subject"]].drop_duplicates()
    for (dataset, part), rows in own.merge(counts, on="trial").groupby(["dataset", "part"]):
        parts.setdefault(str(dataset), {})[str(part)] = sorted(set(rows["subject"]))
    crossing = trials[trials["tested"] != ""].drop_duplicates("tested")
    for tested, provenance in zip(crossing["tested"], crossing["provenance"], strict=True):
        made = read_provenance(provenance).get("tested_parts") or {}
        parts[str(tested)] = {part: list(people) for part, people in made.items() if people}
    return parts


def _crossed(
    trials: pd.DataFrame, results: Results, aus: Sequence[str], parts: Mapping[str, Sequence[str]]
) -> Crossed | None:
    """Counts of a method's networks that were trained on one dataset and tested on one; None if no seed is whole."""
    is_own = bool((trials["tested"] == "").all())
    by_part = {str(part): rows.set_index("seed")["trial"] for part, rows in trials.groupby("part")}
    if is_own and set(by_part) != set(parts):
        return None
    seeds = sorted(set.intersection(*(set(keys.index) for keys in by_part.values())))
    if not seeds:
        return None
    table_of = results.counts[results.counts["trial"].isin(trials["trial"])].set_index(["trial", "subject", "au"])
    counts = []
    for part, people in parts.items():
        # On its own people, a part is tested by the one network that did not see them.
        networks = [by_part[part]] if is_own else list(by_part.values())
        index = [pd.MultiIndex.from_product([[keys[seed]], people, aus]) for keys in networks for seed in seeds]
        cells_of = [table_of[_COUNTS].reindex(place).fillna(0).to_numpy(dtype=np.int64) for place in index]
        counts.append(np.stack(cells_of).reshape(len(networks), len(seeds), len(people), len(aus), 4))
    return Crossed(tuple(counts), tuple(int(seed) for seed in seeds))


def _seeds(crossed: Iterable[Crossed]) -> list[int]:
    return sorted({seed for made in crossed for seed in made.seeds})


def _title(name: str) -> str:
    cls = datasets.au_classes().get(name)
    return cls.title if cls is not None else name


def _matrix(
    cells_of: Mapping[tuple[str, str, str], Crossed], method: str, metric: Metric, names: Sequence[str]
) -> Table:
    """Rows: trained on; columns: tested on. The diagonal is bold."""
    trained = [name for name in names if any((method, name, test) in cells_of for test in names)]
    tested = [name for name in names if any((method, train, name) in cells_of for train in names)]
    rows = [[Cell("no skill"), *(_no_skill(cells_of, method, metric, test, trained) for test in tested)]]
    for train in trained:
        row = [Cell(f"trained on {_title(train)}")]
        for test in tested:
            made = cells_of.get((method, train, test))
            row.append(Cell(UNRUN if made is None else _value(made, metric), "bold" if train == test else None))
        rows.append(row)
    return table([method, *(f"tested on {_title(name)}" for name in tested)], rows)


def _no_skill(
    cells_of: Mapping[tuple[str, str, str], Crossed], method: str, metric: Metric, test: str, trained: Sequence[str]
) -> Cell:
    """Score of a detector without skill on the test people, from the labels in any cell of the column."""
    made = next(cells_of[method, train, test] for train in trained if (method, train, test) in cells_of)
    scores = [metric.without_skill(part[0, 0].sum(axis=0)) for part in made.counts]
    return Cell(number(100 * float(mean_defined(mean_defined(np.stack(scores), axis=0), axis=0))))


def _value(made: Crossed, metric: Metric) -> str:
    scores = made.scores(metric)
    value, interval = 100 * scores.average.ave, crossed_interval(scores.average.by_seed, scores.left_out())
    return number(value) if np.isnan(interval.low) else with_interval(value, percent(interval))


def _own_and_other(
    cells_of: Mapping[tuple[str, str, str], Crossed], method: str, metric: Metric
) -> tuple[float, float]:
    """Means × 100 of the diagonal and of the other cells, over the datasets that have both."""
    values = {
        (train, test): made.scores(metric).average.ave
        for (name, train, test), made in cells_of.items()
        if name == method
    }
    own = _mean([value for (train, test), value in values.items() if train == test])
    return own, _mean([v for (train, test), v in values.items() if train != test and (test, test) in values])


def _summary(cells_of: Mapping[tuple[str, str, str], Crossed], methods: Sequence[str]) -> Table:
    rows = []
    for method in methods:
        for metric in SHOWN:
            own, other = _own_and_other(cells_of, method, metric)
            rows.append(cells(method, metric.title, number(own), number(other), number(other - own, sign=True)))
    return table(["method", "metric", "tested on its own dataset", "tested on others", "change"], rows)


def _answer(cells_of: Mapping[tuple[str, str, str], Crossed], methods: Sequence[str]) -> str:
    made = [(method, *_own_and_other(cells_of, method, F1)) for method in methods]
    changes = [f"{method} {number(other - own, sign=True)}" for method, own, other in made if not np.isnan(other - own)]
    return f"On the people of other datasets F1 changes by, in the mean: {', '.join(changes)}." if changes else ""


def _mean(values: Sequence[float]) -> float:
    array: FloatArray = 100 * np.array(values, dtype=np.float64)
    return float(mean_defined(array, axis=0)) if len(array) else float("nan")
