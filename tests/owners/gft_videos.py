"""GFT's stand-in as it would lie on an owner's disk: one video of whole frames a participant, no landmarks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmark.data.align import Points, points_of
from benchmark.datasets.gft import standin
from benchmark.standin.drawn.identity import draw_identity
from benchmark.standin.drawn.landmarks import draw_landmarks
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.views import draw_pose, draw_scene, vary

FRAME, SIDE = (720, 480), 220
"""Width and height of a video, and side of the face in it, pixels."""


def as_videos(root: Path, *, size: int, frames: int, seed: int = 0) -> dict[tuple[str, int], Points]:
    """Write GFT's stand-in, and put its images into videos.

    Args:
        root: The data root.
        size: Side of the drawn faces, pixels.
        frames: Number of frames of each of the 96 participants.
        seed: Seed of the stand-in.

    Returns:
        The true points (4, 2) in the video's pixels, by participant and frame of the video from 1.
    """
    truth = standin.write_gft(root, size, frames, seed)
    videos = root / "GFT/videos"
    videos.mkdir()
    points: dict[tuple[str, int], Points] = {}
    for p, (subject, rows) in enumerate(truth.groupby("subject", sort=True)):
        images = [cv2.imread(str(root / path)) for path in rows["path"]]
        _renumber(root / f"GFT/annotations/{subject}_occ.csv", int(rows["frame"].iloc[0]) - 1)
        writer = cv2.VideoWriter(
            str(videos / f"{subject}.avi"), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 30.0, FRAME
        )
        who = draw_identity(np.random.default_rng([seed, standin._PERSON, p]))
        video = np.random.default_rng([seed, standin._VIDEO, p])
        base = (draw_pose(video, 1.5), draw_scene(video))
        for f, image in enumerate(images):
            x, y = 240 + 6 * (f % 7), 110 + 5 * (f % 4)
            writer.write(_placed(image, x, y, p))
            turned, _ = vary(np.random.default_rng([seed, standin._FRAME, p, f]), *base)
            intensity = [float(rows[f"AU{au}"].iloc[f]) for au in DRAWN_AUS]
            marks = draw_landmarks(np.random.default_rng(0), who, intensity, turned, SIDE)
            points[str(subject), f + 1] = points_of(marks, (slice(36, 42), slice(42, 48)), (48, 54)) + np.float32(
                (x, y)
            )
        writer.release()
        for path in rows["path"]:
            (root / path).unlink()
        (root / f"GFT/images/{subject}").rmdir()
    return points


def _placed(image: npt.NDArray[np.uint8], x: int, y: int, seed: int) -> npt.NDArray[np.uint8]:
    """The face in a room: a wall, and a table in front."""
    tone = np.random.default_rng(seed).integers(60, 160, 3).tolist()
    canvas = np.full((FRAME[1], FRAME[0], 3), tone, dtype=np.uint8)
    cv2.rectangle(canvas, (0, 400), (720, 480), (40, 60, 80), -1)
    canvas[y : y + SIDE, x : x + SIDE] = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return canvas


def _renumber(file: Path, before: int) -> None:
    """Count the frames of an annotation file from the first one of the video."""
    head, *rows = file.read_text().splitlines()
    cells = [row.partition(",") for row in rows]
    file.write_text("\n".join([head, *(f"{int(n) - before},{rest}" for n, _, rest in cells)]) + "\n")
