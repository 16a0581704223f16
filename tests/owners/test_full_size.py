"""A copy with as many files as the real BP4D: recognised, checked without a fault, and complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.api.checks import check_data
from benchmark.api.doctor import diagnose
from tests.owners.full_size import write_full_size


@pytest.mark.long
def test_a_copy_of_full_size_is_complete(tmp_path: Path) -> None:
    write_full_size(tmp_path)
    assert diagnose(tmp_path)[0].sighting.parts[0] == "coding files: 328 of 328"
    outcome = check_data("bp4d", tmp_path)
    assert [finding.what.partition(":")[0] for finding in outcome.report.faults] == ["RAF-DB train"]  # 14 images
    assert (len(outcome.faces[0]), outcome.faces[0].origin) == (146_847, "complete")
