"""Table of AU labels: columns, cell codes, subjects and test parts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.config.protocol import ALL
from benchmark.core.errors import UserError
from benchmark.data.align import POINT_COLUMNS, Points
from benchmark.data.faces import UNKNOWN
from benchmark.data.files import caught
from benchmark.datasets.tables import Images, LabelRow, LabelTable, number_of, read_table

_AU = re.compile(r"(?:au[ _]?)?0*([1-9]\d*)", re.IGNORECASE)
_LIKE_AU = re.compile(r"au[ _-]?\d.*", re.IGNORECASE)
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_UNKNOWN = (9.0, -1.0)
"""Cell values for an unknown label."""
_REMEDY = "correct this row, or take it out"


@dataclass(frozen=True)
class Frame:
    """One row of an AU table.

    Attributes:
        path: Image file.
        subject: Name of the subject.
        sequence: Name of the sequence, unique over all subjects.
        frame: Number in the sequence; None if the table has no such column.
        codes: 0, 1 or `UNKNOWN` for each AU, (J,).
        points: Landmarks (4, 2); None if the row has none.
    """

    path: Path
    subject: str
    sequence: str
    frame: int | None
    codes: list[int]
    points: Points | None


@dataclass(frozen=True)
class AuTable:
    """A table of AU labels.

    Attributes:
        table: The file.
        places: AU -> index of its column, in order of AUs.
        landmarks: Indices of the columns `POINT_COLUMNS`; none if the table has no landmarks.
        active_from: Minimum intensity that counts as active; None for cells of 0 and 1.
    """

    table: LabelTable
    places: Mapping[int, int]
    landmarks: tuple[int, ...]
    active_from: float | None

    @property
    def aus(self) -> tuple[int, ...]:
        """AUs of the table, in ascending order."""
        return tuple(self.places)

    def subjects(self) -> dict[str, LabelRow]:
        """First row of each subject, by subject.

        Raises:
            UserError: A row has no subject.
        """
        first_rows: dict[str, LabelRow] = {}
        for row in self.table.rows:
            first_rows.setdefault(self.table.filled(row, "subject", remedy=_REMEDY), row)
        return first_rows

    def sequences(self) -> set[str]:
        """Names of all sequences."""
        return {self._sequence(row, self.table.value(row, "subject")) for row in self.table.rows}

    def parts(self) -> dict[str, str] | None:
        """Value of the column `part`, by subject; None if there is no such column.

        Raises:
            UserError: A value is empty, is no name, or differs from other rows of the subject.
        """
        if self.table.place("part") is None:
            return None
        first: dict[str, tuple[str, int]] = {}
        for row in self.table.rows:
            subject = self.table.filled(row, "subject", remedy=_REMEDY)
            part = self.table.filled(row, "part", remedy=_REMEDY)
            if not _PART.fullmatch(part) or part == ALL:
                expected = f"letters, digits, '_', '.' and '-', and not the word '{ALL}'"
                raise self.table.error(row, "a wrong name of a part", expected, part, "give the part another name")
            earlier, line = first.setdefault(subject, (part, row.line))
            if earlier != part:
                raise self.table.error(
                    row,
                    f"subject {subject} stands in two parts",
                    f"{earlier}, as in line {line}",
                    part,
                    "give all rows of a subject the same part: nobody may be trained on and tested",
                )
        return {subject: part for subject, (part, _) in first.items()}

    def frames(self, home: Path, faults: list[UserError] | None) -> list[Frame]:
        """Frames of all rows, in an order that depends on their content alone.

        Args:
            home: Folder that paths are relative to.
            faults: Collects faults; the faulty row is left out. None: the first fault is raised.

        Raises:
            UserError: A row is wrong or repeats a frame, or its image is missing.
        """
        images, frames = Images(home, self.table), list[Frame]()
        first: dict[tuple[str, int], int] = {}
        for row in self.table.rows:
            with caught(faults):
                frame = self._frame(row, images)
                # Landmarks and neighbours in time are found by these numbers.
                if frame.frame is not None:
                    earlier = first.setdefault((frame.sequence, frame.frame), row.line)
                    if earlier != row.line:
                        raise self.table.error(
                            row,
                            "a frame stands twice in a sequence",
                            "each frame once",
                            f"frame {frame.frame} of {frame.sequence}, as in line {earlier}",
                            "name the videos of a subject in the column sequence, or take the second row out",
                        )
                frames.append(frame)
        return sorted(frames, key=lambda f: (f.subject, f.sequence, -1 if f.frame is None else f.frame, str(f.path)))

    def _frame(self, row: LabelRow, images: Images) -> Frame:
        subject = self.table.filled(row, "subject", remedy=_REMEDY)
        return Frame(
            images.find(row),
            subject,
            self._sequence(row, subject),
            self._number(row),
            [self._code(row, au) for au in self.aus],
            self._points(row),
        )

    def _sequence(self, row: LabelRow, subject: str) -> str:
        name = self.table.value(row, "sequence")
        return f"{subject}/{name}" if name else subject

    def _number(self, row: LabelRow) -> int | None:
        if self.table.place("frame") is None:
            return None
        cell = self.table.value(row, "frame")
        value = number_of(cell)
        if not math.isfinite(value) or value < 0 or value != int(value):
            raise self.table.error(row, "a wrong frame number", "a whole number from 0 on", cell or "nothing", _REMEDY)
        return int(value)

    def _code(self, row: LabelRow, au: int) -> int:
        cell = row.cells[self.places[au]]
        value = number_of(cell)
        if cell.lower() in {"", "nan"} or value in _UNKNOWN:
            return UNKNOWN
        if self.active_from is not None and math.isfinite(value) and value >= 0:
            return int(value >= self.active_from)
        if self.active_from is None and value in {0.0, 1.0}:
            return int(value)
        raise self.table.error(
            row,
            f"a wrong code of AU{au}",
            ("0, 1" if self.active_from is None else "an intensity from 0 on")
            + ", or nothing, 9, -1 or nan for unknown",
            cell,
            "where the numbers are intensities, set `active_from` to the least one that counts as active; "
            f"else {_REMEDY}",
        )

    def _points(self, row: LabelRow) -> Points | None:
        cells = [row.cells[place] for place in self.landmarks]
        if all(cell.lower() in {"", "nan"} for cell in cells):
            return None
        values = [number_of(cell) for cell in cells]
        if not np.isfinite(values).all():
            expected = "eight numbers in pixels, or eight empty cells"
            raise self.table.error(row, "wrong landmarks", expected, ",".join(cells), _REMEDY)
        return np.array(values, dtype=np.float32).reshape(4, 2)


def read_au_table(file: Path, active_from: float | None) -> AuTable:
    """Read a table of AU labels.

    Args:
        file: CSV file.
        active_from: Minimum intensity that counts as active; None for cells of 0 and 1.

    Raises:
        UserError: There is no such file, or its header is wrong.
    """
    table = read_table(file, what="AU table", needs=("path", "subject"))
    places: dict[int, int] = {}
    for place, cell in enumerate(table.header):
        match = _AU.fullmatch(cell)
        if match is None and not _LIKE_AU.fullmatch(cell):
            continue
        if match is None or int(match[1]) in places:
            raise UserError(
                "a column of the AU table could be an AU"
                if match is None
                else f"two columns of the AU table are AU{match[1]}",
                where=file,
                line=1,
                expected="one column an AU, with a name such as AU1, AU01, au1 or 1",
                found=cell if match is None else f"{table.header[places[int(match[1])]]} and {cell}",
                remedy="rename the column, or take it out",
            )
        places[int(match[1])] = place
    if not places:
        raise UserError(
            "the AU table has no AU column",
            where=file,
            line=1,
            expected="one column an AU, with a name such as AU1, AU01, au1 or 1",
            found=",".join(table.header)[:200],
            remedy="rename the columns of the labels",
        )
    marks = [table.place(name) for name in POINT_COLUMNS]
    landmarks = tuple(place for place in marks if place is not None)
    if 0 < len(landmarks) < len(POINT_COLUMNS):
        raise UserError(
            "columns of landmarks are missing in the AU table",
            where=file,
            line=1,
            expected=", ".join(POINT_COLUMNS),
            found=", ".join(table.header[place] for place in landmarks),
            remedy="add the missing columns, or take out all of them",
        )
    return AuTable(table, dict(sorted(places.items())), landmarks, active_from)
