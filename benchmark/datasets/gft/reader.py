"""Reader of GFT, the Group Formation Task of Sayette's laboratory (Girard et al., FG 2017).

The videos come by signed agreement; the names of the annotation files, their header, their sentinel and the
partition are not public. So whatever this reader takes for granted about them is a setting, it is checked against
the files, and where the files do not settle it, the reader stops and asks. Layout that it looks for::

    GFT/annotations/001A_occ.csv     one file a participant, or 001A.csv; columns are found by the header
    GFT/images/001A/1.jpg            frames extracted from the participant's video, any zero padding
    GFT/split.csv                    001A,train: the authors' partition, one line a participant

Frames count from 1. Occluded frames lack codes: rows are missing, or hold something that is neither 0 nor 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd
from pydantic import field_validator

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.origin import Origin
from benchmark.data.faces import UNKNOWN, FaceSet, is_standin
from benchmark.data.files import Coding, CsvRows, Rows, caught, listing, match_images, rows_below
from benchmark.datasets.base import DatasetSettings
from benchmark.datasets.gft.protocol import GFT

INFERRED = "inferred"
"""Value of `split` that asks for the inferred split by name."""
SPLIT = f"{GFT.folder}/split.csv"
"""Where the split is looked for if no setting names it."""
FRAME = "frame"
TOLERANCE = 0.05
"""Share by which a complete copy may miss the number of frames: GFT's is known to the hundred, from the paper alone."""

_FRAME_CELLS = frozenset({"frame", "frames", "frame_number", "0"})
_AU_CELL = re.compile(r"(?:AU)?0*(?P<au>[1-9]\d*)", re.IGNORECASE)
_ANNOTATION_NAME = re.compile(r"(?P<subject>\d{3}[ABC])(?:_occ)?\.csv")
_MISSING = (
    "extract the missing images from your GFT's videos, name their folder with gft.images=FOLDER, "
    "or take their rows out of the annotation file"
)
_MAP_LINES = "lines `frame,HEADER CELL` and `AU1,HEADER CELL`"


class GftSettings(DatasetSettings):
    """What is not public about GFT's files."""

    split: str = ""
    """Split file with lines `001A,train` or `001A,test`, relative to the data root. Empty: `GFT/split.csv`. The word
    `inferred`: the split that was inferred from the paper's image counts."""
    columns: str = ""
    """Column map with lines `AU1,HEADER CELL` and `frame,HEADER CELL`, relative to the data root, for headers that are
    not understood. A column that it does not name is looked for as without it."""
    annotations: str = "annotations"
    """Folder of the annotation files below `GFT/`."""
    images: str = "images"
    """Folder of the participants' image folders below `GFT/`."""

    @field_validator("split", "columns", "annotations", "images")
    @classmethod
    def _stays_below(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("a path below the data root, without '..'")
        return value


DEFAULTS = GftSettings()


def gft_protocol(root: Path, protocol: Protocol = GFT, settings: GftSettings = DEFAULTS) -> Protocol:
    """The protocol with the authors' partition: test subjects as the part `test`, the others as `train_only`.

    Args:
        root: The folder that holds `GFT/`.
        protocol: The subjects that may occur; returned as it is if the inferred split is asked for.
        settings: Names the split.

    Raises:
        UserError: There is no split file and the inferred split was not asked for; the file has a bad line, an unknown
            or a repeated subject, or no subject on one of its sides.
    """
    file = _split_file(root, settings)
    if file is None:
        return protocol
    sides = _read_split(file, protocol)
    # Sorted, so that the order of the lines changes nothing.
    test, train = (tuple(sorted(s for s, side in sides.items() if side == name)) for name in ("test", "train"))
    return protocol.model_copy(update={"parts": {"test": test}, "train_only": train})


def read_gft(
    root: Path,
    protocol: Protocol,
    progress: Callable[[int, int], None] | None = None,
    *,
    settings: GftSettings = DEFAULTS,
    faults: list[UserError] | None = None,
) -> FaceSet:
    """Read the coded frames of GFT below the data root `root`.

    A cell that is neither 0 nor 1 is unknown; a frame of which no scored AU is known is left out. The note counts both.

    Args:
        root: The folder that holds `GFT/`.
        protocol: Names the AUs to read and the subjects that may occur.
        progress: Called with (participants read, participants).
        settings: What is not public about the files.
        faults: Takes what is wrong with a participant, who is then left out; None: that is an error.

    Raises:
        UserError: A folder, the split or a column map is missing or wrong; an annotation file is of an unknown
            participant, or has a header that is not understood, a wrong or repeated frame; a coded frame has no image.
    """
    # Again, although a caller did so before: nothing is read under a split that is not there.
    protocol = gft_protocol(root, protocol, settings)
    home = root / protocol.folder
    files = _annotation_files(home, protocol, settings, faults)
    names = _read_map(root / settings.columns) if settings.columns else {}
    rows = Rows()
    unknown: Counter[str] = Counter()
    left_out = 0
    for done, (subject, file) in enumerate(files):
        with caught(faults):
            read = read_annotations(file, protocol.aus, names)
            coded = read.coded
            if coded.frames:
                paths = match_images(home / settings.images / subject, coded, remedy=_MISSING)
                rows.add(root, paths, subject, subject, coded.frames, coded.codes, None)
            unknown += read.unknown
            left_out += read.left_out
        if progress is not None:
            progress(done + 1, len(files))
    if not rows.frames:
        raise UserError(
            "no frame has an AU that is known",
            where=home / settings.annotations,
            expected="cells 0 (absent) and 1 (present)",
            found=f"{left_out:,} rows without any" if left_out else "no rows",
            remedy="copy the annotations anew, or name the columns of the occurrences with gft.columns=FILE",
        )
    faces = rows.face_set("gft", root, protocol.au_names)
    origin, note = _origin(root, faces.table, protocol, settings, f"{rows.alignment}; {_count(unknown, left_out)}")
    return replace(faces, origin=origin, note=note)


@dataclass(frozen=True)
class Annotations:
    """One annotation file.

    Attributes:
        coded: The frames of which at least one AU is known.
        unknown: What stands in the unknown cells of those frames -> how often.
        left_out: Rows of which no AU is known.
    """

    coded: Coding
    unknown: Counter[str]
    left_out: int


def read_annotations(file: Path, aus: tuple[int, ...], names: Mapping[str, str]) -> Annotations:
    """Read one participant's annotations; columns are found by the header, never by place.

    Args:
        file: The file.
        aus: The AUs to read.
        names: `frame`, `AU1`, ... -> the header cell of its column, where it is given and not looked for.

    Raises:
        UserError: The header is not understood; a row's length or a frame number is wrong; a frame is repeated.
    """
    remedy = "mend this row, or copy this file anew"
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
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
    return Annotations(Coding.of(file, frames, len(aus)), unknown, len(seen) - len(frames))


def _code(cell: str) -> int:
    # By value: tables that went through MATLAB or pandas say 1.0.
    try:
        value = float(cell)
    except ValueError:
        return UNKNOWN
    return int(value) if value in {0.0, 1.0} else UNKNOWN


def _columns(file: Path, header: list[str], fields: tuple[str, ...], names: Mapping[str, str]) -> list[int]:
    """The place of each field's column; exactly one has to answer to it."""
    listing = ",".join(header)
    listing = (listing[:400] + ("..." if len(listing) > 400 else "")) or "an empty line"
    remedy = f"write a column map, {_MAP_LINES}, and name it relative to the data root with gft.columns=FILE"
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
    """`frame` or `AU1`, ... by the spelling of a header cell; None for anything else."""
    if cell.lower() in _FRAME_CELLS:
        return FRAME
    match = _AU_CELL.fullmatch(cell)
    return f"AU{int(match['au'])}" if match is not None else None


def _read_map(file: Path) -> dict[str, str]:
    remedy = f"write {_MAP_LINES}, each name and each header cell once"
    if not file.is_file():
        raise UserError("there is no column map", where=file, remedy="write it, or correct gft.columns")
    names: dict[str, str] = {}
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        rows = CsvRows(stream, file, remedy=remedy)
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            # A bare number is no name here: it would be unclear on which side of the comma the header stands.
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


def _split_file(root: Path, settings: GftSettings) -> Path | None:
    """The split file, None for the inferred split."""
    if settings.split == INFERRED:
        return None
    file = root / (settings.split or SPLIT)
    if not file.is_file():
        raise UserError(
            "there is no split file, and GFT's partition is not public",
            where=file,
            expected="lines 001A,train or 001A,test for all participants",
            found=listing(file.parent),
            remedy=f"write {SPLIT} from what came with your copy; "
            f"or take the split that was inferred from image counts: gft.split={INFERRED}",
        )
    return file


def _read_split(file: Path, protocol: Protocol) -> dict[str, str]:
    """Subject -> `train` or `test`."""
    remedy = "mend this line: each participant stands once, with train or test"
    sides: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, text in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not text.strip():
            continue
        subject, comma, side = (cell.strip() for cell in text.partition(","))
        if not comma or side not in {"train", "test"}:
            raise UserError(
                "a bad line in the split file",
                where=file,
                line=line,
                expected="001A,train or 001A,test",
                found=text.strip()[:80],
                remedy=remedy,
            )
        if subject not in protocol.subjects or subject in sides:
            raise UserError(
                "a repeated subject in the split file" if subject in sides else "an unknown subject in the split file",
                where=file,
                line=line,
                expected=f"one of the {len(protocol.subjects)} subjects, {_span(protocol)}, each once",
                found=f"{subject}, as in line {lines[subject]}" if subject in sides else subject or "an empty cell",
                remedy=remedy,
            )
        sides[subject], lines[subject] = side, line
    for side in ("train", "test"):
        if side not in sides.values():
            raise UserError(
                f"the split file has no {side} subject",
                where=file,
                expected="subjects on both sides, train and test",
                found=f"{len(sides)} subjects, none in {side}",
                remedy="write the other side's lines, too",
            )
    return sides


def _annotation_files(
    home: Path, protocol: Protocol, settings: GftSettings, faults: list[UserError] | None
) -> list[tuple[str, Path]]:
    """Subjects in ascending order, each with its file."""
    folder = home / settings.annotations
    files: dict[str, Path] = {}
    for file in sorted(folder.glob("*.csv")) if folder.is_dir() else ():
        if file.name.startswith("."):  # macOS leaves files called ._NAME beside those it copies
            continue
        with caught(faults):
            match = _ANNOTATION_NAME.fullmatch(file.name)
            if match is None or match["subject"] not in GFT.subjects:
                raise UserError(
                    "an annotation file of an unknown participant",
                    where=file,
                    expected=f"001A_occ.csv or 001A.csv, with one of the subjects {_span(GFT)}",
                    found=file.name,
                    remedy="take it out, or name the folder of the occurrences below GFT/ with gft.annotations=FOLDER",
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
            remedy="copy your annotations there, or name their folder below GFT/ with gft.annotations=FOLDER",
        )
    return sorted(files.items())


def _origin(
    root: Path, table: pd.DataFrame, protocol: Protocol, settings: GftSettings, unknown: str
) -> tuple[Origin, str]:
    size = f"{len(table):,} frames of {table['subject'].nunique()} participants"
    file = _split_file(root, settings)
    split = "inferred split" if file is None else f"split of {file.relative_to(root).as_posix()}"
    if is_standin(root, table):
        return "stand-in", f"stand-in (procedural faces in GFT's layout): {size}; {split}; {unknown}"
    full = set(table["subject"]) == GFT.subjects and abs(len(table) - protocol.frames) <= TOLERANCE * protocol.frames
    if full and file is not None:
        return "complete", f"GFT: {size}; {split}; {unknown}"
    reason = "all there but the authors' split" if full else f"of {protocol.frames:,} frames and {len(GFT.subjects)}"
    return "partial", f"partial data in GFT's layout: {size}, {reason}; {split}; {unknown}"


def _count(unknown: Counter[str], left_out: int) -> str:
    """For the note: how much is unknown, and what stands there, since the sentinel is nowhere published."""
    # Ties by text: the order must not depend on the order of reading.
    common = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
    cells = ", ".join(f"{n:,} {cell[:12] or 'empty'}" for cell, n in common[:4]) + (", ..." if len(common) > 4 else "")
    what = f" ({cells})" if cells else ""
    return f"{unknown.total():,} cells unknown{what}, {left_out:,} frames left out with no AU known"


def _span(protocol: Protocol) -> str:
    return f"{min(protocol.subjects)} to {max(protocol.subjects)}"
