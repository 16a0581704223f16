"""Provenance of a result, and hashes of the sources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.trials.provenance import provenance


def test_without_a_checkout_the_commit_and_its_changes_are_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.trials.provenance.PROJECT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    made = provenance(torch.device("cpu"))
    assert made["commit"] == "unknown"
    assert made["dirty"] is None
    assert made["packages"]["torch"] == torch.__version__


def test_the_state_of_trials_needs_no_torch() -> None:
    code = """
import sys
from benchmark.trials.states import source_hashes
assert set(source_hashes()) > {"mal", "stl", "identity"}
print(sorted({"torch", "torchvision", "timm", "pandas"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
