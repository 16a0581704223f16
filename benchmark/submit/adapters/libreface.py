"""LibreFace: `get_facial_attributes` with a file to save to, for images and videos.

Facts. `au_1`, ... are 0 or 1 for the 12 AUs of BP4D, cut at a probability of 0.5; `au_1_intensity`, ... are intensities
from 0 to 5 for the 12 AUs of DISFA. An image's row has `input_image_path`; a video's rows have `frame_idx`, from 0.
Sources: github.com/ihp-lab/LibreFace, `libreface/__init__.py`, `libreface/utils.py` and
`libreface/AU_Recognition/solver_inference_combine.py`. The names of the columns were read in programs that use it.
"""

from __future__ import annotations

from benchmark.submit.base import Adapter, Scale, adapter, au_columns


@adapter("libreface")
class LibreFace(Adapter):
    """Outputs of LibreFace."""

    title = "LibreFace"
    source = "https://github.com/ihp-lab/LibreFace"
    presence = Scale(
        au_columns((1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24), "au_{}"),
        low=0,
        high=1,
        threshold=0.5,
        remark="presence is the program's own decision (0 or 1), so AUC is that of one threshold",
    )
    intensity = Scale(au_columns((1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26), "au_{}_intensity"), low=0, high=5)
    image = "input_image_path"
    frame = "frame_idx"
