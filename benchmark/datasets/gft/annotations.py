"""Annotation files of GFT: one a participant; the header identifies columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.data.faces import UNKNOWN
from benchmark.data.files import Coding, CsvRows, caught, listing, rows_below
from benchmark.datasets.gft.partition import span
from benchmark.datasets.gft.protocol import GFT
from benchmark.datasets.gft.settings import GftSettings

FRAME = "frame"
_FRAME_CELLS = frozenset({"frame", "frames", "frame_number", "0"})
_AU_CELL = re.compile(r"(?:AU)?0*(?P<au>[1-9]\d*)", re.IGNORECASE)
_ANNOTATION_NAME = re.compile(r"(?P<subject>\d{3}[ABC])(?:_occ)?\.csv")
_MAP_LINES = "lines `frame,HEADER CELL` and `AU1,HEADER CELL`"


@dataclass(frozen=True)
class Annotations:
    """Contents of one annotation file.

    Attributes:
        coded: Frames with at least one known AU.
        unknown: Number of unknown cells in these frames, by cell value.
        left_out: Number of rows without a known AU.
    """

    coded: Coding
    unknown: Counter[str]
    left_out: int


def read_annotations(file: Path, aus: tuple[int, ...], names: Mapping[str, str]) -> Annotations:
    """Read one participant's annotations. The header identifies columns, not their positions.

    Args:
        file: The file.
        aus: The AUs to read.
        names: Header cells of `frame`, `AU1`, ..., from the column map; empty without a map.

    Raises:
        UserError: The header is unknown; a row's length or a frame number is wrong; a frame is repeated.
    """
    remedy = "mend this row, or copy this file anew"
    with regular(file).open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        rows = CsvRows(stream, file, remedy=remedy)
        header = [cell.strip() for cell in next(rows, [])]
        columns = _columns(file, header, (FRAME, *(f"AU{au}" for au in aus)), names)
        frames: dict[int, tuple[int, list[int]]] = {}
        unknown: Counter[str] = Counter()
        seen: dict[int, int] = {}
        for line, row in rows_below(header, rows, file, what="annotation file", remedy=remedy):
            number, *cells = (row[column].strip() for column in columns)
            if not number.isdecimal() or int(number) < 1:
                raise UserError(
                    "a wrong frame number in an annotation file",
                    where=file,
                    line=line,
                    expected="a whole number from 1 on",
                    found=number or "an empty cell",
                    remedy=remedy,
                )
            frame = int(number)
            if frame in seen:
                raise UserError(
                    f"frame {frame} is repeated in an annotation file",
                    where=file,
                    line=line,
                    expected="each frame in one row",
                    found=f"frame {frame} in line {seen[frame]}, too",
                    remedy=remedy,
                )
            seen[frame] = line
            codes = [_code(cell) for cell in cells]
            if all(code == UNKNOWN for code in codes):
                continue
            frames[frame] = (line, codes)
            unknown.update(cell for cell, code in zip(cells, codes, strict=True) if code == UNKNOWN)
    return Annotations(Coding.from_frames(file, frames, len(aus)), unknown, len(seen) - len(frames))


def _code(cell: str) -> int:
    # By value: tables from MATLAB or pandas contain 1.0.
    try:
        value = float(cell)
    except ValueError:
        return UNKNOWN
    return int(value) if value in {0.0, 1.0} else UNKNOWN


def _columns(file: Path, header: list[str], fields: tuple[str, ...], names: Mapping[str, str]) -> list[int]:
    """Index of each field's column; a field must match exactly one column."""
    listing = ",".join(header)
    listing = (listing[:400] + ("..." if len(listing) > 400 else "")) or "an empty line"
    remedy = f"write a column map, {_MAP_LINES}, and name it relative to the data root with --set gft.columns=FILE"
    places = []
    missing = []
    for field in fields:
        hits = [
            i for i, cell in enumerate(header) if (cell == names[field] if field in names else _field(cell) == field)
        ]
        if len(hits) > 1:
            raise UserError(
                f"{len(hits)} columns of an annotation file could be {field}",
                where=file,
                line=1,
                expected=f"one column for {field}",
                found=f"{' and '.join(header[i] for i in hits)} in the header {listing}",
                remedy=remedy if field not in names else "give the columns different names in the header and the map",
            )
        if not hits:
            missing.append(f"{field} (mapped to '{names[field]}')" if field in names else field)
        places += hits
    if missing:
        raise UserError(
            f"the header of an annotation file has no column for {', '.join(missing)}",
            where=file,
            line=1,
            expected="columns named frame, frames, frame_number or 0, and AU1, AU01, 1 or 01 for each AU",
            found=listing,
            remedy=remedy,
        )
    twice = [header[place] for place, uses in Counter(places).items() if uses > 1]
    if twice:
        raise UserError(
            f"column {twice[0]} of an annotation file stands for two",
            where=file,
            line=1,
            expected="a column of its own for the frame and each AU",
            found=listing,
            remedy="name in the column map the true columns of both",
        )
    return places


def _field(cell: str) -> str | None:
    """Field of a header cell: `frame`, `AU1`, ...; None for other cells."""
    if cell.lower() in _FRAME_CELLS:
        return FRAME
    match = _AU_CELL.fullmatch(cell)
    return f"AU{int(match['au'])}" if match is not None else None


def read_map(file: Path) -> dict[str, str]:
    """Read a column map: header cell of `frame`, `AU1`, ...

    Raises:
        UserError: There is no such file, it has a wrong line, or none.
    """
    remedy = f"write {_MAP_LINES}, each name and each header cell once"
    if not file.is_file():
        raise UserError("there is no column map", where=file, remedy="write it, or correct gft.columns")
    names: dict[str, str] = {}
    with regular(file).open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        rows = CsvRows(stream, file, remedy=remedy)
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            # A plain number is refused: it would be ambiguous which side of the comma is the header cell.
            named = cells[0].lower() == FRAME or cells[0][:2].lower() == "au"
            field = _field(cells[0]) if named else None
            if len(cells) != 2 or field is None or not cells[1] or field in names or cells[1] in names.values():
                raise UserError(
                    "a bad line in the column map",
                    where=file,
                    line=rows.line_num,
                    expected="AU1,HEADER CELL or frame,HEADER CELL, and nothing in it twice",
                    found=",".join(cells)[:80],
                    remedy=remedy,
                )
            names[field] = cells[1]
    if not names:
        raise UserError("the column map is empty", where=file, remedy=remedy)
    return names


def annotation_files(
    home: Path, protocol: Protocol, settings: GftSettings, faults: list[UserError] | None
) -> list[tuple[str, Path]]:
    """Annotation file of each subject, subjects in ascending order.

    Args:
        home: Folder of the dataset.
        protocol: Subjects of the split.
        settings: Folder of the annotations.
        faults: Collects faults; a faulty file is left out. None: the first fault is raised.

    Raises:
        UserError: There is no file, or one of an unknown or repeated participant.
    """
    folder = home / settings.annotations
    files: dict[str, Path] = {}
    for file in sorted(folder.glob("*.csv")) if folder.is_dir() else ():
        if file.name.startswith("."):  # macOS adds a file ._NAME to each file that it copies
            continue
        with caught(faults):
            match = _ANNOTATION_NAME.fullmatch(file.name)
            if match is None or match["subject"] not in GFT.subjects:
                raise UserError(
                    "an annotation file of an unknown participant",
                    where=file,
                    expected=f"001A_occ.csv or 001A.csv, with one of the subjects {span(GFT)}",
                    found=file.name,
                    remedy="take it out, or name the occurrences' folder below GFT/ with --set gft.annotations=FOLDER",
                )
            subject = match["subject"]
            if subject not in protocol.subjects:
                raise UserError(
                    f"participant {subject} stands on no side of the split",
                    where=file,
                    expected=f"{subject},train or {subject},test in the split file",
                    found=f"a split of {len(protocol.subjects)} participants without {subject}",
                    remedy="write the line, or take the file out",
                )
            if subject in files:
                raise UserError(
                    f"two annotation files of participant {subject}",
                    where=file,
                    expected="one file a participant",
                    found=f"{files[subject].name} and {file.name}",
                    remedy="take one of them out",
                )
            files[subject] = file
    if not files:
        raise UserError(
            "no annotation files",
            where=folder,
            expected=f"{GFT.folder}/{settings.annotations or '.'}/001A_occ.csv or 001A.csv",
            found=listing(home),
            remedy="copy your annotations there, or name their folder below GFT/ with --set gft.annotations=FOLDER",
        )
    return sorted(files.items())
