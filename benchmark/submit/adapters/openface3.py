"""OpenFace 3: eight AUs from Python, which the user writes to a CSV as `input`, `au_0`, ..., `au_7`.

Facts. The model returns eight numbers from 0 to 1 without names, and there is no output file of its own (github.com/
CMU-MultiComp-Lab/OpenFace-3.0: `demo.py`, `model/MLT.py`; issues 1 and 9 ask for the names and got none).

Our reading of their order. Its training code takes entries 0, 4, 8, 10, 11, 1, 6, 7 of DISFA's twelve labels. With the
twelve in the alphabetical order of their names (AU1, AU12, AU15, AU17, AU2, AU20, AU25, AU26, AU4, AU5, AU6, AU9) these
are AU1, AU2, AU4, AU6, AU9, AU12, AU25, AU26: the eight that work on DISFA scores, in ascending order. Some users take
OpenFace 2's order of AUs instead, which gives AU10, which DISFA does not label. The threshold 0.5 is our choice, too.
"""

from __future__ import annotations

from benchmark.submit.base import Adapter, Scale, adapter

_ORDER = (1, 2, 4, 6, 9, 12, 25, 26)


@adapter("openface3")
class OpenFace3(Adapter):
    """Outputs of OpenFace 3's Python functions."""

    title = "OpenFace 3"
    source = "https://github.com/CMU-MultiComp-Lab/OpenFace-3.0"
    presence = Scale(
        {au: f"au_{i}" for i, au in enumerate(_ORDER)},
        low=0,
        high=1,
        threshold=0.5,
        remark="the program does not name its eight AUs: their order is our reading of its training code",
    )
    image = "input"
    frame = "frame"
