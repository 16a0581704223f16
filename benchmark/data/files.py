"""Common parts of readers of coded frames: coding files, their images, and the rows of a `FaceSet`."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.core.errors import UserError
from benchmark.core.words import counted
from benchmark.data.align import NEAREST, Points, nearest_points
from benchmark.data.faces import FaceSet
from benchmark.data.placement import placed
from benchmark.data.places import names_in, packed_part


class CsvRows:
    """`csv.reader` that reports a file that is no CSV as a user's mistake.

    Raises:
        UserError: During iteration: a cell is longer than any label.
    """

    def __init__(self, stream: Iterable[str], file: Path, *, remedy: str) -> None:
        self._rows, self._file, self._remedy = csv.reader(stream), file, remedy

    @property
    def line_num(self) -> int:
        """Number of lines read so far."""
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        try:
            return next(self._rows)
        except csv.Error as error:
            where, line = self._file, self._rows.line_num
            raise UserError(
                "a file is no CSV", where=where, line=line, found=str(error), remedy=self._remedy
            ) from error


@contextmanager
def caught(faults: list[UserError] | None) -> Iterator[None]:
    """Append a `UserError` of the block to `faults`, so that reading goes on; None: let it pass."""
    try:
        yield
    except UserError as error:
        if faults is None:
            raise
        faults.append(error)


NO_ALIGNMENT = "images as they are on disk (no alignment, A12)"
"""Sentence of the note of faces that are not aligned."""
_IMAGE_NAME = re.compile(r"(?:[^.].*?[^\d])?0*(?P<frame>\d+)\.(?:jpe?g|png)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Coding:
    """One coding file: F frame numbers in ascending order, their lines in the file, and (F, J) codes."""

    file: Path
    frames: list[int]
    lines: list[int]
    codes: npt.NDArray[np.int8]

    def only(self, frames: Collection[int]) -> Coding:
        """The coding of some of the frames."""
        kept = [i for i, frame in enumerate(self.frames) if frame in frames]
        return Coding(self.file, [self.frames[i] for i in kept], [self.lines[i] for i in kept], self.codes[kept])

    @classmethod
    def from_frames(cls, file: Path, frames: Mapping[int, tuple[int, list[int]]], n_aus: int) -> Coding:
        """Build a coding from the line and the codes of each frame, in any order."""
        order = sorted(frames)
        codes = np.array([frames[f][1] for f in order], dtype=np.int8).reshape(len(order), n_aus)
        return cls(file, order, [frames[f][0] for f in order], codes)


def rows_below(
    header: list[str], rows: CsvRows, file: Path, *, what: str, remedy: str
) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank.

    Args:
        header: Cells of the header.
        rows: Rows below the header.
        file: The file, for an error.
        what: Kind of the file, for an error.
        remedy: Action that corrects a wrong row, for an error.

    Raises:
        UserError: A row and the header differ in their number of cells.
    """
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise UserError(
                f"a row of an {what} has the wrong length",
                where=file,
                line=rows.line_num,
                expected=f"{len(header)} cells",
                found=f"{len(row)} cells",
                remedy=remedy,
            )
        yield rows.line_num, row


def _below(root: Path, paths: list[Path]) -> list[str]:
    """Paths relative to the data root, "/" separated; the folder of a sequence is taken apart once."""
    folders = {folder: folder.relative_to(root).as_posix() for folder in {path.parent for path in paths}}
    return [path.name if folders[path.parent] == "." else f"{folders[path.parent]}/{path.name}" for path in paths]


class Rows:
    """Builder of a `FaceSet`, sequence by sequence."""

    def __init__(self) -> None:
        self._tables: list[pd.DataFrame] = []
        self._labels: list[npt.NDArray[np.int8]] = []
        self._points: list[Points] = []
        self._left_out: list[pd.DataFrame] = []
        self.frames = 0
        """Number of frames added."""
        self.coded = 0
        """Number of coded frames, including those left out."""
        self.subjects: set[str] = set()
        self.sequences: set[str] = set()
        """Sequences of all coded frames, including those left out."""
        self.borrowed = 0
        """Number of frames with the landmarks of another frame."""
        self.absent = 0
        """Number of coded frames without an image that were left out by the rule `data.missing`."""

    def add(
        self,
        root: Path,
        paths: list[Path],
        subject: str,
        sequence: str,
        frames: list[int],
        labels: npt.NDArray[np.int8],
        landmarks: Mapping[int, Points] | None,
    ) -> None:
        """Add a sequence without its frames that have no landmarks near.

        Args:
            root: The data root.
            paths: F images of the frames.
            subject: Subject of the sequence.
            sequence: Name of the sequence.
            frames: F frame numbers.
            labels: (F, J) int8.
            landmarks: Points by frame number; None: no alignment.
        """
        table = pd.DataFrame(
            {
                "path": _below(root, paths),
                "subject": subject,
                "sequence": sequence,
                "frame": frames,
            }
        )
        self.coded += len(table)
        self.subjects.add(subject)
        self.sequences.add(sequence)
        if landmarks is not None:
            landmarks = placed(landmarks, paths[0]) if paths else landmarks
            aligned = nearest_points(frames, landmarks)
            self._points.append(aligned.points)
            self.borrowed += aligned.borrowed
            self._left_out.append(table.loc[~aligned.kept, ["subject", "sequence", "frame"]])
            table, labels = table[aligned.kept], labels[aligned.kept]
        self.frames += len(table)
        self._tables.append(table)
        self._labels.append(labels)

    def skip(self, subject: str, sequence: str, frames: list[int]) -> None:
        """Count coded frames of a sequence that have no image, and leave them out."""
        if frames:
            self.coded += len(frames)
            self.absent += len(frames)
            self.subjects.add(subject)
            self.sequences.add(sequence)
            self._left_out.append(pd.DataFrame({"subject": subject, "sequence": sequence, "frame": frames}))

    @property
    def alignment(self) -> str:
        """Sentence for the note: alignment, and the number of frames without landmarks or without an image."""
        absent = f", {self.absent:,} left out without an image" if self.absent else ""
        if not self._points:
            return NO_ALIGNMENT + absent
        return (
            "aligned on eyes and mouth (A12): "
            f"{self.borrowed:,} frames with the landmarks of one at most {NEAREST} frames away, "
            f"{self.coded - self.frames - self.absent:,} left out with none so near"
        ) + absent

    def face_set(self, dataset: str, root: Path, names: tuple[str, ...]) -> FaceSet:
        """The face set of all rows; the caller replaces its origin and note."""
        return FaceSet(
            dataset,
            root,
            pd.concat(self._tables, ignore_index=True),
            np.concatenate(self._labels),
            names,
            origin="partial",
            note="",
            points=np.concatenate(self._points) if self._points else None,
            left_out=pd.concat(self._left_out, ignore_index=True) if self._left_out else None,
        )


def nothing_usable(faults: list[UserError] | None, otherwise: UserError) -> UserError:
    """The error for a dataset of which no frame can be used: the most frequent fault, which is the true cause.

    Args:
        faults: Faults that the reader collected.
        otherwise: The error if it collected none.
    """
    if not faults:
        return otherwise
    kinds = Counter(kind_of(fault.what) for fault in faults)
    kind, times = kinds.most_common(1)[0]
    first = next(fault for fault in faults if kind_of(fault.what) == kind)
    what = first.what if times == 1 else f"{first.what}; {times} files have a fault of this kind"
    error = UserError(what, expected=first.expected, found=first.found, remedy=first.remedy)
    error.where = first.where
    return error


def kind_of(sentence: str) -> str:
    """Sentence of a fault without names of subjects and numbers: equal for faults of one kind.

    Example:
        >>> kind_of("coded frames without an image: 12, the first is frame 7")
        'coded frames without an image: # the first is frame #'
    """
    return re.sub(r"\b(?:[FM]\d{3}|SN\d{3}|\d{3}[ABC]|T\d)\b(?:/T\d)?|\d[\d,]*", "#", sentence)


Missing = Literal["error", "leave_out"]
"""Coded frames without an image: an error, or left out and counted."""


def match_images(
    folder: Path, coded: Coding, *, remedy: str, missing: Missing = "error", offset: int = 0
) -> tuple[list[Path], Coding]:
    """Image of each coded frame, matched by integer value, because the zero padding of names varies.

    Args:
        folder: The images of one sequence.
        coded: The coded frames.
        remedy: Action that corrects a missing image, for an error.
        missing: Rule for coded frames without an image.
        offset: Number in an image's name minus that of its frame.

    Returns:
        The images, and the coding of the frames that have one.

    Raises:
        UserError: A coded frame has no image, and the rule is `error`.
    """
    by_frame = {number - offset: path for number, path in numbered_images(folder).items()}
    absent = [frame for frame in coded.frames if frame not in by_frame]
    if absent and missing == "leave_out":
        coded = coded.only(by_frame)
    elif absent:
        packed = packed_part(folder)
        if packed is not None:
            raise UserError(f"{packed.name} is not unpacked", where=packed, remedy="unpack it where it lies")
        raise UserError(
            f"coded frames without an image: {len(absent):,}, the first is frame {absent[0]}",
            where=coded.file,
            line=coded.lines[coded.frames.index(absent[0])],
            expected=f"{folder}/{absent[0] + offset}.jpg, with any zero padding",
            found=_numbers_of(by_frame),
            remedy=remedy,
        )
    return [by_frame[frame] for frame in coded.frames], coded


def _numbers_of(images: Collection[int]) -> str:
    """Number of images and the frames that they are of, in words."""
    if not images:
        return "no image"
    frames = f"frames {min(images)} to {max(images)}" if len(images) > 1 else f"frame {min(images)}"
    return f"{counted(len(images), 'image')}, {frames}"


def numbered_images(folder: Path) -> dict[int, Path]:
    """Images in a folder by the last number in their names: `7.jpg`, `0007.png`, `001A_000007.png`."""
    by_frame: dict[int, Path] = {}
    # Sorted, so that 7.jpg and 007.jpg in one folder resolve to the same file on every system.
    for name in names_in(folder):
        match = _IMAGE_NAME.fullmatch(name)
        if match is not None:
            by_frame.setdefault(int(match["frame"]), folder / name)
    return by_frame


def listing(folder: Path) -> str:
    """Contents of a folder, for an error."""
    if not folder.is_dir():
        return f"no folder {folder.name}"
    names = sorted(p.name for p in folder.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "an empty folder"
