"""The audit of made-up trials: its numbers, what one training may say, and the page from the results file alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.audit.rules import HONEST, LOOKING, NORMALISED, OURS
from benchmark.core.errors import UserError
from benchmark.report.cells import Table
from benchmark.report.groups import group_results
from benchmark.report.ours import row_name
from benchmark.report.pairs import pair_rows
from benchmark.report.render import build_report, render_audit
from benchmark.report.selection import audit_group
from benchmark.report.selection_tables import NOTHING, SelectionContext, selection_context
from benchmark.stats.counts import mean_over_parts
from benchmark.stats.gain import gain
from benchmark.store.results import Results
from tests.report.conftest import TEMPLATES, make_results

NAMES = [rule.name for rule in (*HONEST[1:], *LOOKING)] + list(NORMALISED)


def audited(results: Results, skills: dict[str, dict[str, float]] | None = None) -> Results:
    """With rules whose hits are a share of the positive labels, by method and rule; false alarms are as they were."""
    counts = results.counts.merge(results.trials[["trial", "method"]], on="trial")
    made = []
    for rule in NAMES:
        share = counts["method"].map({name: rules.get(rule, 0.5) for name, rules in (skills or {}).items()}).fillna(0.5)
        hits = ((counts["tp"] + counts["fn"]) * share).round().astype(int)
        made.append(counts[["trial", "subject", "au", "fp"]].assign(rule=rule, tp=hits))
    return replace(results, audit=pd.concat(made))


def context(results: Results) -> SelectionContext:
    (group,) = group_results(results)
    return selection_context(audit_group(group, [row_name(group, row) for row in group.rows]), group.title)


def column(table: Table, number: int) -> dict[str, str]:
    return {row[0].text: row[number].text for row in table.rows}


TITLES = {rule.name: rule.title for rule in (*HONEST, *LOOKING)}
SEEDS = (0, 1, 2)


def test_f1_and_distance_are_those_of_the_counts() -> None:
    results = audited(make_results(("stl", "mal"), seeds=SEEDS), {"mal": {"by_au_test": 0.9}})
    (group,) = group_results(results)
    made = audit_group(group, ["STL", "MAL"])
    labels = results.counts.assign(positive=lambda t: t["tp"] + t["fn"])
    merged = results.audit.merge(labels[["trial", "subject", "au", "positive"]], on=["trial", "subject", "au"])
    merged = merged.merge(results.trials[["trial", "method", "part", "seed"]], on="trial")
    chosen = merged[(merged["rule"] == "by_au_test") & (merged["method"] == "mal")]
    sums = chosen.groupby(["seed", "part", "au"])[["tp", "fp", "positive"]].sum()
    f1 = 2 * sums["tp"] / (sums["tp"] + sums["fp"] + sums["positive"])
    expected = f1.groupby(["seed", "au"]).mean().groupby("seed").mean().mean()
    row = made.rows[1]
    assert row.ave("by_au_test") == pytest.approx(100 * expected)
    found = made.gain(row, "by_au_test")
    assert found is not None
    assert found.ave == pytest.approx(expected - mean_over_parts(row.row.counts).ave)
    shown = column(context(results).looking, 2)[TITLES["by_au_test"]]
    assert shown.startswith(f"{100 * expected:.1f}; {100 * found.ave:+.1f} [")


def test_the_blocks_are_apart_and_code_is_named() -> None:
    made = context(audited(make_results(seeds=SEEDS)))
    honest, looking = column(made.honest, 0), column(made.looking, -1)
    assert set(honest) == {rule.title for rule in HONEST} | set(NORMALISED.values())
    assert set(looking) == {rule.title for rule in LOOKING}
    assert all("train.py" in looking[TITLES[name]] for name in ("moment_test",))
    assert {row[0].text for row in made.optimism.rows} == {f"{rule.title} − {TITLES[rule.honest]}" for rule in LOOKING}


def test_order_and_sign_of_mal_minus_mtl() -> None:
    skills = {"stl": {}, "mtl": {"both_test": 0.9}, "mal": {"by_au_test": 0.9, "both_test": 0.5}}
    made = context(audited(make_results(seeds=SEEDS), skills))
    assert made.order is not None
    order, moved, signs = (column(made.order, number) for number in (1, 2, 4))
    assert order[OURS.title] == "MAL, MTL, STL"
    assert (order[TITLES["both_test"]].split(", ")[0], signs[TITLES["both_test"]]) == ("MTL", "no")
    assert "MTL before MAL" in moved[TITLES["both_test"]]
    assert (order[TITLES["by_au_test"]].split(", ")[0], signs[TITLES["by_au_test"]]) == ("MAL", "yes")
    assert any("Its sign is another one under" in sentence for sentence in made.answer)


def test_mal_minus_mtl_under_our_rule_is_that_of_the_tables() -> None:
    """Each method counts once in the noise of training that the methods share."""
    (group,) = group_results(audited(make_results(seeds=SEEDS)))
    made = audit_group(group, [row_name(group, row) for row in group.rows]).mal_minus_mtl[OURS.name]
    rows = {row.method: row for row in group.rows}
    paired = pair_rows(rows["mal"], rows["mtl"], group.rows)
    assert paired is not None
    assert (made.ave, made.ave_interval) == (paired.difference.ave, paired.difference.ave_interval)
    assert made.freedom.tolist() == paired.difference.freedom.tolist()


def test_of_one_training_nothing_is_said_about_methods() -> None:
    made = context(audited(make_results()))
    assert made.order is not None
    assert set(column(made.order, 2).values()) == {"one training"} == set(column(made.order, 4).values())
    assert not any("order" in sentence or "test labels" in sentence for sentence in made.answer)
    assert made.answer[0].startswith("Every method was trained once")
    assert "brackets hold other people alone" in made.notes[0]


def test_the_answer_begins_with_the_most_that_labels_are_worth_without_the_vote() -> None:
    """The honest vote loses points by itself, so what is above it is not what the labels are worth."""
    rules = {"by_au_test": 0.9, "by_au_val": 0.7, "vote_test": 0.9, "common_vote_val": 0.1}
    made = context(audited(make_results(seeds=SEEDS), dict.fromkeys(("stl", "mtl", "mal"), rules)))
    assert "Picking the moment or the threshold on the test labels adds up to +" in made.answer[0]
    assert f"F1 points ({TITLES['by_au_test']}), above the honest choice of the same kind" in made.answer[0]
    assert any(row[0].text.startswith(TITLES["vote_test"]) for row in made.optimism.rows)


def test_the_interval_of_one_training_is_that_of_the_jackknife_over_subjects() -> None:
    results = audited(make_results(("mal",), parts=("part1",)), {"mal": {"by_au_test": 0.9}})
    (group,) = group_results(results)
    row = audit_group(group, ["MAL"]).rows[0]
    pair = row.counts["by_au_test"], row.counts[OURS.name]

    def moved(keep: np.ndarray) -> float:
        averages = []
        for counts in pair:
            tp, fp, fn, _ = counts.parts[0].counts[0][keep].sum(axis=0).T
            averages.append(np.nanmean(2 * tp / (2 * tp + fp + fn)))
        return averages[0] - averages[1]

    subjects = np.arange(len(pair[0].parts[0].subjects))
    values = np.array([moved(subjects != left_out) for left_out in subjects])
    error = np.sqrt((len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum())
    found = gain(pair)
    assert (found.ave, float(found.errors[-1])) == pytest.approx((moved(subjects >= 0), error))


def test_without_snapshots_there_is_one_line(standin: Results) -> None:
    made = context(standin)
    assert made.is_empty
    assert NOTHING.capitalize() in render_audit([made], templates=TEMPLATES)
    (group,) = group_results(Results.concat([audited(make_results(("mal",))), make_results(("stl",))]))
    assert "Without snapshots, and so not here: STL" in context(group.results).notes[-1]


def test_counts_that_do_not_fit_the_labels_are_refused() -> None:
    results = audited(make_results(("mal",)))
    wrong = replace(results, audit=results.audit.assign(tp=10_000))
    with pytest.raises(UserError, match="counts of a rule of selection do not fit the labels"):
        context(wrong)


def test_the_page_is_made_from_the_results_file_alone(tmp_path: Path) -> None:
    results = audited(make_results(seeds=(0, 1)))
    build_report(results, tmp_path / "a", templates=TEMPLATES)
    again = Results.read(tmp_path / "a" / "results.parquet")
    build_report(again, tmp_path / "b", templates=TEMPLATES)
    for name in ("audit.md", "tables.md", "tables.tex", "index.html", "results.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    page = (tmp_path / "a" / "audit.md").read_text()
    assert page.index("## The answer") < page.index("Honest rules") < page.index("Not a valid protocol")
    assert "Not a valid protocol" in (tmp_path / "a" / "index.html").read_text()
    assert "Not a valid protocol" in (tmp_path / "a" / "tables.tex").read_text()


def test_a_file_without_audit_has_no_trace_of_it(standin: Results, tmp_path: Path) -> None:
    standin.write(tmp_path / "plain.parquet")
    assert "rule" not in pd.read_parquet(tmp_path / "plain.parquet").columns
    assert Results.read(tmp_path / "plain.parquet").audit.empty
