"""The audit of somebody's predictions: the same rules and tables as for trials."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from benchmark.audit.counts import audit_counts
from benchmark.audit.frames import TestFrames, ValidationFrames
from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import row_place
from benchmark.data.faces import FaceSet
from benchmark.report.predictions import PART, SET, Predictions
from benchmark.report.submitted import numbers_of_frames, test_rows
from benchmark.stats.scores import confusion_counts, scores_by_au
from benchmark.store.results import COLUMNS, Results

TEST, VALIDATION = "test", "au_val"


def audit_predictions(predictions: Predictions, faces: FaceSet, protocol: Protocol) -> Results:
    """Count predictions under every rule.

    Args:
        predictions: Predictions of every test frame of one or more parts. With a column `set`, rows `au_val` are of AU
            validation frames; a column `part` then names the part whose test frames the same network predicted.
        faces: The dataset's frames and labels.
        protocol: Protocol of the dataset.

    Returns:
        One trial per part that the predictions cover.

    Raises:
        UserError: A column, a frame or a part is wrong or missing, or an AU validation frame is of a test subject.
    """
    tested, reserved = _split(predictions)
    made = []
    for part, rows, place in test_rows(tested, faces, protocol):
        scores, labels, names = tested.scores[place], faces.labels[rows], faces.table.iloc[rows]
        subjects = names["subject"].to_numpy(dtype=np.object_)
        sequences, _ = pd.factorize(pd.MultiIndex.from_frame(names[["subject", "sequence"]].astype(str)))
        test = TestFrames(scores[None].astype(np.float64), labels, subjects, sequences.astype(np.int64))
        aus = protocol.au_names
        validation = None if reserved is None else _validation(reserved, part, faces, protocol)
        counts = confusion_counts(scores, labels, subjects, aus)
        made.append(
            _trial(
                predictions,
                part,
                faces,
                protocol,
                counts=counts,
                scores=scores_by_au(scores, labels, counts, aus),
                audit=audit_counts(test, validation, aus),
            )
        )
    return Results.concat(made)


def _split(predictions: Predictions) -> tuple[Predictions, Predictions | None]:
    """Predictions of test frames, and of AU validation frames if there are any."""
    table = predictions.table
    if SET not in table:
        return predictions, None
    kinds = table[SET].astype(str)
    unknown = sorted(set(kinds) - {TEST, VALIDATION})
    if unknown:
        raise UserError(
            "predictions of an unknown set of frames",
            where=row_place(predictions.file, int(np.flatnonzero(kinds == unknown[0])[0])),
            expected=f"{TEST} or {VALIDATION} in the column {SET}",
            found=unknown[0][:80],
            remedy="mark test frames and AU validation frames; leave the column out if all are test frames",
        )
    tested, reserved = (_chosen(predictions, (kinds == kind).to_numpy()) for kind in (TEST, VALIDATION))
    return tested, reserved if len(reserved.table) else None


def _chosen(predictions: Predictions, rows: np.ndarray) -> Predictions:
    return replace(predictions, table=predictions.table[rows], scores=predictions.scores[rows])


def _validation(reserved: Predictions, part: str, faces: FaceSet, protocol: Protocol) -> ValidationFrames | None:
    """AU validation frames of the network that was tested on a part; None if the file has none of it."""
    if PART in reserved.table:
        chosen = (reserved.table[PART].astype(str) == part).to_numpy()
        reserved = _chosen(reserved, chosen)
        if not chosen.any():
            return None
    elif len(protocol.parts) > 1:
        raise UserError(
            f"AU validation frames without {PART}",
            where=reserved.file,
            expected=f"a column {PART}: {', '.join(protocol.parts)}",
            found=", ".join(map(str, reserved.table.columns))[:400],
            remedy="say of each row on which part its network was tested",
        )
    rows = numbers_of_frames(reserved.table, faces, reserved.file)
    subjects = faces.table["subject"].to_numpy(dtype=np.object_)[rows]
    wrong = np.flatnonzero(np.isin(subjects, protocol.parts[part]))
    if len(wrong):
        raise UserError(
            f"an AU validation frame of {part} is of a test subject",
            where=reserved.file,
            expected="frames of training subjects",
            found=f"subject {subjects[wrong[0]]}, whom {part} tests",
            remedy="choose nothing on test subjects; leave these rows out",
        )
    return ValidationFrames(reserved.scores[None].astype(np.float64), faces.labels[rows], subjects)


def _trial(predictions: Predictions, part: str, faces: FaceSet, protocol: Protocol, **tables: pd.DataFrame) -> Results:
    """The tables of one part, as of a trial that nothing is known about but its predictions."""
    key = f"{predictions.digest}-{part}"
    blank = {"string": "", "int64": 0, "bool": False, "float64": float("nan")}
    about = {"title": faces.title or faces.dataset, "parts": list(protocol.parts), "aus": list(protocol.au_names)}
    row = {
        **{name: blank[kind] for name, kind in COLUMNS["trials"].items()},
        **{"trial": key, "dataset": protocol.dataset, "part": part, "method": predictions.name},
        **{"profile": predictions.file.name, "origin": faces.origin, "data_note": faces.note},
        **{"settings": "{}", "provenance": json.dumps({**about, "scored_from": predictions.file.name})},
    }
    empty = {kind: pd.DataFrame(columns=list(COLUMNS[kind])) for kind in ("curves", "weights")}
    return Results(pd.DataFrame([row]), **{name: table.assign(trial=key) for name, table in tables.items()}, **empty)
