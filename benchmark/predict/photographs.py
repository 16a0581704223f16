"""Faces of photographs, a portion at a time, on all cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores
from benchmark.data.detect import Detector
from benchmark.predict.crops import Cutter, NoFace, Several, chosen_faces, faces_of, whole_outline
from benchmark.predict.media import read_photograph

PORTION = 32
"""Number of photographs whose faces are in memory at the same time."""


@dataclass(frozen=True)
class CutFaces:
    """Faces of one image.

    Attributes:
        name: Name of the image.
        frames: Packed frames (K, S, S, 3) of K faces, the largest face first.
        outlines: Corners (K, 4, 2) of the frames in pixels of the image.
        fault: Reason why a photograph could not be read; "" if it could.
        detected: Number of faces that were found, K or more.
    """

    name: str
    frames: npt.NDArray[np.uint8]
    outlines: npt.NDArray[np.float64]
    fault: str = ""
    detected: int = 0


@dataclass(frozen=True)
class Rules:
    """Rules for photographs with several faces or none."""

    several: Several = "largest"
    no_face: NoFace = "skip"


def cut_photographs(
    root: Path,
    names: tuple[str, ...],
    cutter: Cutter,
    make_detector: Callable[[], Detector] | None,
    rules: Rules,
    *,
    alone: bool,
) -> Iterator[CutFaces]:
    """Cut the faces out of photographs.

    Args:
        root: Folder of the photographs.
        names: Names of the photographs below it.
        cutter: Cuts a face as those of the model were.
        make_detector: Function that makes a detector, once for each thread; None: photographs are faces already.
        rules: Rules for several faces and for none.
        alone: Whether there is nothing else to predict. Else a photograph that cannot be read is left out.

    Raises:
        UserError: A rule refuses a photograph, or one that is alone cannot be read.
    """
    local = threading.local()

    def cut(name: str) -> CutFaces:
        try:
            image = read_photograph(root / name)
        except UserError as error:
            if alone:
                raise
            nothing = np.zeros((0, cutter.size, cutter.size, 3), np.uint8), np.zeros((0, 4, 2))
            return CutFaces(name, *nothing, fault=f"{error.what} ({error.found})" if error.found else error.what)
        if make_detector is None:
            return CutFaces(name, cutter.whole(image)[None], whole_outline(image)[None], detected=1)
        if not hasattr(local, "detector"):
            local.detector = make_detector()
        everyone = faces_of(image, local.detector)
        points = chosen_faces(everyone, rules.several, rules.no_face, name)
        frames = [cutter.aligned(image, face) for face in points]
        return CutFaces(
            name,
            np.array(frames, dtype=np.uint8).reshape(-1, cutter.size, cutter.size, 3),
            np.array([cutter.outline(face) for face in points]).reshape(-1, 4, 2),
            detected=len(everyone),
        )

    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(0, len(names), PORTION):
            yield from pool.map(cut, names[start : start + PORTION])
