"""Scoring of submitted predictions, as rows of the tables: same frames, same labels, same counts."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.files import read_bytes
from benchmark.core.hashing import digest_of_bytes
from benchmark.data.faces import FaceSet
from benchmark.stats.rankings import with_rankings
from benchmark.stats.scores import confusion_counts, scores_by_au
from benchmark.store.results import COLUMNS, Results

KEYS = ["subject", "sequence", "frame"]
PROBABLE = 0.5
"""Threshold of probabilities."""
LONGEST_NAME = 100


@dataclass(frozen=True)
class Predictions:
    """Predictions of a file, checked as far as they can be without the frames of the dataset.

    Attributes:
        file: The file.
        name: Name of the rows in the tables.
        digest: Digest of the file and the threshold.
        table: The file's table.
        scores: (N, J), shifted like logits: active above 0.
    """

    file: Path
    name: str
    digest: str
    table: pd.DataFrame
    scores: npt.NDArray[np.float32]


def read_predictions(
    file: Path, name: str, protocol: Protocol, beside: Results, *, threshold: float | None = None
) -> Predictions:
    """Read predictions, and check all that needs no frame of the dataset.

    Args:
        file: CSV or parquet with `subject`, `sequence`, `frame` and a score of each AU: `AU1`, a probability that is
            active above 0.5, or any number with a `threshold`; or `logit_AU1`, active above 0.
        name: Name of the rows in the tables.
        protocol: Protocol of the dataset.
        beside: Results that the rows are to stand beside.
        threshold: Threshold of the columns `AU1`, ...; None: they are probabilities.

    Raises:
        UserError: The name or the threshold cannot be used; the file cannot be read, lacks a column, or names no
            subject of the dataset; a score is no finite number, or no probability; `beside` has no trial of the
            dataset.
    """
    if not (name and name.isprintable() and len(name) <= LONGEST_NAME):
        raise UserError(
            "the name of the rows cannot be used",
            expected=f"1 to {LONGEST_NAME} printable characters",
            found=repr(name)[:80],
            remedy="choose another with --name",
        )
    if threshold is not None and not math.isfinite(threshold):
        raise UserError("the threshold is no number", found=str(threshold), remedy="give a number with --threshold")
    table, content = _read_predictions(file)
    lacking = [key for key in KEYS if key not in table]
    if lacking:
        raise UserError(
            f"predictions without {lacking[0]}",
            where=file,
            expected=f"the columns {', '.join(KEYS)}",
            found=", ".join(map(str, table.columns))[:400],
            remedy="say of each row which frame it is of",
        )
    scores = _scores(table, protocol, threshold, file)
    tested = {subject for subjects in protocol.parts.values() for subject in subjects}
    if not tested & set(table["subject"].astype(str)):
        raise UserError(
            f"the predictions name no subject of {protocol.dataset}",
            where=file,
            expected=f"subjects such as {', '.join(sorted(tested)[:3])}",
            found=", ".join(map(str, table["subject"].unique()[:3])) or "no row",
            remedy="name the dataset that the predictions are of",
        )
    if not (beside.trials["dataset"] == protocol.dataset).any():
        raise UserError(
            f"no results of {protocol.dataset} to put these predictions beside",
            where=file,
            expected=f"a trial of {protocol.dataset}",
            found=f"{len(beside.trials)} trials of {', '.join(sorted(set(beside.trials['dataset']))) or 'nothing'}",
            remedy="run a method on the same data first, and name its results with --results",
        )
    said = "" if threshold is None else f" above {threshold!r}"
    return Predictions(file, name, digest_of_bytes(content + said.encode(), size=8), table, scores)


def score_predictions(predictions: Predictions, faces: FaceSet, protocol: Protocol, beside: Results) -> Results:
    """Score predictions of every test frame of one or more parts.

    Args:
        predictions: Result of `read_predictions`.
        faces: The dataset's frames and labels.
        protocol: Protocol of the dataset.
        beside: Results on the same test frames and labels; the rows join their group.

    Returns:
        One trial per part that the predictions cover, in the group of the trials in `beside`.

    Raises:
        UserError: The predictions have an unknown frame or one twice, or lack a frame of a part; nothing in `beside`
            has the same test labels.
    """
    file, table, scores = predictions.file, predictions.table, predictions.scores
    rows = _rows_of(table, faces, file)
    made = []
    for part, subjects in protocol.parts.items():
        test = np.flatnonzero(faces.table["subject"].isin(subjects).to_numpy())
        position = pd.Series(np.arange(len(rows)), index=rows).reindex(test)
        if position.isna().all():
            continue
        if position.isna().any():
            missing = faces.table.iloc[test[position.isna().to_numpy()][0]]
            raise UserError(
                f"predictions of {part} lack a test frame",
                where=file,
                expected=f"all {len(test):,} coded frames of its subjects",
                found=f"none for {_frame(missing)}, and {int(position.isna().sum()) - 1:,} others",
                remedy="predict every test frame; no method chooses the frames that it is tested on",
            )
        of_part = scores[position.to_numpy(dtype=np.int64)]
        labels, tested = faces.labels[test], faces.table["subject"].to_numpy()[test]
        counts = confusion_counts(of_part, labels, tested, protocol.au_names)
        by_au = scores_by_au(of_part, labels, counts, protocol.au_names)
        counts = with_rankings(counts, of_part, labels, tested)
        made.append(_trial(predictions, part, counts, by_au, beside, protocol))
    if not made:
        raise UserError(
            "the predictions cover no test part",
            where=file,
            expected=f"frames of the subjects of {', '.join(protocol.parts)}",
            found=f"{len(table):,} rows",
            remedy="predict every frame of at least one part's test subjects",
        )
    return Results.concat(made)


def _read_predictions(file: Path) -> tuple[pd.DataFrame, bytes]:
    """The table of a file, and its bytes."""
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
    columns: list[npt.NDArray[np.float64]] = []
    logits: list[npt.NDArray[np.float64]] = []
    for au in protocol.au_names:
        kind, shift = (
            (f"logit_{au}", 0.0) if f"logit_{au}" in table else (au, PROBABLE if threshold is None else threshold)
        )
        if kind not in table:
            raise UserError(
                f"predictions without {au}",
                where=file,
                expected=f"a column {au} (a score, active above the threshold) or logit_{au}",
                found=", ".join(map(str, table.columns)),
                remedy=did_you_mean(au, [str(c) for c in table.columns]),
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
                where=f"{file}, row {wrong[0] + 1}",
                found=str(table[kind].iloc[wrong[0]]),
                remedy="give every frame a number",
            )
        if kind == au and threshold is None and ((values < 0) | (values > 1)).any():
            worst = int(np.flatnonzero((values < 0) | (values > 1))[0])
            raise UserError(
                f"a score of {au} is no probability",
                where=f"{file}, row {worst + 1}",
                expected="a number from 0 to 1",
                found=str(table[kind].iloc[worst]),
                remedy=f"call columns of logits logit_{au}, or say with --threshold above what an AU is active",
            )
        columns.append(values - shift)
        logits += [values] if kind != au else []
    _check_logits(logits, file)
    scores: npt.NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return scores


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


def _rows_of(table: pd.DataFrame, faces: FaceSet, file: Path) -> npt.NDArray[np.int64]:
    """Row number in `faces` of each prediction, (N,)."""
    coded = pd.MultiIndex.from_frame(faces.table[KEYS].astype(str))
    given = pd.MultiIndex.from_frame(table[KEYS].astype(str))
    rows: npt.NDArray[np.int64] = coded.get_indexer(given)
    for wrong, what in ((rows < 0, "a frame that is not coded"), (given.duplicated(), "a frame twice")):
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise UserError(
                f"predictions of {what}",
                where=f"{file}, row {at + 1}",
                found=_frame(table.iloc[at]),
                remedy="name subject, sequence and frame as predictions.parquet of a trial does, each frame once",
            )
    return rows


def _frame(row: pd.Series) -> str:
    return ", ".join(f"{key} {row[key]}" for key in KEYS)


def _trial(
    predictions: Predictions,
    part: str,
    counts: pd.DataFrame,
    scores: pd.DataFrame,
    beside: Results,
    protocol: Protocol,
) -> Results:
    file, name, digest = predictions.file, predictions.name, predictions.digest
    like = _like(part, counts, beside, file, protocol)
    key = digest_of_bytes(f"{digest} {name} {part}".encode(), size=8)
    row = {
        **like,
        "trial": key,
        "part": part,
        "method": name,
        "paper_row": "",
        "variant": "",
        "reading": "",
        "own_digest": digest,
        "backbone": "unknown",
        "weights": "unknown",
        "method_version": 0,
        "stale": False,
        "steps": 0,
        "parameters": 0,
        **dict.fromkeys(("time_train_s", "time_before_s", "peak_memory_mb", "base_memory_mb"), float("nan")),
        "settings": "{}",
        "provenance": json.dumps({**_about_dataset(like), "scored_from": file.name, "digest": digest}),
    }
    empty = {kind: pd.DataFrame(columns=list(COLUMNS[kind])) for kind in ("curves", "weights")}
    return Results(pd.DataFrame([row]), counts.assign(trial=key), scores.assign(trial=key), **empty)


def _about_dataset(like: dict[str, object]) -> dict[str, object]:
    """Title, parts and AUs of the dataset, from the trial with the same test labels."""
    made = json.loads(str(like["provenance"]))
    return {name: made[name] for name in ("title", "parts", "aus") if name in made}


def _like(part: str, counts: pd.DataFrame, beside: Results, file: Path, protocol: Protocol) -> dict[str, object]:
    """The trial in `beside` with the same test labels."""
    ours = _labels(counts)
    closest = "no trial of this part"
    for trial in _trials_of(beside, protocol.dataset, part):
        theirs = _labels(beside.counts[beside.counts["trial"] == trial["trial"]])
        if ours.equals(theirs):
            return trial
        closest = f"other numbers of known or positive labels, as in trial {trial['trial']}"
    raise UserError(
        f"no results to put {part} of these predictions beside",
        where=file,
        expected=f"a trial of {protocol.dataset} with the same test subjects and labels",
        found=closest,
        remedy="run a method on the same data first, and name its results with --results",
    )


def _trials_of(results: Results, dataset: str, part: str) -> Iterator[dict[str, object]]:
    chosen = results.trials[(results.trials["dataset"] == dataset) & (results.trials["part"] == part)]
    yield from ({str(k): v for k, v in row.items()} for row in chosen.to_dict("records"))


def _labels(counts: pd.DataFrame) -> pd.DataFrame:
    cells = counts.set_index(["subject", "au"]).sort_index()
    return pd.DataFrame({"positive": cells["tp"] + cells["fn"], "negative": cells["fp"] + cells["tn"]}).astype(np.int64)
