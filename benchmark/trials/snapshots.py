"""Looks at a trial for the audit of selection rules: predictions at moments of training, and what is stored of them.

Three files of a trial come from here. `snapshots.parquet` has logits, without a name or a label of a frame.
`au_val.parquet` has the names and labels of the AU validation frames, in the order of their logits; those of the test
frames are in `predictions.parquet`. `audit.parquet` has counts by test subject under every rule, made of these three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from benchmark.audit.counts import audit_counts
from benchmark.audit.frames import TestFrames, ValidationFrames
from benchmark.audit.rules import NORMALISED
from benchmark.config.trial import Trial
from benchmark.core.f1 import FloatArray
from benchmark.data.augment import ImageInput
from benchmark.data.frames import PackedFaces
from benchmark.data.sampling import Fold
from benchmark.store.folder import AU_VAL, AUDIT, SNAPSHOTS
from benchmark.trials.scoring import predict_rows
from methods.base import Method

VALIDATED, TESTED = "au_val", "test"
"""Kinds of rows of `snapshots.parquet`, beside those of `NORMALISED`."""
KEYS = ["subject", "sequence", "frame"]

Looks = dict[str, Tensor]
"""Logits (N, J) at one moment by kind of frames, in the type that is stored."""


def moments(steps: int, number: int) -> tuple[int, ...]:
    """Evenly spaced moments of a training, as numbers of steps done; the last one is its end.

    Example:
        >>> moments(800, 3), moments(2, 3), moments(800, 0)
        ((267, 534, 800), (1, 2), ())
    """
    return tuple(sorted({math.ceil(steps * k / number) for k in range(1, number + 1)}))


def compact(logits: npt.NDArray[np.float32]) -> Tensor:
    """Logits as they are stored: in half precision, unless that would change the sign of one.

    Example:
        >>> compact(np.array([[1.5, -2.25]], dtype=np.float32)).dtype, compact(np.float32([[1e-9]])).dtype
        (torch.float16, torch.float32)
    """
    with np.errstate(over="ignore"):
        half = logits.astype(np.float16)
    keeps = np.isfinite(half).all() and np.array_equal(half > 0, logits > 0)
    return torch.from_numpy(half if keeps else logits.copy())


@contextmanager
def looking(method: Method, device: torch.device) -> Iterator[None]:
    """Context of a look at a method in training: each module's mode and the generators are restored at its end."""
    modes = {module: module.training for module in method.modules()}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training


def look(
    trial: Trial,
    method: Method,
    images: ImageInput,
    au: PackedFaces,
    fold: Fold,
    stop: Callable[[], bool],
    step: int,
) -> Looks:
    """Predictions of the AU validation and the test frames by a method in training, which stays as it is.

    Args:
        trial: The trial.
        method: The method.
        images: How frames become network input.
        au: Frames of the AU dataset.
        fold: Split of the AU dataset.
        stop: Called between batches; True ends the look with `Interrupted`.
        step: Number of steps done.

    Raises:
        UserError: Logits are not finite.
        Interrupted: `stop` said so.
    """
    with looking(method, images.device):
        return {
            kind: compact(predict_rows(trial, method, images, au.frames, rows, stop, f"after step {step}"))
            for kind, rows in ((VALIDATED, fold.val), (TESTED, fold.test))
        }


def audit_tables(
    looks: Mapping[int, Looks], predictions: pd.DataFrame, au: PackedFaces, fold: Fold
) -> dict[str, pd.DataFrame]:
    """The files of the audit by name.

    Args:
        looks: Looks by number of steps done, the end included.
        predictions: The table `predictions.parquet`.
        au: Frames of the AU dataset.
        fold: Split of the AU dataset.
    """
    aus = au.faces.label_names
    stored = [
        pd.DataFrame(logits.numpy(), columns=[f"logit_{au}" for au in aus]).assign(step=step, kind=kind)
        for step, kinds in sorted(looks.items())
        for kind, logits in kinds.items()
    ]
    snapshots = pd.concat(stored, ignore_index=True)
    reserve = au.faces.table.iloc[fold.val][KEYS].reset_index(drop=True)
    reserve[[f"label_{au}" for au in aus]] = au.faces.labels[fold.val]
    return {SNAPSHOTS: snapshots, AU_VAL: reserve, AUDIT: audit_of(snapshots, reserve, predictions)}


def audit_of(snapshots: pd.DataFrame, reserve: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The table `audit.parquet`, from the files that hold its frames.

    Args:
        snapshots: The table `snapshots.parquet`.
        reserve: The table `au_val.parquet`.
        predictions: The table `predictions.parquet`.
    """
    aus = tuple(str(c).removeprefix("logit_") for c in snapshots if str(c).startswith("logit_"))
    columns = [f"logit_{au}" for au in aus]
    by_kind = {
        str(kind): np.stack([rows[columns].to_numpy(dtype=np.float64) for _, rows in of_kind.groupby("step")])
        for kind, of_kind in snapshots.groupby("kind")
    }
    validation = ValidationFrames(
        by_kind[VALIDATED], _labels(reserve, aus), reserve["subject"].to_numpy(dtype=np.object_)
    )
    return audit_counts(
        test_frames(by_kind[TESTED], _labels(predictions, aus), predictions),
        validation,
        aus,
        {name: by_kind[name][-1] for name in NORMALISED if name in by_kind},
    )


def test_frames(logits: FloatArray, labels: npt.NDArray[np.int8], names: pd.DataFrame) -> TestFrames:
    """Test frames with these logits (K, N, J), labels (N, J), and names: `subject`, `sequence` and more."""
    sequences, _ = pd.factorize(pd.MultiIndex.from_frame(names[["subject", "sequence"]].astype(str)))
    return TestFrames(logits, labels, names["subject"].to_numpy(dtype=np.object_), sequences.astype(np.int64))


def _labels(table: pd.DataFrame, aus: tuple[str, ...]) -> npt.NDArray[np.int8]:
    return table[[f"label_{au}" for au in aus]].to_numpy(dtype=np.int8)
