"""Numbers and words of docs/statistics.md are those of the committed files and of the code."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

from benchmark.api.results import calibrate_results
from benchmark.stats.trainings import Prediction
from benchmark.stats.verdict import Verdict, verdict
from benchmark.store.results import Results
from tests.docs.pages import committed, committed_text, flowing, rows_below, text_of

PAGE = "docs/statistics.md"
REPORT, TUNING = "reports/results.parquet", "reports/study/tuning.parquet"
DECISIVE = "reports/study/decisive.parquet"
WORDS = [row[0].strip("`").removesuffix(" by Δ") for row in rows_below(text_of(PAGE), "Verdicts")[1:]]


@pytest.fixture(scope="module", params=(REPORT, TUNING, DECISIVE))
def counted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A file, and the line of `malbench calibrate` on it."""
    copy = tmp_path_factory.mktemp("committed") / "results.parquet"
    copy.write_bytes(committed(request.param))
    table = calibrate_results([copy])
    return request.param, dict(zip(table.header, (cell.text for cell in table.rows[-1]), strict=True))


def test_pairs_told_apart_are_those_of_the_commands(counted: tuple[str, dict[str, str]]) -> None:
    file, line = counted
    said = {REPORT: "pairs of the report", TUNING: "pairs of the study", DECISIVE: "pairs of `decisive`"}[file]
    pairs = line["by subjects alone: pairs told apart"].split(" (")[0]
    assert f"{pairs} {said}" in flowing(PAGE)
    assert f"malbench calibrate {file}" in flowing(PAGE)


def test_halves_told_apart_are_those_of_the_command(counted: tuple[str, dict[str, str]]) -> None:
    file, line = counted
    if file == DECISIVE:
        assert f"There {line['halves told apart'].split(' (')[0]} are told apart" in flowing(PAGE)
    else:
        assert line["halves told apart"] == "-"
        assert "In the others `halves told apart` is `-`" in flowing(PAGE)


def deviations(text: str) -> list[float]:
    """The first column `SD over seeds` of each table of a page."""
    found, place = [], None
    for line in text.splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            place = None
        elif place is None:
            place = row.index("SD over seeds") if "SD over seeds" in row else -1
        elif place >= 0 and re.fullmatch(r"[\d.]+", row[place]):
            found.append(float(row[place]))
    return found


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("reports/tables.md", "has a standard deviation of {} to {} F1 points over three seeds"),
        ("reports/study/tuning.md", "In the study `tuning` it is {} to {} over two seeds of one setting"),
    ],
)
def test_deviations_over_seeds_are_those_of_the_pages(file: str, said: str) -> None:
    found = deviations(committed_text(file))
    assert len(found) >= 5
    assert said.format(min(found), max(found)) in flowing(PAGE)


def test_the_averages_of_seeds_are_those_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "results.parquet").write_bytes(committed(REPORT))
    results = Results.read(tmp_path / "results.parquet")
    of_trial = 100 * results.scores.groupby("trial")["f1"].mean()
    trials = results.trials.assign(ave=results.trials["trial"].map(of_trial)).query("dataset == 'bp4d'")
    ave = trials.pivot_table("ave", "method", "seed").round(1)
    both = ave.loc[["mtl", "mtan"]]
    other = pd.concat([both[0], both[2]])
    assert f"seed 1 gives MTL {both[1]['mtl']} and MTAN {both[1]['mtan']}," in flowing(PAGE)
    assert f"give these two {other.min()} to {other.max()}." in flowing(PAGE)
    assert f"MAL has {ave.loc['mal'].min()} to {ave.loc['mal'].max()} with all three." in flowing(PAGE)


def test_the_table_has_every_verdict() -> None:
    assert set(WORDS) == set(get_args(Verdict))


def test_the_lowest_word_that_applies_is_shown() -> None:
    """Whatever stands in the way of a comparison is taken away, the heaviest first."""
    once = Prediction(mean=50.0, variances=(0.25,), freedom=(2,), trainings=1)
    all_wrong: dict[str, Any] = {"prediction": None, "origin": "stand-in", "protocol": False, "stale": True}
    all_wrong |= {"complete": False, "margin": 2.0}
    steps = [{"prediction": once}, {"origin": "complete"}, {"protocol": True}, {"stale": False}, {"complete": True}]
    calls = accumulate(steps, lambda call, step: call | step, initial=all_wrong)
    assert [verdict(50.0, **call) for call in calls] == WORDS[: WORDS.index("needs seeds") - 1 : -1]
