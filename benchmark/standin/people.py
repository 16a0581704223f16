"""Reader of the people that `write_people` draws: faces without AUs, for a backbone to start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.data.faces import FaceSet

RENDERS = "renders"
"""Name of the dataset, and of backbone weights that were trained on it."""


def render_path(person: int, view: int) -> str:
    """Where a person's image is, relative to the folder of all."""
    return f"{person:05d}/{view:03d}.jpg"


def read_renders(root: Path, identities: int, views: int) -> FaceSet:
    """The faces of `identities` people, `views` of each, as `benchmark.standin.write.write_people` writes them."""
    person, view = (each.ravel() for each in np.mgrid[:identities, :views])
    paths = [render_path(*each) for each in zip(person.tolist(), view.tolist(), strict=True)]
    names = [f"{i:05d}" for i in person.tolist()]
    table = pd.DataFrame({"path": paths, "subject": names, "sequence": names, "frame": view})
    note = f"{len(table):,} faces without AUs of {identities:,} drawn people, for a backbone to start from"
    return FaceSet(RENDERS, root, table, person.astype(np.int16), (), "stand-in", note)
