"""Images that are a frame off their landmarks, seen by the faces that each reading aligns.

Landmarks of a neighbouring frame align a moving face now too early, now too late, so the aligned faces differ more
among one another. The reading with the smaller spread of grey values is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmark.data.align import Points, warp
from benchmark.data.decode import read_frames
from benchmark.data.faces import FaceSet

SIDE = 64
"""Side of the aligned faces that are compared, pixels."""
SEQUENCES = 8
"""Number of sequences that are looked at, evenly over the dataset."""
FRAMES = 40
"""Number of frames of a sequence that are tried: those in which the face moves most."""
FEWEST = 6
"""Minimum number of frames to try in a sequence."""
WINDOW = 300
"""Number of frames at the start of a sequence among which they are sought: a video is decoded from its start."""
CLEARLY = 0.9
"""Maximum ratio of the spreads at which another reading is believed in a sequence."""
MOST = 0.75
"""Minimum share of the sequences in which the same other reading must be believed."""


@dataclass(frozen=True)
class Shift:
    """Landmarks that fit better on a neighbouring frame.

    Attributes:
        by: Frames to add to a frame's number for the landmarks that fit it: -1 or 1.
        sequences: Number of sequences in which they fit clearly better.
        of: Number of sequences that were looked at.
        example: An image of one of them.
    """

    by: int
    sequences: int
    of: int
    example: str

    def sentence(self) -> str:
        """The finding in words."""
        neighbour = "after" if self.by > 0 else "before"
        return (
            f"images are one frame off their landmarks: those of the frame {neighbour} fit better in {self.sequences}"
            f" of {self.of} sequences"
        )


REMEDY = "see which number the first image and the first landmarks have, and copy the ones that are off anew"
"""Remedy for such images."""


def find_shift(faces: FaceSet) -> Shift | None:
    """Look for images that are a frame off their landmarks, on a sample of the moving frames.

    Args:
        faces: Faces with landmarks; without them, or with too few consecutive frames, nothing can be seen.

    Returns:
        The shift; None if there is none to be seen.
    """
    if faces.points is None:
        return None
    sequences = [rows for rows in _moving_rows(faces) if len(rows) >= FEWEST]
    picked = np.unique(np.linspace(0, len(sequences) - 1, SEQUENCES).astype(int)).tolist() if sequences else []
    votes = [(sequences[i], _best(faces, faces.points, sequences[i])) for i in picked]
    shift, number = Counter(best for _, best in votes).most_common(1)[0] if votes else (0, 0)
    if not shift or number < MOST * len(votes):
        return None
    example = next(rows[0] for rows, best in votes if best == shift)
    return Shift(shift, number, len(votes), str(faces.table["path"].iloc[example]))


def spread(faces: Sequence[npt.NDArray[np.uint8]]) -> float:
    """Mean standard deviation, over aligned faces, of the pixels around eyes and mouth."""
    edge = SIDE // 4
    stack = np.stack([face[edge:-edge, edge:-edge].mean(axis=2) for face in faces])
    return float(stack.std(axis=0).mean())


def _moving_rows(faces: FaceSet) -> list[list[int]]:
    """Rows to try of each sequence, in order: those whose neighbours in time have other points, the fastest ones."""
    assert faces.points is not None
    numbers, points = faces.table["frame"].to_numpy(), faces.points
    chosen = []
    for rows in faces.table.groupby("sequence", sort=True).indices.values():
        window = np.sort(np.asarray(rows, dtype=np.int64))[:WINDOW]
        inner = window[1:-1]
        if not len(inner):
            continue
        consecutive = (numbers[inner + 1] - numbers[inner] == 1) & (numbers[inner] - numbers[inner - 1] == 1)
        after, before = (np.abs(points[inner + step] - points[inner]).mean(axis=(1, 2)) for step in (1, -1))
        # A frame without landmarks has those of a neighbour.
        slowest = np.where(consecutive, np.minimum(after, before), 0.0)
        fastest = np.argsort(-slowest, kind="stable")[:FRAMES]
        chosen.append(sorted(int(row) for row in inner[fastest[slowest[fastest] > 0]]))
    return chosen


def _best(faces: FaceSet, points: Points, rows: Sequence[int]) -> int:
    """Shift whose landmarks align the rows clearly best, -1 or 1; 0 if none is clearly better than the frame's own."""
    paths = [str(faces.table["path"].iloc[row]) for row in rows]
    images = list(read_frames(faces.root, paths))
    spreads = {
        by: spread([warp(image, points[row + by], SIDE) for row, image in zip(rows, images, strict=True)])
        for by in (-1, 0, 1)
    }
    best = min(spreads, key=lambda by: (spreads[by], abs(by)))
    return best if spreads[best] < CLEARLY * spreads[0] else 0
