"""Drawing of FE images, for the stand-ins of datasets without drawing code."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.standin.expressions import BASIC, Place, expressions_named, plan_expressions
from benchmark.standin.pictures import draw_pictures, with_scenes

BASIC_NAMES = tuple(expression.name for expression in BASIC)
"""Names of the seven basic emotions."""


def draw_photos(
    home: Path,
    settings: StandinSettings,
    name: str,
    labels: Sequence[str],
    path_of: Callable[[str, int, str], str],
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Draw the images of an FE dataset, each of another person. A pure function of its arguments.

    Args:
        home: The data root.
        settings: Size, numbers of images, and other parameters of the stand-in.
        name: Name of the dataset; datasets with different names show different people.
        labels: Names of the classes in the order of their codes.
        path_of: Function for the image file, relative to `home`, from its split (`train` or `test`), its number from 1
            and its label.
        progress: Called with (images written, images).

    Returns:
        The ground truth, as from `benchmark.standin.expressions.plan_expressions`, with pose and scene.
    """
    sizes = {"train": settings.fe_train, "test": settings.fe_test}
    splits = [(split, size, zlib.crc32(f"{name} {split}".encode())) for split, size in sizes.items()]

    def place(split: str, number: int, label: str) -> Place:
        return Place(path_of(split, number, label))

    truth, batches = plan_expressions(settings, expressions_named(labels), place, splits)
    drawn = draw_pictures(home, settings, batches, progress)
    return with_scenes(truth, drawn)
