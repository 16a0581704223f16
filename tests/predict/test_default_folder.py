"""Predictions are of people: their default folder is one that Git ignores."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmark.core.places import default_runs, predictions_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "path", [predictions_of(Path("runs")) / "index.html", "predictions/a.jpg", "scratch/a.csv", "bp4d-template.csv"]
)
def test_git_ignores_it(path: Path | str) -> None:
    ignored = subprocess.run(["git", "check-ignore", str(path)], cwd=ROOT, capture_output=True, check=False)
    if ignored.returncode == 128:
        pytest.skip("no checkout")
    assert ignored.returncode == 0


def test_the_default_is_in_the_store() -> None:
    assert predictions_of(default_runs()) == default_runs() / "predictions"
