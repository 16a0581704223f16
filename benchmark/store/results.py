"""Results of finished trials: six tables, and one file for all of them.

`results.parquet` has no image and no label of a frame. It has counts per subject and AU, scores per AU, training
curves, statistics of the weights, counts under other rules of selection, and the provenance of each trial: enough for
all but the images of Figures 5 and 6.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError, wrong_path
from benchmark.core.files import regular
from benchmark.store.record import is_current
from benchmark.store.shapes import check_shapes

FORMAT = "mal-benchmark results 4"
SUBMITTED = "scored_from"
"""Field of the provenance of predictions that somebody else made; our trials lack it."""
LACKING = "lacking"
"""Field of their provenance with the AUs of the dataset that they do not give."""

COLUMNS: dict[str, dict[str, str]] = {
    "trials": {
        "trial": "string",  # the key
        "dataset": "string",  # name of the AU dataset
        "part": "string",  # test part
        "tested": "string",  # other dataset that the trained network was scored on; "" for its own test part
        "method": "string",  # name of the method
        "paper_row": "string",  # the paper's spelling; "" for a method that the paper does not have
        "seed": "int64",
        "profile": "string",
        "shared_overrides": "string",  # shared settings that differ from the profile; "" for none
        "shared_digest": "string",  # digest of the settings that all methods of a comparison share
        "variant": "string",  # the method's settings that differ from the profile; "" for none
        "reading": "string",  # name of the profile's reading with the trial's settings; "" for none
        "own_digest": "string",  # digest of the method's settings
        "origin": "string",
        "data_note": "string",  # one line about the data, for readers
        "fingerprint": "string",  # fingerprint of images and labels
        "backbone": "string",
        "weights": "string",
        "method_version": "int64",
        "stale": "bool",  # the sources have changed since, and no version was raised
        "steps": "int64",
        "parameters": "int64",  # trainable parameters
        "time_train_s": "float64",
        "time_before_s": "float64",  # training of the trials that it starts from; others may share them
        "peak_memory_mb": "float64",
        "base_memory_mb": "float64",  # memory of the process before the trial
        "settings": "string",  # JSON
        "provenance": "string",  # JSON
    },
    # Frames with an unknown label are in none of the four counts.
    "counts": {
        "trial": "string",
        "subject": "string",
        "au": "string",
        "tp": "int64",
        "fp": "int64",
        "fn": "int64",
        "tn": "int64",
        # Over all test frames of the part but those of the subject: AUC and average precision; NaN where undefined.
        "auc_without": "float64",
        "ap_without": "float64",
    },
    # F1, AUC and average precision over all test frames of the part; NaN where undefined.
    "scores": {"trial": "string", "au": "string", "f1": "float64", "auc": "float64", "ap": "float64"},
    # `series`: loss_au, loss_fe, weight_au, weight_fe, fe_share, ...
    "curves": {"trial": "string", "step": "int64", "series": "string", "value": "float64"},
    # Statistics of the final weights of FE images, for methods that weigh samples.
    "weights": {"trial": "string", "name": "string", "value": "float64"},
    # Counts under other rules of selection. Known labels are those of `counts`, so these two say all.
    "audit": {"trial": "string", "rule": "string", "subject": "string", "au": "string", "tp": "int64", "fp": "int64"},
}

KEYS = {
    "trials": ["trial"],
    "counts": ["trial", "subject", "au"],
    "scores": ["trial", "au"],
    "curves": ["trial", "step", "series"],
    "weights": ["trial", "name"],
    "audit": ["trial", "rule", "subject", "au"],
}
"""Columns that identify a row of each table."""

ADDED: Mapping[str, str | float] = {
    "reading": "",
    "rule": "",
    "tested": "",
    **dict.fromkeys(("ap", "auc_without", "ap_without"), math.nan),
}
"""Columns that earlier files of this format lack, and the value that their rows have."""

OPTIONAL = {"audit"}
"""Tables that a file does not mention if they have no row, so that it is as it was before they existed."""

OF_A_RUN = ["stale", "provenance", "time_train_s", "time_before_s", "peak_memory_mb", "base_memory_mb"]
"""Columns that differ where the same trial was run twice with the same result."""

MOST = dict.fromkeys(("f1", "auc", "ap", "auc_without", "ap_without"), 1.0)
"""Largest value of a column; others have none."""
FREE = {"value"}
"""Columns that may be negative."""
NAMES = ("trial", "dataset", "part", "method", "subject", "au", "series", "name", "rule")
"""Columns that identify something, and so are never cut short for readers."""
LONGEST_NAME = 200

_KINDS = {
    "string": (pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
    "int64": (pa.types.is_integer, pa.types.is_floating, pa.types.is_null),
    "float64": (pa.types.is_integer, pa.types.is_floating, pa.types.is_null),
    "bool": (pa.types.is_boolean, pa.types.is_null),
}
"""Types of a column that are read. Earlier versions wrote integers as floats."""

_STORED = {"string": pa.large_string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
"""Types of a column that are written; a column is null in the rows of tables that do not have it."""


@dataclass(frozen=True)
class Results:
    """Results of finished trials; `COLUMNS` gives the columns and their types.

    Attributes:
        trials: One row per trial.
        counts: One row per trial, test subject and AU.
        scores: One row per trial and AU.
        curves: One row per trial, logged step and series.
        weights: One row per trial and statistic.
        audit: One row per trial, rule of selection, test subject and AU; none for trials without snapshots.

    Raises:
        ValueError: A column is missing, a value does not fit its type, or a trial stands twice.
    """

    trials: pd.DataFrame
    counts: pd.DataFrame
    scores: pd.DataFrame
    curves: pd.DataFrame
    weights: pd.DataFrame
    audit: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS["audit"])))

    @classmethod
    def empty(cls) -> Results:
        """Results of no trial.

        Example:
            >>> len(Results.empty().trials)
            0
        """
        return cls(**{name: _typed(pd.DataFrame(columns=list(columns)), name) for name, columns in COLUMNS.items()})

    @classmethod
    def concat(cls, parts: list[Results]) -> Results:
        """Join results of different trials.

        Args:
            parts: The results; none give `empty`.

        Raises:
            ValueError: A trial is in two of them.
        """
        if not parts:
            return cls.empty()
        return cls(**{f.name: pd.concat([getattr(p, f.name) for p in parts], ignore_index=True) for f in fields(cls)})

    @classmethod
    def merge(cls, parts: Mapping[str, Results]) -> Results:
        """Join results that may have trials in common, for example those of a report and of predictions in it.

        Args:
            parts: The results, by the name of their source.

        Raises:
            UserError: A trial is in two of them with different counts, scores or settings.
        """
        merged, source_of = cls.empty(), dict[str, str]()
        for source, part in parts.items():
            common = [key for key in part.trials["trial"] if key in source_of]
            for key in common:
                if merged._facts(key) != part._facts(key):
                    raise UserError(
                        f"the trial {key} stands in two results files, and differs",
                        where=source,
                        found=f"another trial of this key in {source_of[key]}",
                        remedy="leave one of the two files out; score predictions again that were scored on other data",
                    )
            merged = merged.beside(part)
            source_of = dict.fromkeys(part.trials["trial"], source) | source_of
        return merged

    def _facts(self, key: str) -> list[str]:
        """Texts that are the same for the same result: all but its verification, whether it is stale, and its cost."""
        tables = [getattr(self, name) for name in COLUMNS]
        rows = [table[table["trial"] == key].drop(columns=OF_A_RUN, errors="ignore") for table in tables]
        return [of_trial.to_csv(index=False) for of_trial in rows]

    def beside(self, other: Results) -> Results:
        """These results, and those of trials that only `other` has."""
        more = other.trials.loc[~other.trials["trial"].isin(self.trials["trial"]), "trial"]
        return Results.concat([self, other.select(more)])

    def __post_init__(self) -> None:
        for name in COLUMNS:
            object.__setattr__(self, name, _typed(getattr(self, name), name))
        keys = self.trials["trial"]
        if keys.duplicated().any():
            raise ValueError(f"trial {keys[keys.duplicated()].iloc[0]} stands twice")

    def validated(self) -> Results:
        """Validate all values and return self.

        Raises:
            ValueError: A value is out of its range, a row is double or of no trial, or JSON is wrong.
        """
        keys = set(self.trials["trial"])
        for name, table in self._tables().items():
            for column, kind in COLUMNS[name].items():
                values = table[column]
                if kind not in {"int64", "float64"}:
                    continue
                least, most = -math.inf if column in FREE else 0, MOST.get(column, math.inf)
                wrong = values[(values < least) | (values > most) | np.isinf(values)]
                if len(wrong):
                    raise ValueError(f"{name}: {column} = {wrong.iloc[0]} is out of range")
            if not table["trial"].isin(keys).all():
                raise ValueError(f"{name}: rows of a trial that there is not")
            if table.duplicated(KEYS[name]).any():
                raise ValueError(f"{name}: a row stands twice")
            for column in set(NAMES) & set(table):
                wrong = [text for text in table[column].unique() if not _is_name(str(text))]
                if wrong:
                    raise ValueError(f"{name}: {column} {wrong[0][:40]!r} is no name: it is empty, long or unprintable")
        columns = ("trial", "settings", "provenance")
        for trial, settings, provenance in zip(*(self.trials[column] for column in columns), strict=True):
            check_shapes(trial, settings, provenance)
        return self

    def select(self, keys: Iterable[str]) -> Results:
        """Results of some trials.

        Args:
            keys: Keys of the trials to keep.
        """
        (chosen,) = self.split([keys])
        return chosen

    def split(self, groups: Iterable[Iterable[str]]) -> list[Results]:
        """Results of several groups of trials.

        Args:
            groups: Keys of the trials of each group; no trial is in two groups.

        Returns:
            The results of each group.
        """
        named = [list(keys) for keys in groups]
        place = {key: number for number, keys in enumerate(named) for key in keys}
        chosen: list[dict[str, pd.DataFrame]] = [{} for _ in named]
        for name, table in self._tables().items():
            number, names = pd.factorize(table["trial"])  # a key is looked up once, not in each row
            places = np.array([place.get(key, -1) for key in names], dtype=np.int64)[number]
            for group, tables in enumerate(chosen):
                tables[name] = table[places == group].reset_index(drop=True)
        return [Results(**tables) for tables in chosen]

    def mark_stale(self, sources: Mapping[str, str]) -> Results:
        """Copy with the column `stale` set: true if the present sources neither made nor verified a trial.

        Args:
            sources: Hash of the present sources of each method.
        """
        rows = zip(map(json.loads, self.trials["provenance"]), self.trials["method"], strict=True)
        # Predictions that somebody else made have no sources here.
        stale = [SUBMITTED not in made and not is_current(made, sources.get(method)) for made, method in rows]
        return replace(self, trials=self.trials.assign(stale=stale))

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {name: getattr(self, name) for name in COLUMNS}

    def write(self, path: Path) -> None:
        """Write all tables into one parquet file, atomically; the column `table` tells the table of a row.

        Args:
            path: File to write; its folder is created.

        Raises:
            OSError: The file cannot be written.
        """
        rows = [
            pa.Table.from_pandas(table.assign(table=name), schema=_stored(name), preserve_index=False)
            for name, table in self._tables().items()
            if name not in OPTIONAL or len(table)
        ]
        arrow = pa.concat_tables(rows, promote_options="default").replace_schema_metadata({"format": FORMAT})
        content = io.BytesIO()
        pq.write_table(arrow, content, compression="zstd", write_page_checksum=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read a file that `write` wrote, in this version or an earlier one of the same format.

        Args:
            path: The file.

        Raises:
            UserError: The file is missing, no parquet file, damaged, or has other content.
        """
        remedy = "run `malbench run` first, or name a results file that `malbench report` wrote"
        if not path.is_file():
            raise wrong_path(path, "file", expected="a results file", remedy=remedy)
        try:
            arrow = pq.read_table(regular(path), page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            found = str(error) if _is_parquet(path) else "another kind of file"
            raise UserError("not a readable parquet file", where=path, found=found, remedy=remedy) from error
        file_format = (arrow.schema.metadata or {}).get(b"format", b"nothing").decode(errors="replace")
        if file_format != FORMAT:
            raise UserError("not a results file", where=path, expected=FORMAT, found=file_format, remedy=remedy)
        try:
            return cls(**_tables_of(arrow)).validated()
        except (ValueError, TypeError, OverflowError, RecursionError, pa.ArrowException) as error:
            raise UserError(
                "a results file holds what no report can be made of", where=path, found=str(error)[:200], remedy=remedy
            ) from error


def _is_parquet(path: Path) -> bool:
    """Whether a file begins as a parquet file does."""
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _stored(name: str) -> pa.Schema:
    """Schema of the rows of a table in a results file."""
    return pa.schema([(column, _STORED[kind]) for column, kind in {**COLUMNS[name], "table": "string"}.items()])


def _tables_of(arrow: pa.Table) -> dict[str, pd.DataFrame]:
    """The tables of a results file, by name.

    Raises:
        ValueError: A column is missing, of another type, or empty where it must not be.
    """
    types = {field.name: field.type for field in arrow.schema}
    for column, kind in {"table": "string", **{c: k for table in COLUMNS.values() for c, k in table.items()}}.items():
        if column not in types and column in ADDED:
            continue
        if column not in types:
            raise ValueError(f"there is no column {column}")
        if not any(fits(types[column]) for fits in _KINDS[kind]):
            raise ValueError(f"the column {column} is of type {types[column]}, not {kind}")
    # Table by table: pandas makes floats of a column of integers that has nulls.
    tables = {name: _rows_of(arrow, name) for name in COLUMNS}
    if sum(map(len, tables.values())) != len(arrow):
        raise ValueError("rows of no known table")
    return tables


def _rows_of(arrow: pa.Table, name: str) -> pd.DataFrame:
    """The rows of one table of a results file.

    Raises:
        ValueError: A column is empty where it must not be.
    """
    present = set(arrow.schema.names)
    rows = arrow.filter(pc.equal(arrow["table"], name)).select([c for c in COLUMNS[name] if c in present])
    # Without its metadata: those are instructions for pandas, and a file may hold wrong ones.
    table: pd.DataFrame = rows.replace_schema_metadata(None).to_pandas()
    needed = table[[c for c, kind in COLUMNS[name].items() if c in present and kind != "float64"]]
    if needed.isna().any(axis=None):
        raise ValueError(f"{name}: {needed.columns[needed.isna().any()][0]} is empty")
    return table


def _typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table with the columns and types of `COLUMNS`.

    Raises:
        ValueError: A column is missing, or a value does not fit its type.
    """
    table = table.assign(**{c: ADDED[c] for c in COLUMNS[name] if c in ADDED and c not in table.columns})
    missing = [c for c in COLUMNS[name] if c not in table.columns]
    if missing:
        raise ValueError(f"{name} lacks {missing}")
    for column, kind in COLUMNS[name].items():
        if kind == "int64" and not pd.api.types.is_signed_integer_dtype(table[column]):
            _check_integers(table[column], name)
    return table[list(COLUMNS[name])].astype(COLUMNS[name])


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()


def _check_integers(values: pd.Series, name: str) -> None:
    """Check that values of another type are integers of 64 bits; a cast alone would change them silently.

    Raises:
        ValueError: A value is no such integer.
    """
    for value in values.unique():
        if not (-(2**63) <= value < 2**63 and value == value // 1):
            raise ValueError(f"{name}: {values.name} = {value} is no integer of 64 bits")
