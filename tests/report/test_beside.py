"""Metrics, splits and other datasets on the audit page, in HTML and in LaTeX."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.api.results import find_other_results
from benchmark.core.places import PROJECT
from benchmark.report.beside import Beside, audit_beside
from benchmark.report.groups import group_results
from benchmark.report.render import build_report, render_audit
from benchmark.store.results import Results
from tests.report.conftest import TEMPLATES, make_results
from tests.report.test_metrics import ranked
from tests.report.test_splits import of_split

SPLITS = Results.concat([of_split(1), of_split(2, skill=0.8)])


@pytest.fixture(scope="module")
def beside() -> Beside:
    return audit_beside(group_results(ranked(make_results(seeds=(0, 1, 2)))), [SPLITS])


def test_the_answers_stand_above_the_tables(beside: Beside) -> None:
    page = render_audit([], beside, TEMPLATES)
    answers, tables = page.split("\n## BP4D", 1)
    assert "**BP4D, stand-in, profile standin, other metrics.** Under F1 the order of the methods is" in answers
    assert "other splits.** Over 2 random splits of the same people, MTL − STL lies between" in answers
    assert "|" not in answers
    assert "Kendall's tau with F1" in tables
    assert "printed / SD" in tables


def test_every_format_has_the_tables(tmp_path: Path) -> None:
    build_report(make_results(seeds=(0, 1, 2)), tmp_path, templates=TEMPLATES, splits=[SPLITS])
    for name in ("audit.md", "index.html", "tables.tex"):
        text = (tmp_path / name).read_text()
        assert "printed / SD" in text, name
        assert "tau with F1" in text, name


def test_without_splits_and_other_datasets_there_is_no_trace_of_them(tmp_path: Path) -> None:
    others = find_other_results(tmp_path / "runs", tmp_path / "out")
    assert (others.splits, others.cross) == ((), None)
    page = render_audit([], audit_beside(group_results(make_results(seeds=(0, 1, 2)))), TEMPLATES)
    assert "other metrics" in page
    assert "other splits" not in page
    assert "Other datasets" not in page


def test_results_of_others_do_not_get_the_splits_of_ones_own_store(tmp_path: Path) -> None:
    stored, theirs = tmp_path / "runs/splits/report/splits-bp4d.parquet", tmp_path / "theirs.parquet"
    stored.parent.mkdir(parents=True)
    for file in (stored, theirs):
        shutil.copy(PROJECT / "reports/results.parquet", file)
    assert len(find_other_results(tmp_path / "runs", tmp_path / "out").splits) == 1
    assert find_other_results(theirs, tmp_path / "out").splits == ()


def test_methods_that_learn_nothing_have_no_order() -> None:
    untrained = make_results(("all_positive",))
    assert audit_beside(group_results(untrained)).metrics == ()
