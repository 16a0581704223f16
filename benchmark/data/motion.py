"""Images that are a frame off their landmarks, or have those of other images, seen by the faces that they align.

Landmarks of a neighbouring frame align a moving face now too early, now too late, so the aligned faces differ more
among one another. The reading with the smaller spread of grey values is right. Where even landmarks that stand still
align the faces better than their own do, they belong to other images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
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
FOLLOWS = 0.95
"""Minimum ratio of the spread with own points to that with points that stand still at which the own ones do not follow
the face; in a right copy of moving faces it is about 0.7."""
MOVES = 0.1
"""Minimum distance of the quartiles of a face's place, in distances of the eyes, for that comparison."""
MOST = 0.75
"""Minimum share of the sequences in which the same other reading must be believed."""
STILL = 0
"""Mark of landmarks that do not follow the faces: points that stand still, or of another frame, fit as well."""


@dataclass(frozen=True)
class Shift:
    """Landmarks that do not fit their images.

    Attributes:
        by: Frames to add to a frame's number for the landmarks that fit it, -1 or 1; `STILL` if those fit no better.
        sequences: Number of sequences in which other landmarks fit clearly better.
        of: Number of sequences that were looked at.
        example: An image of one of them.
    """

    by: int
    sequences: int
    of: int
    example: str

    def sentence(self) -> str:
        """The finding in words."""
        if self.by == STILL:
            return (
                f"landmarks do not follow the faces: in {self.sequences} of {self.of} sequences, points that stand "
                "still, or of another frame, fit as well"
            )
        neighbour = "after" if self.by > 0 else "before"
        return (
            f"images are one frame off their landmarks: those of the frame {neighbour} fit better in {self.sequences}"
            f" of {self.of} sequences"
        )


REMEDY = (
    "see that images and landmarks are of one video, unmirrored, and which number the first of each has; "
    "copy those that are off anew"
)
"""Remedy for such images."""


def find_shift(faces: FaceSet) -> Shift | None:
    """Look for images that are off their landmarks, on a sample of the moving frames.

    Args:
        faces: Faces of videos with landmarks; without them, or with too few consecutive frames, nothing can be seen.

    Returns:
        The shift; None if there is none to be seen.
    """
    if faces.points is None:
        return None
    sequences = [rows for rows in _moving_rows(faces) if len(rows) >= FEWEST]
    picked = np.unique(np.linspace(0, len(sequences) - 1, SEQUENCES).astype(int)).tolist() if sequences else []
    votes = [(sequences[i], _best(faces, faces.points, sequences[i])) for i in picked]
    wrong = Counter(best for _, best in votes if best is not None)
    if not votes or wrong.total() < MOST * len(votes):
        return None
    shift, number = wrong.most_common(1)[0]
    if number < MOST * len(votes):
        shift, number = STILL, wrong.total()
    example = next(rows[0] for rows, best in votes if best is not None)
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
        # A frame without landmarks has those of a neighbour. Where a tracker slips for one frame, its points come back.
        across = np.abs(points[inner + 1] - points[inner - 1]).mean(axis=(1, 2)) / 2
        slowest = np.where(consecutive, np.minimum(np.minimum(after, before), across), 0.0)
        fastest = np.argsort(-slowest, kind="stable")[:FRAMES]
        chosen.append(sorted(int(row) for row in inner[fastest[slowest[fastest] > 0]]))
    return chosen


def _best(faces: FaceSet, points: Points, rows: Sequence[int]) -> int | None:
    """Reading that aligns the rows clearly better than their own landmarks, -1, 1 or `STILL`; None for none."""
    images = list(read_frames(faces.root, [str(faces.table["path"].iloc[row]) for row in rows]))
    still = np.median(points[list(rows)], axis=0)

    def of(place: Callable[[int], Points]) -> float:
        return spread([warp(image, place(row), SIDE) for row, image in zip(rows, images, strict=True)])

    own = of(lambda row: points[row])
    others = {-1: of(lambda row: points[row - 1]), 1: of(lambda row: points[row + 1])}
    nearest = min(others, key=lambda by: others[by])
    if others[nearest] < CLEARLY * own:
        return nearest
    return STILL if _moves(points[list(rows)]) and own > FOLLOWS * of(lambda row: still) else None


def _moves(points: Points) -> bool:
    """Whether a face moves enough for its own points (F, 4, 2) to align it better than points that stand still."""
    eyes = float(np.median(np.linalg.norm(points[:, 1] - points[:, 0], axis=1)))
    low, high = np.percentile(points.mean(axis=1), (25, 75), axis=0)
    return float((high - low).max()) > MOVES * eyes
