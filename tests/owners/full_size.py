"""A mock copy of BP4D with as many files as the real one: 146,847 images that are links to a few drawn ones."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from benchmark.data.known import read_known_csv, read_known_rates
from benchmark.datasets.bp4d import HERE
from benchmark.datasets.bp4d.protocol import BP4D
from tests.owners import mock

VARIANTS = 40
"""Number of different images, frames of one person; each is linked a few thousand times."""


def write_full_size(root: Path) -> None:
    """Write BP4D with the known ranges and rates, landmarks for nine frames of ten, and RAF-DB in small.

    Args:
        root: The data root; its disk must have hard links.
    """
    source = root / "source"
    source.mkdir(parents=True)
    marks = []
    for k in range(VARIANTS):
        image, landmarks = mock.whole_frame(0, k, mock.BP4D_FRAME)  # one person, so that it is a video
        Image.fromarray(image).save(source / f"{k}.jpg", quality=92)
        marks.append((landmarks[17:] + 1).T.astype(np.float32))
    rates = read_known_rates(HERE / "known_rates.csv")
    part_of = {subject: part for part, subjects in BP4D.parts.items() for subject in subjects}
    carry = {part: np.zeros(len(BP4D.aus)) for part in BP4D.parts}
    for row in read_known_csv(HERE / "known_ranges.csv").to_dict("records"):
        subject, task, first, last = (row[name] for name in ("subject", "task", "first", "last"))
        folder = root / f"BP4D/Sequences(2D+3D)/{subject}/{task}"
        folder.mkdir(parents=True)
        for frame in range(first, last + 1):
            os.link(source / f"{frame % VARIANTS}.jpg", folder / f"{frame:04d}.jpg")
        part = part_of[subject]
        share = np.array([rates[part][au] for au in BP4D.au_names]) / 100
        _write_coding(root / f"BP4D/AUCoding/AU_OCC/{subject}_{task}.csv", first, last, share, carry[part])
        _write_marks(root / f"BP4D/2DFeatures/{subject}_{task}.mat", last, marks)
    mock.rafdb(root)


def _write_coding(file: Path, first: int, last: int, share: np.ndarray, carry: np.ndarray) -> None:
    """Codes whose running sums follow the rates, so that the rates of a part are met to one frame."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(str, (0, *BP4D.aus)))]
    for frame in range(first, last + 1):
        carry += share
        active = carry >= 1
        carry -= active
        lines.append(",".join(map(str, (frame, *active.astype(int)))))
    file.write_text("\n".join(lines) + "\n")


def _write_marks(file: Path, last: int, marks: list[np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as content:
        stored = [content.create_dataset(f"#refs#/{k}", data=points).ref for k, points in enumerate(marks)]
        empty = content.create_dataset("#refs#/empty", data=np.zeros(2, dtype=np.uint64))
        empty.attrs["MATLAB_empty"] = np.uint8(1)
        references = np.full((last + 30, 1), empty.ref, dtype=h5py.ref_dtype)
        for frame in range(1, last + 31):
            if frame % 10:
                references[frame - 1, 0] = stored[frame % VARIANTS]
        content.create_dataset("fit/pred", data=references, dtype=h5py.ref_dtype)
