"""A small finished store, made by hand: whole in every respect, and read in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from benchmark.config.settings import DataSettings, TrainSettings
from benchmark.config.trial import Trial
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.store.folder import SEALED, TrialFolder
from benchmark.trials.states import source_hashes

METHODS = {"stl": "STL", "mtl": "MTL", "mal": "MAL"}


def trial_of(method: str, seed: int = 0) -> Trial:
    """Trial of a method on part 1."""
    return Trial(
        dataset="bp4d",
        part="part1",
        method=method,
        seed=seed,
        method_version=1,
        protocol="0",
        data=DataSettings(),
        train=TrainSettings(steps=1),
        hparams={"backbone": "resnet18", "weights": "scratch", "lr": 0.01},
        shared_digest="0",
        fingerprints=("0", "1"),
        profile="smoke",
    )


def finish(runs: Path, method: str, seed: int = 0, **made: object) -> TrialFolder:
    """Write a finished trial."""
    trial = trial_of(method, seed)
    folder = TrialFolder(trial.folder(runs))
    folder.announce(trial)
    provenance = {
        **{"paper_row": METHODS[method], "origin": "stand-in", "data_note": "drawn", "prerequisites": {}},
        **{"source_hash": source_hashes()[method], "commit": "unknown", "title": "BP4D", **SEALED},
        **dict.fromkeys(("steps", "parameters", "time_train_s", "peak_memory_mb", "base_memory_mb"), 1),
    }
    folder.write_json("provenance.json", provenance | made)
    aus, subjects = BP4D.au_names, ("F001", "M001")
    rows = [(s, au, i + j, 2, 3, 4) for i, s in enumerate(subjects, 1) for j, au in enumerate(aus, 1)]
    counts = pd.DataFrame(rows, columns=["subject", "au", "tp", "fp", "fn", "tn"])
    folder.write_table("counts.parquet", counts)
    folder.write_table("audit.parquet", counts[["subject", "au", "tp", "fp"]].assign(rule="moment_test"))
    folder.write_table("predictions.parquet", pd.DataFrame({"subject": ["F001"], "logit_AU1": [0.5]}))
    sums = counts.groupby("au", sort=False)[["tp", "fp", "fn"]].sum()
    f1 = 2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])
    folder.write_table("scores.parquet", pd.DataFrame({"au": aus, "f1": f1.to_numpy(), "auc": [0.5] * len(aus)}))
    folder.write_table("history.parquet", pd.DataFrame({"step": [0, 1], "loss_au": [8.25, 7.0]}))
    folder.write_text("model.safetensors", "stands for weights")
    if method == "mal":
        folder.write_table(
            "fe_weights.parquet", pd.DataFrame({"path": ["a", "b"], "label": [0, 1], "weight": [1, 0.5]})
        )
    folder.finish(trial.key)
    return folder


def finished_store(runs: Path) -> Path:
    """Write a store of three methods, of which one was verified."""
    for method in METHODS:
        folder = finish(runs, method)
    folder.write_verification({"source_hash": "b", "steps": 41, "agreement": "bit for bit"})
    return runs


def edit_json(file: Path, **values: object) -> None:
    """Change fields of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values, indent=1, sort_keys=True) + "\n")
