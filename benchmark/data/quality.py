"""Look of packed frames: flat, dark and textureless ones are counted, and a contact sheet shows a sample.

A frame can be wrong although its files are whole: grey fill, a black video, a crop beside the face. Numbers find the
first kinds, and a person who looks at the sheet finds the last.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.core.atomic import write_atomically
from benchmark.data.frames import PackedFaces

FLAT = 6.0
"""Standard deviation of grey values, of 0 to 255, below which a frame is flat, such as fill."""
DARK = 16.0
"""Mean grey value, of 0 to 255, below which a frame is dark."""
TEXTURE = 0.5
"""Mean absolute Laplacian of grey values below which a frame has no texture."""
MOST_STRANGE = 0.01
"""Maximum share of flat, dark or textureless frames; more are a fault."""
BLUER = 4.0
"""Grey values, of 0 to 255, by which blue must exceed red."""
MOST_BLUE = 0.9
"""Minimum share of frames with more blue than red around the middle at which the two have changed places: no skin is
blue."""
SIDE = 64
"""Side of the reduced frames that are measured, pixels."""
CELLS = 40
"""Number of faces on a contact sheet."""
_COLUMNS, _CELL, _BAND = 8, 128, 16


@dataclass(frozen=True)
class Quality:
    """Look of N packed frames.

    Attributes:
        flat: (N,) bool, frames of nearly one grey.
        dark: (N,) bool, frames that are nearly black.
        smooth: (N,) bool, frames without texture, that are neither flat nor dark.
        blue: (N,) bool, frames with more blue than red around the middle.
    """

    flat: npt.NDArray[np.bool_]
    dark: npt.NDArray[np.bool_]
    smooth: npt.NDArray[np.bool_]
    blue: npt.NDArray[np.bool_]

    @property
    def too_blue(self) -> bool:
        """Whether red and blue have changed places."""
        return bool(self.blue.mean() > MOST_BLUE) if len(self.blue) else False

    @property
    def strange(self) -> npt.NDArray[np.bool_]:
        """Frames that are flat, dark or without texture, (N,) bool."""
        return self.flat | self.dark | self.smooth

    @property
    def too_many(self) -> bool:
        """Whether more frames are strange than a whole dataset has."""
        return bool(self.strange.mean() > MOST_STRANGE) if len(self.flat) else False

    def sentence(self) -> str:
        """Counts in words."""
        kinds = (("flat", self.flat), ("dark", self.dark), ("without texture", self.smooth))
        return ", ".join(f"{int(kind.sum()):,} {name}" for name, kind in kinds)


def look(packed: PackedFaces, progress: Callable[[int, int], None] | None = None) -> Quality:
    """Measure every packed frame.

    Args:
        packed: The frames.
        progress: Called with (frames measured, frames).
    """
    total = len(packed.faces)
    flat, dark, smooth, blue = (np.zeros(total, dtype=bool) for _ in range(4))
    for row in range(total):
        frame = np.asarray(packed.frames[row])
        edge = frame.shape[0] // 4
        red, _, blue_mean, _ = cv2.mean(frame[edge:-edge, edge:-edge])
        blue[row] = blue_mean > red + BLUER
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA) if grey.shape[0] > SIDE else grey
        dark[row] = small.mean() < DARK
        flat[row] = not dark[row] and small.std() < FLAT
        smooth[row] = not (dark[row] or flat[row]) and _texture(small) < TEXTURE
        if progress is not None and (row % 1000 == 999 or row + 1 == total):
            progress(row + 1, total)
    return Quality(flat, dark, smooth, blue)


def write_contact_sheet(packed: PackedFaces, quality: Quality, file: Path) -> Path:
    """Write a sheet of some `CELLS` packed faces as PNG: strange frames first, the others evenly over the dataset.

    A name stands below each face; a red frame marks strange ones. The sheet shows people of licensed datasets: it is
    for the owner's eyes.

    Args:
        packed: The frames.
        quality: Result of `look(packed)`.
        file: The file to write; its folder is created.

    Returns:
        `file`.
    """
    rows = _chosen(quality)
    height = -(-len(rows) // _COLUMNS) * (_CELL + _BAND)
    sheet = np.full((max(height, 1), _COLUMNS * _CELL, 3), 255, dtype=np.uint8)
    table = packed.faces.table
    for k, row in enumerate(rows):
        top, left = k // _COLUMNS * (_CELL + _BAND), k % _COLUMNS * _CELL
        face = cv2.resize(np.asarray(packed.frames[row]), (_CELL, _CELL), interpolation=cv2.INTER_AREA)
        if quality.strange[row]:
            cv2.rectangle(face, (0, 0), (_CELL - 1, _CELL - 1), (220, 0, 0), 4)
        sheet[top : top + _CELL, left : left + _CELL] = face
        name = f"{table['sequence'].iloc[row]} {table['frame'].iloc[row]}"
        cv2.putText(sheet, name[:20], (left + 2, top + _CELL + 12), cv2.FONT_HERSHEY_PLAIN, 0.8, (0, 0, 0), 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    Image.fromarray(sheet).save(content, format="PNG")
    write_atomically(file, content.getvalue())
    return file


def _texture(grey: npt.NDArray[np.uint8]) -> float:
    return float(np.abs(cv2.Laplacian(grey.astype(np.float32), cv2.CV_32F)).mean())


def _chosen(quality: Quality) -> list[int]:
    """Rows of the sheet: up to a quarter strange ones, then evenly spaced ones."""
    strange = np.flatnonzero(quality.strange)
    picked = strange[np.linspace(0, len(strange) - 1, min(len(strange), CELLS // 4)).astype(int)].tolist()
    total = len(quality.flat)
    if total:
        spaced = np.linspace(0, total - 1, min(total, CELLS - len(picked))).astype(int).tolist()
        picked += [row for row in dict.fromkeys(spaced) if row not in picked]
    return [int(row) for row in picked]
