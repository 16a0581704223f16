"""Finished trials that other trials start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.trial import START, TRAINED, Trial
from benchmark.store.folder import MODEL, TrialFolder
from benchmark.store.record import read_trial
from methods import Registry
from methods.base import Finished


@dataclass(frozen=True)
class FinishedTrial:
    """A finished trial that another one starts from.

    Attributes:
        left: Settings and trained state.
        made: Facts for the provenance of the other trial.
        model: File of the trained weights.
    """

    left: Finished
    made: dict[str, Any]
    model: Path


def read_finished(trial: Trial, registry: Registry, runs: Path) -> FinishedTrial:
    """Read a finished trial from the store.

    Raises:
        UserError: A file of the trial is missing or damaged.
    """
    folder, cls = TrialFolder(trial.folder(runs)), registry.any(trial.method)
    _, made = read_trial(folder)
    said = {
        "key": trial.key,
        "dataset": trial.dataset,
        "part": trial.part,
        "method": trial.method,
        **{k: made[k] for k in ("steps", "time_train_s", "source_hash", "origin")},
        "fingerprints": list(trial.fingerprints),
        "learned": _end_of_history(folder),
    }
    return FinishedTrial(
        Finished(cls.HParams.model_validate(trial.hparams), folder.load_model()), said, folder.path / MODEL
    )


def _end_of_history(folder: TrialFolder) -> dict[str, float]:
    """Means of the scalars over the last tenth of the history."""
    history = folder.read_table("history.parquet", folder.seals()).drop(columns="step")
    return {str(name): float(mean) for name, mean in history.tail(max(1, len(history) // 10)).mean().items()}


def starting_from(trial: Trial, before: Mapping[str, FinishedTrial]) -> tuple[Trial, dict[str, Finished]]:
    """The trial with its initial backbone weights, and the prerequisites of its method by role."""
    left = {role: done.left for role, done in before.items() if role not in {START, TRAINED}}
    if START not in before:
        return trial, left
    weights = {"weights": str(before[START].model)}
    return trial.model_copy(update={"hparams": {**trial.hparams, **weights}}), left
