"""Predictions of a file, checked as far as they can be without the frames of the dataset."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark import datasets
from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import read_bytes, row_place
from benchmark.core.hashing import digest_of_bytes
from benchmark.report.names import check_name
from benchmark.store.results import Results

KEYS = ["subject", "sequence", "frame"]
SET, PART = "set", "part"
"""Columns that an audit reads beside: what a frame is for, and of which test part its network is."""
MOST_WHOLE = 2.0**53
"""Numbers from here on are not exact as floats."""
PROBABLE = 0.5
"""Threshold of probabilities."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of a file, checked as far as they can be without the frames of the dataset.

    Attributes:
        file: The file.
        name: Name of the rows in the tables.
        digest: Digest of the file and the threshold.
        table: `subject`, `sequence` and `frame` of each row.
        scores: (N, J), shifted like logits: active above 0.
        aus: Names of the J AUs; those of the dataset, or some of them.
        about: Further facts for the provenance of the rows.
    """

    file: Path
    name: str
    digest: str
    table: pd.DataFrame
    scores: npt.NDArray[np.float32]
    aus: tuple[str, ...]
    about: Mapping[str, object] = field(default_factory=dict)


def read_predictions(
    file: Path, name: str, protocol: Protocol, beside: Results | None = None, *, threshold: float | None = None
) -> Predictions:
    """Read predictions, and check all that needs no frame of the dataset.

    Args:
        file: CSV or parquet with `subject`, `sequence`, `frame` and a score of each AU: `AU1`, a probability that is
            active above 0.5, or any number with a `threshold`; or `logit_AU1`, active above 0.
        name: Name of the rows in the tables.
        protocol: Protocol of the dataset.
        beside: Results that the rows are to stand beside; None for none.
        threshold: Threshold of the columns `AU1`, ...; None: they are probabilities.

    Raises:
        UserError: The name or the threshold cannot be used, or a threshold was given for logits; the file cannot be
            read, lacks a column, or names no subject of the dataset; a score is no finite number, or no probability;
            `beside` has no trial of the dataset.
    """
    check_name(name)
    check_threshold(threshold)
    table, content = read_table(file)
    lacking = [key for key in KEYS if key not in table]
    if lacking:
        raise UserError(
            f"predictions without {lacking[0]}",
            where=file,
            expected=f"the columns {', '.join(KEYS)}",
            found=", ".join(map(str, table.columns))[:400],
            remedy="say of each row which frame it is of",
        )
    keys = _keys(table, file)
    _check_subjects(keys, protocol, file)
    _check_once(keys, file)
    _check_threshold_applies(table, protocol, threshold, file)
    scores = _scores(table, protocol, threshold, file)
    if beside is not None:
        check_beside(beside, protocol, file)
    said = "" if threshold is None else f" above {threshold!r}"
    return Predictions(file, name, digest_of_bytes(content + said.encode(), size=8), keys, scores, protocol.au_names)


def check_threshold(threshold: float | None) -> None:
    """Refuse a threshold that is no number.

    Raises:
        UserError: It is infinite or not a number.
    """
    if threshold is not None and not math.isfinite(threshold):
        raise UserError("the threshold is no number", found=str(threshold), remedy="give a number with --threshold")


def _check_threshold_applies(table: pd.DataFrame, protocol: Protocol, threshold: float | None, file: Path) -> None:
    """Refuse a threshold for logits.

    Raises:
        UserError: There is a threshold, and a column of logits.
    """
    logits = [f"logit_{au}" for au in protocol.au_names if f"logit_{au}" in table]
    if threshold is not None and logits:
        raise UserError(
            "--threshold is for the columns AU1, ..., and the file has logits, which are active above 0",
            where=file,
            found=f"--threshold {threshold!r} and the column {logits[0]}",
            remedy="leave --threshold out, or name the columns AU1, AU2, ...",
        )


def check_beside(beside: Results, protocol: Protocol, file: Path) -> None:
    """Refuse results without a trial of the dataset.

    Raises:
        UserError: `beside` has none.
    """
    if not (beside.trials["dataset"] == protocol.dataset).any():
        raise UserError(
            f"no results of {protocol.dataset} to put these predictions beside",
            where=file,
            expected=f"a trial of {protocol.dataset}",
            found=f"{len(beside.trials)} trials of {', '.join(sorted(set(beside.trials['dataset']))) or 'nothing'}",
            remedy="run a method on the same data first, and name its results with --results FILE: "
            "`malbench report` writes them into RUNS/report/results.parquet",
        )


def _keys(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The columns `KEYS`, and `SET` and `PART` if present; whole numbers written as `95.0` are `95` again.

    Raises:
        UserError: A key is empty.
    """
    keys = table[[*KEYS, *(name for name in (SET, PART) if name in table)]].copy()
    empty = np.flatnonzero(keys[KEYS].isna().any(axis=1))
    if len(empty):
        raise UserError(
            "a row without subject, sequence or frame",
            where=row_place(file, empty[0]),
            remedy="say of each row which frame it is of; --template writes a file with all of them",
        )
    for key in KEYS:
        if keys[key].dtype.kind == "f" and ((keys[key] == np.floor(keys[key])) & (keys[key].abs() < MOST_WHOLE)).all():
            keys[key] = keys[key].astype(np.int64)
    return keys


def _check_subjects(keys: pd.DataFrame, protocol: Protocol, file: Path) -> None:
    """Refuse predictions of another dataset.

    Raises:
        UserError: A subject is none of the dataset's, or no test subject is there.
    """
    given = keys["subject"].astype(str)
    tested = {subject for subjects in protocol.parts.values() for subject in subjects}
    fits = given.isin(protocol.subjects)
    if not given.isin(tested).any():
        others = [
            name
            for name, cls in datasets.au_classes().items()
            if isinstance(known := vars(cls).get("protocol"), Protocol) and given.isin(known.subjects).any()
        ]
        raise UserError(
            f"the predictions name no subject of {protocol.dataset}",
            where=file,
            expected=f"subjects such as {', '.join(sorted(tested)[:3])}",
            found=", ".join(map(str, given.unique()[:3])) or "no row",
            remedy=f"these are subjects of {' and '.join(others)}: name that dataset"
            if others
            else "name the dataset that the predictions are of",
        )
    if not fits.all():
        at = int(np.flatnonzero(~fits)[0])
        raise UserError(
            f"predictions of a subject that {protocol.dataset} does not have",
            where=row_place(file, at),
            found=given.iloc[at],
            remedy="leave these rows out, or correct the names; --template writes all of them",
        )


def _check_once(keys: pd.DataFrame, file: Path) -> None:
    """Refuse a frame that stands twice.

    Raises:
        UserError: There is one.
    """
    twice = np.flatnonzero(keys.astype(str).duplicated())
    if len(twice):
        raise UserError(
            "predictions of a frame twice",
            where=row_place(file, twice[0]),
            found=frame_label(keys.iloc[twice[0]]),
            remedy="name subject, sequence and frame as predictions.parquet of a trial does, each frame once",
        )


def read_table(file: Path) -> tuple[pd.DataFrame, bytes]:
    """The table of a CSV or parquet file, and its bytes.

    Raises:
        UserError: There is no such file, or it cannot be read.
    """
    if not file.exists():
        raise UserError("no such file", where=file, remedy="name the file of the predictions")
    try:
        content = read_bytes(file)
        if file.suffix != ".parquet":
            return pd.read_csv(io.BytesIO(content)), content
        # Without its metadata: those are instructions for pandas, and a file may hold wrong ones.
        return pq.read_table(io.BytesIO(content)).replace_schema_metadata(None).to_pandas(), content
    except (OSError, ValueError, OverflowError, pa.ArrowException, pd.errors.ParserError) as error:
        raise UserError(
            "the predictions cannot be read",
            where=file,
            expected="a CSV file, or a parquet file named .parquet",
            found=f"{type(error).__name__}: {str(error).splitlines()[0][:160]}",
            remedy="write one row a frame, with the columns subject, sequence, frame and one an AU",
        ) from error


def _scores(table: pd.DataFrame, protocol: Protocol, threshold: float | None, file: Path) -> npt.NDArray[np.float32]:
    """Scores (N, J) of N rows and J AUs, shifted like logits: active above 0."""
    _check_columns(table, protocol, file)
    columns: list[npt.NDArray[np.float64]] = []
    logits: list[npt.NDArray[np.float64]] = []
    for au in protocol.au_names:
        kind, shift = (
            (f"logit_{au}", 0.0) if f"logit_{au}" in table else (au, PROBABLE if threshold is None else threshold)
        )
        if table[kind].dtype.kind not in "iufbO":
            raise UserError(
                f"the column {kind} holds no scores",
                where=file,
                expected="numbers",
                found=f"values of the type {table[kind].dtype}",
                remedy="write a number a frame: a probability, a logit or another score",
            )
        values = pd.to_numeric(table[kind], errors="coerce").to_numpy(np.float64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise UserError(
                f"a score of {au} is no finite number",
                where=row_place(file, wrong[0]),
                found="an empty cell" if pd.isna(table[kind].iloc[wrong[0]]) else str(table[kind].iloc[wrong[0]]),
                remedy="give every frame a number; those of the template are to be filled in",
            )
        if kind == au and threshold is None and ((values < 0) | (values > 1)).any():
            worst = int(np.flatnonzero((values < 0) | (values > 1))[0])
            raise UserError(
                f"a score of {au} is no probability",
                where=row_place(file, worst),
                expected="a number from 0 to 1",
                found=str(table[kind].iloc[worst]),
                remedy=f"call columns of logits logit_{au}, or say with --threshold above what an AU is active",
            )
        columns.append(values - shift)
        logits += [values] if kind != au else []
    _check_logits(logits, file)
    scores: npt.NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return scores


def _check_columns(table: pd.DataFrame, protocol: Protocol, file: Path) -> None:
    """Refuse a table without a column of each AU.

    Raises:
        UserError: Columns are missing.
    """
    scored = {name for au in protocol.au_names for name in (au, f"logit_{au}")}
    lacking = [au for au in protocol.au_names if au not in table and f"logit_{au}" not in table]
    if not lacking:
        return
    columns = list(map(str, table.columns))
    # A column that is read as something else is no misspelt AU.
    spare = [column for column in columns if column not in {*KEYS, SET, PART, *scored}]
    guess = [f"did you mean {au} by {column}" for au in lacking for column in spare if _number(column) == _number(au)]
    template = f"`malbench score --template {protocol.dataset}` writes a file with all of them"
    raise UserError(
        f"predictions without {', '.join(lacking)}",
        where=file,
        expected=f"a column of each AU: {lacking[0]} (a score, active above the threshold) or logit_{lacking[0]}, ...",
        found=", ".join(columns)[:400],
        remedy="? ".join([*guess[:1], template]),
    )


def _number(column: str) -> int | None:
    """The first number in a name; None for none."""
    found = re.search(r"\d+", column)
    return int(found[0]) if found else None


def _check_logits(columns: list[npt.NDArray[np.float64]], file: Path) -> None:
    """Refuse logits that are all probabilities: each would count as active."""
    values = np.concatenate([*columns, np.empty(0)])
    inside = (values > 0) & (values < 1)
    if inside.any() and ((values >= 0) & (values <= 1)).all():
        raise UserError(
            "the logits look like probabilities: all lie between 0 and 1",
            where=file,
            expected="logits, of which those above 0 are active",
            found=f"{values.min():.3g} to {values.max():.3g}",
            remedy="call columns of probabilities AU1, AU2, ..., without logit_",
        )


def frame_label(row: pd.Series) -> str:
    """The keys of a frame, in words."""
    return ", ".join(f"{key} {row[key]}" for key in KEYS)
