"""The frames that a trial runs on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.data.frames import PackedFaces


@dataclass(frozen=True)
class TrialData:
    """The frames of a trial: the AU dataset and the FE dataset.

    Attributes:
        au: The AU dataset.
        fe: The FE dataset.
        fe_clear: Of a stand-in: whether the AUs of each FE image carry its label, (N,). For controls alone.
    """

    au: PackedFaces
    fe: PackedFaces
    fe_clear: npt.NDArray[np.bool_] | None = None

    @property
    def fingerprints(self) -> tuple[str, str]:
        """Fingerprints of the AU and the FE frames."""
        return self.au.fingerprint, self.fe.fingerprint
