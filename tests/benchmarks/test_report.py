"""The whole report from 10,000 made-up trials, and 10,000 draws for one table. Aims on two cores: 10 s and 2 s.

Run with `pytest tests/benchmarks/test_report.py --benchmark-only`; `-m long` for ten times as many trials.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.core.places import PROJECT
from benchmark.paper.tables import paper_tables
from benchmark.report.groups import group_results
from benchmark.report.ours import score_groups
from benchmark.report.render import build_report
from benchmark.stats.bootstrap import subject_weights
from benchmark.store.results import COLUMNS, Results

METHODS = {
    "stl": "STL",
    "mtl": "MTL",
    "mtan": "MTAN",
    "l2t_ww": "L2T-WW",
    "mal": "MAL",
    "a": "",
    "b": "",
    "c": "",
    "d": "",
}
PARTS = {"bp4d": 3, "disfa": 3, "gft": 1}
SUBJECTS = {"bp4d": 41, "disfa": 27, "gft": 18}


def make(trials: int) -> Results:
    """So many trials of nine methods on three datasets, as many seeds as it takes."""
    rng = np.random.default_rng(0)
    seeds = -(-trials // (len(METHODS) * sum(PARTS.values())))
    rows, counts, scores, curves = [], [], [], []
    for dataset, folds in PARTS.items():
        aus = paper_tables()[dataset].aus
        for part in range(folds):
            subjects = [f"S{i}" for i in range(part, SUBJECTS[dataset], folds)]
            cells = pd.MultiIndex.from_product([subjects, aus], names=["subject", "au"]).to_frame(index=False)
            positive = rng.integers(20, 100, len(cells))
            for method, paper_row in METHODS.items():
                for seed in range(seeds):
                    key = f"{dataset}{part}{method}{seed}"
                    rows.append((key, dataset, f"part{part}", method, paper_row, seed))
                    hits, alarms = rng.binomial(positive, 0.7), rng.binomial(300 - positive, 0.1)
                    drawn = {"tp": hits, "fp": alarms, "fn": positive - hits, "tn": 300 - positive - alarms}
                    counts.append(cells.assign(trial=key, **drawn))
                    scores.append(pd.DataFrame({"trial": key, "au": aus, "f1": 0.7, "auc": 0.8}))
                    if seed == 0:
                        steps = np.arange(0, 800, 20)
                        curves.append(pd.DataFrame({"trial": key, "step": steps, "series": "loss_au", "value": 5.0}))
    trials_table = pd.DataFrame(rows, columns=["trial", "dataset", "part", "method", "paper_row", "seed"])
    for name, kind in COLUMNS["trials"].items():
        if name not in trials_table:
            trials_table[name] = {"string": "", "int64": 1, "bool": False, "float64": 1.0}[kind]
    trials_table["origin"], trials_table["settings"], trials_table["provenance"] = "stand-in", "{}", "{}"
    trials_table["own_digest"] = trials_table["method"]
    weights = pd.DataFrame(columns=list(COLUMNS["weights"]))
    return Results(trials_table, pd.concat(counts), pd.concat(scores), pd.concat(curves), weights)


@pytest.fixture(scope="module")
def many() -> Results:
    return make(10_000)


def test_ten_thousand_trials(benchmark, many: Results, tmp_path: Path) -> None:
    files = benchmark.pedantic(build_report, (many, tmp_path), {"templates": PROJECT / "templates"}, rounds=1)
    assert all(file.stat().st_size for file in files)
    benchmark.extra_info["trials"] = len(many.trials)


@pytest.mark.long
def test_a_hundred_thousand_trials(benchmark, tmp_path: Path) -> None:
    """No aim: what a store that `docs/scale.md` plans for costs its owner."""
    many = make(100_000)
    files = benchmark.pedantic(build_report, (many, tmp_path), {"templates": PROJECT / "templates"}, rounds=1)
    assert all(file.stat().st_size for file in files)
    benchmark.extra_info["trials"] = len(many.trials)


def test_ten_thousand_draws_for_one_table(benchmark) -> None:
    (group,) = [g for g in group_results(make(63)) if g.dataset == "bp4d"]
    subject_weights.cache_clear()
    scored = benchmark.pedantic(score_groups, ([group],), rounds=3)
    assert len(scored[0].rows) == len(METHODS)
