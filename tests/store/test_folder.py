"""The folder of one trial."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.config.settings import DataSettings, TrainSettings
from benchmark.config.trial import Trial
from benchmark.store.folder import CHECKPOINT, DONE, JOB, UNSEALED, VERIFIED, TrialFolder


def test_the_name_of_a_job_is_no_part_of_a_result(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    folder.write_json("provenance.json", {"steps": 3})
    folder.write_json(JOB, {"job": "1"})
    folder.finish("0123456789abcdef")
    assert set(folder.seals()) == {"provenance.json"}
    folder.write_json(JOB, {"job": "2"})
    assert folder.is_done


def test_a_verification_that_others_wrote_is_not_sealed_and_goes_when_the_trial_runs_again(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    folder.write_json("provenance.json", {"steps": 3})
    folder.write_json(VERIFIED, {"source_hash": "b"})
    folder.finish("0123456789abcdef")
    assert set(folder.seals()) == {"provenance.json"}
    folder.reopen()
    assert not (tmp_path / DONE).exists()
    assert not (tmp_path / VERIFIED).exists()


def test_no_result_of_an_earlier_run_is_left_for_the_next(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    for name in ("trial.json", "provenance.json", "fe_weights.parquet", "model.safetensors", CHECKPOINT):
        folder.write_text(name, "old")
    folder.finish("0123456789abcdef")
    folder.write_text(CHECKPOINT, "old")
    folder.reopen()
    assert sorted(path.name for path in tmp_path.iterdir()) == [CHECKPOINT, "trial.json"]


def test_a_kill_between_two_verifications_leaves_a_trial_that_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = TrialFolder(tmp_path)
    folder.write_json("provenance.json", {"steps": 3})
    folder.finish("0123456789abcdef")
    folder.write_verification({"source_hash": "a"})
    assert folder.read_verification(folder.seals()) == {"source_hash": "a"}
    write = TrialFolder._write_mark

    def killed(self: TrialFolder, key: str, seals: dict[str, str]) -> None:
        if VERIFIED in seals:
            raise KeyboardInterrupt
        write(self, key, seals)

    monkeypatch.setattr(TrialFolder, "_write_mark", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.write_verification({"source_hash": "b"})
    assert folder.faults(folder.seals()) == []
    assert folder.read_verification(folder.seals()) == {UNSEALED: True}


def test_the_seal_of_a_file_stays(tmp_path: Path) -> None:
    """Stores of earlier versions must be read: BLAKE2b of 16 bytes."""
    folder = TrialFolder(tmp_path)
    folder.write_text("trial.json", "{}")
    folder.finish("0123456789abcdef")
    assert (tmp_path / DONE).read_text() == "0123456789abcdef\n2afb9b83f9314e5d029766197f539792 trial.json\n"
    assert folder.read("trial.json", folder.seals()) == b"{}"


def test_steps_are_told_from_the_header_of_a_checkpoint(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "trial")
    assert folder.steps_done() is None
    folder.save_checkpoint({"step": 7, "weight": torch.zeros(3, dtype=torch.bfloat16)})
    assert folder.steps_done() == 7
    (folder.path / "checkpoint.safetensors").write_bytes(b"nonsense")
    assert folder.steps_done() is None


@pytest.mark.parametrize("gone", [False, True], ids=["swept", "store gone"])
def test_an_announcement_gives_way_to_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: bool) -> None:
    """The owner sweeps temporary files, also that of a process which announces the trial at that moment."""
    settings = {"data": DataSettings(), "train": TrainSettings(steps=1), "hparams": {"backbone": "resnet18"}}
    names = {"dataset": "bp4d", "part": "part1", "method": "mal", "protocol": "0", "shared_digest": "0"}
    trial = Trial(**names, **settings, seed=0, method_version=1, fingerprints=("0", "1"), profile="smoke")
    folder = TrialFolder(trial.folder(tmp_path))
    meanwhile: Callable[[int], None] = lambda _: shutil.rmtree(folder.path) if gone else folder.sweep()  # noqa: E731
    monkeypatch.setattr(os, "fsync", meanwhile)
    if gone:
        with pytest.raises(FileNotFoundError):
            folder.announce(trial)
    else:
        folder.announce(trial)
        assert list(folder.path.iterdir()) == []
