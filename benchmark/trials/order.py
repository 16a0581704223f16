"""Order in which trials are run: what others start from, then the longest first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.core.files import json_object, read_bytes
from benchmark.store.folder import DONE, PROVENANCE, TRIAL
from methods import Registry
from methods.base import Stream

MEASURED = 20
"""Largest number of finished trials whose training times are averaged."""


def in_order(trials: Sequence[Trial], first: Collection[str], registry: Registry, runs: Path) -> list[Trial]:
    """Sort trials so that processes that share them end at about the same time.

    The trials `first` come first, in the given order. The others follow by the mean training time of finished trials
    of the same method and settings in the store, the longest first. A method that the store has not measured comes
    before the measured ones, since it may be the longest; such methods are sorted by `estimated_cost`. Equal trials
    keep the given order.

    Args:
        trials: The trials, each after those that it starts from.
        first: Keys of the trials that others start from, or that are done.
        registry: All methods.
        runs: The store.
    """
    costs: dict[tuple[str | bool, ...], tuple[float, float]] = {}

    def rank(trial: Trial) -> tuple[bool, float, float]:
        if trial.key in first:
            return (False, 0.0, 0.0)
        alike = (trial.dataset, trial.method, trial.row, trial.variant, trial.tested is None)
        if alike not in costs:
            costs[alike] = (measured_seconds(trial, runs), estimated_cost(trial, registry))
        seconds, estimate = costs[alike]
        return (True, -seconds, -estimate)

    return sorted(trials, key=rank)


def measured_seconds(trial: Trial, runs: Path) -> float:
    """Mean training time, seconds, of finished trials of the same method and settings; infinite if there is none."""
    times = list(islice(_times(trial, runs), MEASURED))
    return fmean(times) if times else float("inf")


def estimated_cost(trial: Trial, registry: Registry) -> float:
    """Time of one step of the trial, in the time of a plain training step on one image."""
    method, train = registry.any(trial.method), trial.train
    sizes = {Stream.AU: train.batch_au, Stream.FE: train.batch_fe, Stream.AU_VAL: train.batch_val}
    return method.cost * sum(size for stream, size in sizes.items() if stream in method.streams)


def _times(trial: Trial, runs: Path) -> Iterator[float]:
    settings = _settings(trial.model_dump(mode="json"))
    for done in (runs / trial.dataset / trial.method).glob(f"*/{DONE}"):
        try:
            if _settings(json_object(read_bytes(done.parent / TRIAL))) == settings:
                yield float(json_object(read_bytes(done.parent / PROVENANCE))["time_train_s"])
        except (OSError, ValueError, KeyError, TypeError, UserError):  # only the order depends on it
            continue


def _settings(trial: dict[str, Any]) -> list[Any]:
    return [trial["data"], trial["train"], trial["hparams"], trial.get("tested")]
