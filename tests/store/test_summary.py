"""Summaries of the trials of a store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmark.store.folder import DONE, PROVENANCE, TRIAL
from benchmark.store.summary import summaries
from tests.integrity.stores import finish


def test_a_done_trial_without_provenance_is_not_left_out(tmp_path: Path) -> None:
    folder = finish(tmp_path, "stl")
    settings, made = ((folder.path / name).read_bytes() for name in (TRIAL, PROVENANCE))
    (folder.path / TRIAL).unlink()
    (seen,) = summaries(tmp_path)
    assert (seen.method, seen.fault) == ("stl", "no trial.json, and yet it is done")
    (folder.path / TRIAL).write_bytes(settings)
    (folder.path / PROVENANCE).unlink()
    (seen,) = summaries(tmp_path)
    assert seen.fault == "no provenance.json, and yet it is done"
    (folder.path / PROVENANCE).write_bytes(made)
    (seen,) = summaries(tmp_path)
    assert (seen.is_done, seen.fault) == (True, "")
    (folder.path / DONE).unlink()
    (seen,) = summaries(tmp_path)
    assert not seen.is_done


def test_a_summary_names_the_sources_that_made_and_verified_a_trial(tmp_path: Path) -> None:
    folder = finish(tmp_path, "stl", seed=2**62 + 1, source_hash="a")
    (seen,) = summaries(tmp_path)
    assert (seen.source_hash, seen.verified_hash, seen.seed, seen.fault) == ("a", "", 2**62 + 1, "")
    folder.write_verification({"source_hash": "b"})
    (seen,) = summaries(tmp_path)
    assert (seen.source_hash, seen.verified_hash) == ("a", "b")
    assert seen.folder == folder


def test_summaries_import_neither_torch_nor_pandas() -> None:
    code = "import sys, benchmark.store.summary; sys.exit(bool({'torch', 'pandas', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
