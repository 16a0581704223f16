"""`FaceSet`, the interface between the files of a dataset and the rest of the suite."""

from __future__ import annotations

import re
import shlex
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from benchmark.config.settings import DEFAULT_RENDERER
from benchmark.core.errors import UserError
from benchmark.core.files import json_object, read_bytes, regular
from benchmark.core.origin import Origin
from benchmark.data.align import Points
from benchmark.data.places import packed_as, root_near, subfolders

UNKNOWN = -1
"""Value of an unknown label: it adds nothing to losses and counts."""

MARKER = "standin.json"
"""Marker file in the data root of a stand-in."""
MARKER_FORMAT = "mal-benchmark stand-in 1"
JPEG_COMMENT = b"mal-benchmark stand-in"

IMAGE_FORMATS = ("JPEG", "PNG")
"""Accepted image formats. For other formats Pillow may start external programs."""
UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError)
"""Exceptions that Pillow raises for damaged images."""


@dataclass(frozen=True)
class FaceSet:
    """Image files of a dataset and their labels: N images, J AUs or Q classes.

    Attributes:
        dataset: Name of the dataset.
        root: Folder that `table.path` is relative to.
        table: One row an image: `path` (relative, "/" separated), `subject`, `sequence`, `frame`. The order of rows
            depends on these values alone, never on the order of a directory.
        labels: (N, J) of 0, 1 or `UNKNOWN` for AUs, (N,) class indices for expressions, int8; people are int16.
        label_names: Names of the J AUs or of the Q classes; none for people.
        origin: Origin of the faces.
        note: Summary of the data in one line.
        points: (N, 4, 2), landmarks for the alignment, see `benchmark.data.align`. None: no alignment.
        left_out: `subject`, `sequence`, `frame` of coded frames that the table lacks: without an image, a face, or
            landmarks near.
        title: Name of the dataset in prose.
    """

    dataset: str
    root: Path
    table: pd.DataFrame
    labels: npt.NDArray[np.signedinteger[Any]]
    label_names: tuple[str, ...]
    origin: Origin
    note: str
    points: Points | None = None
    left_out: pd.DataFrame | None = None
    title: str = ""

    def __post_init__(self) -> None:
        if len(self.table) != len(self.labels):
            raise ValueError(f"{len(self.table)} images with {len(self.labels)} labels")
        if self.points is not None and self.points.shape != (len(self.table), 4, 2):
            raise ValueError(f"{len(self.table)} images with points of shape {self.points.shape}")

    def __len__(self) -> int:
        return len(self.table)


def video_of(path: str) -> str | None:
    """Video of a row whose path is `video.avi#17`; None for an image."""
    video, mark, index = path.rpartition("#")
    return video if mark and index.isdecimal() and not video.lower().endswith((".jpg", ".jpeg", ".png")) else None


def data_root(path: Path, *, needs: tuple[str, ...], remedy: str = "") -> Path:
    """Check that a data root holds the dataset folders `needs`; `remedy` says what else to do without them.

    Raises:
        UserError: The data root is no folder, or lacks one of the dataset folders.
    """
    layout = " and ".join(f"{folder}/" for folder in needs)
    if not path.is_dir():
        raise UserError(
            "the data root is not a folder",
            where=path,
            found="a file" if path.exists() else "nothing",
            remedy=f"name the folder that holds {layout} with --data",
        )
    missing = [folder for folder in needs if not (path / folder).is_dir()]
    if missing:
        raise _lacking(path, missing, layout, remedy)
    return path


def _lacking(path: Path, missing: list[str], layout: str, remedy: str) -> UserError:
    """The error for a data root without the folders `missing`, by its most likely cause."""
    packed = packed_as(path, missing[0])
    if packed is not None:
        folder = shlex.quote(str(path / missing[0]))
        return UserError(f"{packed.name} is not unpacked", where=packed, remedy=f"unpack it into {folder}")
    beside = [p.name for p in subfolders(path)]
    right = root_near(path, missing[0])
    if right is None:
        doctor = f"`malbench data doctor {shlex.quote(str(path))}` names what it recognises"
        steps = ["put the datasets there under their usual names", remedy or doctor]
    else:
        steps = [f"name it: --data {shlex.quote(str(right))}", *([remedy] if remedy else [])]
    return UserError(
        f"the data root lacks {', '.join(missing)}",
        where=path,
        expected=f"a folder that holds {layout}",
        found=", ".join(beside[:12]) + (", ..." if len(beside) > 12 else "") if beside else "no folders",
        remedy="; ".join(steps),
    )


def is_standin(root: Path, table: pd.DataFrame) -> bool:
    """Whether a data root holds procedural faces, by its marker or by the comment inside its images.

    The comment identifies a stand-in even after its folders were copied without the marker. The function reads one
    image of each sequence. An image that another program re-encoded has lost the comment.

    Args:
        root: The data root.
        table: As in `FaceSet`.

    Raises:
        UserError: The marker is not one that this version writes.
    """
    marker = root / MARKER
    if marker.is_file():
        try:
            marker_format = json_object(read_bytes(marker)).get("format")
        except ValueError:
            marker_format = "something that is not JSON"
        if marker_format != MARKER_FORMAT:
            raise UserError(
                "the stand-in marker is damaged or from another version",
                where=marker,
                expected=MARKER_FORMAT,
                found=str(marker_format),
                remedy="write the stand-in again: malbench data standin bp4d --out DIR",
            )
        return True
    return any(_has_comment(root / str(path)) for path in table.drop_duplicates("sequence")["path"])


def standin_note(root: Path, layout: str = "") -> str:
    """First words of the note of a stand-in, with its renderer; only the marker says which it is.

    Args:
        root: Data root of a stand-in.
        layout: Name of the dataset whose layout the files have; "" for none.
    """
    marker, renderer = root / MARKER, "unknown"
    if marker.is_file():
        settings = json_object(read_bytes(marker)).get("settings")
        renderer = settings.get("renderer", DEFAULT_RENDERER) if isinstance(settings, dict) else DEFAULT_RENDERER
    place = f" in {layout}'s layout" if layout else ""
    return f"stand-in (procedural faces{place}, renderer {renderer})"


def noted_renderer(note: str) -> str:
    """Renderer that the note on a trial's data names; the default one for a note of before there were two.

    Example:
        >>> noted_renderer("stand-in (procedural faces in BP4D's layout, renderer head): 3,936 frames")
        'head'
    """
    named = re.search(r"\(procedural faces[^)]*, renderer (\w+)\)", note)
    return named[1] if named else DEFAULT_RENDERER


def _has_comment(path: Path) -> bool:
    try:
        with Image.open(regular(path), formats=IMAGE_FORMATS) as image:
            return image.info.get("comment") == JPEG_COMMENT
    except UNREADABLE:
        return False  # packing reports unreadable images
