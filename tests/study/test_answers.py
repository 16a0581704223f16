"""Answers on primary pairs, maps and agreements, as the page says them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.config.profile import load_profile
from benchmark.report.groups import Row, group_results
from benchmark.stats.multiple import equivalence_p
from benchmark.store.results import Results
from benchmark.study.answers import Answer, Comparison, agreement, overall
from benchmark.study.answers import answer as answer_of_differences
from benchmark.study.figures import map_figure
from benchmark.study.page import write_study
from benchmark.study.plan import Plan, Question
from benchmark.study.statistics import RowDifference
from benchmark.trials.expand import shared_overrides
from tests.report.conftest import TEMPLATES, make_results

METHODS = ("mal", "mtl", "stl")


def rows_of(results: Results) -> dict[str, Row]:
    (group,) = group_results(results)
    return {row.method: row for row in group.rows}


def answer(asked: Question, rows: dict[str, Row], *, margin: float, alpha: float) -> tuple[Comparison, ...]:
    differences = {
        (a, b): RowDifference.between(rows[a], rows[b], rows.values())
        for a, b in asked.primary
        if a in rows and b in rows
    }
    return answer_of_differences(asked, differences, margin=margin, alpha=alpha)


def question(*primary: tuple[str, str]) -> Question:
    return Question(name="q", title="Who is better?", methods=METHODS, seeds=(0, 1, 2, 3), primary=primary)


def test_answers_follow_from_holm_and_from_the_margin() -> None:
    results = make_results(METHODS, seeds=(0, 1, 2, 3), skills={"mal": 0.8, "mtl": 0.7, "stl": 0.7})
    rows = rows_of(results)
    better, worse, unknown = answer(
        question(("mal", "mtl"), ("mtl", "mal"), ("mtl", "stl")), rows, margin=0.01, alpha=0.05
    )
    assert (better.answer, worse.answer, unknown.answer) == (Answer.BETTER, Answer.WORSE, Answer.UNKNOWN)
    assert better.sentence.startswith(f"mal is better than mtl: +{better.difference.f1:.1f} F1 points, +")
    assert "4 trainings each, p = " in better.sentence
    assert "cannot be told apart, and a difference beyond 0.0 points is not excluded" in unknown.sentence
    # Three tests: the smallest p-value is multiplied by three.
    (alone,) = answer(question(("mal", "mtl")), rows, margin=0.01, alpha=0.05)
    assert alone.p == pytest.approx(alone.difference.p)
    assert better.p == pytest.approx(3 * alone.p)


def compared(*answers: Answer) -> tuple[Comparison, ...]:
    """Comparisons with these answers."""
    rows = rows_of(make_results(METHODS, seeds=(0, 1, 2, 3)))
    difference = RowDifference.between(rows["mal"], rows["mtl"], rows.values())
    assert difference is not None
    made = []
    for wanted in answers:
        value = -1.0 if wanted is Answer.WORSE else 1.0
        p, equal = (0.01 if wanted in (Answer.BETTER, Answer.WORSE) else 0.5), (0.01 if wanted is Answer.SAME else 0.5)
        made.append(Comparison("mal", "mtl", replace(difference, f1=value), p, equal, margin=1.5, alpha=0.05))
    assert tuple(comparison.answer for comparison in made) == answers
    return tuple(made)


@pytest.mark.parametrize(
    ("drawn", "head", "said"),
    [
        (("better", "better"), ("better", "better"), "yes"),
        (("better", "better"), ("better", "cannot be told"), "cannot say"),
        (("better", "better"), ("cannot be told", "better"), "cannot say"),
        (("worse", "cannot be told"), ("practically the same", "better"), "no"),
        (("practically the same", "better"), ("practically the same", "worse"), "no"),
        (("worse", "better"), ("better", "better"), "cannot say"),
        (("cannot be told", "worse"), ("worse", "worse"), "cannot say"),
        (("better", "better"), None, "not yet, since trials of `head` are to be run"),
    ],
)
def test_the_primary_questions_have_one_answer(drawn: tuple[str, str], head: tuple[str, str] | None, said: str) -> None:
    done = {"drawn": compared(*map(Answer, drawn))} | ({} if head is None else {"head": compared(*map(Answer, head))})
    assert overall(done, ("drawn", "head")) == said
    assert overall(done, ()) == ""


def test_a_small_difference_is_called_the_same_within_the_margin_alone() -> None:
    rows = rows_of(make_results(METHODS, seeds=(0, 1, 2, 3), skills={"mal": 0.75, "mtl": 0.75, "stl": 0.75}))
    wide, narrow = (answer(question(("mal", "mtl")), rows, margin=m, alpha=0.05)[0] for m in (20.0, 0.01))
    assert wide.answer == Answer.SAME
    assert "mal and mtl are practically the same, within 20.0 points" in wide.sentence
    assert narrow.answer == Answer.UNKNOWN
    assert wide.equal_p == equivalence_p(wide.difference.f1, wide.difference.error, wide.difference.freedom, 20.0)


def test_one_training_answers_nothing() -> None:
    rows = rows_of(make_results(METHODS, skills={"mal": 0.9, "mtl": 0.5}))
    (one,) = answer(question(("mal", "mtl")), rows, margin=1.5, alpha=0.05)
    assert one.answer == Answer.UNKNOWN
    assert one.sentence.startswith("mal and mtl cannot be compared: +")


def test_a_pair_that_is_not_done_still_counts_for_the_others() -> None:
    rows = rows_of(make_results(("mal", "mtl"), seeds=(0, 1, 2, 3)))
    (alone,) = answer(question(("mal", "mtl")), rows, margin=1.5, alpha=0.05)
    (among,) = answer(question(("mal", "mtl"), ("mal", "stl")), rows, margin=1.5, alpha=0.05)
    assert among.p == pytest.approx(min(1.0, 2 * alone.p))


def test_agreement_counts_pairs_by_their_signs() -> None:
    one = rows_of(make_results(METHODS, seeds=(0, 1, 2), skills={"mal": 0.9, "mtl": 0.75, "stl": 0.6}))
    other = rows_of(make_results(METHODS, seeds=(0, 1, 2), skills={"mal": 0.75, "mtl": 0.9, "stl": 0.6}))
    pairs, same = agreement(one, one)
    assert len(pairs) == 3
    assert "Of 3 pairs of methods, 3 are told apart in both, 3 of them with the same sign; 0" in same
    _, turned = agreement(one, other)
    assert "3 are told apart in both, 2 of them with the same sign" in turned
    assert agreement(one, {})[0] == []


MAP_PLAN = Plan.model_validate(
    {
        "title": "Where it pays",
        "profile": "standin",
        "dataset": "bp4d",
        "maps": [
            {
                "name": "where",
                "title": "Where does selection pay?",
                "pair": ["mal", "mtl"],
                "seeds": [0, 1, 2],
                "column_title": "frames of a sequence",
                "columns": [
                    {"title": "four", "set": ["standin.frames_per_sequence=4"]},
                    {"title": "six", "set": ["standin.frames_per_sequence=6"]},
                ],
                "row_title": "K",
                "rows": [{"title": "small"}, {"title": "large", "set": ["data.val_fraction=0.2"]}],
            }
        ],
    }
)


@pytest.mark.parametrize("done", [3, 4])
def test_a_map_has_a_cell_for_each_pair_of_values_and_is_answered_when_all_are_there(tmp_path: Path, done: int) -> None:
    (asked,) = MAP_PLAN.maps
    assert [cell.name for cell in asked.questions] == ["where-1-1-1", "where-1-1-2", "where-1-2-1", "where-1-2-2"]
    made, digests = [], {}
    for cell, skill in zip(asked.questions[:done], (0.9, 0.72, 0.5, 0.72)[:done], strict=True):
        _, changed = load_profile("standin", cell.set)
        columns = {"shared_overrides": shared_overrides(changed), "fingerprint": cell.name, "shared_digest": cell.name}
        results = make_results(("mal", "mtl"), seeds=(0, 1, 2), skills={"mal": skill, "mtl": 0.72}, **columns)
        made.append(results)
        own = dict(zip(results.trials["method"], results.trials["own_digest"], strict=True))
        digests[cell.name] = {method: (cell.name, str(own[method])) for method in asked.pair}
    digests |= {cell.name: {} for cell in asked.questions[done:]}
    page, _, *figures = write_study(
        MAP_PLAN, Results.concat(made), tmp_path, digests=digests, templates=TEMPLATES, name="x"
    )
    text = page.read_text()
    assert "# Where it pays\n" in text
    (cells,) = [line for line in text.splitlines() if line.startswith("| large")]
    if done < 4:
        assert "*Incomplete: 18 of 72 trials are not done" in text
        assert cells.rstrip(" |").endswith("-")  # the cell without trials
        assert ("mal is better than mtl" in text, figures) == (False, [])
        return
    assert "mal is better than mtl in 1 of 4 cells and worse in 1; 0.2 would differ by chance alone." in text
    assert "Better: small, four." in text
    assert f"![Where does selection pay?](figures/{figures[0].name})" in text


def test_a_map_with_nothing_in_it_is_not_drawn() -> None:
    (asked,) = MAP_PLAN.maps
    nothing: dict[tuple[int, int, int], RowDifference | None] = dict.fromkeys(asked.cells)
    assert map_figure(asked, nothing) is None
    rows = rows_of(make_results(("mal", "mtl")))
    assert map_figure(asked, nothing | {(0, 0, 0): RowDifference.between(rows["mal"], rows["mtl"])}) is not None


def test_wrong_plans_are_refused() -> None:
    content = MAP_PLAN.model_dump()
    base = {"name": "base", "title": "?", "methods": ["mal"], "seeds": [0]}
    wrong = {
        "compares mtl": {"questions": [base | {"primary": [["mal", "mtl"]]}]},
        "needs a question": {"maps": []},
        "is the name of two": {"questions": [base | {"name": "where-1-1-1"}]},
        "which is no question": {"agreements": [{"title": "?", "questions": ["base", "other"]}], "questions": [base]},
        "equal_effort": {
            "equal_effort": True,
            "choices": [
                {"name": m, "title": m, "method": m, "seeds": s, "set": ["standin.seed=1"], "candidates": [[], ["a=1"]]}
                for m, s in (("mal", [0]), ("mtl", [0, 1]))
            ],
        },
    }
    for message, change in wrong.items():
        with pytest.raises(ValueError, match=message):
            Plan.model_validate(content | change)
    assert np.isclose(Plan.model_validate(content).margin, 1.5)
