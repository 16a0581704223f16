"""Finished trials as five tables, and the one file that holds them all.

`results.parquet` carries no image and no per-frame label: counts per subject and AU, scores per AU,
training curves, statistics of the weights, and what made each trial. That is enough for all but the images of Figures 5
and 6.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.core.errors import UserError

FORMAT = "mal-benchmark results 4"

COLUMNS: dict[str, dict[str, str]] = {
    "trials": {
        "trial": "string",  # the key
        "dataset": "string",  # bp4d, disfa, gft
        "part": "string",  # the part that is tested
        "method": "string",  # registry name
        "paper_row": "string",  # the paper's spelling, "" for a method the paper does not have
        "seed": "int64",
        "profile": "string",
        "shared_overrides": "string",  # settings of all methods that differ from the profile, "" for none
        "shared_digest": "string",  # of the settings that make trials comparable, whatever their names
        "variant": "string",  # this method's settings that differ from the profile, "" for none
        "own_digest": "string",  # of this method's settings
        "origin": "string",
        "data_note": "string",  # one line for readers: what data this was
        "fingerprint": "string",  # of images and labels
        "backbone": "string",
        "weights": "string",
        "method_version": "int64",
        "stale": "bool",  # the sources changed since, and no version was raised
        "steps": "int64",
        "parameters": "int64",  # trainable parameters
        "time_train_s": "float64",
        "time_before_s": "float64",  # training of the trials that it starts from, which others may share
        "peak_memory_mb": "float64",
        "base_memory_mb": "float64",  # what the process held before the trial
        "settings": "string",  # JSON
        "provenance": "string",  # JSON
    },
    # Frames whose label is unknown are in none of the four counts.
    "counts": {
        "trial": "string",
        "subject": "string",
        "au": "string",
        "tp": "int64",
        "fp": "int64",
        "fn": "int64",
        "tn": "int64",
    },
    # F1 and AUC over all test frames of the trial's part; NaN where undefined.
    "scores": {"trial": "string", "au": "string", "f1": "float64", "auc": "float64"},
    # A `series` is e.g. loss_au, loss_fe, weight_au, weight_fe, fe_share.
    "curves": {"trial": "string", "step": "int64", "series": "string", "value": "float64"},
    # Statistics of the final weights of the FE images, of methods that weigh samples.
    "weights": {"trial": "string", "name": "string", "value": "float64"},
}

KEYS = {
    "trials": ["trial"],
    "counts": ["trial", "subject", "au"],
    "scores": ["trial", "au"],
    "curves": ["trial", "step", "series"],
    "weights": ["trial", "name"],
}
"""What no two rows of a table share."""

MOST = {"f1": 1.0, "auc": 1.0}
"""The largest value of a column; the least is 0 for all but `FREE`."""
FREE = {"value"}
JSON_COLUMNS = ("settings", "provenance")

_KINDS = {
    "string": (pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
    "int64": (pa.types.is_integer, pa.types.is_floating, pa.types.is_null),
    "float64": (pa.types.is_integer, pa.types.is_floating, pa.types.is_null),
    "bool": (pa.types.is_boolean, pa.types.is_null),
}
"""What a column of a results file may be; a whole number is a float where other tables have no such column."""


_STORED = {"string": pa.large_string(), "int64": pa.float64(), "float64": pa.float64(), "bool": pa.bool_()}
"""What a column is in a results file that is written."""


@dataclass(frozen=True)
class Results:
    """Finished trials; the columns of each table are those of `COLUMNS`."""

    trials: pd.DataFrame
    counts: pd.DataFrame
    scores: pd.DataFrame
    curves: pd.DataFrame
    weights: pd.DataFrame

    @classmethod
    def empty(cls) -> Results:
        return cls(**{name: _typed(pd.DataFrame(columns=list(columns)), name) for name, columns in COLUMNS.items()})

    @classmethod
    def concat(cls, parts: list[Results]) -> Results:
        """The tables of several results under one another; none at all is `empty`."""
        if not parts:
            return cls.empty()
        return cls(**{f.name: pd.concat([getattr(p, f.name) for p in parts], ignore_index=True) for f in fields(cls)})

    def beside(self, other: Results) -> Results:
        """These, and the trials of the other that are none of these."""
        more = other.trials.loc[~other.trials["trial"].isin(self.trials["trial"]), "trial"]
        return Results.concat([self, other.select(more)])

    def __post_init__(self) -> None:
        for name in COLUMNS:
            object.__setattr__(self, name, _typed(getattr(self, name), name))
        keys = self.trials["trial"]
        if keys.duplicated().any():
            raise ValueError(f"trial {keys[keys.duplicated()].iloc[0]} stands twice")

    def checked(self) -> Results:
        """Itself, if every value can be.

        Raises:
            ValueError: Of a table that cannot be a report's, in words.
        """
        known = set(self.trials["trial"])
        for name, table in self._tables().items():
            for column, kind in COLUMNS[name].items():
                values = table[column]
                if kind not in {"int64", "float64"}:
                    continue
                least, most = -math.inf if column in FREE else 0, MOST.get(column, math.inf)
                wrong = values[(values < least) | (values > most) | np.isinf(values)]
                if len(wrong):
                    raise ValueError(f"{name}: {column} = {wrong.iloc[0]}, which cannot be")
            if not table["trial"].isin(known).all():
                raise ValueError(f"{name}: rows of a trial that there is not")
            if table.duplicated(KEYS[name]).any():
                raise ValueError(f"{name}: a row stands twice")
        for column in JSON_COLUMNS:
            if not all(isinstance(json.loads(text), dict) for text in self.trials[column]):
                raise ValueError(f"trials: {column} holds no JSON object")
        return self

    def select(self, keys: Iterable[str]) -> Results:
        """The results of the trials named by `keys` alone."""
        (chosen,) = self.split([keys])
        return chosen

    def split(self, groups: Iterable[Iterable[str]]) -> list[Results]:
        """The results of the trials that each group names; no trial may be in two."""
        named = [list(keys) for keys in groups]
        place = {key: number for number, keys in enumerate(named) for key in keys}
        chosen: list[dict[str, pd.DataFrame]] = [{} for _ in named]
        for name, table in self._tables().items():
            number, names = pd.factorize(table["trial"])  # each name is then looked up once, not in each of its rows
            places = np.array([place.get(each, -1) for each in names], dtype=np.int64)[number]
            for each, tables in enumerate(chosen):
                tables[name] = table[places == each].reset_index(drop=True)
        return [Results(**tables) for tables in chosen]

    def marked(self, sources: Mapping[str, str]) -> Results:
        """The same results, stale where a method's present sources are not those that made the trial.

        Args:
            sources: Hash of the present sources of each method.
        """
        stale = [
            json.loads(made).get("source_hash") != sources.get(method)
            for made, method in zip(self.trials["provenance"], self.trials["method"], strict=True)
        ]
        return replace(self, trials=self.trials.assign(stale=stale))

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {name: getattr(self, name) for name in COLUMNS}

    def write(self, path: Path) -> None:
        """Write all tables into one parquet file: one row group of tagged rows a table."""
        rows = [
            pa.Table.from_pandas(table.assign(table=name), schema=_stored(name), preserve_index=False)
            for name, table in self._tables().items()
        ]
        arrow = pa.concat_tables(rows, promote_options="default").replace_schema_metadata({"format": FORMAT})
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        pq.write_table(arrow, temporary, compression="zstd", write_page_checksum=True)
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote.

        Raises:
            UserError: The file is missing, is no parquet file, was damaged, or holds something else.
        """
        remedy = "run `malbench run` first, or name a results file that `malbench report` wrote"
        if not path.is_file():
            raise UserError("no results file", where=path, remedy=remedy)
        try:
            arrow = pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise UserError("not a readable parquet file", where=path, found=str(error), remedy=remedy) from error
        found = (arrow.schema.metadata or {}).get(b"format", b"nothing").decode(errors="replace")
        if found != FORMAT:
            raise UserError("not a results file", where=path, expected=FORMAT, found=found, remedy=remedy)
        try:
            return cls(**_split(arrow)).checked()
        except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
            raise UserError(
                "a results file holds what no report can be made of", where=path, found=str(error)[:200], remedy=remedy
            ) from error


def _stored(name: str) -> pa.Schema:
    """How a table stands in the file."""
    return pa.schema([(column, _STORED[kind]) for column, kind in {**COLUMNS[name], "table": "string"}.items()])


def _split(arrow: pa.Table) -> dict[str, pd.DataFrame]:
    """The tables of a results file.

    Raises:
        ValueError: A column is missing, of another type, or empty where it must not be.
    """
    types = {field.name: field.type for field in arrow.schema}
    for column, kind in {"table": "string", **{c: k for table in COLUMNS.values() for c, k in table.items()}}.items():
        if column not in types:
            raise ValueError(f"there is no column {column}")
        if not any(fits(types[column]) for fits in _KINDS[kind]):
            raise ValueError(f"the column {column} is of type {types[column]}, not {kind}")
    # Metadata for pandas is not ours to trust.
    merged = arrow.replace_schema_metadata(None).to_pandas()
    tables = {name: merged.loc[merged["table"] == name, list(columns)] for name, columns in COLUMNS.items()}
    for name, table in tables.items():
        needed = table[[column for column, kind in COLUMNS[name].items() if kind != "float64"]]
        if needed.isna().any(axis=None):
            raise ValueError(f"{name}: {needed.columns[needed.isna().any()][0]} is empty")
    if sum(map(len, tables.values())) != len(merged):
        raise ValueError("rows of no known table")
    return {name: table.reset_index(drop=True) for name, table in tables.items()}


def _typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = [c for c in COLUMNS[name] if c not in table.columns]
    if missing:
        raise ValueError(f"{name} lacks {missing}")
    typed = table[list(COLUMNS[name])].astype(COLUMNS[name])
    for column, kind in COLUMNS[name].items():
        if kind == "int64" and pd.api.types.is_float_dtype(table[column]) and (typed[column] != table[column]).any():
            raise ValueError(f"{name}: {column} is no whole number")
    return typed
