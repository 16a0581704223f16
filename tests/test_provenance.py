"""Provenance of a result."""

from __future__ import annotations

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
