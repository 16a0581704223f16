"""Summaries of the trials of a store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.core.errors import UserError
from benchmark.store.folder import DONE, TRIAL, VERIFIED, TrialFolder
from benchmark.store.summary import summaries


def test_a_done_trial_without_provenance_is_not_left_out(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "bp4d" / "stl" / "part1-s0-0123456789abcdef")
    folder.path.mkdir(parents=True)
    said = {"dataset": "bp4d", "method": "stl", "part": "part1", "profile": "smoke", "seed": 0}
    folder.write_text(DONE, "0123456789abcdef\n")
    with pytest.raises(UserError, match="cannot be read") as caught:
        list(summaries(tmp_path))
    assert caught.value.found == "no trial.json, and yet it is done"
    folder.write_json(TRIAL, said)
    with pytest.raises(UserError, match="cannot be read") as caught:
        list(summaries(tmp_path))
    assert caught.value.found == "no provenance.json, and yet it is done"
    (folder.path / DONE).unlink()
    (seen,) = summaries(tmp_path)
    assert not seen.is_done


def test_a_summary_names_the_sources_that_made_and_verified_a_trial(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "bp4d" / "stl" / "part1-s0-0123456789abcdef")
    folder.path.mkdir(parents=True)
    folder.write_json(
        TRIAL, {"dataset": "bp4d", "method": "stl", "part": "part1", "profile": "smoke", "seed": 2**62 + 1}
    )
    folder.write_json("provenance.json", {"source_hash": "a"})
    folder.finish("0123456789abcdef")
    (seen,) = summaries(tmp_path)
    assert (seen.source_hash, seen.verified_hash, seen.seed) == ("a", "", 2**62 + 1)
    folder.write_json(VERIFIED, {"source_hash": "b"})
    (seen,) = summaries(tmp_path)
    assert (seen.source_hash, seen.verified_hash) == ("a", "b")
    assert seen.folder == folder


def test_summaries_import_neither_torch_nor_pandas() -> None:
    code = "import sys, benchmark.store.summary; sys.exit(bool({'torch', 'pandas', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
