"""Stand-in of RAF-DB: procedural faces with labels, votes, photographs and landmarks in the official layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.datasets.rafdb.layout import FOLDER
from benchmark.datasets.rafdb.reader import ALIGNED, EMOTIONS, LABELS, MANUAL, ORIGINAL, VOTES
from benchmark.standin.expressions import ANNOTATORS, Place, expressions_named, plan_expressions
from benchmark.standin.pictures import Word, draw_pictures, seeded_generator, with_scenes

DIGITS: Mapping[str, int] = {"train": 5, "test": 4}
"""Number of digits of an image's number in its name, by split."""


def write_rafdb(
    home: Path, settings: StandinSettings, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Write `home/RAF-DB/`: images, labels, votes, photographs and landmarks. A pure function of the settings.

    Args:
        home: The data root.
        settings: Size and parameters of the stand-in.
        progress: Called with (images written, images).

    Returns:
        The ground truth, as from `plan_expressions`, with pose and scene.
    """
    sizes = {"train": settings.fe_train, "test": settings.fe_test}
    splits = [(split, sizes[split], digits) for split, digits in DIGITS.items()]
    truth, batches = plan_expressions(settings, expressions_named(EMOTIONS), _place, splits)
    _write_labels(home, settings, [{str(k): v for k, v in row.items()} for row in truth.to_dict("records")])
    drawn = draw_pictures(home, settings, batches, progress)
    return with_scenes(truth, drawn)


def _stem(split: str, number: int) -> str:
    return f"{split}_{number:0{DIGITS[split]}d}"


def _place(split: str, number: int, _: str) -> Place:
    stem = _stem(split, number)
    return Place(
        f"{FOLDER}/{ALIGNED}/{stem}_aligned.jpg",
        f"{FOLDER}/{ORIGINAL}/{stem}.jpg",
        f"{FOLDER}/{MANUAL}/{stem}_manu_attri.txt",
    )


def _write_labels(home: Path, settings: StandinSettings, rows: Sequence[Mapping[str, object]]) -> None:
    names = [f"{_stem(str(row['split']), int(str(row['number'])))}.jpg" for row in rows]
    file = home / FOLDER / LABELS
    file.parent.mkdir(parents=True)
    rng = seeded_generator(settings, Word.VOTES)
    ballots = [f"{name} {_ballot(rng, row)}\n" for name, row in zip(names, rows, strict=True)]
    (home / FOLDER / VOTES).write_text("".join(ballots), encoding="ascii", newline="\n")
    lines = [f"{name} {EMOTIONS.index(str(row['label'])) + 1}\n" for name, row in zip(names, rows, strict=True)]
    file.write_text("".join(lines), encoding="ascii", newline="\n")


def _ballot(rng: np.random.Generator, row: Mapping[str, object]) -> str:
    """Line of votes for the seven classes: the label gets its share, and the true class most of the other votes."""
    label, true = EMOTIONS.index(str(row["label"])), EMOTIONS.index(str(row["true_label"]))
    agreeing = round(float(str(row["consistency"])) * ANNOTATORS)
    chance = np.array([0.0 if k == label else 4.0 if k == true else 1.0 for k in range(len(EMOTIONS))])
    votes = rng.multinomial(ANNOTATORS - agreeing, chance / chance.sum())
    votes[label] = agreeing
    return " ".join(map(str, votes))
