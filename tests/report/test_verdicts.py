"""Verdicts on made-up rows: under several readings of the paper, adjusted together, with the noise of training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmark.paper.tables import AVE, paper_table
from benchmark.report.calibration import calibrate_group, calibration_sentence, calibration_table
from benchmark.report.groups import group_results
from benchmark.report.ours import score_groups
from benchmark.report.tables import build_context
from benchmark.report.verdicts import by_training, count_verdicts, judge_rows, readings_in_words
from benchmark.store.results import Results
from tests.report.conftest import make_results

COMPLETE = {"origin": "complete", "profile": "paper", "seeds": (0, 1, 2)}


def reading(name: str, skill: float) -> Results:
    """Trials of MAL under a reading of the paper that is not the profile's own."""
    return make_results(
        ("mal",), **COMPLETE, skills={"mal": skill}, variant=f"reading {name}", reading=name, own_digest=name
    )


def test_readings_are_rows_with_verdicts_of_their_own() -> None:
    own = make_results(("mal", "mtl"), **COMPLETE, skills={"mal": 0.72, "mtl": 0.72}, reading="printed")
    results = Results.concat([own, reading("prose", 0.9), reading("through", 0.5)])
    (scored,) = score_groups(group_results(results))
    names = [row.name for row in scored.rows]
    assert names == ["MTL", "MAL", "MAL [reading prose]", "MAL [reading through]"]
    verdicts = {row.name: {cell.verdict for cell in row.judged.values()} for row in scored.rows}
    assert "other settings" not in set().union(*verdicts.values())
    judged = [row.judged for row in scored.rows]
    (said,) = readings_in_words(scored.group, judged)
    assert said.startswith("MAL, average F1: ")
    assert "of 3 readings: " in said
    assert {name for name in ("printed", "prose", "through") if name in said} == {"printed", "prose", "through"}
    # The profile's own row alone counts as the paper's.
    assert sum(count_verdicts(scored.group, judged).cells.values()) == 5 * 13
    (section,) = build_context(results).groups
    assert section.readings == (said,)
    lines = [row[0].text for row in section.compared.rows]
    assert {"MAL verdict under printed", "MAL [reading prose] verdict under prose"} <= set(lines)


def test_settings_of_a_user_under_a_reading_are_other_settings() -> None:
    changed = make_results(("mal",), **COMPLETE, variant="reading prose; beta=0.1", reading="prose", own_digest="other")
    (scored,) = score_groups(group_results(changed))
    assert {cell.verdict for cell in scored.rows[0].judged.values()} == {"other settings"}


def test_predictions_by_hand() -> None:
    """Two methods of three seeds: shared noise has 2 degrees of freedom, the rest 2."""
    (group,) = group_results(make_results(("mal", "mtl"), **COMPLETE))
    values = np.stack([by_training(row).values for row in group.rows])  # (2, 3, 13)
    mean, by_seed, by_method = values.mean(axis=(0, 1)), values.mean(axis=0), values.mean(axis=1, keepdims=True)
    rest = ((values - by_seed - by_method + mean) ** 2).sum(axis=(0, 1)) / 2
    between = 2 * ((by_seed - mean) ** 2).sum(axis=0) / 2
    (cells,) = [cells for row, cells in zip(group.rows, judge_rows([group])[0], strict=True) if row.method == "mal"]
    found = cells[AVE].prediction
    expected = (between[-1] / 2 + rest[-1] / 2) * (1 + 1 / 3)
    assert found.error**2 == pytest.approx(expected)
    assert found.freedom == (2.0, 2.0)
    assert found.mean == pytest.approx(values[[row.method for row in group.rows].index("mal"), :, -1].mean())
    half = 4.302653 * expected**0.5  # both quantiles are Student's of 2 degrees of freedom
    assert found.interval().half_width == pytest.approx(half, rel=1e-5)
    printed = paper_table("bp4d").row("MAL")
    assert printed is not None
    assert cells[AVE].difference == pytest.approx(found.mean - float(printed.values[AVE] or 0))


def test_averages_are_adjusted_together() -> None:
    results = make_results(("mal", "mtl", "stl"), **COMPLETE)
    (group,) = group_results(results)
    (judged,) = judge_rows([group])
    alone = sorted(
        cells[AVE].prediction.p_value(_printed(row.paper_row), 0.05)
        for row, cells in zip(group.rows, judged, strict=True)
    )
    adjusted = sorted(cells[AVE].p_value for cells in judged)
    by_hand = np.maximum.accumulate(np.array(alone) * [3, 2, 1]).clip(max=1)
    np.testing.assert_allclose(adjusted, by_hand, rtol=1e-4)


def _printed(method: str) -> float:
    row = paper_table("bp4d").row(method)
    assert row is not None
    return float(row.values[AVE] or 0)


def test_false_alarms_are_counted_where_there_are_seeds_enough() -> None:
    (group,) = group_results(make_results(("mal", "mtl"), seeds=(0, 1, 2, 3), parts=("part1",)))
    found = calibrate_group(group)
    assert found.halves.tests == 2 * 3  # splits of four trainings into halves
    assert found.pairs_over_subjects.tests == 2 * 6
    assert (found.cells.tests, found.averages.tests) == (4 * 2 * 12, 4 * 2)
    assert found.cells_over_subjects.tests == 4 * 2 * 13
    said = calibration_sentence(found)
    assert "of 6 null pairs are told apart" in said
    assert "of 104 cells differ from its repetitions" in said
    rows = [[cell.text for cell in row] for row in calibration_table([group]).rows]
    assert rows[0][1:] == rows[1][1:]
    assert calibration_sentence(calibrate_group(group_results(make_results())[0])) == ""


def test_trainings_on_several_machines_are_said() -> None:
    one = make_results(("mal", "mtl"), seeds=(0, 1))
    (section,) = build_context(one).groups
    assert not any("kind of machine" in note for note in section.notes)
    moved = one.trials["provenance"].where(
        (one.trials["seed"] == 0) | (one.trials["method"] == "mtl"),
        '{"device": "A card", "packages": {"torch": "3.0"}}',
    )
    (section,) = build_context(replace(one, trials=one.trials.assign(provenance=moved))).groups
    (note,) = [note for note in section.notes if "kind of machine" in note]
    assert "mal: seed 0 on Some CPU with torch 2.9.0; seed 1 on A card with torch 3.0" in note
    assert "mtl: Some CPU with torch 2.9.0" in note
    (line,) = [row for row in section.differences.rows if row[0].text == "MAL − MTL (stand-in)"]
    assert line[-1].text == "0, 1; other machines"
