"""The paper's printed tables and open questions, as data.

Each dataset has its table as printed, F1 × 100 (`AuDataset.printed`). The marks in the tables follow from a rule and
are computed here; `marks.csv` holds the underlines that the paper prints, for `benchmark.paper.audit`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal, cast, get_args

from benchmark import datasets
from benchmark.core.errors import UserError, did_you_mean
from benchmark.datasets.base import PrintedTable

Group = Literal["au", "multitask"]
"""`au` for AU detection methods that the paper cites, `multitask` for the multi-task and meta-learning methods that it
trains."""

Mark = Literal["bold", "underline"]

MARK_OF_GROUP: Mapping[Group, Mark] = MappingProxyType({"multitask": "bold", "au": "underline"})
"""Mark of the best of each group in a column."""

AVE = "ave"
"""Name of the column with the average over AUs."""

_NOT_VALUES = ("method", "reference", "reported", "group")


@dataclass(frozen=True)
class PaperRow:
    """One printed row."""

    method: str
    reference: str
    """Number in the paper's bibliography; "" for none."""
    reported: bool
    """Whether the paper marks the row with *: quoted, not run by its authors."""
    group: Group
    values: Mapping[str, float | None]
    """F1 × 100 by column; None for "-" in print."""


@dataclass(frozen=True)
class PaperTable:
    """One printed table of results."""

    dataset: str
    """Name of the dataset."""
    title: str
    """Name of the dataset in the paper's spelling."""
    number: int
    """Number in the paper; 0 for a table that is not printed."""
    folds: int
    """Number of test parts that the numbers cover (§4.1.1)."""
    aus: tuple[str, ...]
    rows: tuple[PaperRow, ...]

    @classmethod
    def unprinted(cls, dataset: str, title: str, parts: int, aus: tuple[str, ...]) -> PaperTable:
        """Build the table of a dataset that the paper does not have, without rows."""
        return cls(dataset, title, 0, parts, aus, ())

    @property
    def is_printed(self) -> bool:
        """Whether the paper prints this table."""
        return bool(self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the AUs in the paper's order, then the average."""
        return (*self.aus, AVE)

    def row(self, method: str) -> PaperRow | None:
        """Row of a method, by the paper's spelling; None if the table has no such row."""
        return next((row for row in self.rows if row.method == method), None)

    def of_group(self, group: Group) -> tuple[PaperRow, ...]:
        """Rows of one group of methods, in the printed order."""
        return tuple(row for row in self.rows if row.group == group)

    def best(self, group: Group, column: str) -> frozenset[str]:
        """Methods of a group with the highest value in a column; several in a tie."""
        return best_of({row.method: row.values[column] for row in self.of_group(group)})

    def mark(self, row: PaperRow, column: str) -> Mark | None:
        """Mark of a cell by the rule; None for no mark."""
        return MARK_OF_GROUP[row.group] if row.method in self.best(row.group, column) else None


def best_of(values: Mapping[str, float | None]) -> frozenset[str]:
    """Names with the highest value, compared as printed: F1 × 100 to one decimal. None and NaN never win."""
    defined = {name: value for name, value in values.items() if value is not None and not math.isnan(value)}
    rounded = {name: round(value, 1) for name, value in defined.items()}
    return frozenset(name for name, value in rounded.items() if value == max(rounded.values()))


@cache
def paper_tables() -> Mapping[str, PaperTable]:
    """Printed tables by dataset, in the paper's order."""
    by_number = {
        name: _load(name, str(cls.title), cls.printed)
        for name, cls in datasets.au_classes().items()
        if cls.printed is not None
    }
    return MappingProxyType(dict(sorted(by_number.items(), key=lambda item: item[1].number)))


def paper_table(dataset: str) -> PaperTable:
    """Printed table of a dataset.

    Raises:
        UserError: The paper has no table of the dataset.
    """
    tables = paper_tables()
    if dataset not in tables:
        raise UserError(f"the paper prints no table for '{dataset}'", remedy=did_you_mean(dataset, tables))
    return tables[dataset]


@cache
def printed_underlines() -> frozenset[tuple[str, str, str]]:
    """(dataset, method, column) of each underline as printed."""
    return frozenset(
        (row["dataset"], row["method"], row["column"]) for row in _read_csv("marks.csv") if row["mark"] == "underline"
    )


@dataclass(frozen=True)
class Ambiguity:
    """A question that the paper leaves open.

    Attributes:
        id: A1 and so on.
        question: The question in a few words.
        default: Our choice in the profile `paper`.
        settings: Settings of the choice, `SECTION.KEY`; none if it cannot be changed.
    """

    id: str
    question: str
    default: str
    settings: tuple[str, ...]


@cache
def ambiguities() -> tuple[Ambiguity, ...]:
    """All open questions, in order."""
    return tuple(
        Ambiguity(row["id"], row["question"], row["default"], tuple(row["setting"].split()))
        for row in _read_csv("ambiguities.csv")
    )


def _load(dataset: str, title: str, printed: PrintedTable) -> PaperTable:
    raw = _rows_of(printed.file.read_text(encoding="utf-8"))
    columns = [name for name in raw[0] if name not in _NOT_VALUES]
    return PaperTable(
        dataset=dataset,
        title=title,
        number=printed.number,
        folds=printed.folds,
        aus=tuple(name for name in columns if name != AVE),
        rows=tuple(_row(row, columns, printed.file.name) for row in raw),
    )


def _row(raw: dict[str, str], columns: list[str], file: str) -> PaperRow:
    if raw["group"] not in get_args(Group):
        raise ValueError(f"{file}: unknown group {raw['group']!r} of {raw['method']}")
    return PaperRow(
        method=raw["method"],
        reference=raw["reference"],
        reported=raw["reported"] == "yes",
        group=cast(Group, raw["group"]),
        values=MappingProxyType({name: float(raw[name]) if raw[name] else None for name in columns}),
    )


def _read_csv(file: str) -> list[dict[str, str]]:
    """Rows of a CSV file of this package."""
    return _rows_of((resources.files(__package__) / file).read_text(encoding="utf-8"))


def _rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))
