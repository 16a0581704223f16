"""Label tables: CSV files with named columns, and the image files of their rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.data.files import CsvRows, listing, rows_below


def _stays_below(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("a path below the data root, without '..'")
    return value


BelowRoot = Annotated[str, AfterValidator(_stays_below)]
"""Type of a setting that names a file or a folder below the data root."""


@dataclass(frozen=True)
class LabelRow:
    """One row of a table: line number, and cells without surrounding spaces."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class LabelTable:
    """A CSV file with a header.

    Attributes:
        file: The file.
        header: Names of the columns, as in the file.
        rows: Rows that are not blank.
    """

    file: Path
    header: tuple[str, ...]
    rows: tuple[LabelRow, ...]

    def place(self, name: str) -> int | None:
        """Index of a column by its name, in any case; None if there is no such column."""
        return next((i for i, cell in enumerate(self.header) if cell.lower() == name), None)

    def value(self, row: LabelRow, name: str, default: str = "") -> str:
        """Cell of a row in a column, or `default` if there is no such column."""
        place = self.place(name)
        return default if place is None else row.cells[place]

    def filled(self, row: LabelRow, name: str, *, remedy: str) -> str:
        """Cell of a row in a column without empty cells.

        Raises:
            UserError: The cell is empty.
        """
        cell = self.value(row, name)
        if not cell:
            raise self.error(row, f"a cell of the column {name} is empty", "a value", "nothing", remedy)
        return cell

    def error(self, row: LabelRow, what: str, expected: str, contents: str, remedy: str) -> UserError:
        """Build the error for one row."""
        return UserError(what, where=self.file, line=row.line, expected=expected, found=contents[:120], remedy=remedy)


def read_table(file: Path, *, what: str, needs: tuple[str, ...]) -> LabelTable:
    """Read a CSV file.

    Args:
        file: The file.
        what: Kind of table for errors, for example `AU table`.
        needs: Names of required columns, in lower case.

    Raises:
        UserError: There is no such file, it is empty, a column is missing or repeated, or a row has the wrong number
            of cells.
    """
    remedy = "write one row an image, with cells separated by commas, below a header that names the columns"
    if not file.is_file():
        raise UserError(
            f"there is no {what}",
            where=file,
            expected=f"a CSV file with the columns {', '.join(needs)}",
            found=listing(file.parent),
            remedy="put the file there, or name another one with the setting `file`",
        )
    with regular(file).open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        rows = CsvRows(stream, file, remedy=remedy)
        header = tuple(cell.strip() for cell in next(rows, []))
        _check_header(file, header, what, needs, remedy)
        kept = tuple(
            LabelRow(line, tuple(cell.strip() for cell in cells))
            for line, cells in rows_below(list(header), rows, file, what=what, remedy=remedy)
        )
    if not kept:
        raise UserError(f"the {what} has no row", where=file, expected="one row an image", remedy=remedy)
    return LabelTable(file, header, kept)


def _check_header(file: Path, header: tuple[str, ...], what: str, needs: tuple[str, ...], remedy: str) -> None:
    lower = [cell.lower() for cell in header]
    missing = [name for name in needs if name not in lower]
    twice = sorted({cell for cell in lower if cell and lower.count(cell) > 1})
    if missing or twice:
        raise UserError(
            f"the {what} lacks the column {missing[0]}"
            if missing
            else f"a column of the {what} stands twice: {twice[0]}",
            where=file,
            line=1,
            expected=f"the columns {', '.join(needs)}" if missing else "each column once",
            found=",".join(header)[:200] or "an empty line",
            remedy=remedy,
        )


def number_of(cell: str) -> float:
    """Number in a cell; NaN for an empty cell, `nan`, or a word.

    Example:
        >>> number_of("1.5"), number_of("")
        (1.5, nan)
    """
    try:
        return float(cell)
    except ValueError:
        return math.nan


class Images:
    """Image files of the rows of a table, relative to one folder. Each folder on disk is listed once.

    Args:
        home: Folder that paths are relative to.
        table: Table with a column `path`.
    """

    def __init__(self, home: Path, table: LabelTable) -> None:
        self._home, self._table = home, table
        self._lines: dict[str, int] = {}
        self._listed: dict[Path, frozenset[str]] = {}

    def find(self, row: LabelRow) -> Path:
        """Image file of a row.

        Raises:
            UserError: The cell is empty or points outside the folder, another row has the same image, or there is no
                such file.
        """
        remedy = "correct this row, or take it out"
        cell = self._table.filled(row, "path", remedy=remedy)
        path = PurePosixPath(cell.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            expected = f"a path relative to {self._home}, without '..'"
            raise self._table.error(row, "a path leaves the folder of the dataset", expected, cell, remedy)
        first = self._lines.setdefault(str(path), row.line)
        if first != row.line:
            present = f"{cell} in line {first}, too"
            raise self._table.error(row, "an image stands in two rows", "each image in one row", present, remedy)
        file = self._home / path
        if file.name not in self._names(file.parent):
            present = f"{file.parent.relative_to(self._home).as_posix()}/: {listing(file.parent)}"
            raise self._table.error(
                row, "an image of the table is missing", str(file), present, f"copy it; or {remedy}"
            )
        return file

    def _names(self, folder: Path) -> frozenset[str]:
        if folder not in self._listed:
            self._listed[folder] = frozenset(p.name for p in folder.iterdir()) if folder.is_dir() else frozenset()
        return self._listed[folder]
