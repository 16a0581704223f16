"""Frames that a choice may be made on. AU validation and test frames are of two types, so that none is mistaken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.core.f1 import FloatArray


@dataclass(frozen=True)
class _Frames:
    """Logits and labels of N frames and J AUs at K moments of training.

    Attributes:
        logits: (K, N, J), the last moment last.
        labels: (N, J): 0, 1, or −1 for unknown.
        subjects: (N,) names.

    Raises:
        ValueError: Shapes disagree, or there is no moment.
    """

    logits: FloatArray
    labels: npt.NDArray[np.int8]
    subjects: npt.NDArray[np.object_]

    def __post_init__(self) -> None:
        if self.logits.ndim != 3 or not len(self.logits) or self.logits.shape[1:] != self.labels.shape:
            raise ValueError(f"logits {self.logits.shape} and labels {self.labels.shape} do not fit together")
        if len(self.subjects) != len(self.labels):
            raise ValueError(f"{len(self.subjects)} subjects for {len(self.labels)} frames")


@dataclass(frozen=True)
class ValidationFrames(_Frames):
    """AU validation frames: of training subjects, and not trained on."""


@dataclass(frozen=True)
class TestFrames(_Frames):
    """Test frames.

    Attributes:
        sequences: (N,), number of the sequence of each frame. Frames of a sequence stand together, in their order.
    """

    sequences: npt.NDArray[np.int64]

    __test__ = False  # no test, whatever pytest makes of the name


def check_apart(validation: ValidationFrames, test: TestFrames) -> None:
    """Refuse AU validation frames of a test subject.

    Raises:
        ValueError: A subject has frames of both kinds.
    """
    shared = sorted(set(validation.subjects) & set(test.subjects))
    if shared:
        raise ValueError(f"AU validation frames of a test subject: {', '.join(map(str, shared[:3]))}")
