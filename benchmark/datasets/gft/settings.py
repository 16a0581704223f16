"""Settings of GFT's reader: what is not known for sure about its files."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from pydantic import field_validator

from benchmark.datasets.base import DatasetSettings


class GftSettings(DatasetSettings):
    """Settings for what is not known for sure about GFT's files, and the alignment of its faces."""

    split: str = ""
    """Split file with lines `001A,train` or `001A,test`, relative to the data root. Empty: `GFT/split.csv`. `inferred`:
    the split that was inferred from the paper's image counts."""
    columns: str = ""
    """Column map with lines `AU1,HEADER CELL` and `frame,HEADER CELL`, relative to the data root, for unknown headers.
    The reader identifies other columns by the header, as without a map."""
    annotations: str = "annotations"
    """Folder of the annotation files, below `GFT/`."""
    images: str = "images"
    """Folder of the participants' image folders, below `GFT/`."""
    image_numbers: Literal["auto", "from_0", "from_1"] = "auto"
    """Number of the first frame in the names of extracted images. `auto`: from 0 if there are images 0, else from 1."""
    alignment: Literal["profile", "detected", "as_is"] = "profile"
    """`detected`: on eyes and mouth that a detector finds; `as_is`: none. `profile`: as `data.alignment` says, where
    `landmarks` is none, because the format of GFT's landmarks is not known here."""

    @field_validator("split", "columns", "annotations", "images")
    @classmethod
    def _stays_below(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("a path below the data root, without '..'")
        return value


DEFAULTS = GftSettings()
