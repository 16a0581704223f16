"""Finished trials as five tables, and the one file that holds them all.

`results.parquet` carries no image and no per-frame label: counts per subject and AU, scores per AU,
training curves, statistics of the weights, and what made each trial. That is enough for all but the images of Figures 5
and 6.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.errors import UserError

Origin = Literal["stand-in", "complete", "partial"]
"""Whose faces made a number: procedural ones, a copy of the dataset with the known counts, anything else."""

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

    def __post_init__(self) -> None:
        for name in COLUMNS:
            object.__setattr__(self, name, _typed(getattr(self, name), name))
        keys = self.trials["trial"]
        if keys.duplicated().any():
            raise ValueError(f"trial {keys[keys.duplicated()].iloc[0]} stands twice")

    def select(self, keys: pd.Series) -> Results:
        """The results of the trials named by `keys` alone."""
        return Results(**{n: t[t["trial"].isin(keys)].reset_index(drop=True) for n, t in self._tables().items()})

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
        rows = [table.assign(table=name) for name, table in self._tables().items()]
        merged = pd.concat(rows, ignore_index=True)
        arrow = pa.Table.from_pandas(merged, preserve_index=False).replace_schema_metadata({"format": FORMAT})
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        pq.write_table(arrow, temporary, compression="zstd")
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote.

        Raises:
            UserError: The file is missing, is no parquet file, or holds something else.
        """
        remedy = "run `malbench run` first, or name a results file that `malbench report` wrote"
        if not path.is_file():
            raise UserError("no results file", where=path, remedy=remedy)
        try:
            arrow = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError("not a readable parquet file", where=path, found=str(error), remedy=remedy) from error
        found = (arrow.schema.metadata or {}).get(b"format", b"nothing").decode()
        if found != FORMAT:
            raise UserError("not a results file", where=path, expected=FORMAT, found=found, remedy=remedy)
        merged = arrow.to_pandas()
        return cls(
            **{
                name: merged.loc[merged["table"] == name, list(columns)].reset_index(drop=True)
                for name, columns in COLUMNS.items()
            }
        )


def _typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = [c for c in COLUMNS[name] if c not in table.columns]
    if missing:
        raise ValueError(f"{name} lacks {missing}")
    return table[list(COLUMNS[name])].astype(COLUMNS[name])
