"""Counts and scores of a group's trials as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import compress

import numpy as np
import pandas as pd

from benchmark.core.errors import UserError
from benchmark.core.f1 import FloatArray, IntArray
from benchmark.stats.counts import PartCounts

_COUNTS = ["tp", "fp", "fn", "tn"]


class _ByTrial:
    """Index of a table's rows by trial, built once, since a report asks for one trial after the other."""

    def __init__(self, table: pd.DataFrame, aus: tuple[str, ...]) -> None:
        self._trial, names = pd.factorize(table["trial"])
        self._number = {str(name): number for number, name in enumerate(names)}
        ends = np.cumsum(np.bincount(self._trial, minlength=len(names)))
        self._rows = np.split(np.argsort(self._trial, kind="stable"), ends)
        """Row numbers by trial; the last entry, for a trial that is not in the table, is empty."""
        au, names = pd.factorize(table["au"])
        self._au: IntArray = pd.Index(aus).get_indexer(names)[au]
        self.aus = aus

    def _numbers(self, trials: Iterable[str]) -> list[int]:
        """Number of each trial; −1 for a trial without rows."""
        return [self._number.get(trial, -1) for trial in trials]

    def _rows_of(self, trials: Iterable[str]) -> tuple[IntArray, IntArray]:
        """Row numbers of these trials, and the position in `trials` for each of them."""
        rows = [self._rows[number] for number in self._numbers(trials)]
        return np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(row) for row in rows])


class CountsByTrial(_ByTrial):
    """The table `counts` of a group."""

    def __init__(self, table: pd.DataFrame, aus: tuple[str, ...]) -> None:
        super().__init__(table, aus)
        self._subject, names = pd.factorize(table["subject"], sort=True)
        self._subjects = [str(name) for name in names]
        self._counts = table[_COUNTS].to_numpy(dtype=np.int64)
        self._table = table

    def check_same_subjects(self, trials: pd.DataFrame) -> None:
        """Check that all trials of a part tested the same subjects, which the paired bootstrap needs."""
        tested = np.zeros((len(self._rows), len(self._subjects)), dtype=np.bool_)
        tested[self._trial, self._subject] = True
        for part, of_part in trials.groupby("part"):
            names = sorted(of_part["trial"])
            sets = tested[self._numbers(names)]
            wrong = np.flatnonzero((sets != sets[0]).any(axis=1) | ~sets.any(axis=1))
            if len(wrong):
                expected, actual = (
                    ", ".join(compress(self._subjects, subjects)) for subjects in (sets[0], sets[wrong[0]])
                )
                raise UserError(
                    f"two trials of {part} on the same data tested different subjects",
                    where=f"trials {names[0]} and {names[wrong[0]]}",
                    expected=expected or "at least one subject",
                    found=actual or "none",
                    remedy="run both trials again",
                )

    def of_part(self, part: str, trials: Sequence[str]) -> PartCounts:
        """Counts (R, P, J, 4) of R trials of a part with P subjects; zero where no label of an AU is known."""
        rows, places = self._rows_of(trials)
        subject_numbers, subject = np.unique(self._subject[rows], return_inverse=True)
        shape = (len(trials), len(subject_numbers), len(self.aus))
        cells = np.zeros((math.prod(shape), len(_COUNTS)), dtype=np.int64)
        np.add.at(cells, np.ravel_multi_index((places, subject, self._au[rows]), shape), self._counts[rows])
        subjects = tuple(self._subjects[number] for number in subject_numbers)
        return PartCounts(part, subjects, cells.reshape(*shape, len(_COUNTS)))

    def scores_without(self, trials: Sequence[str], subjects: Sequence[str], name: str) -> FloatArray:
        """A score (R, P, J) of R trials over all subjects but one in turn; NaN where a trial has no such score."""
        rows, places = self._rows_of(trials)
        subject = pd.Index(subjects).get_indexer(pd.Index(self._subjects))[self._subject[rows]]
        values = np.full((len(trials), len(subjects), len(self.aus)), np.nan)
        values[places, subject, self._au[rows]] = self._table[name].to_numpy(dtype=np.float64)[rows]
        return values


class ScoresByTrial(_ByTrial):
    """The table `scores` of a group."""

    def __init__(self, table: pd.DataFrame, aus: tuple[str, ...]) -> None:
        self._table = table[table["au"].isin(aus)]
        super().__init__(self._table, aus)

    def of_trials(self, trials: Sequence[str], name: str) -> FloatArray:
        """A score (R, J) of R trials; NaN where it is undefined."""
        rows, places = self._rows_of(trials)
        values = np.full((len(trials), len(self.aus)), np.nan)
        values[places, self._au[rows]] = self._table[name].to_numpy(dtype=np.float64)[rows]
        return values
