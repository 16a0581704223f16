"""Landmarks of procedural faces, and their files in the layouts of the datasets."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
from scipy.io import savemat

from benchmark.standin.anatomy import amplitudes, mouth_corner
from benchmark.standin.identity import Identity, Pose, project

TRACKER_NOISE = 0.008
"""Standard deviation of the noise of a coordinate, face units: half a pixel in a crop of 128."""
_MAT_HEADER = b"MATLAB 5.0 MAT-file, mal-benchmark stand-in"


def draw_landmarks(
    rng: np.random.Generator, who: Identity, intensity: Sequence[float], pose: Pose, size: int
) -> npt.NDArray[np.float64]:
    """Draw noisy landmarks (66, 2) as from a tracker, in pixels from 0: the common 68 points without two of them.

    Jaw (17), brows (10), nose (9), left and right eye (12), outer lips from the left corner on (12), inner lips (6).
    Eyes and corners of the mouth follow the drawn face; the other points follow the neutral face.

    Args:
        rng: Generator of the noise.
        who: The person.
        intensity: One number in [0, 1] for each of `anatomy.DRAWN_AUS`.
        pose: Pose of the head.
        size: Side of the image, pixels.
    """
    corner_x, corner_y = mouth_corner(who, amplitudes(who, intensity))
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.stack([who.width * np.cos(angles), who.eye_y + (who.chin_y - who.eye_y) * np.sin(angles)], axis=1)
    brow = np.stack([np.linspace(0.15, 0.60, 5), np.full(5, who.eye_y - who.brow_gap)], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(who.eye_y, who.nose_y, 4)], axis=1)
    base = np.stack([np.linspace(-who.nose_w, who.nose_w, 5), np.full(5, who.nose_y + 0.05)], axis=1)
    w, h = who.eye_w, 0.5 * who.eye_h
    eye = np.array([(-w, 0), (-w / 2, -h), (w / 2, -h), (w, 0), (w / 2, h), (-w / 2, h)])
    turn = np.linspace(np.pi, 3 * np.pi, 13)[:-1]  # from the left corner over the upper lip, y down
    lips = np.stack([np.cos(turn), np.sin(turn) * 0.3], axis=1) * corner_x + (0, who.mouth_y)
    lips[[0, 6]] = (-corner_x, corner_y), (corner_x, corner_y)
    turn = np.linspace(np.pi, 3 * np.pi, 9)[[1, 2, 3, 5, 6, 7]]
    inner = np.stack([np.cos(turn), np.sin(turn) * 0.1], axis=1) * corner_x + (0, who.mouth_y)
    centre = (who.eye_x, who.eye_y)
    flat = np.concatenate(
        [jaw, brow[::-1] * (-1, 1), brow, bridge, base, eye - (who.eye_x, -who.eye_y), eye + centre, lips, inner]
    )
    tracked = project(flat, np.zeros(len(flat)), pose) + TRACKER_NOISE * rng.standard_normal(flat.shape)
    return np.asarray((tracked + 1) * 0.5 * size - 0.5)


def write_bp4d_landmarks(file: Path, landmarks: Mapping[int, npt.NDArray[np.float64]], frames: int) -> None:
    """Write `2DFeatures/F001_T1.mat`: HDF5 with `fit/pred`, references to a 2 x 49 array a frame, empty for none.

    Args:
        file: The file to write.
        landmarks: Landmarks (66, 2) by frame number from 1.
        frames: Number of frames of the video.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as content:
        # MATLAB stores an empty array as its shape, with an attribute.
        empty = content.create_dataset("#refs#/empty", data=np.zeros(2, dtype=np.uint64))
        empty.attrs["MATLAB_empty"] = np.uint8(1)
        references = np.full((frames, 1), empty.ref, dtype=h5py.ref_dtype)
        for frame, points in landmarks.items():
            data = (points[17:] + 1).T.astype(np.float32)  # MATLAB counts pixels from 1; BP4D's points exclude the jaw
            references[frame - 1, 0] = content.create_dataset(f"#refs#/{frame}", data=data).ref
        content.create_dataset("fit/pred", data=references, dtype=h5py.ref_dtype)


def write_disfa_landmarks(file: Path, landmarks: npt.NDArray[np.float64]) -> None:
    """Write `SN001_0000_lm.mat`: `pts`, 66 x 2, or 0 x 0 for no detected face."""
    buffer = io.BytesIO()
    savemat(buffer, {"pts": landmarks + 1})
    data = bytearray(buffer.getvalue())
    data[:116] = _MAT_HEADER.ljust(116)  # SciPy writes the date here; equal settings must give equal bytes
    file.write_bytes(data)


def manual_annotation(landmarks: npt.NDArray[np.float64]) -> str:
    """Text of RAF-DB's `train_00001_manu_attri.txt`: five points; then gender, race and age, here `unsure` and 0."""
    eyes = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    points = (*eyes, landmarks[30], landmarks[48], landmarks[54])
    return "".join(f"{x:.3f}\t{y:.3f}\n" for x, y in points) + "2\n0\n0\n"


def find_none(rng: np.random.Generator, frames: int, share: float) -> npt.NDArray[np.bool_]:
    """Draw the frames without a detected face, (frames,) bool: single ones, and a run of up to a third of all."""
    lost = rng.random(frames) < share
    if rng.random() < share * 2:
        length = int(rng.integers(1, max(2, frames // 3 + 1)))
        start = int(rng.integers(0, frames - length + 1))
        lost[start : start + length] = True
    return lost
