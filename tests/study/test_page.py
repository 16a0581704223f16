"""The study's page: its plans, which trials answer which question, and what is said of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.core.places import PROJECT
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.report.groups import group_results
from benchmark.stats.weights import weight_statistics
from benchmark.store.results import Results
from benchmark.study.names import PLANS
from benchmark.study.page import write_study
from benchmark.study.plan import Plan, load_plan
from benchmark.study.rows import Digests, digests_of
from benchmark.study.statistics import RowDifference
from benchmark.trials.expand import AuSource, Selection, Sources, expand, shared_overrides
from methods import discover
from tests.report.conftest import TEMPLATES, make_results

PLAN = Plan.model_validate(
    {
        "profile": "standin",
        "dataset": "bp4d",
        "questions": [
            {
                "name": "base",
                "title": "Who is best?",
                "methods": ["mal", "mtl", "stl"],
                "seeds": [0, 1, 2],
                "pairs": [["mal", "mtl"], ["mtl", "mal"], ["stl", "stl"]],
                "selects": [
                    {"method": "mal", "kind": "marked"},
                    {"method": "mal", "kind": "marked", "found": False},
                ],
            },
            {
                "name": "dial",
                "title": "And with fewer frames?",
                "methods": ["mal"],
                "seeds": [0],
                "set": ["standin.frames_per_sequence=4", "methods.mal.beta=0.01"],
            },
        ],
    }
)


def weighed(results: Results, auc: float, share: float = 0.1) -> Results:
    trials = results.trials.loc[results.trials["method"] == "mal", "trial"]
    values = {"auc_marked": auc, "mean_marked": share * 0.6, "mean_clear": 0.6}
    rows = [{"trial": t, "name": name, "value": value} for t in trials for name, value in values.items()]
    return replace(results, weights=pd.DataFrame(rows))


def digests(results: Results, name: str) -> dict[str, dict[str, Digests]]:
    """The trials of these results answer this question, and none the other."""
    made = {
        str(row["method"]): (str(row["shared_digest"]), str(row["own_digest"]))
        for row in results.trials.to_dict("records")
    }
    return {question.name: made if question.name == name else {} for question in PLAN.questions}


def page_of(
    results: Results, tmp_path: Path, found: Mapping[str, Mapping[str, Digests]] | None = None, plan: Plan = PLAN
) -> str:
    found = found or digests(results, "base")
    page, kept, *_ = write_study(plan, results, tmp_path, digests=found, templates=TEMPLATES, name="x")
    assert not Results.read(kept).trials.empty
    return page.read_text()


def test_a_clear_difference_is_said_in_words_and_tied_to_its_row(tmp_path: Path) -> None:
    results = weighed(make_results(seeds=(0, 1, 2)), 0.95)
    text = page_of(results, tmp_path)
    assert "- mal is better than mtl: +" in text
    assert "- mtl is worse than mal: -" in text
    assert "- stl is not told apart from stl: +0.0 F1 points" in text
    assert "- mal finds marked images in 9 of 9 trials, asked was every one: holds. AUC" in text
    assert "- mal finds marked images in 9 of 9 trials, asked was none: does not hold. AUC" in text
    base, dial = text.split("## And with fewer frames?")
    assert "Incomplete" not in base
    assert "Question `base` of the plan. Trained on Some CPU with torch 2.9.0 (seed 0, 1, 2: mal, mtl, stl)." in text
    assert "no trial is done" in dial


@pytest.mark.parametrize(("auc", "share", "found"), [(0.95, 0.1, 3), (0.95, 0.3, 0), (0.85, 0.1, 0)])
def test_a_kind_is_found_by_its_auc_and_by_its_share_of_weight(
    tmp_path: Path, auc: float, share: float, found: int
) -> None:
    results = weighed(make_results(parts=("part1",), seeds=(0, 1, 2)), auc, share)
    text = page_of(results, tmp_path)
    told = (
        f"AUC of the weight, clear against marked, at least 0.9: {', '.join([f'{auc:.3f}'] * 3)}. Mean weight of marked"
    )
    told += f" images over that of clear ones, at most 0.25: {', '.join([f'{share:.2f}'] * 3)}."
    every, none = ("holds", "does not hold") if found else ("does not hold", "holds")
    assert f"- mal finds marked images in {found} of 3 trials, asked was every one: {every}. {told}" in text
    assert f"- mal finds marked images in {found} of 3 trials, asked was none: {none}. {told}" in text


def test_one_trial_that_finds_what_none_should_is_told(tmp_path: Path) -> None:
    results = weighed(make_results(parts=("part1",), seeds=(0, 1, 2)), 0.95)
    of_seed_1 = results.weights["trial"].isin(results.trials.loc[results.trials["seed"] == 1, "trial"])
    results.weights.loc[~of_seed_1 & (results.weights["name"] == "auc_marked"), "value"] = 0.2
    text = page_of(results, tmp_path)
    assert (
        "in 1 of 3 trials, asked was every one: does not hold. AUC of the weight, clear against marked, at least"
        in text
    )
    assert "in 1 of 3 trials, asked was none: does not hold." in text
    assert "at least 0.9: 0.200, 0.950, 0.200." in text  # by seed


def test_seeds_and_parts_that_a_question_does_not_ask_for_are_none_of_its_rows(tmp_path: Path) -> None:
    few = weighed(make_results(seeds=(0, 1, 2)), 0.95)
    more = weighed(make_results(seeds=(0, 1, 2, 3)), 0.95)
    assert page_of(more, tmp_path / "more") == page_of(few, tmp_path / "few")
    one = PLAN.questions[0].model_copy(update={"parts": ("part1",)})
    plan = PLAN.model_copy(update={"questions": (one, PLAN.questions[1])})
    only = weighed(make_results(seeds=(0, 1, 2), parts=("part1",)), 0.95)
    texts = [page_of(each, tmp_path / name, plan=plan) for name, each in (("few", few), ("only", only))]
    assert texts[0] == texts[1]
    kept = Results.read(tmp_path / "few" / "x.parquet").trials
    assert set(kept["part"]) == {"part1"}


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    text = page_of(weighed(make_results(), 0.5), tmp_path)
    assert "mal against mtl: +" in text
    assert "F1 points of one training, so nothing can be said of the methods." in text
    assert "better" not in text.split("## Who is best?")[1]
    assert "6 of 9 trials are not done" not in text  # all parts of seed 0: 18 of 27
    assert "18 of 27 trials are not done" in text


def test_trials_answer_the_question_of_their_settings_alone(tmp_path: Path) -> None:
    _, changed = load_profile("standin", PLAN.questions[1].set)
    found = digests_of(PLAN, discover())
    assert set(found["base"]) == {"mal", "mtl", "stl"}
    assert found["base"]["mal"] != found["dial"]["mal"]  # of another beta
    stl, mal = found["base"]["stl"], found["dial"]["mal"]
    columns = {"shared_overrides": shared_overrides(changed), "fingerprint": "other"}
    dial = make_results(("mal",), **columns, shared_digest=mal[0], own_digest=mal[1])
    base = make_results(("stl",), shared_digest=stl[0], own_digest=stl[1])
    text = page_of(Results.concat([base, dial]), tmp_path, found)
    base_text, rest = text.split("## And with fewer frames?")
    assert "| stl" in base_text
    assert "| mal" not in base_text
    assert "| mal" in rest
    # The same name with another digest is of another version of the profile.
    text = page_of(Results.concat([base, make_results(("mal",), **columns)]), tmp_path, found)
    assert "no trial is done" in text.split("## And with fewer frames?")[1]


def test_trials_on_two_versions_of_the_data_do_not_answer_one_question(tmp_path: Path) -> None:
    first = make_results(("mal",))
    both = Results.concat([first, make_results(("stl",), fingerprint="drawn anew")])
    found = digests(both, "base")
    with pytest.raises(UserError, match="several versions of the data") as caught:
        page_of(both, tmp_path, found)
    assert "drawn anew" in str(caught.value.found)


def test_auc_has_students_interval_over_trainings() -> None:
    results = make_results(("mal", "mtl"), seeds=(0, 1, 2), parts=("part1",))
    auc = results.scores["auc"] + 0.01 * np.random.default_rng(0).random(len(results.scores))
    (group,) = group_results(replace(results, scores=results.scores.assign(auc=auc)))
    mal, mtl = (next(row for row in group.rows if row.method == name) for name in ("mal", "mtl"))
    found = RowDifference.between(mal, mtl)
    assert found is not None
    values = 100 * (mal.auc - mtl.auc).mean(axis=(1, 2))
    expected = scipy.stats.t.interval(0.95, 2, loc=values.mean(), scale=scipy.stats.sem(values))
    assert (found.auc_interval.low, found.auc_interval.high) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["harm", "tuning", "decisive"])
def test_plans_of_the_suite_expand(name: str) -> None:
    """Every method, part and setting that a plan names exists, and what it asks for is among what it runs."""
    plan = load_plan(name)
    registry = discover()
    for question in plan.all_questions:
        profile, changed = load_profile(plan.profile, question.set)
        selection = Selection(question.methods, question.parts, question.seeds)
        trials = expand(profile, changed, registry, Sources(AuSource(BP4D, ("a", "b"))), selection)
        assert {method for pair in question.pairs for method in pair} <= set(question.methods)
        assert {each.method for each in question.selects} <= set(question.methods)
        scored = [trial for trial in trials if trial.part != "all"]
        assert len(scored) == len(question.methods) * len(question.seeds) * len(question.parts or BP4D.parts)


def test_wrong_plans(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no study 'tunin'") as caught:
        load_plan("tunin")
    assert "did you mean 'tuning'?" in str(caught.value.remedy)
    (tmp_path / "tuning.toml").write_text(CHOICE)
    with pytest.raises(UserError, match="may not be named as a page of the suite"):
        load_plan(str(tmp_path / "tuning.toml"))
    assert load_plan(os.path.relpath(PLANS / "tuning.toml")) == load_plan("tuning")
    (tmp_path / "x.toml").write_text('profile = "standin"\n')
    with pytest.raises(UserError, match="cannot be read"):
        load_plan(str(tmp_path / "x.toml"))
    with pytest.raises(UserError, match="no question 'bas'"):
        PLAN.asked("bas")


CHOICE = """profile = "standin"
dataset = "bp4d"
[[questions]]
name = "base"
title = "Who?"
methods = ["mal"]
seeds = [0]
[[choices]]
name = "beta"
title = "Which beta?"
method = "mal"
seeds = [0]
set = ["standin.seed=1"]
candidates = [[], ["methods.mal.beta=0.01"], ["methods.mal.beta=0.1"]]
"""


def test_a_choice_is_the_candidate_of_highest_f1(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(CHOICE)
    plan = load_plan(str(tmp_path / "x.toml"))
    assert [each.name for each in plan.asked("beta")] == ["beta-1", "beta-2", "beta-3"]
    assert plan.asked("base") == plan.questions
    found = digests_of(plan, discover())
    assert len({found[name]["mal"] for name in ("beta-1", "beta-2", "beta-3")}) == 3
    drawn = {"shared_overrides": "standin.seed=1", "fingerprint": "other"}
    made = []
    for name, skill in (("beta-1", 0.72), ("beta-2", 0.76), ("beta-3", 0.70)):
        shared, own = found[name]["mal"]
        made.append(make_results(("mal",), skills={"mal": skill}, **drawn, shared_digest=shared, own_digest=own))
    text = page_of(Results.concat(made), tmp_path, found, plan)
    chosen = text.split("## Which beta?")[1]
    assert "Choice `beta` of the plan." in chosen
    assert "**Of the highest F1, and so chosen: methods.mal.beta=0.01.**" in chosen
    assert "**methods.mal.beta=0.01 against unchanged: +" in chosen
    assert "| methods.mal.beta=0.01 − unchanged" in chosen
    assert "Incomplete" not in chosen
    # A candidate without its trials may be the best.
    text = page_of(Results.concat(made[:2]), tmp_path, found, plan)
    assert "chosen:" not in text
    assert "3 of 9 trials are not done" in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"standin.seed=1"', '"train.steps=900"', "made on people whom a question tests"),
        ('"methods.mal.beta=0.01"', '"standin.seed=2"', "not on the same data"),
        ('"methods.mal.beta=0.01"', '"standin.seed=0"', "not on the same data"),
        ('name = "beta"', 'name = "base"', "cannot be read"),
        ('name = "base"', 'name = "beta-2"', "cannot be read"),
    ],
)
def test_wrong_choices(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CHOICE
    (tmp_path / "x.toml").write_text(CHOICE.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        load_plan(str(tmp_path / "x.toml"))


def test_candidates_that_are_the_same_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(CHOICE.replace("beta=0.01", "beta=0.0003"))  # as in the profile
    with pytest.raises(UserError, match="are the same settings") as caught:
        digests_of(load_plan(str(tmp_path / "x.toml")), discover())
    assert "methods.mal.beta=0.0003" in str(caught.value.found)


def test_statistics_of_kinds_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    kinds = np.array(["clear"] * 50 + ["marked"] * 30 + ["cue_only"] * 20)
    weight = np.round(rng.random(100) + 0.3 * (kinds == "clear"), 1)  # with ties
    table = pd.DataFrame(
        {"label": rng.integers(0, 2, 100), "weight": weight, "kind": kinds, "consistency": rng.random(100)}
    )
    table["depicted"] = np.where(kinds == "cue_only", 6, np.where(kinds == "marked", -1, rng.integers(4, 7, 100)))
    found = weight_statistics(table, (), {})
    for kind in ("marked", "cue_only"):
        both = np.isin(kinds, ["clear", kind])
        assert found[f"auc_{kind}"] == pytest.approx(roc_auc_score(kinds[both] == "clear", weight[both]))
        assert found[f"mean_{kind}"] == pytest.approx(weight[kinds == kind].mean())
    neutral = (table["depicted"] == 6).to_numpy()
    assert found["auc_within_cue_only"] == pytest.approx(roc_auc_score(kinds[neutral] == "clear", weight[neutral]))
    assert "auc_within_marked" not in found  # noise depicts nothing
    clear = (kinds == "clear").astype(float)
    ceilings = [
        scipy.stats.spearmanr(clear[rows], table["consistency"][rows]).statistic
        for rows in (table["label"] == 0, table["label"] == 1)
    ]
    assert found["spearman_clear_within"] == pytest.approx(np.mean(ceilings))


@pytest.mark.parametrize("name", sorted(file.stem for file in (PROJECT / "reports" / "study").glob("*.parquet")))
def test_the_committed_page_is_that_of_the_committed_results(tmp_path: Path, name: str) -> None:
    plan, kept = load_plan(name), PROJECT / "reports" / "study"
    results = Results.read(kept / f"{name}.parquet")
    found = digests_of(plan, discover())
    page, again, *drawn = write_study(plan, results, tmp_path, digests=found, templates=TEMPLATES, name=name)
    assert page.read_text() == (kept / f"{name}.md").read_text()
    assert {figure.name for figure in drawn} == {file.name for file in (kept / "figures").glob(f"{name}-*")}
    for figure in drawn:
        assert figure.read_bytes() == (kept / "figures" / figure.name).read_bytes()
    assert set(Results.read(again).trials["trial"]) == set(results.trials["trial"])  # none that the page is not of


def test_a_study_without_a_trial_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no trial of the study is done"):
        page_of(Results.empty(), tmp_path, {question.name: {} for question in PLAN.questions})


def test_the_profile_has_the_settings_that_the_tuning_study_chose() -> None:
    """The choice is computed here from the committed trials alone."""
    results = Results.read(PROJECT / "reports" / "study" / "tuning.parquet")
    done = results.trials.set_index("trial")
    averages = results.scores.groupby("trial")["f1"].mean()
    settings = {key: json.loads(text) for key, text in done["settings"].items()}
    for choice in load_plan("tuning").choices:
        mine = done.index[done["method"] == choice.method]
        assert len(mine) == len(choice.candidates) * len(choice.seeds)
        scored: dict[str, list[float]] = {}
        for key in mine:
            scored.setdefault(json.dumps(settings[key]["hparams"], sort_keys=True), []).append(averages[key])
        assert {len(values) for values in scored.values()} == {len(choice.seeds)}
        best = json.loads(max(scored, key=lambda hparams: np.mean(scored[hparams])))
        profile, changed = load_profile("standin", [])
        selection = Selection((choice.method,), ("part1",), (0,))
        trials = expand(profile, changed, discover(), Sources(AuSource(BP4D, ("a", "b"))), selection)
        (trial,) = [made for made in trials if made.method == choice.method]
        assert json.loads(trial.model_dump_json())["hparams"] == best, choice.name
