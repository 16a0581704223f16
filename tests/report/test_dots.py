"""The figure below the answer: its marks are the numbers of the tables, and it says which noise its lines hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from benchmark.paper.tables import AVE, paper_table
from benchmark.report.dots import BOTH, DRAWN, FAINT, SUBJECTS, dot_plot, dots_of
from benchmark.report.figures import BLUE, GREY, VERMILLION
from benchmark.report.groups import group_results
from benchmark.report.ours import OursOfGroup, score_groups
from benchmark.report.render import build_report
from benchmark.stats.counts import mean_over_parts
from benchmark.store.results import Results
from tests.report.conftest import TEMPLATES, make_results

THREE = (0, 1, 2)


def scored(results: Results) -> OursOfGroup:
    (ours,) = score_groups(group_results(results))
    return ours


def drawn(results: Results) -> Figure:
    figure = dot_plot(scored(results))
    assert figure is not None
    return figure


def marks(figure: Figure, kind: str) -> list[list[float]]:
    """Horizontal places of the marks of one kind, by row from the top."""
    lines = [line for line in figure.axes[0].lines if line.get_marker() == kind]
    return [line.get_xdata().tolist() for line in sorted(lines, key=lambda line: line.get_ydata()[0])]


def words(figure: Figure) -> str:
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return "\n".join([*(text.get_text() for text in figure.texts), figure.axes[0].get_xlabel(), *legends])


def test_marks_are_the_averages_of_the_tables() -> None:
    results = make_results(seeds=THREE)
    ours, figure = scored(results), drawn(results)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["STL", "MTL", "MAL"]
    assert marks(figure, "o") == [[o.values[AVE]] for o in ours.rows]
    trainings = [(100 * mean_over_parts(o.row.counts).ave_by_seed).tolist() for o in ours.rows]
    assert marks(figure, ".") == trainings
    assert all(len(of_row) == 3 for of_row in trainings)


def test_with_several_seeds_the_line_holds_both_noises() -> None:
    """By hand: jackknife within each part, the spread of three seeds, and the degrees of freedom of their sum."""
    from scipy.stats import t

    from benchmark.stats.bootstrap import left_out

    results = make_results(("mal",), seeds=THREE)
    ours = scored(results)
    (dot,) = dots_of(ours)
    counts = ours.rows[0].row.counts
    without = left_out(counts)
    over_subjects, subjects = 0.0, 0
    for part in set(without.parts.tolist()):
        values = without.values[without.parts == part, -1]
        over_subjects += (len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum()
        subjects += len(values) - 1
    of_seeds = mean_over_parts(counts).ave_by_seed
    over_trainings = of_seeds.var(ddof=1) / 3
    total = over_subjects + over_trainings
    freedom = total**2 / (over_subjects**2 / subjects + over_trainings**2 / 2)
    half = 100 * np.sqrt(total) * t.ppf(0.975, freedom)
    assert dot.noise == BOTH
    assert (dot.interval.low, dot.interval.high) == pytest.approx((dot.value - half, dot.value + half))
    assert "95 % over subjects and trainings" in words(drawn(results))


def test_with_one_seed_the_line_holds_subjects_alone_and_the_figure_says_so() -> None:
    results = make_results(("mal", "mtl"))
    ours, figure = scored(results), drawn(results)
    assert [dot.noise for dot in dots_of(ours)] == [SUBJECTS, SUBJECTS]
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "None"]
    assert [list(line.get_xdata()) for line in lines] == [
        [o.intervals[AVE].low, o.intervals[AVE].high] for o in ours.rows
    ]
    assert "95 % over subjects alone, without the noise of training" in words(figure)
    assert marks(figure, ".") == []
    mixed = drawn(Results.concat([make_results(("mal",), seeds=THREE), make_results(("mtl",))]))
    assert "subjects and trainings; dashed: over subjects alone" in words(mixed)


def test_the_papers_value_is_hollow_and_on_complete_data_alone() -> None:
    complete = drawn(make_results(origin="complete", profile="paper"))
    printed = [paper_table("bp4d").row(name) for name in ("STL", "MTL", "MAL")]
    assert marks(complete, "D") == [[row.values[AVE]] for row in printed if row is not None]
    assert {line.get_markerfacecolor() for line in complete.axes[0].lines if line.get_marker() == "D"} == {"white"}
    assert "printed in the paper" in words(complete)
    for origin, label in (("stand-in", "stand-in"), ("partial", "partial data")):
        figure = drawn(make_results(origin=origin))
        assert marks(figure, "D") == []
        assert label in words(figure)
        assert "printed" not in words(figure)


def test_submitted_rows_are_squares_that_are_called_submitted() -> None:
    outside = make_results(("a program",), provenance=json.dumps({"scored_from": "p.csv"}))
    figure = drawn(Results.concat([make_results(), outside]))
    assert len(marks(figure, "s")) == 1
    assert len(marks(figure, "o")) == 3
    assert figure.axes[0].get_yticklabels()[-1].get_text() == "a program (submitted)"
    assert "submitted" in words(figure)


def test_rows_that_lack_parts_say_so_and_rows_beyond_the_largest_number_are_counted() -> None:
    figure = drawn(make_results(("mal",), parts=("part1",)))
    assert figure.axes[0].get_yticklabels()[0].get_text() == "MAL, 1 of 3 parts"
    many = [make_results(("mal",), parts=("part1",), variant=f"beta={i}") for i in range(DRAWN + 2)]
    figure = drawn(Results.concat(many))
    assert len(marks(figure, "o")) == DRAWN
    assert "2 more rows in the tables" in words(figure)


def test_its_colours_are_seen_on_white() -> None:
    """WCAG 2.2, 1.4.11: three to one for what a reader needs to see."""

    def luminance(colour: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for colour in (BLUE, VERMILLION, GREY, FAINT):
        assert 1.05 / (luminance(colour) + 0.05) >= 3, colour


def test_a_figure_with_nothing_in_it_is_not_drawn(tmp_path: Path) -> None:
    bare = replace(make_results(), curves=Results.empty().curves)
    written = {file.name for file in build_report(bare, tmp_path / "bare", templates=TEMPLATES)}
    assert "answer-bp4d.svg" in written
    assert not [name for name in written if name.startswith("figure3")]
    text, page = ((tmp_path / "bare" / name).read_text(encoding="utf-8") for name in ("tables.md", "index.html"))
    assert "### Figure 3" not in text
    assert "training curves" not in page
    assert page.count("data:image/svg") == 1
    unknown = make_results()
    unknown.counts[["tp", "fp", "fn", "tn"]] = 0
    written = {file.name for file in build_report(unknown, tmp_path / "unknown", templates=TEMPLATES)}
    assert not [name for name in written if name.startswith("answer")]
    for name in ("tables.md", "index.html", "tables.tex"):
        assert "figures/answer" not in (tmp_path / "unknown" / name).read_text(encoding="utf-8")
