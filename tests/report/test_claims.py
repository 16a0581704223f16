"""Claims on the printed tables against what was worked out by hand, and on made-up runs."""

from __future__ import annotations

import ast
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmark.paper.expressions import (
    Claim,
    Outcome,
    Printed,
    UnknownError,
    fall,
    judge,
    paper_claims,
    trend,
)
from benchmark.report.claims import OurRuns, judge_claims
from benchmark.report.groups import group_results
from benchmark.report.ours import score_group, verdict_counts
from benchmark.stats.ranks import spearman
from benchmark.store.results import Results
from tests.report.conftest import make_results, without_labels

FOLLOWS = {
    # Sizes: MAL's printed average less the other's.
    **dict.fromkeys(["C01", "C02", "C03", "C04", "C05", "C06", "C07", "C08", "C09", "C15"], True),
    "C10": True,  # MTL is above STL in 7 of 8 AUs
    "C11": True,  # 9 of 10
    "C12": True,  # 59.2 and 59.7
    "C13": False,  # DISFA AU26: 52.6 against 56.9
    "C14": True,  # 58.0 against LP-Net's 56.9
    "C16": False,  # BP4D AU1: 47.9 against DSIN's 51.7
    "C17": False,  # GFT AU6: 74.5 against ResNet-50's 79.1
    "C18": True,  # 59.8 against MTL's 56.0
    "C23": True,  # 22 of 30
    "C24": False,  # BP4D AU24: 48.5 against 50.5
    "C25": False,  # BP4D AU2: 49.5 both
    "C26": True,  # 62.2 against LP-Net's 61.0
    "C27": True,  # 62.2 and 62.9
    "C28": False,  # BP4D AU17: 59.7 against 62.9
    **dict.fromkeys(["C19", "C20", "C21", "C22", "C29", "C30"], None),
}


def claim(expression: str) -> Claim:
    return Claim("X", "0", "made up", expression)


def test_what_follows_from_the_printed_tables() -> None:
    assert {each.claim.id: each.printed.holds for each in judge_claims()} == FOLLOWS


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("C13", "29 of 30 cells; not in DISFA AU26 52.6 against STL's 56.9"),
        ("C16", "39 of 40 cells; not in BP4D AU1 47.9 against DSIN's 51.7"),
        ("C25", "17 of 18 cells; not in BP4D AU2 49.5 against L2T-WW's 49.5"),
        ("C07", "+2.5, claimed +2.5"),
        ("C21", "the paper prints the weights of some chosen images alone"),
    ],
)
def test_evidence(id_: str, said: str) -> None:
    found = next(each for each in judge_claims() if each.claim.id == id_)
    assert found.printed.evidence == said


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')",
        "MAL.name",
        "ave(BP4D, MAL)",
        "ave(BP4D, MAL) * 2 > 1",
        "each(MAL, BP4D)",
        "[x for x in y]",
        "1 < ave(BP4D, MAL) < 2",
        "fall(MAL, 'loss_fe') > 0",
        "a +",
    ],
)
def test_nothing_else_is_understood(expression: str) -> None:
    numbers = OurRuns(group_results(make_results()))
    with pytest.raises(ValueError):
        judge(claim(expression), numbers)


def test_each_and_most_and_the_digit() -> None:
    assert judge(claim("most(MTL > STL, DISFA, on='AU1 AU26')"), Printed()).holds is False  # half is not most
    assert judge(claim("each(MTL > STL, DISFA, on='AU1')"), Printed()).holds is True
    assert judge(claim("about(ave(BP4D, MAL) - ave(BP4D, MTL), 2.4)"), Printed()).holds is False
    assert judge(claim("each(MAL > gBN, BP4D)"), Printed()).holds is None  # it prints no AU
    assert judge(claim("each(MAL > Nobody, BP4D)"), Printed()) == Outcome(None, "Table 1 has no row Nobody")


def test_on_runs() -> None:
    groups = group_results(make_results(("stl", "mtl", "mal")))
    found = {each.claim.id: each.ours[0] for each in judge_claims(groups)}
    better = found["C07"].outcome
    # The made-up MAL is far above MTL: 2.5 points are not what it gains, but the sign is right.
    assert better.probability == pytest.approx(1.0, abs=0.05)
    assert better.evidence.startswith("+")
    assert found["C07"].standing == "other data (stand-in)"
    assert found["C01"].outcome == Outcome(None, "MTAN was not run (BP4D)")
    assert found["C26"].outcome == Outcome(None, "DRML is not trained by this suite (BP4D)")
    assert found["C02"].outcome == Outcome(None, "nothing was run on DISFA")
    assert found["C20"].outcome.holds is True  # the made-up FE weight rises
    assert found["C20"].outcome.evidence.startswith("above 0 in 3 of 3 trials")
    assert found["C20"].outcome.probability is None
    assert found["C19"].outcome.holds is True
    assert found["C21"].outcome.holds is True
    assert found["C22"].outcome == Outcome(None, "the AUs of the FE images are not known")


def test_a_claim_of_each_is_false_if_one_cell_breaks_it() -> None:
    results = make_results(("stl", "mal"))
    holds = judge(claim("each(MAL > STL, BP4D)"), OurRuns(group_results(results)))
    assert holds.holds is True
    counts = results.counts.copy()
    trials = results.trials.loc[results.trials["method"] == "mal", "trial"]
    counts.loc[counts["trial"].isin(trials) & (counts["au"] == "AU7"), "tp"] = 0
    broken = judge(claim("each(MAL > STL, BP4D)"), OurRuns(group_results(replace(results, counts=counts))))
    assert broken.holds is False
    assert "BP4D AU7" in broken.evidence
    assert broken.probability == 0


def test_probability_is_the_share_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    class Two(Printed):
        def cell(self, dataset: str, method: str, column: str) -> np.ndarray | None:
            return np.array([60.0, 58, 59, 61, 62]) if method == "MAL" else np.array([60.5, 57, 60, 60, np.nan])

    found = judge(claim("ave(BP4D, MAL) > ave(BP4D, MTL)"), Two())
    assert (found.holds, found.probability) == (False, 2 / 3)
    sized = judge(claim("about(ave(BP4D, MAL) - ave(BP4D, MTL), 1.0)"), Two())
    assert (sized.holds, sized.probability) == (True, 2 / 3)


def test_curves() -> None:
    steps = np.arange(100.0)
    assert fall(steps, np.linspace(2, 1, 100)) == pytest.approx(1 - (1 + 9 / 198) / (2 - 9 / 198), rel=1e-9)
    assert trend(steps, steps**3) == pytest.approx(1)
    assert np.isnan(trend(steps, np.ones(100)))
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 60).astype(float), rng.integers(0, 4, 60).astype(float)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, rel=1e-12)


def test_every_expression_is_of_the_language() -> None:
    for each in paper_claims():
        ast.parse(each.expression, mode="eval")
        printed, ours = (judge(each, numbers) for numbers in (Printed(), OurRuns(group_results(make_results()))))
        assert printed.holds is FOLLOWS[each.id]
        assert printed.evidence
        assert ours.evidence


def test_as_json() -> None:
    plain = [each.as_json() for each in judge_claims(group_results(make_results(("stl", "mal"))))]
    read = json.loads(json.dumps(plain, allow_nan=False))
    assert list(read[0]) == ["id", "section", "claim", "expression", "follows", "evidence", "ours"]
    assert read[12]["follows"] is False
    assert read[12]["ours"][0]["standing"] == "other data (stand-in)"
    assert set(read[12]["ours"][0]) == {"runs", "standing", "holds", "evidence", "probability"}
    assert "ours" not in judge_claims()[0].as_json()


def test_unknown_is_said() -> None:
    with pytest.raises(UnknownError, match="no row"):
        Printed().cell("bp4d", "Nobody", "ave")


def test_an_average_without_an_au_is_no_test_of_the_papers() -> None:
    """The tables show "n/a" in this case."""
    results = without_labels(make_results(origin="complete", profile="paper"), "AU7")
    found = {each.claim.id: each.ours[0].outcome for each in judge_claims(group_results(results))}
    assert all(found[name].holds is None and "undefined" in found[name].evidence for name in ("C07", "C12"))


def test_two_methods_that_stand_for_one_are_not_chosen_between() -> None:
    results = make_results()
    named = replace(results, trials=results.trials.assign(paper_row=results.trials["paper_row"].replace("STL", "MTL")))
    found = {each.claim.id: each.ours[0].outcome for each in judge_claims(group_results(named))}
    unsaid = [outcome for outcome in found.values() if "mtl and stl both stand for MTL (BP4D)" in outcome.evidence]
    assert unsaid
    assert all(outcome.holds is None for outcome in unsaid)


def test_standing_is_of_the_rows_that_are_judged() -> None:
    default = make_results(origin="complete", profile="paper")
    other = make_results(("mal",), origin="complete", profile="paper", variant="meta_lr=0.1", parts=("part1",))
    assert OurRuns(group_results(Results.concat([default, other]))).standing == ""
    short = make_results(("mal",), origin="complete", profile="paper", parts=("part1",))
    assert OurRuns(group_results(short)).standing == "incomplete"


@pytest.mark.parametrize("without", [1, 2])
def test_curves_of_other_trials_are_not_set_against_each_other(without: int) -> None:
    results = make_results()
    of_mtl = results.curves["trial"].str.startswith("mtl") & (results.curves["series"] == "loss_fe")
    lost = of_mtl & results.curves["trial"].isin(sorted(results.curves.loc[of_mtl, "trial"].unique())[:without])
    groups = group_results(replace(results, curves=results.curves[~lost]))
    found = next(each for each in judge_claims(groups) if each.claim.id == "C19").ours[0].outcome
    assert found == Outcome(None, f"MTL stored no curve loss_fe in {without} of its trials")


def test_two_sets_of_images_of_one_dataset_are_judged_apart() -> None:
    both = Results.concat([make_results(("mal",)), make_results(("mal",), fingerprint="drawn anew")])
    first, second = (found.runs for found in judge_claims(group_results(both))[0].ours)
    assert second.startswith(f"{first}, BP4D data ")


def test_a_method_in_settings_of_its_own_gets_no_verdict() -> None:
    complete = {"origin": "complete", "profile": "paper"}
    usual = make_results(("mal",), **complete)
    changed = make_results(("mal",), **complete, variant="beta=0.1", own_digest="other")
    (group,) = group_results(Results.concat([usual, changed]))
    said = verdict_counts(score_group(group))
    (alone,) = group_results(usual)
    assert said["other settings"] == 13
    assert said - Counter({"other settings": 13}) == verdict_counts(score_group(alone))
