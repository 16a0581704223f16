"""Frames of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.data.frames import PackedFaces


@dataclass(frozen=True)
class TrialData:
    """Packed frames of a trial: AU dataset and FE dataset.

    Attributes:
        au: The AU dataset.
        fe: The FE dataset.
        profile: Settings that the frames were read with, as JSON values, for the provenance of trials.
        fe_clear: Whether the AUs of each FE image determine its label, (N,), for control methods; None for other data
            than a stand-in.
    """

    au: PackedFaces
    fe: PackedFaces
    fe_clear: npt.NDArray[np.bool_] | None = None
    profile: Mapping[str, Any] | None = None

    @property
    def fingerprints(self) -> tuple[str, str]:
        """Fingerprints of the AU and the FE frames."""
        return self.au.fingerprint, self.fe.fingerprint

    @property
    def unchecked(self) -> bool:
        """Whether the pixels of one of them were not compared with their digests."""
        return self.au.unchecked or self.fe.unchecked
