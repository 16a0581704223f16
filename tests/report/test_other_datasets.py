"""Datasets without a printed table have a section of their own, and no dataset stops the report of another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.core.errors import UserError
from benchmark.report.render import build_report
from benchmark.report.tables import build_context
from benchmark.store.results import Results
from tests.report.conftest import make_results

AUS = ("AU2", "AU1", "AU5", "AU9", "AU26")
PARTS = ("fold1", "fold2", "fold3")


def own_dataset(methods: tuple[str, ...] = ("stl", "mal")) -> Results:
    """Trials of a dataset of five AUs and three folds, which no paper has."""
    like = make_results(methods)
    parts = dict(zip(("part1", "part2", "part3"), PARTS, strict=True))
    about = {"title": "My *data*", "parts": list(PARTS), "aus": list(AUS)}
    keys = {key: f"own-{key}" for key in like.trials["trial"]}
    names = dict(zip(like.counts["au"].unique()[:5], AUS, strict=True))
    trials = like.trials.assign(
        trial=like.trials["trial"].map(keys),
        dataset="mydata",
        part=like.trials["part"].map(parts),
        provenance=[json.dumps(json.loads(text) | about) for text in like.trials["provenance"]],
    )
    counts, scores = (
        table[table["au"].isin(names)].assign(au=table["au"].map(names), trial=table["trial"].map(keys))
        for table in (like.counts, like.scores)
    )
    curves, weights = (table.assign(trial=table["trial"].map(keys)) for table in (like.curves, like.weights))
    return Results(trials, counts, scores, curves, weights)


def test_a_dataset_of_ones_own_has_a_section_and_nothing_of_the_papers(tmp_path: Path) -> None:
    build_report(Results.concat([own_dataset(), make_results()]), tmp_path)
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    sections = text.split("\n## ")
    (own,) = (section for section in sections if section.startswith("My "))
    assert "Our runs: F1 × 100 on My \\*data\\*, which the paper does not have" in own
    assert "as printed" not in own
    assert "verdict" not in own.lower()
    assert "stl (ours" in own
    header = next(line for line in own.splitlines() if line.startswith("| method"))
    assert [cell.strip() for cell in header.strip("|").split("|")] == ["method", *AUS, "ave"]
    assert text.index("BP4D") < text.index("My \\*data")
    (verdicts,) = (section for section in sections if section.startswith("Verdicts"))
    assert "My" not in verdicts
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Our runs; the paper has no table of this dataset" in page
    assert (tmp_path / "tables.tex").is_file()


def test_its_columns_and_parts_are_those_that_its_trials_name() -> None:
    (section,) = build_context(own_dataset()).groups
    assert section.group.paper.aus == AUS
    assert section.group.expected_parts == PARTS
    assert section.group.is_complete(section.group.rows[0])
    one_fold = own_dataset(("stl",)).select(["own-stl-part1-0-"])
    (section,) = build_context(one_fold).groups
    assert not section.group.is_complete(section.group.rows[0])


def test_results_that_cannot_be_shown_do_not_stop_the_others(tmp_path: Path) -> None:
    own = own_dataset()
    first = own.trials["trial"].iloc[0]
    broken = replace(own, counts=own.counts[(own.counts["trial"] != first) | (own.counts["subject"] != "F001")])
    build_report(Results.concat([broken, make_results()]), tmp_path)
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "## Results that cannot be shown" in text
    assert "tested different subjects" in text
    assert "Table 1: ours" in text
    with pytest.raises(UserError, match="different subjects"):
        build_report(broken, tmp_path / "alone")


def test_old_results_of_an_unknown_dataset_are_named_by_it() -> None:
    own = own_dataset()
    bare = own.trials.assign(provenance="{}")
    (section,) = build_context(replace(own, trials=bare)).groups
    assert section.group.paper.title == "mydata"
    assert set(section.group.paper.aus) == set(AUS)
    assert section.group.expected_parts == PARTS
