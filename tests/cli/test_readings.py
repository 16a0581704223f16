"""`malbench run --readings` from the list of trials to the results, and `malbench readings` to its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark import api
from benchmark.api.readings import ReadingsRequest, probe_readings
from benchmark.cli import app
from benchmark.core.errors import UserError
from benchmark.store.results import Results

TINY = ["--profile", "smoke", "--set", "method.backbone=test_resnet", "--set", "train.steps=2", "--threads", "1"]


def malbench(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def cache(shared_cache: Path) -> Path:
    return shared_cache


@pytest.fixture(autouse=True)
def places(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALBENCH_CACHE", str(cache))
    monkeypatch.setenv("MALBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("MALBENCH_DATA", raising=False)


def test_readings_are_listed_run_and_reported(tmp_path: Path) -> None:
    wanted = ["run", "bp4d", *TINY, "--part", "part1", "--method", "mal", "--method", "mtl"]
    assert "2 trials: 2 to do" in malbench(*wanted, "--dry-run")
    listed = malbench(*wanted, "--readings", "--dry-run")
    assert "6 trials: 6 to do" in listed
    for name in ("mal (reading prose)", "mal (reading through)", "mtl (reading half-step)"):
        assert f"bp4d {name} part1 seed 0" in listed
    assert "6 trials done" in malbench(*wanted, "--readings")
    # A second call, without readings, finds the plain trials done.
    assert "2 trials: 2 done before" in malbench(*wanted)

    reports = tmp_path / "reports"
    malbench("report", "--out", str(reports))
    for results in (api.read_results(tmp_path / "runs"), Results.read(reports / "results.parquet")):
        rows = results.trials.sort_values(["method", "variant"])
        assert list(zip(rows["method"], rows["reading"], rows["variant"], strict=True)) == [
            ("mal", "printed", ""),
            ("mal", "printed-adam", "reading printed-adam"),
            ("mal", "prose", "reading prose"),
            ("mal", "through", "reading through"),
            ("mtl", "", ""),
            ("mtl", "half-step", "reading half-step"),
        ]
        assert (results.trials["shared_overrides"].str.count("readings") == 0).all()
        assert results.trials["shared_digest"].nunique() == 1
    # Readings with other steps train otherwise.
    losses = results.curves.query("series == 'loss_au' and step == 1").set_index("trial")["value"]
    after_one_step = {(row.method, row.reading): losses[row.trial] for row in results.trials.itertuples()}
    assert after_one_step["mal", "prose"] != after_one_step["mal", "printed"]
    assert after_one_step["mtl", "half-step"] != after_one_step["mtl", ""]


def test_the_probe_writes_its_page_and_makes_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["malbench", "readings", "bp4d"])
    out = tmp_path / "reports"
    wanted = ["readings", "bp4d", *TINY, "--seed", "3", "--steps", "1", "--end", "50", "--out", str(out)]
    printed = malbench(*wanted, "--part", "part2")
    assert "printed: with batch statistics it is inert; with running statistics it is inert" in printed
    page = out / "readings.md"
    text = page.read_text(encoding="utf-8")
    assert "by: malbench readings bp4d." in text
    assert "Stand-in: procedural faces" in text
    assert "part2 left out" in text
    assert "extrapolated to step 50 (the profile's training on these data ends at 2)" in text
    assert text.count("| through ") == 1 + 2
    page.unlink()
    again = malbench("readings", "--page-only", "--out", str(out))
    assert page.read_text(encoding="utf-8") == text
    assert again.split(" wrote ")[0] in printed
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"part": "part9"}, "unknown part 'part9' of bp4d"),
        ({"overrides": ("method.weights=renders",)}, "starts from renders has another"),
        ({"overrides": ("readings.mal.prose.set.betta=1",)}, "unknown setting 'readings.mal.prose.set.betta'"),
        ({"overrides": ("readings.mal={}",)}, "the profile has no readings of mal"),
    ],
)
def test_mistakes_are_told_before_any_frame_is_read(cache: Path, changes: dict[str, Any], says: str) -> None:
    request = ReadingsRequest(**{"profile": "smoke", "cache": cache / "unused", **changes})
    with pytest.raises(UserError) as caught:
        probe_readings(request, command="malbench readings")
    assert says in str(caught.value)
    assert not (cache / "unused").exists()
