"""Figures 5 and 6: which images, in which order, with which numbers; and whose images may be shown at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.report.faces import WeighedFaces, ascending_weights, low_and_high_weights
from benchmark.report.render import build_report
from tests.report.conftest import TEMPLATES, make_results

PER_CLASS = 30


@pytest.fixture
def faces(tmp_path: Path) -> WeighedFaces:
    """Images whose grey level is their weight, in an order that says nothing."""
    rng = np.random.default_rng(0)
    count = PER_CLASS * len(EMOTIONS)
    table = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(count)],
            "label": np.tile(np.arange(len(EMOTIONS)), PER_CLASS),
            "weight": rng.permutation(count) / count,
            "consistency": rng.random(count).round(2),
        }
    )
    for path, weight in zip(table["path"], table["weight"], strict=True):
        Image.new("L", (8, 8), round(255 * weight)).save(tmp_path / path)
    ordered = table.sort_values("weight", ignore_index=True)
    return WeighedFaces(ordered, tmp_path, "bp4d mal part1 seed 0", "stand-in", EMOTIONS)


def shown(figure: Figure) -> list[list[tuple[float, float, int]]]:
    """Weight and consistency as printed, and the grey level beside them, of each image by row."""
    rows: dict[float, list[tuple[float, float, int]]] = {}
    for axes in figure.axes:
        if axes.images:
            weight, consistency = (float(part) for part in axes.texts[-1].get_text().splitlines()[-1].split(" | "))
            grey = int(np.asarray(axes.images[0].get_array()).mean())
            rows.setdefault(round(axes.get_position().y0, 3), []).append((weight, consistency, grey))
    return [rows[y] for y in sorted(rows, reverse=True)]


def test_figure_5_is_ascending_in_each_emotion_and_shows_the_image_of_the_number(faces: WeighedFaces) -> None:
    rows = shown(ascending_weights(faces))
    assert len(rows) == len(EMOTIONS)
    for code, row in enumerate(rows):
        own = faces.table[faces.table["label"] == code]
        weights = [weight for weight, _, _ in row]
        assert weights == sorted(weights)
        assert (weights[0], weights[-1]) == (round(own["weight"].min(), 3), round(own["weight"].max(), 3))
        assert [grey for *_, grey in row] == pytest.approx([255 * w for w in weights], abs=1)
        known = {(round(w, 3), c) for w, c in zip(own["weight"], own["consistency"], strict=True)}
        assert {(w, c) for w, c, _ in row} <= known


def test_figure_6_is_lowest_above_highest(faces: WeighedFaces) -> None:
    low, high = shown(low_and_high_weights(faces))
    by_class = faces.table.groupby("label")["weight"]
    assert [w for w, *_ in low] == pytest.approx(by_class.min().tolist(), abs=5e-4)
    assert [w for w, *_ in high] == pytest.approx(by_class.max().tolist(), abs=5e-4)


def test_the_report_has_them_where_there_are_images_and_says_so_where_there_are_none(
    faces: WeighedFaces, tmp_path: Path
) -> None:
    names = {f.name for f in build_report(make_results(), tmp_path / "with", templates=TEMPLATES, faces=faces)}
    assert {"figure5.png", "figure5.svg", "figure5.pdf", "figure6.png"} <= names
    assert "figures/figure6.png" in (tmp_path / "with/tables.md").read_text()
    assert (tmp_path / "with/index.html").read_text().count("data:image/svg") == 4
    build_report(make_results(), tmp_path / "without", templates=TEMPLATES)
    assert "from a `weights.parquet` beside the results" in (tmp_path / "without/tables.md").read_text()
    marks = [text.get_text() for text in ascending_weights(faces).texts]
    assert "stand-in" in marks


def test_an_image_that_cannot_be_read_is_named(faces: WeighedFaces) -> None:
    for path in faces.table["path"]:
        (faces.root / path).write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be read") as caught:
        ascending_weights(faces)
    assert ".png" in str(caught.value.where)
