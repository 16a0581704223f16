"""OpenFace 2: `FeatureExtraction` (one CSV a video or folder), `FaceLandmarkImg` (one CSV an image).

Facts. `AU01_c` is 0 or 1, from a model of its own; `AU01_r` is an intensity from 0 to 5. They are trained apart and may
disagree. 18 AUs have a presence, of which AU28 has no intensity; AU24 has neither. `frame` counts from 1 in the order
of the file names; `success` is 0 where the face was lost. Early versions write a space after each comma.
Sources: wiki pages "Output Format" and "Action Units" of github.com/TadasBaltrusaitis/OpenFace.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.submit.base import Adapter, Scale, adapter, au_columns, numbers

_INTENSITY = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)


@adapter("openface2")
class OpenFace2(Adapter):
    """Outputs of OpenFace 2."""

    title = "OpenFace 2"
    source = "https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format"
    presence = Scale(
        au_columns((*_INTENSITY, 28), "AU{:02d}_c"),
        low=0,
        high=1,
        threshold=0.5,
        remark="presence is the program's own decision (0 or 1), so AUC is that of one threshold",
    )
    intensity = Scale(au_columns(_INTENSITY, "AU{:02d}_r"), low=0, high=5)
    frame = "frame"
    first_frame = 1
    confidence = "confidence"

    def has_face(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether tracking succeeded; all rows of an output without that column."""
        if "success" not in table:
            return super().has_face(table)
        return np.asarray(numbers(table["success"]).to_numpy() == 1, dtype=np.bool_)
