"""The report of made-up results: what it says, what it never says, and that it says it the same way twice."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from benchmark.core.errors import UserError
from benchmark.paper.tables import paper_table
from benchmark.report.figures import smoothed, training_curves
from benchmark.report.groups import group_results
from benchmark.report.markdown import escape
from benchmark.report.render import build_report, render_markdown
from benchmark.report.tables import build_context
from benchmark.store.results import Results
from tests.report.conftest import GOLDEN, TEMPLATES, make_results, without_labels


def text_of(results: Results) -> str:
    context = build_context(results)
    return render_markdown(
        context, TEMPLATES, [name for section in context.groups for name in (section.dots, section.figure)]
    )


def rows_of(text: str, start: str) -> list[list[str]]:
    """Cells of the table rows whose first cell starts with `start`."""
    split = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in split if row[0].startswith(start)]


@pytest.fixture(scope="module")
def one() -> Results:
    return make_results(("stl", "mal"))


@pytest.fixture(scope="module")
def text(one: Results) -> str:
    return text_of(one)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    out = tmp_path_factory.mktemp("report")
    return out, build_report(make_results(seeds=(0, 1, 2)), out, templates=TEMPLATES)


def test_files(built: tuple[Path, list[Path]]) -> None:
    out, files = built
    assert [str(f.relative_to(out)) for f in files] == [
        "tables.md",
        "tables.tex",
        "audit.md",
        "index.html",
        "figures/answer-bp4d.png",
        "figures/answer-bp4d.svg",
        "figures/answer-bp4d.pdf",
        "figures/figure3.png",
        "figures/figure3.svg",
        "figures/figure3.pdf",
        "results.parquet",
    ]
    assert all(f.stat().st_size for f in files)
    names = {"tables.md", "tables.tex", "audit.md", "index.html", "figures", "results.parquet"}
    assert {p.name for p in out.iterdir()} == names  # nothing left over


@pytest.mark.parametrize("name", ["tables.md", "tables.tex", "audit.md", "index.html"])
def test_golden_files(built: tuple[Path, list[Path]], name: str) -> None:
    """MALBENCH_GOLDEN=1 writes the files anew: read the difference before it is committed."""
    found = (built[0] / name).read_text(encoding="utf-8")
    found = re.sub(r'src="data:image/svg[^"]*"', 'src="FIGURE"', found)
    if os.environ.get("MALBENCH_GOLDEN"):
        (GOLDEN / name).write_text(found, encoding="utf-8", newline="\n")
    assert found == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_same_bytes_from_the_results_read_back_in_any_order(built: tuple[Path, list[Path]], tmp_path: Path) -> None:
    out, files = built
    stored = Results.read(out / "results.parquet")
    shuffled = replace(stored, trials=stored.trials.iloc[::-1], counts=stored.counts.sample(frac=1, random_state=0))
    again = build_report(shuffled, tmp_path, templates=TEMPLATES)
    for before, after in zip(files[:-1], again[:-1], strict=True):
        assert before.read_bytes() == after.read_bytes(), before.name
    build_report(stored, tmp_path, templates=TEMPLATES)
    assert (tmp_path / "results.parquet").read_bytes() == (out / "results.parquet").read_bytes()


def test_sections_and_banner(text: str) -> None:
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[:4] == [
        "# Meta Auxiliary Learning for Facial Action Unit Detection: tables",
        "## Verdicts",
        "## BP4D, stand-in, profile standin",
        "### Table 1: F1 × 100 on BP4D, as printed",
    ]
    assert headings[-1] == "## How to read the tables"
    assert "> **Stand-in data.**" in text.split("## Verdicts", maxsplit=1)[0]
    assert "Table 2: " not in text  # no trial on DISFA, so no section
    assert "Beyond the paper" not in text
    assert "backbone: resnet18; weights: scratch; steps: 2,000; seeds: 0; parts: part1, part2, part3" in text
    assert "device: Some CPU; torch: 2.9.0; trials: 6." in text
    assert "`malbench report`" in text.splitlines()[-1]


def test_a_method_that_was_not_run_has_no_number() -> None:
    text = text_of(make_results(("stl", "mal"), origin="complete", profile="paper"))
    (ours,) = rows_of(text, "MTL (ours, complete data)")
    (difference,) = rows_of(text, "MTL difference")
    (verdict,) = rows_of(text, "MTL verdict")
    assert set(ours[1:]) == set(difference[1:]) == {"-"}
    assert set(verdict[1:]) == {"not run"}


def test_origin_stands_in_the_name_of_every_row_of_ours(text: str) -> None:
    section = text.split("beside the paper's\n")[1].split("## The paper's claims", maxsplit=1)[0]
    names = [row[0] for row in rows_of(section, "") if row[0] not in {"method", "pair"} and row[0][0] != ":"]
    others = [name for name in names if not name.endswith(("(paper)", "verdict"))]
    assert len(others) == 2 + 1 + 3 + 3 + 1 + 3 + 2  # ours; all positive; intervals; pairs; pairs per AU; summary; cost
    assert all("stand-in" in name for name in others)


def test_values_and_differences() -> None:
    """Each cell from the results by another way: the scores table holds F1 a part."""
    one = make_results(("stl", "mal"), origin="complete", profile="paper")
    text = text_of(one)
    trials = one.trials.loc[one.trials["method"] == "mal", "trial"]
    by_au = 100 * one.scores[one.scores["trial"].isin(trials)].groupby("au")["f1"].mean()
    paper = paper_table("bp4d").row("MAL")
    assert paper is not None
    expected = [by_au[au] for au in paper_table("bp4d").aus]
    expected.append(np.mean(expected))
    ours = rows_of(text, "MAL (ours, complete data)")
    assert [cell.strip("*") for cell in ours[0][1:]] == [f"{v:.1f}" for v in expected]
    differences = [v - p for v, p in zip(expected, paper.values.values(), strict=True) if p is not None]
    assert rows_of(text, "MAL difference")[0][1:] == [f"{d:+.1f}" for d in differences]
    assert all(cell.startswith(f"{v:.1f} [") for cell, v in zip(ours[1][1:], expected, strict=True))


def test_a_stage_that_seeds_share_counts_once() -> None:
    """The pre-training on drawn people has one seed."""
    made = json.dumps({"prerequisites": {"start": {"key": "people", "time_train_s": 40.0}}})
    text = text_of(make_results(("stl",), seeds=(0, 1, 2), provenance=made))
    assert rows_of(text, "STL (ours")[-1][5] == "40.0"


def test_cost_by_hand(one: Results) -> None:
    trials = one.trials.copy()
    trials.loc[trials["method"] == "mal", "time_train_s"] *= 3
    text = text_of(replace(one, trials=trials))
    # Three parts of 61.5 s and 2,000 steps; one stage of 12.5 s that they share; 812.4 MB at most, from 612.4.
    stl, mal = rows_of(text, "STL (ours")[-1], rows_of(text, "MAL (ours")[-1]
    assert stl[1:] == ["11,182,668", "30.8", "1.0", "184.5", "12.5", "812", "200"]
    assert mal[2:5] == ["92.2", "3.0", "553.5"]


def test_bold_is_the_best_of_ours(built: tuple[Path, list[Path]]) -> None:
    text = (built[0] / "tables.md").read_text(encoding="utf-8")
    rows = [rows_of(text, f"{name} (ours")[0][1:] for name in ("STL", "MTL", "MAL")]
    for cells in zip(*rows, strict=True):
        values = [float(cell.strip("*")) for cell in cells]
        assert [cell.startswith("**") for cell in cells] == [value == max(values) for value in values]


def test_one_training_and_a_zero_are_never_bold(text: str) -> None:
    assert not any("**" in cell for row in rows_of(text, "MAL (ours") for cell in row)  # trained once
    several = make_results(("stl", "mal"), seeds=(0, 1))
    nothing = several.counts["au"] == "AU1"
    counts = several.counts.assign(
        fn=several.counts["fn"] + several.counts["tp"].where(nothing, 0), tp=several.counts["tp"].mask(nothing, 0)
    )
    shown = text_of(replace(several, counts=counts))
    for name in ("STL", "MAL"):
        assert rows_of(shown, f"{name} (ours")[0][1] == "0.0"
    assert any("**" in cell for cell in rows_of(shown, "MAL (ours")[0])
    # Where the best was trained once, nothing is bold: the others are not the best.
    mixed = text_of(Results.concat([make_results(("stl",), seeds=(0, 1)), make_results(("mal",))]))
    assert not any("**" in cell for cell in rows_of(mixed, "MAL (ours")[0])


def test_methods_without_runs_are_left_out_beside_other_data(text: str) -> None:
    section = text.split("beside the paper's\n")[1].split("###", maxsplit=1)[0]
    assert [row[0] for row in rows_of(section, "")][2:] == [
        "STL (paper)",
        "STL (ours, stand-in)",
        "MAL (paper)",
        "MAL (ours, stand-in)",
        "all positive (stand-in)",
    ]


def test_a_notice_stands_at_the_top_of_the_pages(one: Results, tmp_path: Path) -> None:
    build_report(one, tmp_path, templates=TEMPLATES, notice="Too few <steps>.")
    assert "> Too few &lt;steps&gt;." in (tmp_path / "tables.md").read_text(encoding="utf-8").split("## ")[0]
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.index("<strong>Too few &lt;steps&gt;.</strong>") < page.index('<div class="answers">')


def test_printed_rows_carry_their_marks(text: str) -> None:
    roi, mal = rows_of(text, "ROI \\*")[0], rows_of(text, "MAL ")[0]
    assert roi[6] == "<u>85.0</u>"
    assert mal[1] == "**47.9**"
    assert mal[6] == "82.8"


def test_all_positive_and_pairs(text: str) -> None:
    pairs = [row[0] for row in rows_of(text, "") if " − " in row[0] and "difference" not in row[0]]
    assert pairs == [
        "STL − all positive (stand-in)",
        "MAL − all positive (stand-in)",
        "MAL − STL (stand-in)",
        "MAL − STL (stand-in)",  # per AU
    ]
    assert len(rows_of(text, "all positive (stand-in)")) == 3


def test_undefined_cells() -> None:
    text = text_of(without_labels(make_results(("stl", "mal"), origin="complete", profile="paper"), "AU7"))
    for name in ("STL (ours", "STL difference", "MAL (ours", "all positive"):
        for row in rows_of(text, name)[:2]:
            assert row[5] == "n/a"
    assert not [row for row in rows_of(text, "") if "nan" in row]
    assert rows_of(text, "STL (ours")[0][-1].strip("*")[0].isdigit()  # `ave` leaves it out,
    assert rows_of(text, "STL difference")[0][-1] == "n/a"  # and is then no match for the paper's


def test_complete_data_get_verdicts() -> None:
    once = text_of(make_results(("stl", "mal"), origin="complete", profile="paper"))
    assert set(rows_of(once, "MAL verdict")[0][1:]) == {"needs seeds"}
    text = text_of(make_results(("stl", "mal"), origin="complete", profile="paper", seeds=(0, 1, 2)))
    verdicts = set(rows_of(text, "MAL verdict")[0][1:]) | set(rows_of(text, "STL verdict")[0][1:])
    assert any(v.startswith("differs by ") for v in verdicts)
    assert {v for v in verdicts if not v.startswith("differs by ")} <= {"reproduced", "inconclusive"}
    assert "WARNING" not in text
    assert "MAL (ours, complete data)" in text


def test_missing_parts_are_incomplete_and_said() -> None:
    results = Results.concat(
        [
            make_results(("mal",), origin="complete", profile="paper"),
            make_results(("stl",), origin="complete", profile="paper", parts=("part2",)),
        ]
    )
    text = text_of(results)
    ours = rows_of(text, "STL (ours, complete data, 1 of 3 parts)")[0]
    assert set(rows_of(text, "STL verdict")[0][1:]) == {"incomplete"}
    assert not any("**" in cell for cell in ours + rows_of(text, "MAL (ours")[0])  # not the same parts: no rank
    assert rows_of(text, "MAL − STL")[0][5] == "part2"
    assert "Not all rows were tested on the same parts" in text


def test_partial_data_say_so() -> None:
    text = text_of(make_results(("stl",), origin="partial"))
    assert "> **Partial data.** Every number marked *partial data* comes from 1,640 labelled" in text  # 41 × 40
    assert "STL (ours, partial data)" in text


def test_seeds_variants_and_methods_beyond_the_paper() -> None:
    results = Results.concat(
        [
            make_results(("mal",), seeds=(0, 1)),
            make_results(("mal",), variant="meta_lr=0.1"),
            make_results(("mine",), seeds=(0, 1)),
            make_results(("mine",), seeds=(2,), parts=("part1",)),
        ]
    )
    text = text_of(results)
    default, variant = rows_of(text, "MAL (ours")[-2], rows_of(text, "MAL [meta\\_lr=0.1] (ours")[-2]
    assert default[5] not in {"-", "n/a"}  # SD over seeds
    assert (default[2], variant[2], variant[5]) == ("0, 1", "0", "-")
    beyond = text.split("### Beyond the paper")[1].split("###")[0]
    assert len(rows_of(beyond, "mine (ours, stand-in)")) == 1
    assert rows_of(text, "mine (ours")[-2][2] == "0, 1"
    assert "Not in any table, because their seed lacks a test part: 1 trials." in text
    group = build_context(results).groups[0].group
    assert [row.left_out for row in group.rows] == [0, 0, 1]


def test_pairs_are_compared_on_their_common_seeds() -> None:
    text = text_of(Results.concat([make_results(("stl",), seeds=(1, 0, 2)), make_results(("mal",), seeds=(1, 2))]))
    both = text_of(make_results(("stl", "mal"), seeds=(1, 2)))
    row = rows_of(text, "MAL − STL")[0]
    assert row[-1] == "1, 2"
    assert row == rows_of(both, "MAL − STL")[0]
    apart = Results.concat([make_results(("stl",), seeds=(0, 1, 4)), make_results(("mal",), seeds=(1, 2))])
    assert rows_of(text_of(apart), "MAL − STL")[0][-1] == "1, 2 against 0, 1, 4, not paired"
    once = Results.concat([make_results(("stl",)), make_results(("mal",), seeds=(2,))])
    assert rows_of(text_of(once), "MAL − STL")[0][2:4] == ["unknown (one training)", "-"]


def test_auc_is_averaged_per_seed_over_parts_and_aus() -> None:
    results = make_results(("mal",), seeds=(0, 1))
    results.scores["auc"] = np.nan
    auc = results.scores["auc"]
    # Seed 0: AU1 0.6 in part 1 and 0.8 in part 3, AU2 0.5 in part 1: (0.7 + 0.5) / 2 = 0.6.
    # Seed 1: AU1 0.9 in part 3. Over seeds: 0.75.
    cells = {("part1", 0, "AU1"): 0.6, ("part3", 0, "AU1"): 0.8, ("part1", 0, "AU2"): 0.5, ("part3", 1, "AU1"): 0.9}
    for (part, seed, au), value in cells.items():
        auc = auc.mask(
            (results.scores["trial"].str.startswith(f"mal-{part}-{seed}-")) & (results.scores["au"] == au), value
        )
    text = text_of(replace(results, scores=results.scores.assign(auc=auc)))
    assert rows_of(text, "MAL (ours")[-2][6] == "0.750"


def test_two_methods_of_one_printed_row_are_told_apart() -> None:
    results = Results.concat([make_results(("mal",)), make_results(("mal2",), paper_row="MAL")])
    names = {row[0] for row in rows_of(text_of(results), "MAL by")}
    assert {"MAL by mal (ours, stand-in)", "MAL by mal2 (ours, stand-in)"} <= names


def test_a_newer_trial_supersedes_an_older() -> None:
    old = make_results(("mal",), parts=("part1",), stale=True)
    results = Results.concat([make_results(("mal",)), old])
    (row,) = group_results(results)[0].rows
    assert row.superseded == 1
    assert not row.trials["stale"].any()
    assert rows_of(text_of(old), "MAL (ours")[-2][-1] == "yes"


def test_groups_are_apart_and_ordered() -> None:
    results = Results.concat(
        [
            make_results(("mal",), parts=("part1",)),
            make_results(("mal",), parts=("part1",), profile="paper", origin="complete"),
            make_results(("mal",), parts=("part1",), profile="a", fingerprint="ff"),
            make_results(("mal",), parts=("part1",), profile="a", fingerprint="ff", shared_overrides="train.steps=9"),
            make_results(("mal",), parts=("part1",), origin="partial"),
        ]
    )
    context = build_context(results)
    assert [section.title for section in context.groups] == [
        "BP4D, complete data, profile paper",
        "BP4D, partial data, profile standin",
        "BP4D, stand-in, profile a",
        "BP4D, stand-in, profile a, changed settings",
        "BP4D, stand-in, profile standin",
    ]
    assert ("changed settings", "train.steps=9") in context.groups[3].facts
    assert [section.figure for section in context.groups] == [
        "figure3",
        "figure3-standin-partial-01234567",
        "figure3-a-stand-in-ff",
        "figure3-a-stand-in-ff~2",
        "figure3-standin-stand-in-01234567",
    ]


def test_changed_settings_are_in_a_title_where_they_tell_groups_apart() -> None:
    made = [make_results(("mal",), parts=("part1",), shared_overrides=f"train.steps={steps}") for steps in (8, 9)]
    assert [section.title for section in build_context(Results.concat(made)).groups] == [
        "BP4D, stand-in, profile standin, with train.steps=8",
        "BP4D, stand-in, profile standin, with train.steps=9",
    ]


def test_results_on_the_other_renderer_say_so() -> None:
    head = "stand-in (procedural faces in BP4D's layout, renderer head): 3,936 frames"
    results = Results.concat([make_results(("mal",)), make_results(("mal",), fingerprint="ff", data_note=head)])
    context = build_context(results)
    assert [section.title for section in context.groups] == [
        "BP4D, stand-in, profile standin",
        "BP4D, stand-in, renderer head, profile standin",
    ]
    assert "(ours, stand-in, renderer head)" in render_markdown(context, TEMPLATES, [])


HOSTILE = "$\\frac$ x|y<b>*z*</b>`[a](http://b)$q$ _u_ ~s~ &lt; \n# h"


def test_hostile_names_show_as_text(tmp_path: Path) -> None:
    results = make_results(
        ("mine",), parts=("part1",), variant=HOSTILE, profile=HOSTILE, data_note=HOSTILE, weights=HOSTILE, backbone=""
    )
    build_report(results, tmp_path, templates=TEMPLATES)
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    shown = r"\$\\frac\$ x\|y&lt;b&gt;\*z\*&lt;/b&gt;\`[a\](http://b)\$q\$ \_u\_ \~s\~ &amp;lt; # h"
    assert f"mine [{shown}] (ours, stand-in, 1 of 3 parts)" in text
    assert f"## BP4D, stand-in, profile {shown}\n" in text
    assert "<b>" not in text
    assert "\n# h" not in text
    assert "backbone: unknown;" in text


def test_escape_leaves_plain_text_alone() -> None:
    assert escape("52.1 [49.0, 55.3]") == "52.1 [49.0, 55.3]"
    assert escape("-") == "-"
    assert escape("a\x00\x1b[31mb\r\n") == "a [31mb"


def test_provenance_may_be_anything() -> None:
    for odd in ("", "not json", "[]", '{"packages": 3, "device": null}'):
        assert "device: unknown; torch: unknown;" in text_of(make_results(("stl",), parts=("part1",), provenance=odd))


def test_no_trial_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trial"):
        build_report(Results.empty(), tmp_path / "out", templates=TEMPLATES)
    assert not (tmp_path / "out").exists()


def test_a_missing_template_is_an_error(one: Results, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"template is missing"):
        build_report(one, tmp_path / "out", templates=tmp_path)


def test_results_that_do_not_fit_together_are_errors(one: Results) -> None:
    first = one.trials["trial"].iloc[0]
    lost = one.counts[(one.counts["trial"] != first) | (one.counts["subject"] != "F001")]
    with pytest.raises(UserError, match="different subjects"):
        build_context(replace(one, counts=lost))
    with pytest.raises(UserError, match="does not score"):
        build_context(replace(one, counts=one.counts.replace({"au": {"AU1": "AU99"}})))
    with pytest.raises(UserError, match="what no report knows"):
        build_context(replace(one, trials=one.trials.assign(origin="elsewhere")))
    # A dataset that the paper does not have is no error: tests/report/test_other_datasets.py.
    (group,) = build_context(replace(one, trials=one.trials.assign(dataset="raf"))).groups
    assert not group.group.paper.is_printed


def texts_of(results: Results) -> list[str]:
    (group,) = group_results(results)
    figure = training_curves(group)
    assert figure is not None
    return [t.get_text() for t in (*figure.texts, *(t for axes in figure.axes for t in axes.texts))]


def test_figure_says_what_it_lacks() -> None:
    assert texts_of(make_results(("mal",), parts=("part1", "part2"))).count("not run") == 3 + 2
    some = make_results()
    of_mal = some.curves[some.curves["trial"].str.startswith("mal")]
    assert texts_of(replace(some, curves=of_mal)).count("no curve stored") == 3
    full = texts_of(make_results())
    assert full.count("FE") == 9
    assert full.count("FE share") == 3
    assert "not run" not in full


def test_figure_shows_the_default_setting_and_the_first_seed() -> None:
    other = Results.concat([make_results(("mtl",)), make_results(("mal",), variant="meta_lr=0.1")])
    assert texts_of(other).count("not run") == 6
    (group,) = group_results(make_results(("mal",), seeds=(3, 1), parts=("part1",)))
    curves = group.results.curves
    first = curves[(curves["trial"] == "mal-part1-1-") & (curves["series"] == "loss_au")]
    figure = training_curves(group)
    assert figure is not None
    raw = figure.axes[1].lines[0]
    np.testing.assert_array_equal(raw.get_ydata(), first["value"])


def test_figure_names_other_data_than_the_papers() -> None:
    for origin, label in (("stand-in", "stand-in"), ("partial", "partial data")):
        assert label in texts_of(make_results(("mal",), parts=("part1",), origin=origin))
    assert not {"stand-in", "complete data"} & set(
        texts_of(make_results(("mal",), parts=("part1",), origin="complete"))
    )


def test_figure_is_a_picture(built: tuple[Path, list[Path]]) -> None:
    pixels = matplotlib.image.imread(built[0] / "figures" / "figure3.png")
    assert pixels.shape[1] == 1400  # seven inches
    assert pixels[..., :3].std() > 0.05
    assert all(b"<dc:date>" not in file.read_bytes() for file in built[1] if file.suffix == ".svg")


def test_smoothing_by_hand() -> None:
    # 30 points: half a window is int(30 / 15 / 2) = 1, so three points, and two at the ends.
    values = np.zeros(30)
    values[[0, 10]] = 3.0, 6.0
    expected = np.zeros(30)
    expected[[0, 1]] = 1.5, 1.0
    expected[9:12] = 2.0
    np.testing.assert_allclose(smoothed(values), expected, atol=1e-12)


def test_names_do_not_make_groups_and_settings_do() -> None:
    """Two budgets under one profile name are two sections; one setting under two names is one."""
    short = make_results(("mal", "stl"), shared_digest="steps 100")
    long = make_results(("mal",), parts=("part1",), shared_digest="steps 2000", steps=4000)
    groups = group_results(Results.concat([short, long]))
    assert [len(group.rows) for group in groups] == [2, 1]
    assert [group.rows[0].parts for group in groups] == [("part1", "part2", "part3"), ("part1",)]
    renamed = make_results(("mtl",), shared_digest="steps 100", profile="mine")
    assert len(group_results(Results.concat([short, renamed]))) == 1


def test_only_the_papers_settings_get_a_verdict() -> None:
    def verdicts(**columns: object) -> set[str]:
        results = make_results(("mal",), origin="complete", **columns)
        text = text_of(results)
        return {cell for row in rows_of(text, "MAL verdict") for cell in row[1:]}

    assert not verdicts(profile="paper") & {"other settings", "stale"}
    assert verdicts(profile="smoke") == {"other settings"}
    assert verdicts(profile="paper", shared_overrides="train.epochs=1") == {"other settings"}
    assert verdicts(profile="paper", stale=True) == {"stale"}
