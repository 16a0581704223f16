"""The committed probe of readings: its page, and the profile that follows from it."""

from __future__ import annotations

from pathlib import Path

from benchmark.config.profile import load_profile
from benchmark.core.places import PROJECT
from benchmark.study.readings import read_probe
from benchmark.study.readings_page import MEASURED, PAGE, write_readings
from benchmark.trials.expand import method_hparams
from benchmark.trials.readings import reading_hparams
from methods import discover
from methods.mal import MAL

REPORTS = PROJECT / "reports"


def test_the_committed_page_is_made_of_the_committed_measurements(tmp_path: Path) -> None:
    page, measured = write_readings(read_probe(REPORTS / MEASURED), tmp_path)
    assert page.read_bytes() == (REPORTS / PAGE).read_bytes()
    assert measured.read_bytes() == (REPORTS / MEASURED).read_bytes()


def test_the_profile_paper_has_the_primary_reading_of_the_committed_page() -> None:
    profile, _ = load_profile("paper", ["method.weights=scratch"])
    probed = read_probe(REPORTS / MEASURED)
    assert probed.setting.profile == "paper"
    assert [named.name for named in probed.readings] == list(profile.readings["mal"])
    primary = reading_hparams(profile, MAL, probed.primary())
    assert method_hparams(profile, "mal", discover()) == primary
