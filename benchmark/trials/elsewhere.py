"""Trained networks on the people of another dataset, by the AUs that both datasets score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from benchmark.config.protocol import Protocol
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.data.trial_data import TrialData
from benchmark.store.folder import TrialFolder
from benchmark.trials.scoring import predict_rows, tables_of_logits
from benchmark.trials.setup import set_up
from benchmark.trials.trainer import RunOptions, seeded
from methods.base import Finished, Method

Place = tuple[Protocol, TrialData]
"""Protocol and frames of a dataset."""


def shared_aus(trained: Protocol, tested: Protocol) -> tuple[str, ...]:
    """AUs that both datasets score, in the order of the first.

    Raises:
        UserError: There is none.

    Example:
        >>> one = Protocol(dataset="a", folder="a", aus=(1, 2, 6), parts={"test": ("x",)}, frames=1, sequences=1)
        >>> shared_aus(one, one.model_copy(update={"dataset": "b", "aus": (6, 9, 1)}))
        ('AU1', 'AU6')
    """
    shared = tuple(au for au in trained.au_names if au in tested.au_names)
    if not shared:
        raise UserError(
            f"{trained.dataset} and {tested.dataset} score no AU in common",
            expected="at least one AU of both",
            found=f"{', '.join(trained.au_names)} and {', '.join(tested.au_names)}",
            remedy="choose other datasets",
        )
    return shared


def tested_frames(place: Place) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of the frames whose people a part of the dataset tests, (N,)."""
    protocol, data = place
    people = {subject for part in protocol.parts.values() for subject in part}
    return np.flatnonzero(data.au.faces.table["subject"].isin(people).to_numpy())


def score_elsewhere(
    trial: Trial,
    method_class: type[Method],
    trained_on: Place,
    tested: Place,
    folder: TrialFolder,
    options: RunOptions,
    state: Mapping[str, Tensor],
    left: Mapping[str, Finished],
) -> dict[str, Any]:
    """Score a trained network on all test people of another dataset, and write the tables.

    Args:
        trial: The trial, with the initial weights of its method.
        method_class: Method of the trial.
        trained_on: The dataset that the network was trained on.
        tested: The other dataset.
        folder: Folder of the trial's files.
        options: Device and progress.
        state: Trained state of the method.
        left: Finished trials that the method was built from, by role.

    Returns:
        Facts for the provenance, as those of a training, with the test people by part.

    Raises:
        UserError: Logits are not finite, a person is in training and in test, or the datasets share no AU.
        Interrupted: `options.stop` returned True.
        Abandoned: `options.abandoned` returned True.
    """
    protocol, data = trained_on
    aus, rows, faces = shared_aus(protocol, tested[0]), tested_frames(tested), tested[1].au.faces
    check_people(trained_on, tested)
    setup = set_up(trial, method_class, protocol, data, options.device, left)
    with seeded(trial.seed, options.device):
        method = method_class.build(method_class.HParams.model_validate(trial.hparams), setup.spec, options.device)
        method.load_state_dict(dict(state))
        logits = predict_rows(trial, method, setup.images, tested[1].au.frames, rows, options.stop)
    columns = [protocol.au_names.index(au) for au in aus]
    tables = tables_of_logits(logits[:, columns], faces, rows, aus)
    for name, table in {**tables, "history.parquet": pd.DataFrame({"step": np.empty(0, dtype=np.int64)})}.items():
        options.check_owned(trial.label)
        folder.write_table(name, table)
    present = set(faces.table["subject"])
    return {
        "steps": 0,
        "parameters": sum(p.numel() for p in method.parameters() if p.requires_grad),
        "time_train_s": 0.0,
        "frames": {"train": 0, "au_val": 0, "test": len(rows)},
        "tested_parts": {
            part: [subject for subject in people if subject in present] for part, people in tested[0].parts.items()
        },
    }


def check_people(trained_on: Place, tested: Place) -> None:
    """Check that no person of one dataset is in the other, by names and by the first frame of each person.

    Raises:
        UserError: A name stands in both, or two people have the same frame.
    """
    one, other = (_first_frames(place) for place in (trained_on, tested))
    names = trained_on[0].dataset, tested[0].dataset
    same = sorted(set(one) & set(other))
    if same:
        raise UserError(
            f"people of {names[0]} and of {names[1]} have the same names, so one could be in training and in test",
            found=", ".join(same[:8]),
            remedy="give the people of one dataset other names, if they are others",
        )
    by_frame = {frame: name for name, frame in one.items()}
    twice = sorted((by_frame[frame], name) for name, frame in other.items() if frame in by_frame)
    if twice:
        raise UserError(
            f"a person of {names[0]} has the first frame of a person of {names[1]}: training and test share people",
            found=", ".join(f"{a} and {b}" for a, b in twice[:4]),
            remedy="test on a dataset of other people",
        )


def _first_frames(place: Place) -> dict[str, bytes]:
    """Pixels of the first frame of each person."""
    _, data = place
    names, rows = np.unique(data.au.faces.table["subject"].to_numpy(dtype=str), return_index=True)
    return {
        str(name): np.asarray(data.au.frames[row]).tobytes() for name, row in zip(names, rows.tolist(), strict=True)
    }
