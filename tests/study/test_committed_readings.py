"""The committed probe of readings: its page follows from its measurements."""

from __future__ import annotations

from pathlib import Path

from benchmark.core.places import PROJECT
from benchmark.study.readings import read_probe
from benchmark.study.readings_page import MEASURED, PAGE, write_readings

REPORTS = PROJECT / "reports"


def test_the_committed_page_is_made_of_the_committed_measurements(tmp_path: Path) -> None:
    page, measured = write_readings(read_probe(REPORTS / MEASURED), tmp_path)
    assert page.read_bytes() == (REPORTS / PAGE).read_bytes()
    assert measured.read_bytes() == (REPORTS / MEASURED).read_bytes()
