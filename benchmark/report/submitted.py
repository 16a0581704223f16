"""Scoring of submitted predictions, as rows of the tables: same frames, same labels, same counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.hashing import digest_of_bytes
from benchmark.data.faces import FaceSet
from benchmark.stats.scores import confusion_counts, scores_by_au
from benchmark.store.results import COLUMNS, Results

KEYS = ["subject", "sequence", "frame"]


def score_predictions(
    file: Path, name: str, faces: FaceSet, protocol: Protocol, beside: Results, *, threshold: float = 0.5
) -> Results:
    """Score predictions of every test frame of one or more parts.

    Args:
        file: CSV or parquet with `subject`, `sequence`, `frame` and a score of each AU: `AU1`, active above
            `threshold`, or `logit_AU1`, active above 0.
        name: Name of the rows in the tables.
        faces: The dataset's frames and labels.
        protocol: Protocol of the dataset.
        beside: Results on the same test frames and labels; the rows join their group.
        threshold: Threshold of the columns `AU1`, ...

    Returns:
        One trial per part that the predictions cover, in the group of the trials in `beside`.

    Raises:
        UserError: The file cannot be read, lacks a column, has an unknown frame or one twice, or lacks a frame of a
            part; a score is not finite; nothing in `beside` has the same test labels.
    """
    table = _read_predictions(file)
    scores = _scores(table, protocol, threshold, file)
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
        labels = faces.labels[test]
        counts = confusion_counts(of_part, labels, faces.table["subject"].to_numpy()[test], protocol.au_names)
        made.append(
            _trial(name, part, counts, scores_by_au(of_part, labels, counts, protocol.au_names), beside, file, protocol)
        )
    if not made:
        raise UserError(
            "the predictions cover no test part",
            where=file,
            expected=f"frames of the subjects of {', '.join(protocol.parts)}",
            found=f"{len(table):,} rows",
            remedy="predict every frame of at least one part's test subjects",
        )
    return Results.concat(made)


def _read_predictions(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except (OSError, ValueError, pa.ArrowException, pd.errors.ParserError) as error:
        raise UserError(
            "the predictions cannot be read",
            where=file,
            expected="a CSV file, or a parquet file named .parquet",
            found=f"{type(error).__name__}: {str(error).splitlines()[0][:160]}",
            remedy="write one row a frame, with the columns subject, sequence, frame and one an AU",
        ) from error


def _scores(table: pd.DataFrame, protocol: Protocol, threshold: float, file: Path) -> npt.NDArray[np.float32]:
    """Scores (N, J) of N rows and J AUs, shifted like logits: active above 0."""
    columns = []
    for au in protocol.au_names:
        kind, shift = (f"logit_{au}", 0.0) if f"logit_{au}" in table else (au, threshold)
        if kind not in table:
            raise UserError(
                f"predictions without {au}",
                where=file,
                expected=f"a column {au} (a score, active above the threshold) or logit_{au}",
                found=", ".join(map(str, table.columns)),
                remedy=did_you_mean(au, [str(c) for c in table.columns]),
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
        columns.append(values - shift)
    scores: npt.NDArray[np.float32] = np.stack(columns, axis=1).astype(np.float32)
    return scores


def _rows_of(table: pd.DataFrame, faces: FaceSet, file: Path) -> npt.NDArray[np.int64]:
    """Row number in `faces` of each prediction, (N,)."""
    lacking = [key for key in KEYS if key not in table]
    if lacking:
        raise UserError(
            f"predictions without {lacking[0]}",
            where=file,
            expected=f"the columns {', '.join(KEYS)}",
            found=", ".join(map(str, table.columns)),
            remedy="say of each row which frame it is of",
        )
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
    name: str, part: str, counts: pd.DataFrame, scores: pd.DataFrame, beside: Results, file: Path, protocol: Protocol
) -> Results:
    like = _like(part, counts, beside, file, protocol)
    digest = digest_of_bytes(file.read_bytes(), size=8)
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
