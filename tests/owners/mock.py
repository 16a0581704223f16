"""Mock copies of the licensed datasets, as they lie on the disks of laboratories: drawn faces in whole video frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.standin.drawn.identity import draw_identity
from benchmark.standin.drawn.landmarks import draw_landmarks
from benchmark.standin.drawn.render import render_face
from benchmark.standin.landmarks import (
    manual_annotation,
    write_bp4d_landmarks,
    write_disfa_landmarks,
)
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.views import draw_pose, draw_scene, vary

PEOPLE = ("F001", "M001", "F003", "M002", "F004", "M003")  # two of each part of BP4D
DISFA_PEOPLE = ("SN001", "SN002", "SN006", "SN011", "SN003", "SN004")  # two of each part of DISFA
GFT_PEOPLE = ("001A", "001B", "002A", "005A", "005B", "005C")  # the last three are tested
FACE = 240
"""Side of a drawn face, pixels."""
BP4D_FRAME, DISFA_FRAME, GFT_FRAME = (1040, 1392), (1024, 768), (720, 480)
HEADER = (0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28)

Image8 = npt.NDArray[np.uint8]


@dataclass
class Mock:
    """One mock copy.

    Attributes:
        root: The data root.
        faces: The face of each frame as drawn, by dataset folder, subject or stem, and frame.
        marks: Its landmarks (66, 2) in pixels of the face, by the same.
    """

    root: Path
    faces: dict[tuple[str, str, int], Image8] = field(default_factory=dict)
    marks: dict[tuple[str, str, int], npt.NDArray[np.float64]] = field(default_factory=dict)


@cache
def face(person: int, frame: int) -> tuple[Image8, npt.NDArray[np.float64]]:
    """A drawn face (FACE, FACE, 3), RGB, and its landmarks."""
    rng = np.random.default_rng([11, person])
    who, pose, scene = draw_identity(rng), draw_pose(rng), draw_scene(rng)
    turned, seen = vary(np.random.default_rng([12, person, frame]), pose, scene)
    intensity = np.random.default_rng([13, person, frame]).random(len(DRAWN_AUS)).tolist()
    image = render_face(who, intensity, turned, seen, FACE)
    return image, draw_landmarks(np.random.default_rng(0), who, intensity, turned, FACE)


def corner(person: int, frame: int, size: tuple[int, int]) -> tuple[int, int]:
    """Place of the face in a video frame: everybody moves in a way of their own."""
    x, y = np.random.default_rng([14, person, frame]).integers((0, 0), (49, 19)).tolist()
    return size[0] // 2 - FACE // 2 + x, size[1] // 3 - FACE // 4 + y


def whole_frame(person: int, frame: int, size: tuple[int, int]) -> tuple[Image8, npt.NDArray[np.float64]]:
    """A video frame with the face in it, and the landmarks in its pixels."""
    image, marks = face(person, frame)
    x, y = corner(person, frame, size)
    canvas = np.full((size[1], size[0], 3), (70, 80, 95), dtype=np.uint8)
    canvas[y : y + FACE, x : x + FACE] = image
    return canvas, marks + np.array([x, y])


def _save(image: Image8, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=92)


def bp4d(
    root: Path,
    images: str = "Sequences(2D+3D)/{s}/{t}/{f}.jpg",
    coding: str = "AUCoding/AU_OCC/{s}_{t}.csv",
    marks: str = "2DFeatures/{s}_{t}.mat",
    *,
    home: str = "BP4D",
    crop: int = 0,
    scale: float = 1.0,
    frames: int = 4,
    flag: bool = False,
) -> Mock:
    """BP4D: coded ranges that start late, varying zero padding, a frame without landmarks, codes 9 in other AUs.

    Args:
        root: The data root.
        images: Path of an image below the dataset's folder; `{s}`, `{t}`, `{f}` are subject, task and frame.
        coding: Path of a coding file.
        marks: Path of a landmark file; "" for none.
        home: Folder of the dataset.
        crop: Side of ready crops to write in place of whole frames; 0 for whole frames.
        scale: Scale of the images, not of the landmarks.
        frames: Number of coded frames of a sequence.
        flag: Whether coding files have FERA's column of an occlusion flag.
    """
    mock, base = Mock(root), root / home
    for s, subject in enumerate(PEOPLE):
        for t, task in enumerate(("T1", "T2")):
            start, width = 95 + 7 * s, 3 + (s + t) % 2
            tracked = {}
            for frame in range(start - 1, start + frames + 1):
                image, landmarks = whole_frame(10 * s + t, frame, BP4D_FRAME)
                mock.faces["BP4D", f"{subject}/{task}", frame], mock.marks["BP4D", f"{subject}/{task}", frame] = face(
                    10 * s + t, frame
                )
                if frame != start + 1:
                    tracked[frame] = landmarks
                if crop:
                    x, y = corner(10 * s + t, frame, BP4D_FRAME)
                    image = cv2.resize(image[y : y + FACE, x : x + FACE], (crop, crop), interpolation=cv2.INTER_AREA)
                if scale != 1:
                    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                _save(image, base / images.format(s=subject, t=task, f=f"{frame:0{width}d}"))
            rng = np.random.default_rng([s, t])
            rows = [",".join(map(str, (*HEADER, *(("99",) if flag else ()))))]
            for frame in range(start, start + frames):
                cells = [9 if au in {5, 9} else int(rng.random() < 0.5) for au in HEADER[1:]]
                rows.append(",".join(map(str, (frame, *cells, *((0,) if flag else ())))))
            file = base / coding.format(s=subject, t=task)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(rows) + "\n")
            if marks:
                write_bp4d_landmarks(base / marks.format(s=subject, t=task), tracked, start + frames + 40)
    return mock


def disfa(
    root: Path,
    footage: str = "Videos_LeftCamera/LeftVideo{s}_comp.avi",
    labels: str = "ActionUnit_Labels/{s}/{s}_au{k}.txt",
    marks: str = "Landmark_Points/{s}/tmp_frame_lm/{s}_{m:04d}_lm.mat",
    *,
    first_image: int = 0,
    first_mark: int = 0,
    frames: int = 10,
    extra_mark: bool = False,
) -> Mock:
    """DISFA: one video a subject or its images, labels from 1, landmark files from 0 or from 1.

    Args:
        root: The data root.
        footage: Path of a video, or of an image with `{n}` for its number.
        labels: Path of a label file; `{k}` is the AU.
        marks: Path of a landmark file, `{m}` its number; "" for none.
        first_image: Number of the first image.
        first_mark: Number of the first frame's landmark file.
        frames: Number of frames of a subject.
        extra_mark: Whether a file stands before that of the first frame.
    """
    mock, base = Mock(root), root / "DISFA"
    for s, subject in enumerate(DISFA_PEOPLE):
        video = base / footage.format(s=subject, n=0)
        video.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        if video.suffix == ".avi":
            writer = cv2.VideoWriter(
                str(video), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 20.0, DISFA_FRAME
            )
        for f in range(frames):
            image, landmarks = whole_frame(100 + s, f, DISFA_FRAME)
            mock.faces["DISFA", subject, f + 1], mock.marks["DISFA", subject, f + 1] = face(100 + s, f)
            if writer is not None:
                writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            else:
                _save(image, base / footage.format(s=subject, n=f + first_image))
            if marks:
                _write_mark(base / marks.format(s=subject, m=f + first_mark), landmarks)
        if extra_mark:
            _write_mark(base / marks.format(s=subject, m=0), whole_frame(100 + s, 0, DISFA_FRAME)[1])
        if writer is not None:
            writer.release()
        rng = np.random.default_rng(s)
        for au in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26):
            file = base / labels.format(s=subject, k=au)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{f},{rng.integers(0, 6)}\n" for f in range(1, frames + 1)))
    return mock


def _write_mark(file: Path, landmarks: npt.NDArray[np.float64]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_disfa_landmarks(file, landmarks)


def gft(root: Path, footage: str = "videos/{s}.avi", *, frames: int = 8, uncoded: int = 3) -> Mock:
    """GFT: whole frames of 720 x 480, one row a coded frame, the first frames without a row.

    Args:
        root: The data root.
        footage: Path of a video, or of an image with `{n}` for its number from 1.
        frames: Number of frames of a participant.
        uncoded: Number of frames before the first coded one.
    """
    mock, base = Mock(root), root / "GFT"
    (base / "annotations").mkdir(parents=True)
    for p, subject in enumerate(GFT_PEOPLE):
        path = base / footage.format(s=subject, n=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        if path.suffix == ".avi":
            writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 30.0, GFT_FRAME)
        rng, rows = np.random.default_rng(p), ["frame,AU1,AU2,AU4,AU6,AU10,AU12,AU14,AU15,AU23,AU24"]
        for f in range(1, frames + 1):
            image, _ = whole_frame(200 + p, f, GFT_FRAME)
            mock.faces["GFT", subject, f], mock.marks["GFT", subject, f] = face(200 + p, f)
            if writer is not None:
                writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            else:
                _save(image, base / footage.format(s=subject, n=f))
            if f > uncoded:
                rows.append(",".join(map(str, (f, *rng.integers(0, 2, 10)))))
        if writer is not None:
            writer.release()
        (base / "annotations" / f"{subject}_occ.csv").write_text("\n".join(rows) + "\n")
    sides = "".join(f"{s},{'test' if s.startswith('005') else 'train'}\n" for s in GFT_PEOPLE)
    (base / "split.csv").write_text(sides)
    return mock


def rafdb(
    root: Path, layout: str = "basic/Image/aligned/{stem}_aligned.jpg", *, listed: str = "basic/EmoLabel"
) -> Mock:
    """RAF-DB: aligned images of 100 x 100, the label list and the manual landmarks of original images.

    Args:
        root: The data root.
        layout: Path of an image; `{split}`, `{code}` and `{stem}` are filled in.
        listed: Folder of the label list; "" for none.
    """
    mock, base, lines = Mock(root), root / "RAF-DB", []
    for split, digits, number in (("train", 5, 14), ("test", 4, 7)):
        for i in range(1, number + 1):
            stem, code = f"{split}_{i:0{digits}d}", 1 + i % 7
            image, marks = face(300 + i, 0 if split == "train" else 1)
            small = cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA)
            mock.faces["RAF-DB", stem, 0] = small
            _save(small, base / layout.format(split=split, code=code, stem=stem))
            lines.append(f"{stem}.jpg {code}\n")
            if listed:
                manual = base / "basic/Annotation/manual" / f"{stem}_manu_attri.txt"
                manual.parent.mkdir(parents=True, exist_ok=True)
                manual.write_text(manual_annotation(marks))
    if listed:
        (base / listed).mkdir(parents=True, exist_ok=True)
        (base / listed / "list_patition_label.txt").write_text("".join(lines))
    return mock


assert set(PEOPLE) <= BP4D.subjects
