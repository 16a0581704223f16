"""Finished trials of a store as results; the folders are made by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmark.config.settings import DataSettings, TrainSettings
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.store.folder import DONE, FE_WEIGHTS, TrialFolder
from benchmark.store.results import Results
from benchmark.trials.collect import read_store

SEED = 2**62 + 1  # no float has this value


def finish_trial(runs: Path, seed: int = SEED, **made: object) -> TrialFolder:
    """A finished trial of MAL: one subject, one AU, one logged step, three FE images."""
    trial = Trial(
        dataset="bp4d",
        part="part1",
        method="mal",
        seed=seed,
        method_version=1,
        protocol="0",
        data=DataSettings(),
        train=TrainSettings(steps=1),
        hparams={"backbone": "resnet18", "weights": "scratch"},
        shared_digest="0",
        fingerprints=("0", "1"),
        profile="smoke",
    )
    folder = TrialFolder(trial.folder(runs))
    folder.announce(trial)
    provenance = {
        "paper_row": "MAL",
        "origin": "stand-in",
        "data_note": "",
        "prerequisites": {},
        "source_hash": "a",
        **dict.fromkeys(("steps", "parameters", "time_train_s", "peak_memory_mb", "base_memory_mb"), 1),
    }
    folder.write_json("provenance.json", provenance | made)
    counts = {"subject": ["F001"], "au": ["AU1"], "tp": [1], "fp": [2], "fn": [3], "tn": [4]}
    folder.write_table("counts.parquet", pd.DataFrame(counts))
    folder.write_table("scores.parquet", pd.DataFrame({"au": ["AU1"], "f1": [2 / 7], "auc": [0.5]}))
    folder.write_table("history.parquet", pd.DataFrame({"step": [0], "loss_au": [8.25]}))
    marks = {"AU6": [True, False, False], "AU12": [True, False, False]}
    for au in ("AU1", "AU4", "AU5", "AU9", "AU26"):
        marks[au] = [False] * 3
    fe = {"label": [EMOTIONS.index("happiness")] * 3, "weight": [0.9, 0.3, 0.3], **marks}
    folder.write_table(FE_WEIGHTS, pd.DataFrame(fe))
    folder.finish(trial.key)
    return folder


def test_a_trial_with_a_large_seed_is_collected_and_stored(tmp_path: Path) -> None:
    finish_trial(tmp_path / "runs")
    results = read_store(tmp_path / "runs", {"mal": "a"})
    assert results.trials["seed"].tolist() == [SEED]
    assert not results.trials["stale"].any()
    results.write(tmp_path / "results.parquet")
    again = Results.read(tmp_path / "results.parquet")
    pd.testing.assert_frame_equal(again.trials, results.trials)


def test_a_seed_that_does_not_fit_is_a_plain_error(tmp_path: Path) -> None:
    finish_trial(tmp_path, seed=2**64)
    with pytest.raises(UserError, match="damaged") as caught:
        read_store(tmp_path, {})
    assert "no integer of 64 bits" in str(caught.value.found)


def test_weights_are_told_by_the_related_aus_of_the_fe_dataset(tmp_path: Path) -> None:
    finish_trial(tmp_path)
    weights = read_store(tmp_path, {}).weights.set_index("name")["value"]
    assert weights["with_related_au"] == pytest.approx(0.9)
    assert weights["without_related_au"] == pytest.approx(0.3)


def test_labels_are_named_by_the_trial(tmp_path: Path) -> None:
    """In this order of names, label 3 is disgust, and none of its images has the AUs of disgust."""
    finish_trial(tmp_path, fe_labels=["happiness", "fear", "surprise", "disgust", "sadness", "anger", "neutral"])
    assert "with_related_au" not in set(read_store(tmp_path, {}).weights["name"])


def test_a_verified_trial_is_not_stale(tmp_path: Path) -> None:
    folder = finish_trial(tmp_path)
    assert read_store(tmp_path, {"mal": "b"}).trials["stale"].all()
    folder.write_verification({"source_hash": "b"})
    assert not read_store(tmp_path, {"mal": "b"}).trials["stale"].any()


def test_a_changed_file_is_a_plain_error(tmp_path: Path) -> None:
    folder = finish_trial(tmp_path)
    folder.write_table("scores.parquet", pd.DataFrame({"au": ["AU1"], "f1": [0.9], "auc": [0.5]}))
    with pytest.raises(UserError, match="has changed since"):
        read_store(tmp_path, {})
    (folder.path / DONE).unlink()
    assert read_store(tmp_path, {}).trials.empty
