"""Scores of a trained method: predictions of the test subjects, and weights of the FE images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from benchmark.config.trial import Trial
from benchmark.core.errors import Interrupted, UserError
from benchmark.data.augment import ImageInput
from benchmark.data.faces import FaceSet
from benchmark.data.frames import PackedFaces
from benchmark.data.sampling import Fold
from benchmark.stats.rankings import with_rankings
from benchmark.stats.scores import confusion_counts, scores_by_au
from methods.base import Method, Stream

TEST_BATCH = 128
"""Images in a batch of evaluation."""
LEARNT = "after the last step"
"""Time of an evaluation, for errors and messages."""


@torch.no_grad()
def score_test(
    trial: Trial, method: Method, images: ImageInput, au: PackedFaces, fold: Fold, stop: Callable[[], bool]
) -> dict[str, pd.DataFrame]:
    """Predict and score all test frames.

    Args:
        trial: The trial.
        method: The trained method.
        images: How frames become network input.
        au: Frames of the AU dataset.
        fold: Split of the AU dataset; its test side is scored.
        stop: Called between batches; True ends the scoring with `Interrupted`.

    Returns:
        Tables by file name.

    Raises:
        UserError: Logits are not finite.
        Interrupted: `stop` said so.
    """
    logits = predict_rows(trial, method, images, au.frames, fold.test, stop)
    return tables_of_logits(logits, au.faces, fold.test, au.faces.label_names)


def tables_of_logits(
    logits: npt.NDArray[np.float32], faces: FaceSet, rows: npt.NDArray[np.int64], aus: tuple[str, ...]
) -> dict[str, pd.DataFrame]:
    """Predictions, counts and scores of these rows, by file name.

    Args:
        logits: (N, J) of the J AUs.
        faces: Labels; those of other AUs are left out.
        rows: (N,), rows of `faces`.
        aus: Names of the J AUs.
    """
    columns = np.array([faces.label_names.index(au) for au in aus], dtype=np.int64)
    predictions = faces.table.iloc[rows][["subject", "sequence", "frame"]].reset_index(drop=True)
    predictions[[f"logit_{au}" for au in aus]] = logits
    predictions[[f"label_{au}" for au in aus]] = faces.labels[rows][:, columns]
    return {**tables_of_predictions(predictions, aus), "predictions.parquet": predictions}


@torch.no_grad()
def predict_rows(
    trial: Trial,
    method: Method,
    images: ImageInput,
    frames: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    stop: Callable[[], bool],
    when: str = LEARNT,
) -> npt.NDArray[np.float32]:
    """Logits (N, J) of N frames; the method is in evaluation mode afterwards.

    Args:
        trial: The trial.
        method: The method.
        images: How frames become network input.
        frames: Packed frames.
        rows: (N,), numbers of the frames.
        stop: Called between batches; True ends the predictions with `Interrupted`.
        when: Time in the training, for the error.

    Raises:
        UserError: Logits are not finite.
        Interrupted: `stop` said so.
    """
    logits = _over_batches(trial, frames, rows, images, method, method.predict, stop, when)
    if not np.isfinite(logits).all():
        raise diverged(f"{trial.label}, {when}", "logits that are not finite")
    return logits


def tables_of_predictions(predictions: pd.DataFrame, aus: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """Counts and scores of stored predictions, by file name.

    Args:
        predictions: One row per test frame: `subject`, and for each AU `logit_AU` and `label_AU`.
        aus: Names of the J AUs.
    """
    logits = predictions[[f"logit_{au}" for au in aus]].to_numpy(dtype=np.float32)
    labels = predictions[[f"label_{au}" for au in aus]].to_numpy(dtype=np.int8)
    subjects = predictions["subject"].to_numpy()
    counts = confusion_counts(logits, labels, subjects, aus)
    scores = scores_by_au(logits, labels, counts, aus)
    return {"counts.parquet": with_rankings(counts, logits, labels, subjects), "scores.parquet": scores}


@torch.no_grad()
def weigh_fe(
    trial: Trial, method: Method, images: ImageInput, fe: PackedFaces, stop: Callable[[], bool]
) -> pd.DataFrame | None:
    """Weight of every FE image after training (A17: evaluation mode, centre crop); None for a method without weights.

    Raises:
        Interrupted: `stop` said so.
    """
    if Stream.FE not in method.streams or method.sample_weight(images.test(fe.frames[:1])) is None:
        return None
    rows = np.arange(len(fe.faces))

    def weigh(batch: torch.Tensor) -> torch.Tensor:
        weight = method.sample_weight(batch)
        assert weight is not None
        return weight

    weights = _over_batches(trial, fe.frames, rows, images, method, weigh, stop)
    about = {name: fe.faces.table[name] for name in ("path", "consistency") if name in fe.faces.table}
    return pd.DataFrame({**about, "label": fe.faces.labels.astype(np.int64), "weight": weights})


def _over_batches(
    trial: Trial,
    frames: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    images: ImageInput,
    method: Method,
    function: Callable[[torch.Tensor], torch.Tensor],
    stop: Callable[[], bool],
    when: str = LEARNT,
) -> npt.NDArray[np.float32]:
    """Values of a function of frames, in evaluation mode.

    Raises:
        Interrupted: `stop` said so.
    """
    method.eval()
    outputs = []
    for i in range(0, len(rows), TEST_BATCH):
        if stop():
            raise Interrupted(f"{trial.label}: {when}, {i} of {len(rows)} images scored")
        outputs.append(function(images.test(frames[rows[i : i + TEST_BATCH]])).float().cpu().numpy())
    return np.concatenate(outputs)


def diverged(where: str, evidence: str) -> UserError:
    """The error of a training that diverged."""
    return UserError(
        "training diverged: a value is not finite, or above any that learning gives",
        where=where,
        found=evidence,
        remedy="lower the learning rate with --set method.lr=VALUE, or look at these images",
    )
