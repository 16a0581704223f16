"""Collection of all finished trials of a store as `Results`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa

from benchmark import datasets
from benchmark.config.protocol import ALL
from benchmark.config.trial import RENDERS, START, Trial
from benchmark.core.errors import UserError
from benchmark.datasets.base import FeDataset
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.stats.weights import weight_statistics
from benchmark.store.folder import AUDIT, FE_WEIGHTS, TrialFolder, trial_folders
from benchmark.store.record import read_trial
from benchmark.store.results import Results
from benchmark.store.shapes import check_shapes


def read_store(runs: Path, sources: Mapping[str, str]) -> Results:
    """Read all finished trials of a store.

    Args:
        runs: The store.
        sources: Hash of the present sources of each method; a trial made by other sources is marked stale.

    Returns:
        Results of the trials. Stages have no test subjects, and so no results.

    Raises:
        UserError: A finished folder lacks a file or is damaged, or a trial is in the store twice.
    """
    folders: dict[str, Path] = {}
    parts = []
    for folder in trial_folders(runs):
        if not folder.is_done:
            continue
        seals = folder.seals()
        trial, made = read_trial(folder, seals)
        if trial.part == ALL:
            continue
        if trial.key in folders:
            raise UserError(
                "a trial stands twice in the store",
                where=folder.path,
                found=f"the same trial as in {folders[trial.key]}",
                remedy="take one of the two folders out of the store",
            )
        folders[trial.key] = folder.path
        parts.append(_read_finished(folder, trial, made, seals))
    return Results.concat(parts).mark_stale(sources)


def _read_finished(folder: TrialFolder, trial: Trial, made: Mapping[str, Any], seals: Mapping[str, str]) -> Results:
    """Results of one finished trial.

    Raises:
        UserError: A file is missing or damaged.
    """
    try:
        if not seals:
            check_shapes(trial.key, trial.model_dump_json(), json.dumps(made))
        counts, scores, history = (
            folder.read_table(f"{name}.parquet", seals) for name in ("counts", "scores", "history")
        )
        named = _weights_of(folder, trial, made, seals)
        audited = AUDIT in seals or (folder.path / AUDIT).is_file()
        more = {"audit": folder.read_table(AUDIT, seals).assign(trial=trial.key)} if audited else {}
        results = Results(
            trials=pd.DataFrame([_row_of(trial, made)]),
            counts=counts.assign(trial=trial.key),
            scores=scores.assign(trial=trial.key),
            curves=history.melt(id_vars="step", var_name="series", value_name="value").assign(trial=trial.key),
            weights=pd.DataFrame(named.items(), columns=["name", "value"]).assign(trial=trial.key),
            **more,
        )
        return results if seals else results.validated()  # a seal proves that a file is as it was written
    except (OSError, KeyError, ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        raise UserError(
            "a finished trial is damaged",
            where=folder.path,
            found=f"{type(error).__name__}: {error}",
            remedy="delete its DONE file and run again, or take the folder out of the store",
        ) from error


def _row_of(trial: Trial, made: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a trial in `Results.trials`."""
    return {
        "trial": trial.key,
        "dataset": trial.dataset,
        "part": trial.part,
        "tested": "" if trial.tested is None else trial.tested.dataset,
        "method": trial.method,
        "paper_row": made["paper_row"],
        "seed": trial.seed,
        "profile": trial.profile,
        "shared_overrides": trial.shared_overrides,
        "shared_digest": trial.shared_digest,
        "variant": trial.variant,
        "reading": trial.reading,
        "own_digest": trial.own_digest,
        "origin": made["origin"],
        "data_note": made["data_note"],
        "fingerprint": "+".join(_data_of(trial, made)),
        "backbone": trial.hparams["backbone"],
        "weights": _start_of(trial, made),
        "method_version": trial.method_version,
        "stale": False,  # `read_store` sets it for all trials at once
        "steps": made["steps"],
        "parameters": made["parameters"],
        "time_train_s": made["time_train_s"],
        "time_before_s": sum(before["time_train_s"] for before in made["prerequisites"].values()),
        "peak_memory_mb": made["peak_memory_mb"],
        "base_memory_mb": made["base_memory_mb"],
        "settings": trial.model_dump_json(),
        "provenance": json.dumps(made, sort_keys=True),
    }


def _start_of(trial: Trial, made: Mapping[str, Any]) -> str:
    """Readable name of the initial weights of the backbone."""
    if START not in trial.prerequisites:
        return str(trial.hparams["weights"])
    start = made["prerequisites"][START]
    return f"{start['method']} trained on {start['dataset']} (trial {start['key']})"


def _data_of(trial: Trial, made: Mapping[str, Any]) -> tuple[str, ...]:
    """Fingerprints of the data of a trial, and of the renders of its pre-training."""
    start = made["prerequisites"].get(START)
    if start is None or start["dataset"] != RENDERS:
        return trial.fingerprints
    return (*trial.fingerprints, start["fingerprints"][1])


def _weights_of(
    folder: TrialFolder, trial: Trial, made: Mapping[str, Any], seals: Mapping[str, str]
) -> dict[str, float]:
    """Statistics of the weights of the FE images; none for a method that does not weigh samples."""
    if FE_WEIGHTS not in seals and not (folder.path / FE_WEIGHTS).is_file():
        return {}
    # Trials of earlier versions did not store the names: their FE dataset was RAF-DB.
    label_names = made.get("fe_labels", EMOTIONS)
    return weight_statistics(folder.read_table(FE_WEIGHTS, seals), label_names, _related_aus(trial.data.fe))


@cache
def _related_aus(fe: str) -> Mapping[str, tuple[str, ...]]:
    """AUs that the paper relates to a label of an FE dataset; none for a dataset that a profile declares."""
    if fe not in datasets.names("fe"):
        return MappingProxyType({})
    cls = datasets.registered_class(fe)
    assert issubclass(cls, FeDataset)
    return cls.related_aus
