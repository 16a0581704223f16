"""The file to fill in: every test frame of a dataset, with an empty column an AU."""

from __future__ import annotations

import pandas as pd

from benchmark.config.protocol import Protocol
from benchmark.data.faces import FaceSet
from benchmark.report.predictions import KEYS


def template_of(faces: FaceSet, protocol: Protocol) -> pd.DataFrame:
    """Table with `subject`, `sequence` and `frame` of every coded frame of a test subject, its image, and empty AUs.

    Args:
        faces: The dataset's frames.
        protocol: Protocol of the dataset.

    Returns:
        The keys, `path` (of the image below the data root; not read by `malbench score`), and `AU1`, ..., empty.
    """
    tested = {subject for subjects in protocol.parts.values() for subject in subjects}
    rows = faces.table[faces.table["subject"].isin(tested)]
    table = rows[[*KEYS, "path"]].reset_index(drop=True)
    table[list(protocol.au_names)] = float("nan")
    return table
