"""A data root of a few random images in the official layouts: fast, and apart from the stand-in's code."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.datasets.bp4d.protocol import BP4D

HEADER = [0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28]
SUBJECTS = ("F001", "M001", "F003", "M002", "F004", "M003")  # two of each part


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several workers a core of its own, and what it starts with it.

    Threads of two programs that wait for one another on the same cores make both many times slower.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """So many threads for torch inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def threads() -> Iterator[None]:
    """One number of threads for all tests: sums in floating point depend on it."""
    with torch_threads(1):
        yield


def write_image(path: Path, rng: np.random.Generator, size: tuple[int, int] = (24, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path, quality=90)


def write_coding(path: Path, rows: list[list[int]], header: list[int] = HEADER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def write_bp4d(
    root: Path, *, subjects: tuple[str, ...] = SUBJECTS, tasks: int = 2, frames: int = 6, flat: bool = False
) -> None:
    """Sequences that start at odd numbers, padded to three or four digits, with two uncoded images each."""
    rng = np.random.default_rng(0)
    home = root / "BP4D"
    images = home if flat else home / "Sequences(2D+3D)"
    for s, subject in enumerate(subjects):
        for t in range(1, tasks + 1):
            start, width = 95 + 7 * s, 3 + (s + t) % 2
            for frame in range(start - 1, start + frames + 1):
                write_image(images / subject / f"T{t}" / f"{frame:0{width}d}.jpg", rng)
            codes = rng.choice([0, 1, 9], p=[0.5, 0.45, 0.05], size=(frames, len(HEADER) - 1))
            rows = [[start + i, *map(int, row)] for i, row in enumerate(codes)]
            write_coding(home / "AUCoding" / "AU_OCC" / f"{subject}_T{t}.csv", rows)


def write_rafdb(root: Path, *, train: int = 14, test: int = 3) -> None:
    rng = np.random.default_rng(1)
    basic = root / "RAF-DB" / "basic"
    lines = []
    for split, digits, count in (("train", 5, train), ("test", 4, test)):
        for i in range(1, count + 1):
            stem = f"{split}_{i:0{digits}d}"
            write_image(basic / "Image" / "aligned" / f"{stem}_aligned.jpg", rng, (20, 20))
            lines.append(f"{stem}.jpg {1 + i % 7}\n")
    (basic / "EmoLabel").mkdir(parents=True)
    (basic / "EmoLabel" / "list_patition_label.txt").write_text("".join(lines))


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of stand-ins and packed frames that all tests and all workers share: each is drawn and packed once.

    The locks of the suite itself keep it whole. A test that counts or damages what a cache holds needs one of its own.
    """
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A small data root that a test may damage."""
    root = tmp_path / "data"
    write_bp4d(root)
    write_rafdb(root)
    return root


@pytest.fixture
def labels() -> Callable[..., torch.Tensor]:
    """Random AU labels (B, J) of -1, 0 and 1."""

    def make(count: int, seed: int = 0) -> torch.Tensor:
        rng = np.random.default_rng(seed)
        return torch.from_numpy(rng.choice([-1, 0, 1], p=[0.1, 0.5, 0.4], size=(count, len(BP4D.aus))).astype(np.int8))

    return make
