"""Files of landmarks in the layouts of the datasets."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
from scipy.io import savemat

_MAT_HEADER = b"MATLAB 5.0 MAT-file, mal-benchmark stand-in"


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
