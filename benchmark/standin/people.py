"""Drawn people without AUs, on whom a backbone is pre-trained to identify people (`method.weights = "renders"`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.config.trial import RENDERS
from benchmark.data.faces import FaceSet
from benchmark.standin.pictures import Picture, Word, draw_pictures
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.write import mark_standin, whole_folder


def write_people(
    out: Path,
    settings: StandinSettings,
    identities: int,
    views: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write faces without AUs, `OUT/<person>/<view>.jpg`: people of no dataset in many poses and lights.

    Args:
        out: A folder that does not exist yet, or is empty.
        settings: Image size and seed.
        identities: Number of people.
        views: Images of each person.
        progress: Called with (images written, images).

    Raises:
        UserError: `out` exists and is not an empty folder, or its parent cannot be written to.
    """
    with whole_folder(out) as scratch:
        draw_pictures(scratch, settings, _plan_people(identities, views), progress)
        mark_standin(scratch, settings)


def _plan_people(identities: int, views: int) -> list[list[Picture]]:
    """Plan the images of people who are in no dataset, one batch a person."""
    no_au = np.zeros(len(DRAWN_AUS))
    return [
        [Picture(render_path(i, view), no_au, (Word.STRANGER, i), (Word.VIEW, i, view), None) for view in range(views)]
        for i in range(identities)
    ]


def render_path(person: int, view: int) -> str:
    """Path of a person's image, relative to the folder of all people."""
    return f"{person:05d}/{view:03d}.jpg"


def read_renders(root: Path, identities: int, views: int) -> FaceSet:
    """Read the faces that `write_people` wrote: `identities` people with `views` images each."""
    person, view = (indices.ravel() for indices in np.mgrid[:identities, :views])
    paths = [render_path(*indices) for indices in zip(person.tolist(), view.tolist(), strict=True)]
    names = [f"{i:05d}" for i in person.tolist()]
    table = pd.DataFrame({"path": paths, "subject": names, "sequence": names, "frame": view})
    note = f"{len(table):,} faces without AUs of {identities:,} drawn people, for a backbone to start from"
    return FaceSet(RENDERS, root, table, person.astype(np.int16), (), "stand-in", note)
