"""py-feat: a `Fex` table written by `to_csv`.

Facts. 20 AUs as `AU01`, ..., `AU43` (more from later models): probabilities of the model `xgb`, 0 or 1 of the model
`svm`. `input` is the image or video, `frame` counts from 0; each face has a row, with `FaceScore`. An image without a
face has a row of empty cells.
Sources: py-feat.org (`feat.detector`, `feat.data`), `feat/utils/__init__.py` of github.com/cosanlab/py-feat, and the
model cards huggingface.co/py-feat/xgb_au and svm_au.
"""

from __future__ import annotations

from benchmark.submit.base import Adapter, Scale, adapter, au_columns

_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18, 20, 23, 24, 25, 26, 27, 28, 43, 45)


@adapter("pyfeat")
class PyFeat(Adapter):
    """Outputs of py-feat's detectors."""

    title = "py-feat"
    source = "https://py-feat.org/pages/api.html"
    presence = Scale(
        au_columns(_AUS, "AU{:02d}"),
        low=0,
        high=1,
        threshold=0.5,
        remark="the model svm gives decisions (0 or 1), the model xgb probabilities",
    )
    image = "input"
    frame = "frame"
    confidence = "FaceScore"
