"""The page of metrics from made-up results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.core.errors import UserError
from benchmark.core.f1 import f1
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.report.cells import Table
from benchmark.report.groups import group_results
from benchmark.report.metrics import MetricsOfGroup, metrics_of_groups, write_metrics
from benchmark.store.results import Results
from tests.report.conftest import make_results


def ranked(results: Results) -> Results:
    """The results with average precisions, and rankings without each subject around those of the whole."""
    whole = results.scores.set_index(["trial", "au"])["auc"]
    auc = whole.reindex(pd.MultiIndex.from_frame(results.counts[["trial", "au"]])).to_numpy()
    noise = np.random.default_rng(0).normal(0, 0.002, len(auc))
    counts = results.counts.assign(auc_without=auc + noise, ap_without=auc - 0.2 + noise)
    return replace(results, counts=counts, scores=results.scores.assign(ap=results.scores["auc"] - 0.2))


@pytest.fixture(scope="module")
def results() -> Results:
    return ranked(make_results(seeds=(0, 1, 2)))


@pytest.fixture(scope="module")
def made(results: Results) -> MetricsOfGroup:
    (group,) = metrics_of_groups(group_results(results))
    return group


def rows_of(table: Table) -> dict[str, list[str]]:
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def test_methods_under_each_metric(made: MetricsOfGroup, results: Results) -> None:
    rows = rows_of(made.methods)
    assert list(rows) == ["no skill", "STL", "MTL", "MAL"]
    of_mal = results.trials.loc[results.trials["method"] == "mal", ["trial", "part", "seed"]]
    scores = results.scores.merge(of_mal, on="trial")
    by_au = scores.groupby(["seed", "au"])["auc"].mean()
    assert rows["MAL"][5].startswith(f"{100 * by_au.mean():.1f} [")
    cells = results.counts.merge(of_mal, on="trial").groupby(["seed", "part", "au"])[["tp", "fp", "fn", "tn"]].sum()
    assert rows["MAL"][0].startswith(f"{100 * np.mean(f1(cells.to_numpy())):.1f} [")


def test_no_skill_follows_the_base_rates(made: MetricsOfGroup, results: Results) -> None:
    first = results.trials.loc[(results.trials["method"] == "stl") & (results.trials["seed"] == 0), ["trial", "part"]]
    cells = results.counts.merge(first, on="trial").groupby(["part", "au"])[["tp", "fp", "fn", "tn"]].sum()
    rates = (cells["tp"] + cells["fn"]) / cells.sum(axis=1)
    nothing = rows_of(made.methods)["no skill"]
    assert nothing[0] == f"{100 * np.mean(2 * rates / (1 + rates)):.1f}"
    assert nothing[1] == "66.7"
    assert nothing[3:] == ["50.0", "0.0", "50.0", f"{100 * rates.mean():.1f}"]
    by_au = rates.groupby("au").mean()
    assert rows_of(made.by_au)["base rate, %"][:2] == [f"{100 * by_au[au]:.1f}" for au in ("AU1", "AU2")]


def test_orders(made: MetricsOfGroup) -> None:
    assert made.orders is not None
    rows = rows_of(made.orders)
    assert rows["F1"][:3] == ["MAL, MTL, STL", "1.00 [1.00, 1.00]", "0 of 3"]
    assert float(rows["F1"][3]) > 0.9  # skills that far apart stay in order
    assert rows["AUC"][0] == "MAL, MTL, STL"
    assert made.answer.startswith("Under F1 the order of the methods is MAL, MTL, STL; ")
    swapped = [name for name, row in rows.items() if row[2] not in {"0 of 3", "-"}]
    count = f"another one under {len(swapped)} of 6" if swapped else "the same under all of 6"
    assert count in made.answer


def test_equal_methods_have_no_order() -> None:
    alike = ranked(make_results(seeds=(0, 1, 2), skills={"stl": 0.7, "mtl": 0.7, "mal": 0.7}))
    (group,) = metrics_of_groups(group_results(alike))
    assert group.orders is not None
    assert float(rows_of(group.orders)["F1"][3]) < 0.8


def test_people_and_groups(made: MetricsOfGroup, results: Results) -> None:
    assert made.groups is not None
    assert made.groups.header[2:] == ("women (23)", "men (18)", "women − men")
    first = results.trials.loc[(results.trials["method"] == "stl") & (results.trials["seed"] == 0), ["trial", "part"]]
    women = results.counts[results.counts["subject"].str.startswith("F")].merge(first, on="trial")
    cells = women.groupby(["part", "au"])[["tp", "fp", "fn", "tn"]].sum()
    rates = (cells["tp"] + cells["fn"]) / cells.sum(axis=1)
    assert made.groups.rows[0][2].text == f"{100 * rates.mean():.1f}"
    people = [row for row in made.people.rows if row[0].text == "MAL"]
    assert [row[2].text for row in people] == ["41", "41"]
    assert people[0][5].text.endswith("(5 people)")
    lowest, highest = (people[0][i].text.split() for i in (6, 7))
    assert lowest[0] in BP4D.subjects
    assert float(lowest[1]) < float(people[0][3].text) < float(highest[1])


def test_results_of_earlier_versions_have_no_average_precision() -> None:
    (group,) = metrics_of_groups(group_results(make_results(seeds=(0, 1))))
    assert rows_of(group.methods)["MAL"][-1] == "n/a"
    assert "[" not in rows_of(group.methods)["MAL"][5]  # an AUC, and no interval over subjects
    assert group.orders is not None
    assert rows_of(group.orders)["average precision"] == ["-"] * 4


def test_one_seed_has_values_and_no_interval() -> None:
    (group,) = metrics_of_groups(group_results(ranked(make_results())))
    assert all("[" not in text for row in rows_of(group.methods).values() for text in row)
    assert group.orders is not None
    assert rows_of(group.orders)["F1"][1:] == ["1.00", "0 of 3", "n/a"]


def test_page(results: Results, tmp_path: Path) -> None:
    text = write_metrics(results, tmp_path / "new").read_text(encoding="utf-8")
    assert "## BP4D, stand-in, profile standin" in text
    assert "nan" not in text
    results.write(tmp_path / "results.parquet")
    again = write_metrics(Results.read(tmp_path / "results.parquet"), tmp_path).read_text(encoding="utf-8")
    assert again == text  # the file alone is enough


def test_no_trained_method() -> None:
    with pytest.raises(UserError, match="no trained method"):
        write_metrics(make_results(("all_positive",)), Path())


def test_a_submitted_row_takes_no_training_from_the_others(results: Results, made: MetricsOfGroup) -> None:
    """It counts as one training: with it, two of three seeds of every method would be left out."""
    theirs = {"provenance": json.dumps({"scored_from": "coin.csv"}), "paper_row": ""}
    coin = ranked(make_results(("coin",), **theirs))
    (group,) = metrics_of_groups(group_results(Results.concat([results, coin])))
    assert "left out: coin" in group.facts
    assert (group.answer, group.orders, group.methods) == (made.answer, made.orders, made.methods)
    # Alone it is shown, so that anybody can have the metrics of own predictions.
    (alone,) = metrics_of_groups(group_results(coin))
    assert any("coin" in row[0].text for row in alone.methods.rows)
