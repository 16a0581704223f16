"""Hours of training, added up over stores and files of results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.report.cells import Table, cells, number, table
from benchmark.store.results import Results

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Training:
    """One training of a trial, or of a stage that trials start from.

    Attributes:
        key: Key of the trial.
        seconds: Training time. A trial that was trained twice, on two machines for instance, has two trainings.
        device: Processor or GPU.
        is_stage: Whether the time is known from the trials that start from it alone.
    """

    key: str
    seconds: float
    device: str
    is_stage: bool = False

    @property
    def identity(self) -> tuple[str, float]:
        """The same for two records of one training."""
        return self.key, round(self.seconds, 3)


def trainings_of(key: str, made: Mapping[str, Any]) -> Iterator[Training]:
    """The training of a trial and those that it starts from.

    Args:
        key: Key of the trial.
        made: Its provenance. It does not name the machine of a stage, which is taken to be that of the trial. Rows of
            `malbench score` have no training.
    """
    if "time_train_s" not in made:
        return
    device = str(made["device"])
    yield Training(key, float(made["time_train_s"]), device)
    for before in made["prerequisites"].values():
        yield Training(str(before["key"]), float(before["time_train_s"]), device, is_stage=True)


def trainings_in(results: Results) -> Iterator[Training]:
    """All trainings that results speak of."""
    for row in results.trials.itertuples():
        yield from trainings_of(str(row.trial), json.loads(str(row.provenance)))


def compute_table(sources: Mapping[str, Iterable[Training]]) -> Table:
    """Hours of training by source and device. A training that stands in several sources counts in the first.

    Args:
        sources: Trainings by the name of their store or file, in order.
    """
    counted: dict[tuple[str, float], tuple[str, Training]] = {}
    for name, trainings in sources.items():
        # A stage's own record names its machine; that of a trial which starts from it may be another one.
        for training in sorted(trainings, key=lambda each: each.is_stage):
            counted.setdefault(training.identity, (name, training))
    groups: dict[tuple[str, str], list[float]] = {}
    for name, training in counted.values():
        groups.setdefault((name, training.device), []).append(training.seconds)
    rows = [[name, device, *_sums(seconds)] for (name, device), seconds in groups.items()]
    rows.append(["all", "", *_sums([training.seconds for _, training in counted.values()])])
    return table(["results", "device", "trainings", "hours"], [cells(*row) for row in rows])


def _sums(seconds: list[float]) -> tuple[str, str]:
    return f"{len(seconds):,}", number(sum(seconds) / SECONDS_PER_HOUR, digits=2)
