"""Two results side by side: differences paired by subject, and every setting and label that differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.core.errors import UserError
from benchmark.report.compare import compare, write_comparison
from benchmark.report.groups import group_results
from benchmark.stats.crossed import difference
from benchmark.store.results import Results
from tests.report.conftest import TEMPLATES, make_results

PROVENANCE = {"device": "Some CPU", "packages": {"torch": "2.9.0"}, "commit": "abc"}


def texts(table: object) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]  # type: ignore[attr-defined]


def with_settings(results: Results, settings: dict[str, object], **made: object) -> Results:
    trials = results.trials.assign(settings=json.dumps(settings), provenance=json.dumps({**PROVENANCE, **made}))
    return replace(results, trials=trials)


def test_the_same_results() -> None:
    found = compare(make_results(), make_results())
    assert [row[3] for row in texts(found.averages)] == ["+0.0 (one training)"] * 3
    assert not found.settings.rows
    assert not found.frames.rows
    assert not found.only.rows


def test_a_difference_is_paired_by_subject() -> None:
    seeds = (0, 1, 2)
    a, b = make_results(("mal",), seeds=seeds), make_results(("mal",), skills={"mal": 0.6}, seeds=seeds)
    line = texts(compare(a, b).averages)[0]
    counts = [group_results(each)[0].rows[0].counts for each in (a, b)]
    expected = difference(counts[1], counts[0])
    assert line[0] == "MAL, BP4D"
    assert line[3].startswith(f"{100 * expected.ave:+.1f} [")
    assert line[4:] == ["the same", "part1, part2, part3; 0, 1, 2"]


def test_settings_that_differ_are_named() -> None:
    a = with_settings(make_results(("mal",)), {"train": {"steps": 800, "batch_au": 32}, "profile": "x"})
    b = with_settings(make_results(("mal",)), {"train": {"steps": 900, "batch_au": 32}, "profile": "y"}, commit="def")
    assert texts(compare(a, b).settings) == [
        ["MAL, BP4D", "train.steps", "800", "900"],
        ["MAL, BP4D", "provenance: commit", "abc", "def"],
    ]


def test_labels_that_differ_are_named() -> None:
    a = make_results(("mal",))
    counts = a.counts.copy()
    at = counts.index[counts["subject"] == "F001"][0]
    counts.loc[at, ["tn", "fn"]] = counts.loc[at, "tn"] - 3, counts.loc[at, "fn"] + 1
    found = texts(compare(a, replace(a, counts=counts)).frames)
    ((dataset, part, subject, known_a, known_b, positive_a, positive_b),) = found
    assert (dataset, part, subject) == ("BP4D", counts.loc[at, "trial"].split("-")[1], "F001")
    assert int(known_a) - int(known_b) == 2
    assert int(positive_b) - int(positive_a) == 1


def test_other_subjects_are_not_paired() -> None:
    a = make_results(("mal",))
    counts = a.counts.copy()
    counts.loc[counts["subject"] == "F001", "subject"] = "F999"
    found = compare(a, replace(a, counts=counts))
    assert texts(found.averages)[0][3:] == ["-", "differ, or no part and seed in common", "-"]
    assert {row[2] for row in texts(found.frames)} == {"F001", "F999"}


def test_rows_of_one_file_alone() -> None:
    found = compare(make_results(("stl", "mal")), make_results(("mal", "mtl")))
    assert texts(found.only) == [["STL, bp4d", "A"], ["MTL, bp4d", "B"]]


def test_groups_of_two_profiles_are_paired_with_their_like_and_none_is_dropped() -> None:
    smoke, standin = (make_results(("mal",), profile=profile, seeds=(0, 1)) for profile in ("smoke", "standin"))
    found = compare(Results.concat([smoke, standin]), standin)
    assert [row[0] for row in texts(found.averages)] == ["MAL, BP4D, stand-in, profile standin"]
    assert texts(found.averages)[0][3].startswith("+0.0")
    assert texts(found.only) == [["MAL, BP4D, stand-in, profile smoke", "A"]]


def test_a_dataset_with_other_aus_is_not_paired() -> None:
    def mine(*aus: str) -> Results:
        made = make_results(("stl",), provenance=json.dumps({"aus": aus, "title": "Mine"}), dataset="mine")
        kept = made.counts["au"].isin(aus)
        return replace(made, counts=made.counts[kept], scores=made.scores[made.scores["au"].isin(aus)])

    a, b = (Results.concat([make_results(("mal",)), mine(*aus)]) for aus in (("AU1", "AU2"), ("AU1", "AU4")))
    found = compare(a, b)
    assert [row[0] for row in texts(found.averages)] == ["MAL, BP4D"]
    assert texts(found.only) == [["STL, mine (AU1, AU2)", "A"], ["STL, mine (AU1, AU4)", "B"]]


def test_nothing_in_common() -> None:
    with pytest.raises(UserError, match="no row in common"):
        compare(make_results(("stl",)), make_results(("mal",)))


def test_the_page(tmp_path: Path) -> None:
    page = write_comparison(
        make_results(("stl",)), make_results(("stl", "mal")), tmp_path, templates=TEMPLATES, names=("a_b", "c")
    )
    text = page.read_text()
    assert r"- A: a\_b" in text
    assert "Every setting, version and fingerprint" in text
    assert "## Rows of one file alone" in text
