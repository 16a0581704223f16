"""The page of predictions: one file, which needs no other and no network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from benchmark.core.action_units import with_name
from benchmark.predict.table import ACTIVE
from benchmark.report.cells import Cell, Table, cells, number, table
from benchmark.report.templating import template_folder

TEMPLATE = "predict.html.j2"
PICTURES = 60
"""Maximum number of annotated pictures on the page; all are in the folder."""
ROWS = 1000
"""Maximum number of rows of the page's table; all are in the file of predictions."""
QUALITY = 80
"""Quality of the page's JPEG pictures."""


@dataclass(frozen=True)
class Shown:
    """A picture of the page.

    Attributes:
        name: Name of the photograph or video.
        source: The picture as a data URI.
    """

    name: str
    source: str


def as_jpeg(picture: npt.NDArray[np.uint8], quality: int = QUALITY) -> bytes:
    """A JPEG file of an RGB picture (H, W, 3), without metadata."""
    content = BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=quality)
    return content.getvalue()


def embedded(name: str, content: bytes, kind: str) -> Shown:
    """A picture of the page from the content of its file.

    Args:
        name: Name of what it shows.
        content: Content of the file.
        kind: Media type, for example `image/jpeg`.
    """
    return Shown(name, f"data:{kind};base64,{b64encode(content).decode()}")


def probability_table(predictions: pd.DataFrame, aus: tuple[str, ...]) -> Table:
    """The first `ROWS` predictions, for readers; active AUs are marked."""
    places = [name for name in ("source", "frame", "face") if name in predictions]
    rows = []
    for row in predictions.head(ROWS).to_dict("records"):
        place = cells(*("" if pd.isna(row[name]) else str(row[name]) for name in places))
        values = [float(row[au]) for au in aus]
        rows.append([*place, *(Cell(number(p, digits=2), "bold" if p > ACTIVE else None) for p in values)])
    return table([*places, *map(with_name, aus)], rows)


def render_page(
    facts: Mapping[str, str],
    warning: str,
    predictions: pd.DataFrame,
    aus: tuple[str, ...],
    pictures: Sequence[Shown],
    timelines: Sequence[Shown],
    drawn: int,
    templates: Path | None = None,
) -> str:
    """Text of `index.html`.

    Args:
        facts: Facts about model, data and rules, by name.
        warning: Sentence of the banner; "" for none.
        predictions: Table from `prediction_table`.
        aus: Names of the J AUs.
        pictures: Annotated pictures.
        timelines: One figure a video.
        drawn: Number of annotated pictures, those beyond `pictures` too.
        templates: Folder of the templates; None for the suite's.
    """
    environment = Environment(
        loader=FileSystemLoader(templates or template_folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    return environment.get_template(TEMPLATE).render(
        facts=facts,
        warning=warning,
        active=ACTIVE,
        predictions=probability_table(predictions, aus),
        left_out=max(0, len(predictions) - ROWS),
        pictures=pictures,
        more_pictures=drawn - len(pictures),
        timelines=timelines,
    )
