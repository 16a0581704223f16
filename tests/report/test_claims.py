"""Claims on the printed tables against what was worked out by hand, and on made-up runs."""

from __future__ import annotations

import ast
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmark.paper.budget import EPOCHS, HOURS, PEAK, network_size, share_of_peak
from benchmark.paper.claims import paper_claims
from benchmark.paper.expressions import Outcome, Printed, UnknownError, fall, judge, trend
from benchmark.report.claims import JudgedClaim, OurRuns, judge_claims
from benchmark.report.claims_table import claims_context
from benchmark.report.groups import group_results
from benchmark.report.ours import score_groups
from benchmark.report.pairs import pair_rows
from benchmark.report.verdicts import count_verdicts
from benchmark.stats.ranks import spearman
from benchmark.stats.samples import Sample, crossed_draws
from benchmark.stats.verdict import MARGIN_AVE
from benchmark.store.results import Results
from tests.report.conftest import make_results, without_labels

SEEDS = (0, 1, 2)

FOLLOWS: dict[str, bool | dict[str, bool] | None] = {
    # Sizes: MAL's printed average less the other's; and so "at all".
    **dict.fromkeys(["C01", "C02", "C03", "C04", "C05", "C06", "C07", "C08", "C09", "C15"], True),
    "C10": True,  # MTL is above STL in 7 of 8 AUs
    "C11": True,  # 9 of 10
    "C12": True,  # 59.2 and 59.7
    "C13": False,  # DISFA AU26: 52.6 against 56.9
    "C14": True,  # 58.0 against LP-Net's 56.9; against 57.4, the average of EAC-Net's cells
    "C16": {"all five AUs": False, "most of the five AUs": True},  # BP4D AU1: 47.9 against DSIN's 51.7
    "C17": {"all seven AUs": False, "most of the seven AUs": True},  # GFT AU6: 74.5 against ResNet-50's 79.1
    "C18": True,  # 59.8 against MTL's 56.0
    "C23": True,  # 22 of 30
    "C24": {"all cells": False, "most cells": True},  # BP4D AU24: 48.5 against 50.5; 19 of 22
    "C25": {"a tie breaks it": False, "a tie does not": True},  # BP4D AU2: 49.5 both
    "C26": True,  # 62.2 against LP-Net's 61.0
    "C27": True,  # 62.2 and 62.9
    "C28": {"each AU": False, "most AUs": True},  # BP4D AU17: 59.7 against 62.9
    "C31": True,  # 62.2, 58.0, 59.8 against 59.2, 51.3, 53.0
    "C32": True,  # the same network
    "C33": True,  # 48 % of what the card can do
    **dict.fromkeys(["C19", "C20", "C21", "C22", "C29", "C30"], None),
}


def said_of(claim: JudgedClaim) -> bool | dict[str, bool | None] | None:
    """Outcome of a claim on the printed tables; by reading if it depends on that."""
    if not claim.depends:
        return claim.follows
    return {reading.name: reading.printed.holds for reading in claim.readings}


def test_what_follows_from_the_printed_tables() -> None:
    assert {each.claim.id: said_of(each) for each in judge_claims()} == FOLLOWS


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


def test_the_cost_of_the_papers_training_by_hand() -> None:
    """A step is 13 Tera-operations; an epoch of two of three folds has 1,479 steps."""
    steps = EPOCHS * 142_000 * 2 / 3 / 64
    assert steps == pytest.approx(44_375)
    by_hand = steps * network_size("MAL", "step") / (HOURS * 3600)
    assert share_of_peak("MAL", "bp4d") == pytest.approx(by_hand / PEAK)
    assert 0.4 < by_hand / PEAK < 0.6


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
        judge(expression, numbers)


def test_each_and_most_and_the_digit() -> None:
    assert judge("most(MTL > STL, DISFA, on='AU1 AU26')", Printed()).holds is False  # half is not most
    assert judge("each(MTL > STL, DISFA, on='AU1')", Printed()).holds is True
    # On DISFA's AU1 JAA-Net has 43.7 and MAL 43.8; on AU6 41.4 and 47.4, but MTAN has 56.5. So one AU of two.
    found = judge("most(MAL > 'JAA-Net, MTAN', DISFA, on='AU1 AU6')", Printed())
    assert found.holds is False
    assert found.evidence.startswith("1 of 2 AUs; not in DISFA AU6")
    assert judge("about(ave(BP4D, MAL) - ave(BP4D, MTL), 2.4)", Printed()).holds is False
    assert judge("within(ave(BP4D, MAL) - ave(BP4D, MTL), 2.4)", Printed()).holds is False
    assert judge("within(ave(BP4D, MTL) - ave(BP4D, MAL), 2.6)", Printed()).holds is True
    assert judge("each(MAL > gBN, BP4D)", Printed()).holds is None  # it prints no AU
    assert judge("each(MAL > Nobody, BP4D)", Printed()) == Outcome(None, "Table 1 has no row Nobody")
    # EAC-Net's printed average on DISFA is 48.5; its cells average 57.4.
    assert judge("each(MAL > EAC-Net, DISFA, on='cells')".replace("EAC-Net", "'EAC-Net'"), Printed()).holds is True
    assert judge("each('EAC-Net' > 'LP-Net', DISFA, on='ave')", Printed()).holds is False
    assert judge("each('EAC-Net' > 'LP-Net', DISFA, on='cells')", Printed()).holds is True


def test_on_runs() -> None:
    groups = group_results(make_results(("stl", "mtl", "mal"), seeds=SEEDS))
    found = {each.claim.id: {r.name: r.ours[0] for r in each.readings} for each in judge_claims(groups)}
    # The made-up MAL is far above MTL: 2.5 points are not what it gains, but it is better.
    size, better = found["C07"]["the size"], found["C07"]["at all"]
    assert size.outcome.holds is False
    assert "one more training [+" in size.outcome.evidence
    assert better.outcome.holds is True
    assert size.standing == "other data (stand-in)"
    assert found["C01"]["the size"].outcome == Outcome(None, "MTAN was not run (BP4D)")
    assert found["C26"][""].outcome == Outcome(None, "DRML is not trained by this suite (BP4D)")
    assert found["C02"]["the size"].outcome == Outcome(None, "nothing was run on DISFA")
    assert found["C20"]["Figure 3"].outcome.holds is True  # the made-up FE weight rises
    assert found["C20"]["Figure 3"].outcome.evidence.startswith("above 0 in 9 of 9 trials")
    assert found["C20"]["Figure 4"].outcome == Outcome(None, "nothing was run on DISFA")
    assert found["C19"]["Figure 3"].outcome.holds is True
    assert found["C21"]["over all images"].outcome.holds is True
    assert found["C22"][""].outcome == Outcome(None, "the AUs of the FE images are not known")
    assert found["C32"]["parameters"].outcome.holds is True


def test_one_training_says_nothing_of_methods() -> None:
    found = judge_claims(group_results(make_results(("stl", "mtl", "mal"))))
    decided = {
        (each.claim.id, reading.name)
        for each in found
        for reading in each.readings
        if reading.ours[0].outcome.holds is not None
    }
    # Counted or printed, not trained.
    assert decided == {("C32", "parameters"), ("C32", "operations"), ("C33", "no more than the card can do")}
    size = next(each for each in found if each.claim.id == "C07").ours[0].outcome
    assert size.evidence.startswith("one training; +")


def test_a_claim_and_a_table_say_the_same_of_one_difference() -> None:
    (group,) = group_results(make_results(("mtl", "mal"), seeds=SEEDS))
    mal, mtl = (next(row for row in group.rows if row.method == name) for name in ("mal", "mtl"))
    paired = pair_rows(mal, mtl)
    assert paired is not None
    runs = OurRuns([group])
    ours, theirs = (runs.cell("bp4d", name, "ave") for name in ("MAL", "MTL"))
    assert ours is not None
    assert theirs is not None
    interval = ours.plus(theirs, -1.0).interval()
    assert (interval.low, interval.high) == pytest.approx(
        (100 * paired.difference.ave_interval.low, 100 * paired.difference.ave_interval.high)
    )


@pytest.mark.parametrize("skill", [0.55, 0.6, 0.62, 0.64, 0.66, 0.7, 0.75, 0.8])
def test_a_claim_and_a_table_decide_alike(skill: float) -> None:
    """Draws alone would decide where the interval, which also counts degrees of freedom, holds 0."""
    results = make_results(("mtl", "mal"), seeds=SEEDS, skills={"mtl": 0.65, "mal": skill})
    (group,) = group_results(results)
    mal, mtl = (next(row for row in group.rows if row.method == name) for name in ("mal", "mtl"))
    paired = pair_rows(mal, mtl)
    assert paired is not None
    interval = paired.difference.ave_interval
    expected = None if interval.low <= 0 <= interval.high else interval.low > 0
    outcome = judge("ave(BP4D, MAL) > ave(BP4D, MTL)", OurRuns([group]))
    assert (outcome.holds, outcome.probability) == (expected, None)


def test_an_interval_that_holds_0_says_nothing_whatever_the_draws_are() -> None:
    trainings = np.array([0.1, 1.0, 1.9])
    sample = Sample(1.0, draws=np.full(1000, 1.0), trainings=trainings, left_out=np.array([0.9, 1.1]), dataset="bp4d")
    sample = replace(sample, parts=np.zeros(2, dtype=np.int64))
    zero = replace(sample, value=0.0, draws=np.zeros(1000), trainings=np.zeros(3), left_out=np.zeros(2))

    class Made:
        def cell(self, dataset: str, method: str, column: str) -> Sample:
            return {"MAL": sample, "MTL": zero}[method]

    assert sample.interval().holds(0.0)
    assert (crossed_draws([sample])[0] > 0).mean() > 0.95
    assert judge("ave(BP4D, MAL) > ave(BP4D, MTL)", Made()).holds is None


def test_a_claim_of_each_is_false_if_one_cell_breaks_it() -> None:
    results = make_results(("stl", "mal"), seeds=SEEDS, skills={"stl": 0.5, "mal": 0.8})
    holds = judge("each(MAL > STL, BP4D)", OurRuns(group_results(results)))
    assert holds.holds is True
    counts = results.counts.copy()
    trials = results.trials.loc[results.trials["method"] == "mal", "trial"]
    counts.loc[counts["trial"].isin(trials) & (counts["au"] == "AU7"), "tp"] = 0
    broken = judge("each(MAL > STL, BP4D)", OurRuns(group_results(replace(results, counts=counts))))
    assert broken.holds is False
    assert "BP4D AU7" in broken.evidence
    assert broken.probability == 0


class Made(Printed):
    """A difference of MAL and MTL with trainings at hand, and no subjects."""

    def __init__(self, values: list[float], paired: tuple[float, float] = (0.5, 8.0)) -> None:
        super().__init__()
        self.values, self.paired = np.array(values), paired

    def cell(self, dataset: str, method: str, column: str) -> Sample | None:
        values = 50 + self.values if method == "MAL" else np.full(len(self.values), 50.0)
        return Sample(float(values.mean()), trainings=values, dataset=dataset, paired=self.paired)


def test_sizes_by_hand() -> None:
    """Mean 2.0 of three; variance 2 × .6 with 8 degrees of freedom: ± 2.306 · √1.6 = 2.92, too wide."""
    difference = "ave(BP4D, MAL) - ave(BP4D, MTL)"
    wide = judge(f"about({difference}, 2.5)", Made([1.0, 2.0, 3.0], paired=(0.6, 8.0)))
    assert wide.holds is None
    assert wide.evidence == "+2.0, claimed +2.5; one more training [-0.9, +4.9]"
    assert judge(f"about({difference}, 5.0)", Made([1.0, 2.0, 3.0], paired=(0.6, 8.0))).holds is False
    narrow = Made([1.9, 2.0, 2.1], paired=(0.28, 8.0))  # ± 2.306 · √(.56 · 4/3) = 1.99
    assert MARGIN_AVE > 2.306 * (0.56 * 4 / 3) ** 0.5
    assert judge(f"about({difference}, 2.5)", narrow).holds is True
    # The larger one of two estimates: the pair's own variance is 1 with 2 degrees of freedom, ± 4.303 · √(4/3) = 4.97.
    own = judge(f"about({difference}, 2.5)", Made([1.0, 2.0, 3.0], paired=(0.28, 8.0)))
    assert own.evidence.endswith("one more training [-3.0, +7.0]")
    assert judge(f"about({difference}, 2.5)", Made([1.0, 2.0])).evidence == "2 trainings; +1.5, claimed +2.5"


def test_signs_and_margins_by_hand() -> None:
    """Student's interval of 1, 2, 3: 2 ± 4.303 · 1/√3 = 2 ± 2.48."""
    alone = (float("nan"), 0.0)
    three, clear = Made([1.0, 2.0, 3.0], paired=alone), Made([1.9, 2.0, 2.1], paired=alone)
    assert judge("ave(BP4D, MAL) > ave(BP4D, MTL)", three).holds is None
    assert judge("ave(BP4D, MAL) > ave(BP4D, MTL)", clear).holds is True
    assert judge("ave(BP4D, MAL) < ave(BP4D, MTL)", clear).holds is False
    assert judge("within(ave(BP4D, MAL) - ave(BP4D, MTL), 1)", clear).holds is False
    assert judge("within(ave(BP4D, MAL) - ave(BP4D, MTL), 2.2)", clear).holds is None
    assert judge("within(ave(BP4D, MAL) - ave(BP4D, MTL), 2.3)", clear).holds is True
    assert judge("ave(BP4D, MAL) > ave(BP4D, MTL)", Made([2.0])) == Outcome(None, "one training; 52.0 against 50.0")


def test_draws_hold_both_noises() -> None:
    rng = np.random.default_rng(0)
    draws, trainings = rng.normal(0, 0.5, 200_000), np.array([-1.0, 0.0, 1.0])
    number = Sample(0.0, draws=draws, trainings=trainings, dataset="bp4d")
    # A mean of R trainings has the variance s² / R.
    assert crossed_draws([number])[0].var() == pytest.approx(0.25 + trainings.var(ddof=1) / 3, rel=0.01)
    assert not len(crossed_draws([Sample(0.0, draws=draws, trainings=np.zeros(1))])[0])
    # Numbers of one dataset move together, so what they share cancels.
    other = Sample(1.0, draws=draws + 1, trainings=trainings + 1, dataset="bp4d")
    np.testing.assert_allclose(crossed_draws([other])[0] - crossed_draws([number])[0], 1.0)


def test_curves() -> None:
    steps = np.arange(100.0)
    assert fall(steps, np.linspace(2, 1, 100)) == pytest.approx(1 - (1 + 9 / 198) / (2 - 9 / 198), rel=1e-9)
    assert trend(steps, steps**3) == pytest.approx(1)
    assert np.isnan(trend(steps, np.ones(100)))
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 60).astype(float), rng.integers(0, 4, 60).astype(float)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, rel=1e-12)


def test_every_expression_is_of_the_language() -> None:
    ours = OurRuns(group_results(make_results()))
    for claim in paper_claims():
        assert claim.text
        assert len({reading.name for reading in claim.readings}) == len(claim.readings)
        for reading in claim.readings:
            ast.parse(reading.expression, mode="eval")
            assert reading.name or len(claim.readings) == 1
            assert all(judge(reading.expression, numbers).evidence for numbers in (Printed(), ours))


def test_what_we_calculate_is_marked() -> None:
    judged = judge_claims()
    shown = claims_context(judged)
    marked = {row[0].text for row in shown.short.rows if "by calculation" in row[2].text}
    assert marked == {"C32", "C33"}
    rows = [row for row in shown.table.rows if "by calculation" in row[3].text]
    assert [row[2].text for row in rows] == ["parameters", "operations", "no more than the card can do"]


def test_as_json() -> None:
    plain = [each.as_json() for each in judge_claims(group_results(make_results(("stl", "mal"))))]
    read = json.loads(json.dumps(plain, allow_nan=False))
    assert list(read[0]) == ["id", "section", "claim", "readings"]
    (each_au,) = read[12]["readings"]
    assert list(each_au) == ["reading", "expression", "follows", "evidence", "ours"]
    assert each_au["follows"] is False
    assert each_au["ours"][0]["standing"] == "other data (stand-in)"
    assert set(each_au["ours"][0]) == {"runs", "standing", "holds", "evidence", "probability"}
    assert "ours" not in judge_claims()[0].as_json()["readings"][0]


def test_unknown_is_said() -> None:
    with pytest.raises(UnknownError, match="no row"):
        Printed().cell("bp4d", "Nobody", "ave")


def test_an_average_without_an_au_is_no_test_of_the_papers() -> None:
    """The tables show "n/a" in this case."""
    results = without_labels(make_results(origin="complete", profile="paper", seeds=SEEDS), "AU7")
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
    (scored,) = score_groups(group_results(Results.concat([usual, changed])))
    default, own = (row.judged for row in scored.rows)
    assert {cell.verdict for cell in own.values()} == {"other settings"}
    assert {cell.verdict for cell in default.values()} == {"needs seeds"}
    (alone,) = score_groups(group_results(usual))
    counted = [count_verdicts(made.group, [row.judged for row in made.rows]) for made in (scored, alone)]
    assert counted[0] == counted[1]
    assert counted[0].cells == Counter({"needs seeds": 13, "not run": 4 * 13})
