"""The sentence that the report begins with: its cases, its numbers, its place in every format."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmark.report.answer import answers
from benchmark.report.groups import group_results
from benchmark.report.ours import difference_table, score_groups
from benchmark.report.render import build_report
from benchmark.report.tables import build_context
from benchmark.store.results import Results
from tests.report.conftest import TEMPLATES, make_results
from tests.report.test_other_datasets import own_dataset

THREE = (0, 1, 2)
STANDIN = "; nothing here speaks about the paper's numbers."
COMPLETE: dict[str, object] = {"origin": "complete", "profile": "paper"}


def said(results: Results) -> list[str]:
    return answers(score_groups(group_results(results)))


def difference_of(results: Results) -> tuple[str, str, str]:
    """Difference of MAL and MTL and both ends of its interval, as the table of differences has them."""
    (ours,) = score_groups(group_results(results))
    (shown,) = [row[1].text for row in difference_table(ours).rows if row[0].text.startswith("MAL − MTL")]
    return re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", shown).groups()  # type: ignore[union-attr,return-value]


@pytest.mark.parametrize(("mal", "higher"), [(0.80, "MAL is higher than MTL"), (0.62, "MTL is higher than MAL")])
def test_told_apart_says_which_is_higher(mal: float, higher: str) -> None:
    results = make_results(("mtl", "mal"), seeds=THREE, skills={"mal": mal, "mtl": 0.71})
    value, low, high = difference_of(results)
    expected = f"On drawn faces in BP4D's layout {higher}: MAL − MTL is {value} F1, {low} to {high}, 3 seeds"
    assert said(results) == [expected + STANDIN]


def test_not_told_apart() -> None:
    results = make_results(("mtl", "mal"), seeds=THREE, skills={"mal": 0.71, "mtl": 0.71})
    value, low, high = difference_of(results)
    assert float(low) < 0 < float(high)
    place = "On drawn faces in BP4D's layout MAL and MTL cannot be told apart"
    assert said(results) == [f"{place}: {value} F1, {low} to {high}, 3 seeds{STANDIN}"]


def test_of_one_training_nothing_is_said_about_methods() -> None:
    (both,) = said(make_results(("mtl", "mal")))
    assert "MAL and MTL were trained once, so nothing can be said about which is better: MAL − MTL is +5.6 F1;" in both
    (one,) = said(Results.concat([make_results(("mtl",)), make_results(("mal",), seeds=THREE)]))
    assert "layout MTL was trained once, so nothing can be said about which is better:" in one


@pytest.mark.parametrize(
    ("methods", "variant", "finding"),
    [
        (("stl", "mtl"), "", "MAL was not run,"),
        (("mal",), "", "MTL was not run,"),
        (("stl",), "", "MAL and MTL were not run,"),
        (("mal", "mtl"), "meta_lr=0.1", "MAL and MTL were not run in default settings,"),
    ],
)
def test_a_method_that_is_missing(methods: Sequence[str], variant: str, finding: str) -> None:
    (sentence,) = said(make_results(tuple(methods), variant=variant))
    assert f"layout {finding} so nothing can be said of MAL against MTL;" in sentence
    assert not re.search(r"\d F1", sentence)


def test_parts_that_are_missing() -> None:
    half = [make_results(("mal",), seeds=THREE), make_results(("mtl",), seeds=THREE, parts=("part1", "part2"))]
    (sentence,) = said(Results.concat(half))
    assert ", 3 seeds, 2 of 3 test parts;" in sentence
    apart = [make_results(("mal",), parts=("part3",)), make_results(("mtl",), parts=("part1",))]
    (sentence,) = said(Results.concat(apart))
    assert "MAL and MTL were tested on different parts, so nothing can be said of them" in sentence


def test_trainings_that_are_not_paired() -> None:
    apart = [make_results(("mal",), seeds=THREE), make_results(("mtl",), seeds=(5, 6))]
    (sentence,) = said(Results.concat(apart))
    assert ", 3 and 2 seeds;" in sentence


def test_partial_data_are_a_part() -> None:
    (sentence,) = said(make_results(("mal", "mtl"), seeds=THREE, origin="partial"))
    assert sentence.startswith("On a part of BP4D MAL is higher")
    assert sentence.endswith(STANDIN)


def test_complete_data_bring_the_verdict_on_the_printed_values() -> None:
    results = make_results(("mal", "mtl", "stl"), seeds=THREE, **COMPLETE)
    (section,) = build_context(results).groups
    (row,) = [row for row in section.compared.rows if row[0].text == "MAL verdict"]
    verdicts = [re.sub(r"differs.*", "differ", cell.text) for cell in row[1:]]
    assert len(set(verdicts)) > 1
    listed = re.search(r"; of the paper's 13 values of MAL: (.*)\.$", section.answer)
    assert section.answer.startswith("On BP4D MAL is higher than MTL")
    assert listed is not None
    found = {words: int(count) for count, words in (item.split(" ", 1) for item in listed[1].split(", "))}
    assert found == {verdict: verdicts.count(verdict) for verdict in verdicts}


@pytest.mark.parametrize(
    ("changed", "why"),
    [({}, "need more seeds"), ({"profile": "smoke"}, "under other settings"), ({"stale": True}, "stale")],
)
def test_what_keeps_complete_data_from_a_verdict(changed: dict[str, object], why: str) -> None:
    (sentence,) = said(make_results(("mal", "mtl"), **(COMPLETE | changed)))
    assert sentence.endswith(f"; of the paper's 13 values of MAL: 13 {why}.")
    assert "nothing here speaks" not in sentence


def test_stale_results_are_said_in_the_same_place() -> None:
    fresh, stale = make_results(("mtl",)), make_results(("mal",), stale=True)
    (sentence,) = said(Results.concat([fresh, stale]))
    assert "; 3 of 6 trials are stale: the code has changed since; nothing" in sentence
    assert "stale" not in said(fresh)[0]


def test_submitted_rows_are_named() -> None:
    outside = make_results(("a program",), provenance=json.dumps({"scored_from": "p.csv"}))
    (sentence,) = said(Results.concat([make_results(("mal", "mtl")), outside]))
    assert "; 1 of 3 rows is submitted, not ours;" in sentence


def test_a_dataset_of_ones_own() -> None:
    own = own_dataset(("mal", "mtl"))
    assert said(own)[0].startswith("On drawn faces in My *data*'s layout mal and mtl were trained once")
    complete = Results(own.trials.assign(origin="complete"), own.counts, own.scores, own.curves, own.weights)
    assert said(complete)[0].endswith("; the paper prints nothing of these data.")


def test_two_groups_on_one_kind_of_data_are_told_apart() -> None:
    two = [make_results(("mal", "mtl")), make_results(("mal", "mtl"), profile="longer", fingerprint="ff")]
    places = [sentence.split(" MAL and")[0] for sentence in said(Results.concat(two))]
    assert places == [
        "On drawn faces in BP4D's layout, profile longer, data ff,",
        "On drawn faces in BP4D's layout, profile standin, data 01234567,",
    ]
    head = make_results(
        ("mal",), fingerprint="ff", data_note="stand-in (procedural faces in BP4D's layout, renderer head): 9"
    )
    places = [sentence.split(" MTL was")[0] for sentence in said(Results.concat([two[0], head]))]
    assert places[1] == "On drawn faces in BP4D's layout, renderer head"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("answer")
    build_report(make_results(seeds=THREE), out, templates=TEMPLATES)
    return out


def test_every_format_begins_with_sentence_figure_and_verdicts(written: Path) -> None:
    (sentence,) = said(make_results(seeds=THREE))
    text = (written / "tables.md").read_text(encoding="utf-8")
    head = [line for line in text.splitlines() if line and not line.startswith(">")]
    assert head[1] == f"**{sentence}**"
    assert head[2].endswith("(figures/answer-bp4d.svg)")
    assert head[3] == "## Verdicts"
    assert head[4].startswith("Not held against the paper, because other data")
    page = (written / "index.html").read_text(encoding="utf-8").split("</header>")[1]
    shown = re.sub(r"<[^>]*>", " ", page).split()
    assert " ".join(shown).startswith(sentence.replace("'", "&#39;"))
    assert page.index("<img") < page.index('id="verdicts"') < page.index("<table")
    latex = (written / "tables.tex").read_text(encoding="utf-8").split(r"\begin{document}")[1]
    assert latex.lstrip().startswith(rf"\noindent\textbf{{{sentence.replace('−', '$-$')}}}")
    assert latex.index("figures/answer-bp4d.pdf") < latex.index("Not held against the paper") < latex.index("{table}")


def test_other_data_have_no_verdicts_and_no_differences_in_any_format(written: Path) -> None:
    for name in ("tables.md", "index.html", "tables.tex"):
        text = (written / name).read_text(encoding="utf-8")
        assert "MAL (paper)" in text
        assert "MAL verdict" not in text
        assert "MAL difference" not in text
        assert "other data</td>" not in text
        assert text.count("Not held against the paper") == 1
    context = build_context(make_results(seeds=THREE))
    assert context.verdicts is None
    assert (written / "tables.md").read_text(encoding="utf-8").count("on other data a difference from them") == 1


def test_verdicts_are_counted_for_complete_data_alone() -> None:
    results = Results.concat([make_results(seeds=THREE), make_results(seeds=THREE, **COMPLETE)])
    context = build_context(results)
    assert context.verdicts is not None
    assert [row[0].text for row in context.verdicts.rows] == ["BP4D, complete data, profile paper"]
    assert [section.title for section in context.unjudged] == ["BP4D, stand-in, profile standin"]
    assert "other data" not in context.verdicts.header


def test_tables_with_submitted_rows_are_ours_and_submitted(tmp_path: Path) -> None:
    outside = make_results(("a program",), provenance=json.dumps({"scored_from": "p.csv"}))
    build_report(Results.concat([make_results(), outside]), tmp_path, templates=TEMPLATES)
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    for heading in ("### Ours and submitted with 95 %", "### Summary of our runs and submitted rows"):
        assert heading in text
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for caption in ("Ours and submitted with 95 %", "Summary of our runs and submitted rows"):
        assert f"<caption>{caption}" in page
    assert "{Ours and submitted on BP4D" in (tmp_path / "tables.tex").read_text(encoding="utf-8")
    named = re.findall(r"a program \([^)]*\)", text + page)
    assert {name.split("(")[1].split(",")[0].rstrip(")") for name in named} == {"submitted"}
    assert not re.search(r"a program(?! \(submitted)", text)
    for section in re.split(r"\n#{2,4} ", text):
        assert "submitted" in section.splitlines()[0] or "Ours" not in section.splitlines()[0]
