"""Known contents of a full copy of a dataset, and the ground truth of a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.core.origin import CLEAR
from benchmark.data.faces import FaceSet

TRUTH = "truth"
"""Folder of a stand-in's ground truth, one parquet file a dataset."""
ACTIVE = 0.35
"""Threshold of the intensity, in [0, 1], above which an AU of a stand-in occurs."""


@dataclass(frozen=True)
class Range:
    """Coded frames of a sequence: first, last (inclusive) and their number."""

    first: int
    last: int
    frames: int

    @classmethod
    def from_frames(cls, frames: list[int]) -> Range:
        """Build the range of frame numbers in ascending order."""
        return cls(frames[0], frames[-1], len(frames))


@dataclass(frozen=True)
class Known:
    """Contents of a full copy of an AU dataset.

    Attributes:
        subjects: All subjects.
        ranges: Coded frames of each sequence, by its name in `FaceSet.table`; empty if not published.
        counts: Number of frames of each sequence, if a public list gives only that and may be subsampled.
        numbers: First and last frame of a video in the numbers of the labels; None if not known.
        groups: Subjects of each group in `rates`.
        rates: Percentage of active frames, by group and AU.
        tolerance: Percentage points by which a rate may differ.
        certain: Whether a different rate is a fault; False if the reference list may be the cause.
        image_size: Width and height of the distributed images, in whose pixels landmarks are; None if not known.
    """

    subjects: frozenset[str]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    numbers: tuple[int, int] | None = None
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tolerance: float = 0.5
    certain: bool = True
    image_size: tuple[int, int] | None = None


def known_of_standin(
    standin: Path,
    protocol: Protocol,
    sequences_of: Callable[[pd.DataFrame], pd.Series],
    is_read: Callable[[pd.DataFrame], npt.NDArray[np.bool_]],
) -> Known:
    """Contents of a stand-in, from its ground truth; only the protocol's subjects if that is missing.

    Args:
        standin: Root of the stand-in.
        protocol: AUs and subjects.
        sequences_of: Function for the sequence of each row of the ground truth.
        is_read: Function for whether the settings keep each row.

    Raises:
        UserError: The ground truth cannot be read.
    """
    file = standin / TRUTH / f"{protocol.dataset}.parquet"
    if not file.is_file():
        return Known(protocol.subjects)
    with _reading(file) as truth:
        coded = truth[truth["coded"]]
        coded = coded[is_read(coded)]
        # Noise frames are coded as unknown; the rates count the other frames.
        faces = coded[~coded["marked"]] if "marked" in coded else coded
        rates = {au: 100 * float((faces[au] > ACTIVE).mean()) for au in protocol.au_names}
        there = frozenset(coded["subject"])
        return Known(
            there,
            {
                str(name): Range.from_frames(sorted(frames))
                for name, frames in coded["frame"].groupby(sequences_of(coded))
            },
            groups={"all": there},
            rates={"all": rates},
            tolerance=max(0.5, 400 / max(len(faces), 1)),
        )


def known_classes_of_standin(standin: Path, fe: str) -> Mapping[str, Mapping[str, int]]:
    """Number of images by split and label of a stand-in; empty if its ground truth is missing.

    Raises:
        UserError: The ground truth cannot be read.
    """
    file = standin / TRUTH / f"{fe}.parquet"
    if not file.is_file():
        return {}
    with _reading(file) as truth:
        return {
            str(split): {str(label): len(members) for label, members in rows.groupby("label")}
            for split, rows in truth.groupby("split")
        }


def known_clear(fe: FaceSet) -> npt.NDArray[np.bool_] | None:
    """Whether the AUs of each FE image determine its label, (N,); None for other data than a stand-in."""
    if fe.origin != "stand-in":
        return None
    truth = known_fe(fe.root, fe.dataset).set_index("path")
    return (truth["kind"].reindex(fe.table["path"]) == CLEAR).to_numpy(bool) if len(truth) else None


def known_fe(standin: Path, fe: str) -> pd.DataFrame:
    """Ground truth of the FE images of a stand-in, one row an image; no rows if it is missing.

    Returns:
        Columns `path`, `kind`, `depicted` (index of the emotion whose AUs were drawn, -1 for none), and for each AU
        whether it occurs.

    Raises:
        UserError: The ground truth cannot be read.
    """
    file = standin / TRUTH / f"{fe}.parquet"
    if not file.is_file():
        return pd.DataFrame({"path": pd.Series(dtype=str)})
    with _reading(file) as truth:
        return truth[["path", "kind", "depicted"]].join(truth.filter(regex=r"^AU\d+$") > ACTIVE)


@contextmanager
def _reading(file: Path) -> Iterator[pd.DataFrame]:
    """Open the table of a ground truth; an error in the block counts as an error of the file.

    Raises:
        UserError: The file cannot be read, or has other contents.
    """
    try:
        yield pd.read_parquet(regular(file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise UserError(
            "the ground truth of a stand-in cannot be read",
            where=file,
            found=f"{type(error).__name__}: {error}"[:160],
            remedy="write the stand-in again: malbench data standin DATASET --out DIR",
        ) from error


def read_known_csv(file: Path) -> pd.DataFrame:
    """Read a CSV file of known counts with `#` comments."""
    return pd.read_csv(file, comment="#")


def read_known_rates(file: Path) -> dict[str, dict[str, float]]:
    """Read percentages of active frames by group and AU from a CSV file with a column `group`."""
    table = read_known_csv(file).set_index("group")
    return {str(group): {str(au): float(rate) for au, rate in row.items()} for group, row in table.iterrows()}


def groups_of_parts(protocol: Protocol) -> dict[str, frozenset[str]]:
    """Subjects of the group `all` and of each part."""
    return {"all": protocol.subjects, **{part: frozenset(names) for part, names in protocol.parts.items()}}
