"""Scoring of submitted predictions, as rows of the tables: same frames, same labels, same counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import row_place
from benchmark.core.hashing import digest_of_bytes
from benchmark.data.faces import FaceSet
from benchmark.report.predictions import KEYS, Predictions, frame_label
from benchmark.stats.rankings import with_rankings
from benchmark.stats.scores import confusion_counts, scores_by_au
from benchmark.store.results import COLUMNS, LACKING, SUBMITTED, Results


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
    made = []
    for part, test, place in test_rows(predictions, faces, protocol):
        of_part = predictions.scores[place]
        labels = faces.labels[test][:, [protocol.au_names.index(au) for au in predictions.aus]]
        tested = faces.table["subject"].to_numpy()[test]
        counts = confusion_counts(of_part, labels, tested, predictions.aus)
        by_au = scores_by_au(of_part, labels, counts, predictions.aus)
        counts = with_rankings(counts, of_part, labels, tested)
        made.append(_trial(predictions, part, counts, by_au, beside, protocol))
    return Results.concat(made)


def test_rows(
    predictions: Predictions, faces: FaceSet, protocol: Protocol
) -> list[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Test frames of each part that predictions cover.

    Args:
        predictions: The predictions.
        faces: The dataset's frames.
        protocol: Protocol of the dataset.

    Returns:
        Name of the part, numbers (N,) of its test frames in `faces`, and their rows (N,) in the predictions.

    Raises:
        UserError: The predictions have an unknown frame or one twice, lack a frame of a part, or cover no part.
    """
    file, table = predictions.file, predictions.table
    rows = numbers_of_frames(table, faces, file)
    covered = []
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
                found=f"none for {frame_label(missing)}, and {int(position.isna().sum()) - 1:,} others",
                remedy="predict every test frame; no method chooses the frames that it is tested on",
            )
        covered.append((part, test, position.to_numpy(dtype=np.int64)))
    if not covered:
        raise UserError(
            "the predictions cover no test part",
            where=file,
            expected=f"frames of the subjects of {', '.join(protocol.parts)}",
            found=f"{len(table):,} rows",
            remedy="predict every frame of at least one part's test subjects",
        )
    return covered


def numbers_of_frames(table: pd.DataFrame, faces: FaceSet, file: Path) -> npt.NDArray[np.int64]:
    """Row number in `faces` of each prediction, (N,).

    Raises:
        UserError: A frame is not coded, or stands twice.
    """
    coded = pd.MultiIndex.from_frame(faces.table[KEYS].astype(str))
    given = pd.MultiIndex.from_frame(table[KEYS].astype(str))
    rows: npt.NDArray[np.int64] = coded.get_indexer(given)
    for wrong, what in ((rows < 0, "a frame that is not coded"), (given.duplicated(), "a frame twice")):
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise UserError(
                f"predictions of {what}",
                where=row_place(file, int(table.index[at])),
                found=frame_label(table.iloc[at]),
                remedy="name subject, sequence and frame as a trial's predictions.parquet does; --template writes them",
            )
    return rows


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
        "provenance": json.dumps(
            {
                **_about_dataset(like),
                **predictions.about,
                SUBMITTED: file.name,
                "digest": digest,
                **_lacking(predictions, protocol),
            }
        ),
    }
    empty = {kind: pd.DataFrame(columns=list(COLUMNS[kind])) for kind in ("curves", "weights")}
    return Results(pd.DataFrame([row]), counts.assign(trial=key), scores.assign(trial=key), **empty)


def _lacking(predictions: Predictions, protocol: Protocol) -> dict[str, list[str]]:
    """The AUs that the predictions lack, for the provenance; empty if there are none."""
    names = [au for au in protocol.au_names if au not in predictions.aus]
    return {LACKING: names} if names else {}


def _about_dataset(like: dict[str, object]) -> dict[str, object]:
    """Title, parts and AUs of the dataset, from the trial with the same test labels."""
    made = json.loads(str(like["provenance"]))
    return {name: made[name] for name in ("title", "parts", "aus") if name in made}


def _like(part: str, counts: pd.DataFrame, beside: Results, file: Path, protocol: Protocol) -> dict[str, object]:
    """The trial in `beside` with the same test labels."""
    ours, aus = _labels(counts), set(counts["au"])
    closest = "no trial of this part"
    for trial in _trials_of(beside, protocol.dataset, part):
        of_trial = beside.counts[(beside.counts["trial"] == trial["trial"]) & beside.counts["au"].isin(aus)]
        theirs = _labels(of_trial)
        if ours.equals(theirs):
            return trial
        closest = f"other numbers of known or positive labels, as in trial {trial['trial']}"
    raise UserError(
        f"no results to put {part} of these predictions beside",
        where=file,
        expected=f"a trial of {protocol.dataset} with the same test subjects and labels",
        found=closest,
        remedy="run a method on the same data, and name its results with --results FILE: `malbench report` writes them "
        "into RUNS/report/results.parquet",
    )


def _trials_of(results: Results, dataset: str, part: str) -> Iterator[dict[str, object]]:
    chosen = results.trials[(results.trials["dataset"] == dataset) & (results.trials["part"] == part)]
    yield from ({str(k): v for k, v in row.items()} for row in chosen.to_dict("records"))


def _labels(counts: pd.DataFrame) -> pd.DataFrame:
    cells = counts.set_index(["subject", "au"]).sort_index()
    return pd.DataFrame({"positive": cells["tp"] + cells["fn"], "negative": cells["fp"] + cells["tn"]}).astype(np.int64)
