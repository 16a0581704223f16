"""Reader of GFT, the Group Formation Task of Sayette's laboratory (Girard et al., FG 2017).

The authors' project page (osf.io/7wcyz) says that frame-level annotations, landmark tracking, the partition and a wiki
on the formats are public under CC BY 4.0, and that the videos come by signed agreement with the University of
Pittsburgh. The pages on the formats were not at hand when this reader was written. So each assumption about them is a
setting that it checks against the files; if the files contradict it or leave it open, the reader raises an error.
Expected layout::

    GFT/annotations/001A_occ.csv     one file a participant, or 001A.csv; the header identifies columns
    GFT/videos/001A.avi              a participant's video, in any folder of GFT/, or
    GFT/images/001A/1.jpg            its frames, extracted: 1.jpg, 0001.png, 001A_000001.png
    GFT/split.csv                    001A,train: the authors' split, one line a participant

Frames count from 1. Occluded frames have no codes: rows are missing, or have values other than 0 and 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd
from pydantic import field_validator

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.core.origin import Origin
from benchmark.data.align import Align
from benchmark.data.faces import UNKNOWN, FaceSet, is_standin, standin_note
from benchmark.data.files import (
    Coding,
    CsvRows,
    Missing,
    Rows,
    caught,
    listing,
    match_images,
    nothing_usable,
    rows_below,
)
from benchmark.data.footage import MOST_LOST, video_footage
from benchmark.data.places import listed, subfolders, undoubled
from benchmark.datasets.base import DatasetSettings
from benchmark.datasets.gft.protocol import GFT

INFERRED = "inferred"
"""Value of the setting `split` for the inferred split."""
SPLIT = f"{GFT.folder}/split.csv"
"""Default split file, below the data root."""
FRAME = "frame"
TOLERANCE = 0.05
"""Tolerance of the number of frames in a full copy, as a share; the paper states the number rounded to hundreds."""

_FRAME_CELLS = frozenset({"frame", "frames", "frame_number", "0"})
_AU_CELL = re.compile(r"(?:AU)?0*(?P<au>[1-9]\d*)", re.IGNORECASE)
_ANNOTATION_NAME = re.compile(r"(?P<subject>\d{3}[ABC])(?:_occ)?\.csv")
_MISSING = (
    "put the participant's video below GFT/, or name the folder of extracted images with gft.images=FOLDER; to leave "
    "such frames out: --set data.missing=leave_out"
)
_VIDEO_NAME = re.compile(
    r"(?:.*[^\dA-Za-z])?(?P<subject>\d{3}[ABC])(?:[^\dA-Za-z].*)?\.(?:avi|mp4|mov|mpe?g|wmv)", re.IGNORECASE | re.ASCII
)
_MAP_LINES = "lines `frame,HEADER CELL` and `AU1,HEADER CELL`"


class GftSettings(DatasetSettings):
    """Settings for what is not known for sure about GFT's files, and the alignment of its faces."""

    split: str = ""
    """Split file with lines `001A,train` or `001A,test`, relative to the data root. Empty: `GFT/split.csv`. `inferred`:
    the split that was inferred from the paper's image counts."""
    columns: str = ""
    """Column map with lines `AU1,HEADER CELL` and `frame,HEADER CELL`, relative to the data root, for unknown headers.
    The reader identifies other columns by the header, as without a map."""
    annotations: str = "annotations"
    """Folder of the annotation files, below `GFT/`."""
    images: str = "images"
    """Folder of the participants' image folders, below `GFT/`."""
    alignment: Literal["profile", "detected", "as_is"] = "profile"
    """`detected`: on eyes and mouth that a detector finds; `as_is`: none. `profile`: as `data.alignment` says, where
    `landmarks` is none, because the format of GFT's landmarks is not known here."""

    @field_validator("split", "columns", "annotations", "images")
    @classmethod
    def _stays_below(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("a path below the data root, without '..'")
        return value


DEFAULTS = GftSettings()


def gft_protocol(root: Path, protocol: Protocol = GFT, settings: GftSettings = DEFAULTS) -> Protocol:
    """Protocol with the authors' split: test subjects as the part `test`, the others as `train_only`.

    Args:
        root: The folder that holds `GFT/`.
        protocol: Protocol with the known subjects and the inferred split, returned for `split = "inferred"`.
        settings: Split file or `inferred`.

    Raises:
        UserError: There is no split file and the setting is not `inferred`; the file has a wrong line, an unknown or
            repeated subject, or a side without subjects.
    """
    file = _split_file(root, settings)
    if file is None:
        return protocol
    sides = _read_split(file, protocol)
    # Sorted, so that the order of lines has no effect.
    test, train = (tuple(sorted(s for s, side in sides.items() if side == name)) for name in ("test", "train"))
    return protocol.model_copy(update={"parts": {"test": test}, "train_only": train})


def read_gft(
    root: Path,
    protocol: Protocol,
    progress: Callable[[int, int], None] | None = None,
    *,
    settings: GftSettings = DEFAULTS,
    alignment: Align = "as_is",
    missing: Missing = "error",
    faults: list[UserError] | None = None,
) -> FaceSet:
    """Read the coded frames of GFT below the data root `root`.

    A cell other than 0 and 1 is unknown; a frame without any known scored AU is left out. The note counts both.

    Args:
        root: The folder that holds `GFT/`.
        protocol: AUs to read and known subjects.
        progress: Called with (participants read, participants).
        settings: Split, column map and folders.
        alignment: `detected` says that faces will be detected: whole frames are no complete dataset of faces.
        missing: Rule for coded frames without an image.
        faults: Collects faults; a faulty participant is left out. None: the first fault is raised.

    Raises:
        UserError: A folder, the split or a column map is missing or wrong; an annotation file has an unknown
            participant, an unknown header, or a wrong or repeated frame; a coded frame has no image.
    """
    # Checked again, so that nothing is read without a split.
    protocol = gft_protocol(root, protocol, settings)
    home = undoubled(root / protocol.folder)
    files = _annotation_files(home, protocol, settings, faults)
    names = _read_map(root / settings.columns) if settings.columns else {}
    rows = Rows()
    unknown: Counter[str] = Counter()
    left_out = 0
    videos = find_videos(home)
    for done, (subject, file) in enumerate(files):
        with caught(faults):
            read = read_annotations(file, protocol.aus, names)
            coded = read.coded
            if coded.frames:
                paths, kept = _footage(home / settings.images, subject, videos, coded, missing)
                rows.skip(subject, subject, sorted(set(coded.frames) - set(kept.frames)))
                rows.add(root, paths, subject, subject, kept.frames, kept.codes, None)
            unknown += read.unknown
            left_out += read.left_out
        if progress is not None:
            progress(done + 1, len(files))
    if not rows.frames:
        empty = UserError(
            "no frame has an AU that is known",
            where=home / settings.annotations,
            expected="cells 0 (absent) and 1 (present)",
            found=f"{left_out:,} rows without any" if left_out else "no rows",
            remedy="copy the annotations anew, or name the columns of the occurrences with gft.columns=FILE",
        )
        raise nothing_usable(faults, empty)
    faces = rows.face_set("gft", root, protocol.au_names)
    contents = f"{rows.alignment}; {_count(unknown, left_out)}"
    origin, note = _origin(root, faces.table, protocol, settings, contents, alignment)
    return replace(faces, origin=origin, note=note)


def find_videos(home: Path) -> dict[str, list[Path]]:
    """Videos below the folder of GFT and its folders, by the participant in their names."""
    videos: dict[str, list[Path]] = {}
    for folder in (home, *subfolders(home)):
        for path in listed(folder):
            match = _VIDEO_NAME.fullmatch(path.name)
            if match is not None and path.is_file():
                videos.setdefault(match["subject"].upper(), []).append(path)
    return videos


def _footage(
    images: Path, subject: str, videos: Mapping[str, list[Path]], coded: Coding, missing: Missing
) -> tuple[list[Path], Coding]:
    """Frames of a participant, from extracted images or from the video; frame f is the video's frame f - 1 from 0.

    Raises:
        UserError: There is neither, there are several videos, or a coded frame has no image.
    """
    folder = next((f for f in subfolders(images) if re.fullmatch(rf"{subject}(?:_.*)?", f.name)), images / subject)
    if subject not in videos or folder.is_dir():
        return match_images(folder, coded, remedy=_MISSING, missing=missing)
    if len(videos[subject]) > 1:
        raise UserError(
            f"{len(videos[subject])} videos of participant {subject}",
            where=videos[subject][0].parent,
            expected="one video, of the participant's face",
            found=" and ".join(path.name for path in videos[subject][:3]),
            remedy="take out all but one",
        )
    footage = video_footage(videos[subject][0])
    kept = coded.only(range(1, footage.length + 1))
    gone = len(coded.frames) - len(kept.frames)
    if gone > MOST_LOST and missing == "error":
        raise UserError(
            f"{gone} coded frames lie after the end of the video",
            where=footage.where,
            expected=f"{coded.frames[-1]} frames, as {coded.file.name} has, give or take {MOST_LOST}",
            found=f"{footage.length} frames",
            remedy="copy this participant's video and annotations anew, or " + _MISSING.rpartition("; ")[2],
        )
    return [footage.paths[frame - 1] for frame in kept.frames], kept


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
    """Field of a header cell: `frame`, `AU1`, ...; None for other cells."""
    if cell.lower() in _FRAME_CELLS:
        return FRAME
    match = _AU_CELL.fullmatch(cell)
    return f"AU{int(match['au'])}" if match is not None else None


def _read_map(file: Path) -> dict[str, str]:
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


def _split_file(root: Path, settings: GftSettings) -> Path | None:
    """Split file; None for the inferred split."""
    if settings.split == INFERRED:
        return None
    file = root / (settings.split or SPLIT)
    if not file.is_file():
        raise UserError(
            "there is no split file",
            where=file,
            expected="lines 001A,train or 001A,test for all participants",
            found=listing(file.parent),
            remedy=f"write {SPLIT} from the partition on the authors' page, osf.io/7wcyz; "
            f"or take the split that was inferred from image counts: gft.split={INFERRED}",
        )
    return file


def _read_split(file: Path, protocol: Protocol) -> dict[str, str]:
    """Side (`train` or `test`) of each subject."""
    remedy = "mend this line: each participant stands once, with train or test"
    sides: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, text in enumerate(regular(file).read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
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
    """Annotation file of each subject, subjects in ascending order."""
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
    root: Path, table: pd.DataFrame, protocol: Protocol, settings: GftSettings, unknown: str, alignment: Align
) -> tuple[Origin, str]:
    size = f"{len(table):,} frames of {table['subject'].nunique()} participants"
    file = _split_file(root, settings)
    split = "inferred split" if file is None else f"split of {file.relative_to(root).as_posix()}"
    if is_standin(root, table):
        return "stand-in", f"{standin_note(root, 'GFT')}: {size}; {split}; {unknown}"
    full = set(table["subject"]) == GFT.subjects and abs(len(table) - protocol.frames) <= TOLERANCE * protocol.frames
    if full and file is not None and alignment == "detected":
        return "complete", f"GFT: {size}; {split}; {unknown}"
    lack = "the authors' split" if file is None else "aligned faces (gft.alignment=detected)"
    reason = f"all there but {lack}" if full else f"of {protocol.frames:,} frames and {len(GFT.subjects)}"
    return "partial", f"partial data in GFT's layout: {size}, {reason}; {split}; {unknown}"


def _count(unknown: Counter[str], left_out: int) -> str:
    """Sentence for the note: number and values of unknown cells, because their code is not known here."""
    # Ties are sorted by text, so that the order of reading has no effect.
    common = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
    cells = ", ".join(f"{n:,} {cell[:12] or 'empty'}" for cell, n in common[:4]) + (", ..." if len(common) > 4 else "")
    what = f" ({cells})" if cells else ""
    return f"{unknown.total():,} cells unknown{what}, {left_out:,} frames left out with no AU known"


def _span(protocol: Protocol) -> str:
    return f"{min(protocol.subjects)} to {max(protocol.subjects)}"
